"""``scripts/bench reference``: what learners make of a task's reference reward.

Each learner trains with each seed; policies on the way are judged on fresh episodes. Learners are
compared after as many env steps, and after as much wall-clock time as the quickest of them took.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.measure import Call, Learned, Point, run_calls
from benchmarks.ours import read_walls
from reward_agent.errors import DataError
from reward_agent.records.job import PROGRESS_FILE
from reward_agent.run.single import train
from reward_agent.types import FileRecord


class ReferenceReport(FileRecord):
    """All trainings, and whether enough of them reached the score."""

    steps: int
    score: float | None
    is_reached: bool
    trainings: tuple[Learned, ...]


def main(arguments: Sequence[str]) -> int:
    """Train all of them; 1 if a learner has too few seeds that reach the score on a task."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tasks", default="hopper/hop_forward", help="env/task, by commas")
    parser.add_argument("--algos", default="", help="learners, by commas; the card's by default")
    parser.add_argument("--steps", type=int, default=300_000, help="env steps of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--score", type=float, help="task score that counts as learned")
    parser.add_argument("--needed", type=int, default=2, help="seeds that must reach the score")
    parser.add_argument("--slots", type=int, default=1, help="trainings side by side")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    given = parser.parse_args(arguments)
    calls = [
        Call(
            "reference.train_seed",
            {"name": task, "seed": seed, "steps": given.steps, "algo": algo},
        )
        for task in given.tasks.split(",")
        for seed in range(given.seeds)
        for algo in given.algos.split(",")
    ]
    trainings = _refuse_failures(run_calls(calls, given.slots))
    report = ReferenceReport(
        steps=given.steps,
        score=given.score,
        is_reached=given.score is None or _count_least(trainings, given.score) >= given.needed,
        trainings=tuple(trainings),
    )
    if given.json:
        given.json.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(render_reference(report))
    return 0 if report.is_reached else 1


def _refuse_failures(results: Sequence[Any]) -> list[Learned]:
    failed = [str(result) for result in results if not isinstance(result, Learned)]
    if failed:
        raise DataError(f"{len(failed)} of {len(results)} trainings failed: {failed[0]}", "")
    return list(results)


def train_seed(name: str, seed: int, steps: int, algo: str) -> Learned:
    """Train with a task's reference reward, and judge the policies on the way.

    Args:
        name: ``env/task``.
        seed: of the training.
        steps: env steps.
        algo: the learner; '' for the card's.
    """
    env, _, task = name.rpartition("/")
    options: dict[str, Any] = {"algo": algo} if algo else {}
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as temporary:
        folder = Path(temporary) / "training"
        trained = train(env, task, folder=folder, steps=steps, seed=seed, video=False, **options)
        counts = [found.total_timesteps for found in trained.evaluation.curve]
        walls = read_walls(folder / "training" / PROGRESS_FILE, counts)
    curve = tuple(
        Point(
            total_timesteps=found.total_timesteps,
            wall_s=wall,
            task_score=found.task_score,
            interval=found.task_score_interval,
        )
        for found, wall in zip(trained.evaluation.curve, walls, strict=True)
    )
    side = algo or "the card's"
    return Learned(side=side, env=name, seed=seed, wall_s=trained.result.wall_s, curve=curve)


def _group(trainings: Sequence[Learned]) -> dict[tuple[str, str], list[Learned]]:
    groups: dict[tuple[str, str], list[Learned]] = {}
    for training in trainings:
        groups.setdefault((training.env, training.side), []).append(training)
    return groups


def _count_least(trainings: Sequence[Learned], score: float) -> int:
    """Return how many seeds reach a score, of the learner and task with the fewest."""
    return min(
        sum(item.find_time_to(score) is not None for item in group)
        for group in _group(trainings).values()
    )


def render_reference(report: ReferenceReport) -> str:
    """Return the table that a person reads: means over seeds, and each seed's own."""
    groups = _group(report.trainings)
    lines = [
        f"{report.steps:,} env steps; best and last policy, means over seeds",
        f"{'task':<28} {'learner':<11} {'best':>8} {'last':>8} {'at s':>6} {'score':>8} "
        f"{'wall s':>7} {'steps/s':>8}  last of each seed",
    ]
    for (task, side), group in sorted(groups.items()):
        quickest = min(
            median(item.wall_s for item in others)
            for (other_task, _), others in groups.items()
            if other_task == task
        )
        last = [_read_score(item, item.wall_s) for item in group]
        wall_s = median(item.wall_s for item in group)
        cells = [
            fmean(max(_list_scores(item, item.wall_s)) for item in group),
            fmean(last),
            quickest,
            fmean(_read_score(item, quickest) for item in group),
        ]
        best, mean, at_s, then = (f"{cell:.3g}" for cell in cells)
        lines.append(
            f"{task:<28} {side:<11} {best:>8} {mean:>8} {at_s:>6} {then:>8} {wall_s:>7.1f} "
            f"{group[0].curve[-1].total_timesteps / wall_s:>8,.0f}  "
            f"{', '.join(f'{score:.3g}' for score in last)}"
        )
    if report.score is not None:
        words = "reached" if report.is_reached else "NOT reached"
        lines.append(f"{report.score:g}: {words}")
    return "\n".join(lines)


def _list_scores(training: Learned, wall_s: float) -> list[float]:
    """Return the scores of the policies that there were by some time; nan before the first."""
    points = [point for point in training.curve if point.wall_s <= wall_s]
    scores = [point.task_score for point in points if point.task_score is not None]
    return scores or [float("nan")]


def _read_score(training: Learned, wall_s: float) -> float:
    return _list_scores(training, wall_s)[-1]
