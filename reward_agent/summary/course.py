"""The course of a training: the trusted score beside what the training saw of itself.

The two have different units and are never added, compared or drawn on one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from reward_agent.records.jobs import EvaluateResult
from reward_agent.summary.tables import (
    format_number,
    format_share,
    format_steps,
    render_table,
)
from reward_agent.types import (
    Evaluation,
    Finite,
    Record,
    TermPoint,
    TrainingPoint,
    TrainingResult,
)

_MAX_PARTS = 5

P = TypeVar("P", TrainingPoint, TermPoint)


class CoursePoint(Record):
    """One point of training: fresh episodes under the metric, and the training's own view."""

    total_timesteps: int
    task_score: Finite | None = None
    task_score_interval: tuple[Finite, Finite] | None = None
    success_rate: Finite | None = None
    parts: dict[str, Finite] = Field(default_factory=dict)
    episode_length: Finite | None = None
    generated_return: Finite | None = None
    training_episode_length: Finite | None = None


def make_course(training: TrainingResult, judged: EvaluateResult) -> tuple[CoursePoint, ...]:
    """Return one point for each evaluated snapshot, with the training's view nearest to it.

    Where no episode ended, the generated return is the sum of what the terms paid.
    """
    return tuple(_make_point(training, evaluation) for evaluation in judged.curve)


def find_nearest(points: Sequence[P], total_timesteps: int) -> P | None:
    """Return the point of training nearest to that many steps."""
    return min(points, key=lambda p: abs(p.total_timesteps - total_timesteps), default=None)


def count_score_gain(course: Sequence[CoursePoint]) -> float | None:
    """Return by how much the task score of the last third is above that of the first."""
    scores = [point.task_score for point in course if point.task_score is not None]
    if len(scores) < 3:
        return None
    third = len(scores) // 3
    return float(np.mean(scores[-third:]) - np.mean(scores[:third]))


def estimate_score_noise(course: Sequence[CoursePoint], target_score: float | None = None) -> float:
    """Return the change of score that means nothing.

    It is the largest of: half the intervals' mean width, 5 % of the largest score, 2 % of the
    target. A policy that falls over alike in each episode has narrow intervals and tiny scores.
    """
    halves = [
        (point.task_score_interval[1] - point.task_score_interval[0]) / 2
        for point in course
        if point.task_score_interval is not None
    ]
    largest = max((abs(p.task_score) for p in course if p.task_score is not None), default=0.0)
    statistical = float(np.mean(halves)) if halves else 0.0
    return max(statistical, 0.05 * largest, 0.02 * abs(target_score or 0.0))


def render_course(course: Sequence[CoursePoint], unit: str) -> str:
    """Return the table; columns of the metric to the left of the bar, of training to the right."""
    parts = _choose_parts(course)
    score = f"task_score {unit}".strip()
    header = ["steps", score, "success", *parts, "episode", "|", "generated_return", "episode"]
    rows = [
        [
            format_steps(point.total_timesteps),
            format_number(point.task_score),
            format_share(point.success_rate),
            *(format_number(point.parts.get(name)) for name in parts),
            format_number(point.episode_length),
            "|",
            format_number(point.generated_return),
            format_number(point.training_episode_length),
        ]
        for point in course
    ]
    return render_table(header, rows)


def _make_point(training: TrainingResult, evaluation: Evaluation) -> CoursePoint:
    steps = evaluation.total_timesteps
    nearest = find_nearest(training.points, steps)
    generated_return = nearest.generated_return if nearest else None
    if generated_return is None:
        paid = [find_nearest(curve.points, steps) for curve in training.terms]
        pays = [point.pay_per_episode for point in paid if point is not None]
        generated_return = sum(pays) if pays else None
    return CoursePoint(
        total_timesteps=steps,
        task_score=evaluation.task_score,
        task_score_interval=evaluation.task_score_interval,
        success_rate=evaluation.success_rate,
        parts=evaluation.parts,
        episode_length=evaluation.episode_length,
        generated_return=generated_return,
        training_episode_length=nearest.episode_length if nearest else None,
    )


def _choose_parts(course: Sequence[CoursePoint]) -> list[str]:
    """Return the parts that vary over training and do not only repeat score or length."""
    names = dict.fromkeys(name for point in course for name in point.parts)
    told = [[point.task_score or 0.0, point.episode_length or 0.0] for point in course]
    chosen = []
    for name in names:
        values = np.array([point.parts.get(name, 0.0) for point in course])
        repeats = [_is_multiple(values, np.array(column)) for column in zip(*told, strict=True)]
        if np.ptp(values) > 1e-9 and not any(repeats):
            chosen.append(name)
    return chosen[:_MAX_PARTS]


def _is_multiple(values: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Return whether one is the other in another unit."""
    scale = float(values @ other) / max(float(other @ other), 1e-12)
    return bool(np.abs(values - scale * other).max() <= 0.01 * np.abs(values).max())
