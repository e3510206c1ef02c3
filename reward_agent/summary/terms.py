"""What each reward term pays, and whether that goes along with the task score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from reward_agent.evaluation.statistics import correlate
from reward_agent.records.jobs import EvaluateResult, RelabelResult
from reward_agent.summary.course import find_nearest
from reward_agent.summary.tables import format_number, format_share, render_table
from reward_agent.types import EpisodeScore, Evaluation, Finite, Record, TermCurve, TrainingResult

# A term below this share is named, not described.
_SMALL = 0.01


class TermSummary(Record):
    """One reward term.

    The pay is that of the evaluated episodes, or of the end of training if these were not
    relabelled; correlations are Spearman's, None where one side does not vary.
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
    training: TrainingResult, judged: EvaluateResult, relabelled: RelabelResult | None
) -> tuple[TermSummary, ...]:
    """Return the terms, the best paying first.

    Args:
        training: with the course of each term.
        judged: trusted scores of the snapshots and of the best one's episodes.
        relabelled: pay of each term in these episodes, if it is known.
    """
    curves = {curve.name: curve for curve in training.terms}
    pays = _collect_pays(curves, relabelled, judged.best.n_episodes)
    total = sum(float(np.mean(np.abs(pay))) for pay in pays.values())
    terms = [
        _summarise_term(name, pay, total, curves.get(name), judged) for name, pay in pays.items()
    ]
    return tuple(sorted(terms, key=lambda term: -term.share))


def render_terms(terms: Sequence[TermSummary]) -> str:
    """Return the table of terms; those that hardly pay are only named."""
    header = ["term", "pay/episode", "min..max", "share", "per step min/mean/max"]
    header += ["pay over training", "r(train)", "r(episodes)"]
    rows = [
        [
            term.name,
            format_number(term.pay_mean),
            f"{format_number(term.pay_min)}..{format_number(term.pay_max)}",
            format_share(term.share),
            " / ".join(map(format_number, (term.step_min, term.step_mean, term.step_max))),
            " → ".join(map(format_number, _thin(term.pay_over_training))) or "-",
            _format_correlation(term.training_correlation),
            _format_correlation(term.episode_correlation),
        ]
        for term in terms
        if term.share >= _SMALL
    ]
    small = [term.name for term in terms if term.share < _SMALL]
    lines = [render_table(header, rows)] if rows else []
    if small:
        lines.append(f"below 1% of the return: {', '.join(small)}")
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
    judged: EvaluateResult,
) -> TermSummary:
    last = curve.points[-1] if curve and curve.points else None
    paid = find_nearest(curve.points, judged.best.total_timesteps) if curve else None
    return TermSummary(
        name=name,
        pay_mean=float(np.mean(pay)),
        pay_min=min(pay),
        pay_max=max(pay),
        share=float(np.mean(np.abs(pay))) / total if total > 0 else 0.0,
        step_min=last.minimum if last else None,
        step_mean=last.mean if last else None,
        step_max=last.maximum if last else None,
        pay_over_training=tuple(p.pay_per_episode for p in curve.points) if curve else (),
        pay_in_training=paid.pay_per_episode if paid else None,
        training_correlation=_correlate_training(curve, judged.curve) if curve else None,
        episode_correlation=_correlate_episodes(pay, judged.best.episodes),
    )


def _correlate_training(curve: TermCurve, evaluations: Sequence[Evaluation]) -> float | None:
    """Correlate a term's pay with the task score at the same points of training."""
    if not curve.points:
        return None
    scored = [e for e in evaluations if e.task_score is not None]
    nearest = [find_nearest(curve.points, e.total_timesteps) for e in scored]
    pays = [point.pay_per_episode for point in nearest if point is not None]
    return correlate(pays, [e.task_score or 0.0 for e in scored])


def _correlate_episodes(pay: Sequence[float], episodes: Sequence[EpisodeScore]) -> float | None:
    scores = [episode.task_score for episode in episodes if episode.task_score is not None]
    return correlate(pay, scores) if len(scores) == len(pay) else None


def _thin(values: Sequence[float]) -> list[float]:
    """Return at most four of them, evenly, with both ends."""
    if len(values) <= 4:
        return list(values)
    return [values[round(i * (len(values) - 1) / 3)] for i in range(4)]


def _format_correlation(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
