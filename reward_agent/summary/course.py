"""The course of a training: the trusted score beside what the training saw of itself.

The two have different units and are never added, compared or drawn on one axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from reward_agent.evaluation.statistics import correlate
from reward_agent.records.scoring_jobs import EvaluateResult, RelabelResult
from reward_agent.text import format_number, format_share, format_steps, render_table
from reward_agent.types import (
    EpisodeScore,
    Evaluation,
    Finite,
    Record,
    TermCurve,
    TermName,
    TermPoint,
    TrainingPoint,
    TrainingResult,
)

_MAX_PARTS = 5
_MAX_TOLD = 6

P = TypeVar("P", TrainingPoint, TermPoint)
V = TypeVar("V")


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


def make_course(training: TrainingResult, evaluated: EvaluateResult) -> tuple[CoursePoint, ...]:
    """Return one point for each evaluated snapshot, with the training's view nearest to it."""
    return tuple(_make_point(training, evaluation) for evaluation in evaluated.curve)


def find_nearest(points: Sequence[P], total_timesteps: int) -> P | None:
    """Return the point of training nearest to that many steps."""
    return min(points, key=lambda p: abs(p.total_timesteps - total_timesteps), default=None)


def render_course_line(
    curve: Sequence[Evaluation], beside: Sequence[Evaluation] = (), target: float | None = None
) -> str:
    """Return a course on one line, with another's score at the same steps in brackets.

    Args:
        curve: evaluations on the way, oldest first.
        beside: the same of another training.
        target: of the task, to say when it was first reached.
    """
    scored = [point for point in curve if point.task_score is not None]
    told = [
        f"{format_number(point.task_score)}{_tell_beside(beside, point.total_timesteps)} at "
        f"{format_steps(point.total_timesteps)}"
        for point in _thin(scored, _MAX_TOLD)
    ]
    line = " → ".join(told)
    if target is None or not told:
        return line
    reached = find_steps_to(scored, target)
    when = f"reached at {format_steps(reached)} steps" if reached else "not reached"
    return f"{line}; target {format_number(target)} {when}"


def find_steps_to(curve: Sequence[Evaluation | CoursePoint], target: float) -> int | None:
    """Return the env steps at which a score was first at a target."""
    return next((p.total_timesteps for p in curve if (p.task_score or 0.0) >= target), None)


def _tell_beside(beside: Sequence[Evaluation], steps: int) -> str:
    until = [p for p in beside if p.total_timesteps <= steps and p.task_score is not None]
    return f" ({format_number(until[-1].task_score)})" if until else ""


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
    """Return the table; columns of the metric to the left of the bar, of training to the right.

    Parts that have no column are told below it, by their first and last value.
    """
    varying = _choose_parts(course)
    parts, others = varying[:_MAX_PARTS], varying[_MAX_PARTS:]
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
    told = ", ".join(
        " ".join([name, *map(format_number, _thin([p.parts.get(name, 0.0) for p in course], 2))])
        for name in others
    )
    return render_table(header, rows) + (f"\nfirst and last of other parts: {told}" if told else "")


def _make_point(training: TrainingResult, evaluation: Evaluation) -> CoursePoint:
    steps = evaluation.total_timesteps
    nearest = find_nearest(training.points, steps)
    generated_return = nearest.generated_return if nearest else None
    if generated_return is None:  # no episode ended: what the terms paid
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
    """Return the parts that vary over training and do not only repeat score or length.

    First comes what still changes at the end: there the score is won or lost.
    """
    names = dict.fromkeys(name for point in course for name in point.parts)
    told = [[point.task_score or 0.0, point.episode_length or 0.0] for point in course]
    chosen = []
    for name in names:
        values = np.array([point.parts.get(name, 0.0) for point in course])
        repeats = [_is_multiple(values, np.array(column)) for column in zip(*told, strict=True)]
        if np.ptp(values) > 1e-9 and not any(repeats):
            chosen.append(name)
    return sorted(chosen, key=lambda name: -_count_late_change(course, name))


