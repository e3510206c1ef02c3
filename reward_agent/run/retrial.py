"""Retrial: a proposed metric tried once more, with a round's policies, before these are blamed.

A round without a single success whose best score no longer rises may have climbed the wrong hill.
What then speaks against the metric is said, and another is asked for before the next round: it
takes its place where it is accepted; the run is paused where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from reward_agent.designers.history import read_entry
from reward_agent.designers.roles import NO_WORDS, MetricProposal
from reward_agent.errors import ReplayError
from reward_agent.evaluation.trust import Asked, find_scale, judge_table, render_table
from reward_agent.records.disk import read_optional, write_record
from reward_agent.records.events import MetricDoubted
from reward_agent.records.job import STRIP_FILE, VIDEO_FILE
from reward_agent.records.store import Candidate, RunStore, rank_candidates
from reward_agent.records.trial import Retrial, TrialRow, find_trial, list_retrials, place_retrial
from reward_agent.run.active import ActiveRun, Metric
from reward_agent.run.metric import (
    MetricChoice,
    ProposedMetric,
    ask_for_metric,
    begin_change,
    change_metric,
    compare_metric,
    make_undecided,
    propose_metric,
    read_words,
)
from reward_agent.run.trial import score_behaviours
from reward_agent.types import Evaluation, Finding, rank_value

# Of the scale: what is no rise any more, over the last half of a course or from round to round.
_FLAT = 0.05
# Points of a course that tell whether it still rises.
_LEAST_POINTS = 4


def try_metric_again(run: ActiveRun, index: int, candidates: Sequence[Candidate]) -> str:
    """Examine a proposed metric with the policies of a round that led nowhere, once a round.

    Args:
        run: the run in progress.
        index: number of the round.
        candidates: of the round, evaluated, and judged where there is a judge.

    Returns:
        What speaks against the metric, for those who are told of the round; '' for nothing.
    """
    trained = rank_candidates(candidates)
    if run.metric.source is None or run.metric.is_trusted or not trained:
        return ""
    if any(item.is_kept for item in list_retrials(run.store)):
        return ""
    place = place_retrial(run.store, index)
    known = read_optional(place, Retrial)
    if known is not None and known.metric_sha256 == run.metric.sha256:
        return known.doubt
    courses = {item.id: _read_course(run, item) for item in trained}
    if any(point.success_rate for course in courses.values() for point in course):
        return ""
    retrial = _examine(run, index, trained, courses)
    if retrial is None:
        return ""
    write_record(place, retrial)
    if retrial.doubt:
        run.notify(MetricDoubted(index, retrial.doubt, _name_ways_out(run)))
    return retrial.doubt


def read_doubted(run: ActiveRun) -> Retrial | None:
    """Return the retrial of the last round where it speaks against the metric of a run."""
    last = [item for item in list_retrials(run.store) if item.iteration == _find_last(run.store)]
    return next((item for item in last if item.doubt and not item.is_kept), None)


def keep_metric(store: RunStore) -> None:
    """Note that a person has looked at what speaks against a run's metric, and keeps it."""
    for retrial in list_retrials(store):
        kept = retrial.model_copy(update={"is_kept": True})
        write_record(place_retrial(store, retrial.iteration), kept)


def settle_doubt(run: ActiveRun, choice: MetricChoice) -> ActiveRun:
    """Return the run with another metric, where the last round speaks against the one it has.

    Raises:
        UndecidedError: nobody accepted another, and nobody said to keep this one.
    """
    retrial = read_doubted(run)
    if retrial is None:
        return run
    try:
        proposed = _propose_another(run, retrial, choice.repeated)
    except ReplayError:  # an earlier version went on with the metric
        return run
    if isinstance(proposed, str):
        raise make_undecided(run, f"{retrial.doubt}; no other metric was proposed: {proposed}")
    origin = ask_for_metric(run, choice, proposed)
    metric, words = Metric(proposed.proposal.source, origin), proposed.proposal.words
    begin_change(run.store, metric, words.criterion, words.unit, words)
    return change_metric(run)


