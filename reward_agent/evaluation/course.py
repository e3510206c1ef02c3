"""The course of a training: the trusted score beside what the training saw of itself.

The two have different units and are never added, compared or drawn on one axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from reward_agent.evaluation.tables import (
    format_number,
    format_share,
    format_steps,
    render_table,
)
from reward_agent.jobs import EvaluateResult
from reward_agent.types import Evaluation, Finite, Record, TrainingPoint, TrainingResult

_MAX_PARTS = 5


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
    """Return one point for each evaluated snapshot, with the training's view nearest to it."""
    return tuple(_make_point(training.points, evaluation) for evaluation in judged.curve)


def count_score_gain(course: Sequence[CoursePoint]) -> float | None:
    """Return by how much the task score of the last third is above that of the first."""
    scores = [point.task_score for point in course if point.task_score is not None]
    if len(scores) < 3:
        return None
    third = len(scores) // 3
    return float(np.mean(scores[-third:]) - np.mean(scores[:third]))


def estimate_score_noise(course: Sequence[CoursePoint]) -> float:
    """Return the half width of the intervals, or 5 % of the largest score if that is more."""
    halves = [
        (point.task_score_interval[1] - point.task_score_interval[0]) / 2
        for point in course
        if point.task_score_interval is not None
    ]
    largest = max((abs(p.task_score) for p in course if p.task_score is not None), default=0.0)
    return max(float(np.mean(halves)) if halves else 0.0, 0.05 * largest)


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


def _make_point(points: Sequence[TrainingPoint], evaluation: Evaluation) -> CoursePoint:
    steps = evaluation.total_timesteps
    nearest = min(points, key=lambda point: abs(point.total_timesteps - steps), default=None)
    return CoursePoint(
        total_timesteps=steps,
        task_score=evaluation.task_score,
        task_score_interval=evaluation.task_score_interval,
        success_rate=evaluation.success_rate,
        parts=evaluation.parts,
        episode_length=evaluation.episode_length,
        generated_return=nearest.generated_return if nearest else None,
        training_episode_length=nearest.episode_length if nearest else None,
    )


def _choose_parts(course: Sequence[CoursePoint]) -> list[str]:
    """Return the parts that change over training; a constant column says nothing."""
    names = dict.fromkeys(name for point in course for name in point.parts)
    changing = [
        name
        for name in names
        if np.ptp([point.parts[name] for point in course if name in point.parts]) > 1e-9
    ]
    return changing[:_MAX_PARTS]
