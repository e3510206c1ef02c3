"""``scripts/bench reference``: training proves learning, with a task's reference reward."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reward_agent.run.single import train
from reward_agent.types import Finite, Record


class SeedResult(Record):
    """One training: score of its best policy and of its last, and what it cost."""

    seed: int
    task_score: Finite | None
    last_task_score: Finite | None
    steps_to_score: int | None
    wall_s: Finite
    steps_per_s: Finite


class ReferenceResult(Record):
    """The trainings of a task, and whether enough of them learned."""

    env: str
    task: str
    steps: int
    score: Finite
    is_reached: bool
    seeds: tuple[SeedResult, ...]


def main(arguments: Sequence[str]) -> int:
    """Train the seeds one after the other; 1 if too few of them reach the score."""
    parser = argparse.ArgumentParser(prog="scripts/bench reference", description=__doc__)
    parser.add_argument("--env", default="hopper")
    parser.add_argument("--task", default="hop_forward")
    parser.add_argument("--steps", type=int, default=300_000, help="env steps of each training")
    parser.add_argument(
        "--score", type=float, default=3.0, help="task score that counts as learned"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--needed", type=int, default=2, help="seeds that must reach the score")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    given = parser.parse_args(arguments)
    seeds = []
    for seed in range(given.seeds):
        seeds.append(_run_seed(given.env, given.task, given.steps, given.score, seed))
    result = ReferenceResult(
        env=given.env,
        task=given.task,
        steps=given.steps,
        score=given.score,
        is_reached=sum(item.steps_to_score is not None for item in seeds) >= given.needed,
        seeds=tuple(seeds),
    )
    print(render_reference(result))
    if given.json:
        given.json.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return 0 if result.is_reached else 1


def _run_seed(env: str, task: str, steps: int, score: float, seed: int) -> SeedResult:
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        trained = train(
            env, task, folder=Path(folder) / "training", steps=steps, seed=seed, video=False
        )
    curve = trained.evaluation.curve
    reached = [
        point.total_timesteps
        for point in curve
        if point.task_score is not None and point.task_score >= score
    ]
    return SeedResult(
        seed=seed,
        task_score=trained.evaluation.best.task_score,
        last_task_score=curve[-1].task_score,
        steps_to_score=min(reached, default=None),
        wall_s=trained.result.wall_s,
        steps_per_s=trained.result.steps_per_s,
    )


def render_reference(result: ReferenceResult) -> str:
    """Return the table that a person reads."""
    lines = [
        f"{result.env} {result.task}: {result.steps:,} steps, {result.score:g} to reach",
        f"{'seed':>4} {'best':>7} {'last':>7} {'steps to score':>15} {'wall s':>7} {'steps/s':>8}",
    ]
    for item in result.seeds:
        scores = (item.task_score, item.last_task_score)
        best, last = ("-" if score is None else f"{score:.2f}" for score in scores)
        reached = f"{item.steps_to_score:,}" if item.steps_to_score else "-"
        lines.append(
            f"{item.seed:>4} {best:>7} {last:>7} {reached:>15} "
            f"{item.wall_s:>7.1f} {item.steps_per_s:>8,.0f}"
        )
    lines.append("reached" if result.is_reached else "NOT reached")
    return "\n".join(lines)
