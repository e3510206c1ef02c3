"""Training proves learning: a task's reference reward, trained with several seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reward_agent.run.single import train
from reward_agent.types import Finite, Record


@dataclass(frozen=True)
class ReferenceCase:
    """What must be reached with a reference reward.

    Args:
        env: environment.
        task: task of it.
        steps: env steps of each training.
        score: task score that counts as learned.
        n_seeds: trainings.
        n_needed: how many of them must reach the score.
    """

    env: str
    task: str
    steps: int
    score: float
    n_seeds: int = 3
    n_needed: int = 2


CASES = {"hopper-reference": ReferenceCase("hopper", "hop_forward", steps=300_000, score=3.0)}


class SeedResult(Record):
    """One training: score of its best snapshot and of its last, and what it cost."""

    seed: int
    task_score: Finite | None
    last_task_score: Finite | None
    steps_to_score: int | None
    wall_s: Finite
    steps_per_s: Finite


class ReferenceResult(Record):
    """All trainings of a case, and whether enough of them learned."""

    name: str
    steps: int
    score: Finite
    is_reached: bool
    seeds: tuple[SeedResult, ...]


def run_reference(name: str, folder: Path) -> ReferenceResult:
    """Train and evaluate a case, one seed after the other.

    Args:
        name: one of ``CASES``.
        folder: where the trainings are kept.
    """
    case = CASES[name]
    seeds = tuple(_run_seed(case, seed, folder / f"seed_{seed}") for seed in range(case.n_seeds))
    n_reached = sum(item.task_score is not None and item.task_score >= case.score for item in seeds)
    return ReferenceResult(
        name=name,
        steps=case.steps,
        score=case.score,
        is_reached=n_reached >= case.n_needed,
        seeds=seeds,
    )


def render_reference(result: ReferenceResult) -> str:
    """Return the table that a person reads."""
    lines = [
        f"{result.name}: {result.steps:,} steps, {result.score:g} to reach",
        f"{'seed':>4} {'best':>7} {'last':>7} {'steps to score':>15} {'wall s':>7} {'steps/s':>8}",
    ]
    for item in result.seeds:
        reached = f"{item.steps_to_score:,}" if item.steps_to_score else "-"
        best, last = (_render(value) for value in (item.task_score, item.last_task_score))
        lines.append(
            f"{item.seed:>4} {best:>7} {last:>7} {reached:>15} "
            f"{item.wall_s:>7.1f} {item.steps_per_s:>8,.0f}"
        )
    lines.append("reached" if result.is_reached else "NOT reached")
    return "\n".join(lines)


def _run_seed(case: ReferenceCase, seed: int, folder: Path) -> SeedResult:
    trained = train(case.env, case.task, folder=folder, steps=case.steps, seed=seed, video=False)
    curve = trained.evaluation.curve
    reached = [
        point.total_timesteps
        for point in curve
        if point.task_score is not None and point.task_score >= case.score
    ]
    return SeedResult(
        seed=seed,
        task_score=trained.evaluation.best.task_score,
        last_task_score=curve[-1].task_score,
        steps_to_score=min(reached, default=None),
        wall_s=trained.result.wall_s,
        steps_per_s=trained.result.steps_per_s,
    )


def _render(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"