def _propose_another(run: ActiveRun, retrial: Retrial, taken: str | None) -> ProposedMetric | str:
    """Send the metric of a run back with what a round showed against it."""
    source, words = run.metric.source, read_words(run.task)
    reply = f"```json\n{words.model_dump_json()}\n```\n\n```python\n{source}\n```\n"
    previous = MetricProposal(source, words=words, reply=reply, table=render_table(retrial.rows))
    plateau = Finding(
        rule="metric/plateau",
        severity="error",
        message=retrial.plateau,
        remedy="see what the best of these policies is paid for, and what it lacks for a success",
    )
    faults = (plateau, *(item for item in retrial.findings if item.severity != "hint"))
    folder = place_retrial(run.store, retrial.iteration).parent
    return propose_metric(run, folder, taken, previous, faults)


def _find_last(store: RunStore) -> int:
    return max(store.list_iterations(), default=-1)


def _read_course(run: ActiveRun, candidate: Candidate) -> tuple[Evaluation, ...]:
    """Return the evaluations of a candidate's policies on the way, and of the one chosen last."""
    assert candidate.evaluation is not None
    return (*read_entry(run.store, candidate).curve, candidate.evaluation)


def _examine(
    run: ActiveRun,
    index: int,
    trained: Sequence[Candidate],
    courses: dict[str, tuple[Evaluation, ...]],
) -> Retrial | None:
    """Return what came of a trial with the policies of a round; None where scores still rise."""
    assert run.metric.source is not None
    task = run.task
    asked = Asked(
        task.description, task.criterion, task.unit, run.card.control_dt, task.target_score
    )
    known = find_trial(run.store, run.metric.source)
    folder = place_retrial(run.store, index).parent
    rows = known.rows if known else score_behaviours(run, folder, run.metric.source)[0]
    scale = known.scale if known and known.scale else find_scale(rows, asked)
    policies = [_make_row(run, item, _is_flat(courses[item.id][:-1], scale)) for item in trained]
    plateau = _describe_plateau(run, policies[0], scale)
    if not plateau:
        return None
    rows = (*rows, *policies)
    retrial = Retrial(
        rows=rows,
        scale=scale,
        findings=judge_table(rows, asked),
        iteration=index,
        metric_sha256=run.metric.sha256,
        plateau=plateau,
    )
    words = NO_WORDS.model_copy(update={"criterion": task.criterion, "unit": task.unit})
    return compare_metric(run, words, retrial, plateau)


def _is_flat(course: Sequence[Evaluation], scale: float) -> bool:
    """Whether the last half of a training no longer raised its score."""
    scores = [item.task_score for item in course if item.task_score is not None]
    middle = len(scores) // 2
    if len(scores) < _LEAST_POINTS:
        return False
    return max(scores[middle:]) - max(scores[:middle]) < _FLAT * scale


def _describe_plateau(run: ActiveRun, best: TrialRow, scale: float) -> str:
    """Say how the score of a round stopped rising; '' where it still rises."""
    earlier = rank_candidates(run.store.list_finished())
    before = rank_value(earlier[0].task_score) if earlier else None
    score = rank_value(best.task_score)
    told = f"no policy of the round succeeded in any episode, and the best, {score:.3g}"
    if before is not None and score - before < _FLAT * scale:
        return f"{told}, is no better than that of the rounds before, {before:.3g}"
    return f"{told}, no longer rose over the last half of its training" if best.is_flat else ""


def _make_row(run: ActiveRun, candidate: Candidate, is_flat: bool) -> TrialRow:
    assert candidate.evaluation is not None
    folder = run.store.evaluation_dir(candidate.iteration, candidate.id, run.settings.seed)
    has_film = run.settings.video  # it may still be drawn
    entry = read_entry(run.store, candidate)
    return TrialRow.of_policy(
        candidate.evaluation,
        run.card.control_dt,
        behaviour=f"policy of {candidate.id}",
        kind="policy",
        is_flat=is_flat,
        film=run.store.name_file(folder / VIDEO_FILE) if has_film else None,
        strip=run.store.name_file(folder / STRIP_FILE) if has_film else None,
        judged=entry.judgement.summarise() if entry.judgement else "",
        conflict=entry.film_conflict,
    )


def _name_ways_out(run: ActiveRun) -> str:
    """Say how a person gives another metric to a run that is under way."""
    feedback, resume = run.store.feedback_command, run.store.resume_command
    return (
        "another metric is asked for before the next round; to give it one of your own, "
        f"`{feedback} --metric FILE && {resume}`: every policy is scored again"
    )
