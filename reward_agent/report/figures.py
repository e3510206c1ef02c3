"""The report's figures: which records become which chart."""

from __future__ import annotations

from reward_agent.report.charts import (
    HALF,
    SMALL,
    WIDE,
    Labels,
    Point,
    Series,
    render_lines,
    render_scores,
    render_shares,
    shorten,
)
from reward_agent.report.view import CandidateView, RunView
from reward_agent.types import TermCurve

_STEPS = "environment steps of the training"
_LOW, _TINY = (HALF, 190.0), (SMALL, 130.0)


def draw_scores(view: RunView) -> str:
    """Draw the task score of each candidate by round, with its interval."""
    groups = []
    for iteration in view.iterations:
        items = [c for c in view.candidates if c.entry.candidate.iteration == iteration.index]
        groups.append((f"round {iteration.index + 1}", [_mark(view, item) for item in items]))
    scores = [
        f"{c.id} {'no score' if c.score is None else shorten(c.score)}" for c in view.candidates
    ]
    labels = Labels(
        "Search score of each candidate, by round",
        f"One mark for each candidate, in {view.run.task.unit or 'its unit'}, with a "
        f"95 % interval over episodes: {', '.join(scores)}.",
        "",
        f"search score [{view.run.task.unit}]",
    )
    return render_scores(labels, groups, view.run.task.target_score)


def _mark(view: RunView, item: CandidateView) -> Series:
    name = item.id
    colour = 0 if item.is_best else -1
    if item.score is None:
        note = f"{name}\nno score: {item.entry.candidate.outcome}"
        return Series(item.id, (), colour, item.is_best, note)
    evaluation = item.entry.candidate.evaluation
    low, high = (evaluation.task_score_interval if evaluation else None) or (None, None)
    interval = "" if low is None or high is None else f" ({shorten(low)} … {shorten(high)})"
    tip = f"{name}\n{shorten(item.score)} {view.run.task.unit}{interval}"
    tip += f"\n{item.entry.candidate.outcome}"
    point = Point(0.0, item.score, tip, low, high)
    return Series(item.id, (point,), colour, item.is_best)


def draw_learning(view: RunView) -> str:
    """Draw the task score over training of every candidate, the best one on top."""
    series = [_score_course(item, item.is_best) for item in view.trained]
    shown = [item for item in series if item.points]
    labels = Labels(
        "Task score over training",
        "The trusted metric on fresh episodes at about ten points of each training; "
        f"{len(shown)} candidates, the best one on top with its 95 % interval.",
        _STEPS,
        f"task score [{view.run.task.unit}]",
    )
    return render_lines(labels, shown, view.run.task.target_score, (WIDE, 300.0))


def _score_course(item: CandidateView, is_main: bool) -> Series:
    points = []
    for evaluation in item.entry.curve:
        score, steps, rate = (
            evaluation.task_score, evaluation.total_timesteps, evaluation.success_rate
        )  # fmt: skip
        if score is not None:
            success = "" if rate is None else f"\nsuccess {rate:.0%}"
            tip = f"{item.id} at {steps:,} steps\n{shorten(score)}{success}"
            points.append(Point(steps, score, tip, *(evaluation.task_score_interval or ())))
    return Series(item.id, tuple(points), 0 if is_main else -1, is_main)


def draw_candidate_score(item: CandidateView, unit: str) -> str:
    """Draw one candidate's task score over training, small."""
    labels = Labels(
        f"Task score of {item.id} over training",
        "The trusted metric on fresh episodes.",
        _STEPS,
        f"task score [{unit}]",
    )
    return render_lines(labels, [_score_course(item, True)], None, _LOW)


def draw_generated_return(item: CandidateView) -> str:
    """Draw the generated return over training: the program's own view, on its own axis."""
    training = item.entry.training
    points = tuple(
        Point(
            point.total_timesteps,
            point.generated_return,
            f"{item.id} at {point.total_timesteps:,} steps\n{shorten(point.generated_return)}",
        )
        for point in (training.points if training else ())
        if point.generated_return is not None
    )
    labels = Labels(
        f"Generated return of {item.id} over training",
        "What the generated reward paid per episode. Its size means nothing beside another "
        "program's, nor beside the task score.",
        _STEPS,
        "generated return",
    )
    series = [Series("generated return", points, 1)] if points else []
    return render_lines(labels, series, None, _LOW)


def draw_term(item: CandidateView, curve: TermCurve) -> str:
    """Draw what one term paid per episode over training, on the scale of all terms."""
    pays = [point.pay_per_episode for other in item.terms for point in other.points]
    points = tuple(
        Point(
            point.total_timesteps,
            point.pay_per_episode,
            f"{curve.name} at {point.total_timesteps:,} steps\n"
            f"{shorten(point.pay_per_episode)} an episode, {point.share_of_return:.0%}",
        )
        for point in curve.points
    )
    last = curve.points[-1]
    labels = Labels(
        f"Pay of the term {curve.name} of {item.id} per episode",
        f"It ends at {shorten(last.pay_per_episode)}, {last.share_of_return:.0%} of the return in "
        "training.",
        "",
        "",
    )
    series = Series(curve.name, points, item.terms.index(curve))
    return render_lines(labels, [series], None, _TINY, (min(pays), max(pays)))


def draw_shares(item: CandidateView) -> str:
    """Draw each term's share of the return over training."""
    series = [
        Series(
            curve.name,
            tuple(Point(point.total_timesteps, point.share_of_return) for point in curve.points),
            number,
        )
        for number, curve in enumerate(item.terms)
    ]
    labels = Labels(
        f"Share of each term of {item.id} in the return, in training",
        "; ".join(f"{c.name} ends at {c.points[-1].share_of_return:.0%}" for c in item.terms),
        _STEPS,
        "share of the sum of |pay|, in training",
    )
    return render_shares(labels, series)