def _count_late_change(course: Sequence[CoursePoint], name: str) -> float:
    """Return how much a part changes over the second half, of its largest value."""
    values = np.array([point.parts.get(name, 0.0) for point in course])
    return float(np.ptp(values[len(values) // 2 :]) / np.abs(values).max())


def _is_multiple(values: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Return whether one is the other in another unit."""
    scale = float(values @ other) / max(float(other @ other), 1e-12)
    return bool(np.abs(values - scale * other).max() <= 0.01 * np.abs(values).max())


# A term below this share is named, not described.
_SMALL = 0.01
# Scores within this share of the largest are the same.
_ALIKE = 0.05
_LEAST_CHANGES = 6


class TermSummary(Record):
    """One reward term.

    The pay is that of the evaluated episodes, or of the end of training if these were not
    relabelled; correlations are Spearman's, None where one side hardly varies; that
    over training is of the changes between its points.
    """

    name: str
    pay_mean: Finite
    pay_min: Finite
    pay_max: Finite
    share: Finite
    step_min: Finite | None = None
    step_mean: Finite | None = None
    step_max: Finite | None = None
    pay_over_training: tuple[Finite, ...] = ()
    pay_in_training: Finite | None = Field(
        None, description="an exploring episode when this policy was saved"
    )
    training_correlation: Finite | None = None
    episode_correlation: Finite | None = None


def summarise_terms(
    training: TrainingResult, evaluated: EvaluateResult, relabelled: RelabelResult | None
) -> tuple[TermSummary, ...]:
    """Return the terms, the best paying first; their pay is that of relabelled episodes, if any."""
    curves = {curve.name: curve for curve in training.terms}
    pays = _collect_pays(curves, relabelled, evaluated.best.n_episodes)
    total = sum(float(np.mean(np.abs(pay))) for pay in pays.values())
    steps = relabelled.term_steps if relabelled else {}
    terms = [
        _summarise_term(name, pay, total, curves.get(name), evaluated, steps.get(name))
        for name, pay in pays.items()
    ]
    return tuple(sorted(terms, key=lambda term: -term.share))


def render_terms(terms: Sequence[TermSummary]) -> str:
    """Return the table of terms; those that hardly pay are only named."""
    header = ["term", "pay/episode", "min..max", "share", "per step min/mean/max"]
    header += ["in training", "pay over training", "r(train)", "r(episodes)"]
    rows = [
        [
            term.name,
            format_number(term.pay_mean),
            f"{format_number(term.pay_min)}..{format_number(term.pay_max)}",
            format_share(term.share),
            " / ".join(map(format_number, (term.step_min, term.step_mean, term.step_max))),
            format_number(term.pay_in_training),
            " → ".join(map(format_number, _thin(term.pay_over_training))) or "-",
            _format_correlation(term.training_correlation),
            _format_correlation(term.episode_correlation),
        ]
        for term in terms
        if term.share >= _SMALL
    ]
    small = [
        f"{term.name} {format_number(term.pay_mean)} (in training "
        f"{format_number(term.pay_in_training)})"
        for term in terms
        if term.share < _SMALL
    ]
    kept = [i for i in range(len(header)) if any(row[i] != "-" for row in rows)]
    table = [[row[i] for i in kept] for row in (header, *rows)]
    lines = [render_table(table[0], table[1:])] if rows else []
    if small:
        lines.append(f"below 1% of the pay, in an episode: {', '.join(small)}")
    return "\n".join(lines)


def _collect_pays(
    curves: Mapping[str, TermCurve], relabelled: RelabelResult | None, n_episodes: int
) -> dict[str, Sequence[float]]:
    """Return the pay of each term, one number an episode or one for the end of training."""
    if relabelled is not None and relabelled.term_pay:
        return {name: pay for name, pay in relabelled.term_pay.items() if len(pay) == n_episodes}
    return {name: [c.points[-1].pay_per_episode] for name, c in curves.items() if c.points}


def _summarise_term(
    name: str,
    pay: Sequence[float],
    total: float,
    curve: TermCurve | None,
    evaluated: EvaluateResult,
    steps: tuple[float, ...] | None,
) -> TermSummary:
    last = curve.points[-1] if curve and curve.points else None
    paid = find_nearest(curve.points, evaluated.best.total_timesteps) if curve else None
    return TermSummary(
        name=name,
        pay_mean=float(np.mean(pay)),
        pay_min=min(pay),
        pay_max=max(pay),
        share=float(np.mean(np.abs(pay))) / total if total > 0 else 0.0,
        step_min=steps[0] if steps else last.minimum if last else None,
        step_mean=steps[1] if steps else last.mean if last else None,
        step_max=steps[2] if steps else last.maximum if last else None,
        pay_over_training=tuple(p.pay_per_episode for p in curve.points) if curve else (),
        pay_in_training=paid.pay_per_episode if paid else None,
        training_correlation=_correlate_training(curve, evaluated.curve) if curve else None,
        episode_correlation=_correlate_episodes(pay, evaluated.best.episodes),
    )


def _correlate_training(curve: TermCurve, evaluations: Sequence[Evaluation]) -> float | None:
    """Correlate the changes of a term's pay and of the task score between points of training.

    Both rise while anything is learnt at all: their levels share that trend, their changes do not.
    """
    scored = [e for e in evaluations if e.task_score is not None and curve.points]
    nearest = [find_nearest(curve.points, e.total_timesteps) for e in scored]
    pays = [point.pay_per_episode for point in nearest if point is not None]
    scores = [e.task_score or 0.0 for e in scored]
    if not _differ(scores):
        return None
    return correlate(np.diff(pays), np.diff(scores), _LEAST_CHANGES)


def _correlate_episodes(pay: Sequence[float], episodes: Sequence[EpisodeScore]) -> float | None:
    scores = [episode.task_score for episode in episodes if episode.task_score is not None]
    return correlate(pay, scores) if len(scores) == len(pay) and _differ(scores) else None


def _differ(scores: Sequence[float]) -> bool:
    """Return whether scores differ by more than what says nothing."""
    return bool(scores) and float(np.ptp(scores)) > _ALIKE * float(np.abs(scores).max())


def _thin(values: Sequence[V], most: int = 4) -> list[V]:
    """Return at most so many of them, evenly, with both ends."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def _format_correlation(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


class StageSummary(Record):
    """One stage that a program names; ``done`` is what comes after the last.

    Shares are of the episodes that began before it.
    """

    name: TermName
    reached: Finite | None = None
    pay: Finite | None = None
    reached_in_training: tuple[Finite | None, ...] = ()
    pay_in_training: Finite | None = Field(None, description="of an episode, at the end")


def summarise_stages(
    training: TrainingResult, relabelled: RelabelResult | None
) -> tuple[StageSummary, ...]:
    """Return the stages in their order; none where the program names none."""
    scored = {count.name: count for count in relabelled.stages} if relabelled else {}
    course = [{count.name: count for count in point.stages} for point in training.points]
    last = course[-1] if course else {}
    return tuple(
        StageSummary(
            name=name,
            reached=scored[name].share if name in scored else None,
            pay=scored[name].pay if name in scored else None,
            reached_in_training=tuple(c[name].share if name in c else None for c in course),
            pay_in_training=last[name].pay if name in last else None,
        )
        for name in last or scored
    )


def render_stages(stages: Sequence[StageSummary]) -> str:
    """Return the table, and in which stage most episodes stay."""
    header = ["stage", "reached", "pay/episode", "reached in training", "pay at its end"]
    rows = [
        [
            stage.name,
            format_share(stage.reached),
            format_number(stage.pay),
            " → ".join(map(format_share, _thin(stage.reached_in_training))) or "-",
            format_number(stage.pay_in_training),
        ]
        for stage in stages
    ]
    title = "Stages of the program (reached: share of the episodes that began before it):"
    return f"{title}\n{render_table(header, rows)}{_tell_stuck(stages)}"


def _tell_stuck(stages: Sequence[StageSummary]) -> str:
    """Say in which stage most of the scored episodes stay; '' where none does."""
    shares = [stage.reached or 0.0 for stage in stages]
    stays = [before - after for before, after in pairwise(shares)]
    most = max(stays, default=0.0)
    return f"\nStuck in {stages[stays.index(most)].name}: {most:.0%} of the episodes." * (most > 0)
