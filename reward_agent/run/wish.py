"""Wish: a person's words as measures of an episode, and how candidates that answer them do by it.

The measures are generated code: they run sandboxed over recorded episodes. The program that the
person watched is compared with those that answer by policies that were trained as long, with the
same seed, over episodes from the same starts; where it was not trained so, it is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reward_agent.designers.brief import WishBrief
from reward_agent.designers.history import read_entry
from reward_agent.designers.roles import Measurer, WishProposal
from reward_agent.errors import DataError, ReplayError
from reward_agent.evaluation.wish import (
    MEASURES_FILE,
    WISH_FILE,
    WishBaseline,
    WishPoint,
    WishRecord,
    average,
    list_missing,
    read_values,
)
from reward_agent.records.disk import read_record, write_record, write_text
from reward_agent.records.job import RESULT_FILE, TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Candidate
from reward_agent.rewards.checks import check_metric
from reward_agent.run.active import ActiveRun, update_run
from reward_agent.run.evaluate import evaluate_training, score_recorded
from reward_agent.run.train import make_entrant, train_until
from reward_agent.types import Evaluation, Finding, TrainingResult

BEFORE_DIR = "feedback/before"
_NOT_KEPT = "no episode of the policy is kept"


@dataclass(frozen=True)
class MeasuredWish:
    """What is measured of a person's words, on the policy that they watched.

    Args:
        proposal: the measures; without a source there are none.
        values: what they are there, by name: means over the recorded episodes.
        reason: why there are none.
    """

    proposal: WishProposal
    values: Mapping[str, float | None]
    reason: str = ""


def measure_wish(
    run: ActiveRun, folder: Path, brief: WishBrief, recorded_dir: Path, watched: Evaluation
) -> MeasuredWish:
    """Let the Designer say in numbers what a person wishes, and measure it on what they watched.

    Measures that cannot be taken are sent back, a bounded number of times; without any a round
    answers the words alone.

    Args:
        run: the run in progress.
        folder: where the measures are kept.
        brief: the person's words.
        recorded_dir: where the episodes of the policy lie that they watched.
        watched: what is known of them.
    """
    designer = run.team.designer
    kept = MeasuredWish(WishProposal(None), {}, _NOT_KEPT)
    if not isinstance(designer, Measurer):
        return replace(kept, reason=f"{designer.name} turns no words into measures")
    if not (recorded_dir / TRAJECTORIES_FILE).is_file():
        return kept
    previous, findings = None, tuple[Finding, ...]()
    for number in range(run.settings.max_repairs + 1):
        proposal = _ask(run, designer, brief, previous, findings)
        if proposal.source is None:
            return kept if previous else MeasuredWish(proposal, {}, proposal.reason)
        if previous is not None and proposal.source == previous.source:
            break  # asked again, it would say the same
        write_text(folder / MEASURES_FILE, proposal.source)
        found = _try_measures(run, folder / f"measured_{number}", proposal, recorded_dir, watched)
        if isinstance(found, Evaluation):
            missing = list_missing(proposal.wish.names, found)
            kept = _keep_measured(proposal, found, missing)
            if not missing:
                return kept
            what = ", ".join(missing)
            found = (_refuse(f"no episode has anything to measure of {what}"),)
        elif not kept.values:
            kept = replace(kept, reason=found[0].message)
        previous, findings = proposal, found
    return kept


def _ask(
    run: ActiveRun,
    designer: Measurer,
    brief: WishBrief,
    previous: WishProposal | None,
    findings: tuple[Finding, ...],
) -> WishProposal:
    try:
        with run.ledger.spend("llm"):
            return designer.measure_wish(brief, previous, findings)
    except ReplayError as error:  # an earlier version did not ask
        return WishProposal(None, reason=error.message)


def _try_measures(
    run: ActiveRun, job_dir: Path, proposal: WishProposal, recorded_dir: Path, watched: Evaluation
) -> Evaluation | tuple[Finding, ...]:
    """Return the recorded episodes with their measures, or what is wrong with these."""
    assert proposal.source is not None
    errors = check_metric(proposal.source, run.shown_card).errors
    if errors:
        return errors
    scored = score_recorded(run, proposal.source, recorded_dir, job_dir, watched)
    failed = (_refuse(f"the measures failed on an episode: {scored.outcome}"),)
    return failed if scored.evaluation is None else scored.evaluation


def _keep_measured(
    proposal: WishProposal, scored: Evaluation, missing: Sequence[str]
) -> MeasuredWish:
    """Return the measures that episodes have; a point without one is not measured."""
    wish = proposal.wish
    points, left_out = [], list(wish.not_measured)
    for point in wish.points:
        measures = tuple(item for item in point.measures if item.name not in missing)
        if measures:
            points.append(point.model_copy(update={"measures": measures}))
        else:
            left_out.append(point.words)
    changes = {"points": tuple(points), "not_measured": tuple(left_out)}
    known = replace(proposal, wish=wish.model_copy(update=changes))
    values = {name: average(read_values(scored, name)) for name in known.wish.names}
    if not values:
        reason = "no episode of the policy has anything to measure of it"
        return MeasuredWish(replace(known, source=None), {}, reason)
    return MeasuredWish(known, values)


def _refuse(message: str) -> Finding:
    remedy = "give each measure as one finite number of parts, by its name"
    return Finding(rule="wish/failed", severity="error", message=message, remedy=remedy)


def measure_before(
    run: ActiveRun, watched: Candidate, points: Sequence[WishPoint], source: str
) -> WishBaseline:
    """Measure the program that a person watched as those that answer will be.

    Args:
        run: the run in progress.
        watched: the candidate that they watched.
        points: their words, with the one measure that is meant by each.
        source: of the measures.
    """
    folder, evaluated, steps = _evaluate_before(run, watched)
    scored = None
    if evaluated is not None and points and (folder / TRAJECTORIES_FILE).is_file():
        best = evaluated.best
        scored = score_recorded(run, source, folder, folder / "wish", best).evaluation
    names = [point.measures[0].name for point in points]
    before = {name: read_values(scored, name) for name in names} if scored else {}
    scores = tuple(e.task_score for e in evaluated.best.episodes) if evaluated else ()
    return WishBaseline(tuple(points) if scored else (), source, before, scores, watched.id, steps)


def _evaluate_before(run: ActiveRun, watched: Candidate) -> tuple[Path, EvaluateResult | None, int]:
    """Return where its episodes lie, what is known of them, and for how long it was trained."""
    store, seed = run.store, run.settings.seed
    own = store.evaluation_dir(watched.iteration, watched.id, seed)
    entry = read_entry(store, watched)
    result = own / RESULT_FILE
    if _is_as_long(run, entry.training) and result.is_file():
        return own, read_record(result, EvaluateResult), watched.total_timesteps
    folder = store.dir / BEFORE_DIR / f"{watched.id}_{run.settings.steps}"
    entrant = make_entrant(store, watched.iteration, watched.id, seed)
    again = replace(entrant, training_dir=folder / "training")
    is_new = not (folder / "training" / RESULT_FILE).is_file()
    [finish] = train_until(run, [again], run.settings.steps)
    if finish.result is None or not finish.result.snapshots:
        return folder, None, 0
    try:
        evaluated = evaluate_training(
            run, folder / "evaluation", again.training_dir, finish.result, watched.id
        )
    except DataError:
        return folder, None, 0
    if is_new:
        update_run(run, other_timesteps=_count_other(run) + finish.result.total_timesteps)
    return folder / "evaluation", evaluated, finish.result.total_timesteps


def _count_other(run: ActiveRun) -> int:
    return run.store.read_run().other_timesteps


def _is_as_long(run: ActiveRun, training: TrainingResult | None) -> bool:
    """Whether a training had as many env steps as those of the round will have."""
    if training is None:
        return False
    more = training.total_timesteps - run.settings.steps
    return 0 <= more <= run.card.learner.slice_steps


def compare_candidate(run: ActiveRun, candidate: Candidate, baseline: WishBaseline) -> WishRecord:
    """Say by its measures what became of a person's wish in a candidate, and note it there."""
    assert candidate.evaluation is not None
    folder = run.store.candidate_dir(candidate.iteration, candidate.id)
    recorded = run.store.evaluation_dir(candidate.iteration, candidate.id, run.settings.seed)
    scored = None
    if baseline.points and (recorded / TRAJECTORIES_FILE).is_file():
        scored = score_recorded(
            run, baseline.source, recorded, folder / "wish", candidate.evaluation
        ).evaluation
    record = baseline.judge(candidate.id, scored, candidate.evaluation, run.task.unit)
    write_record(folder / WISH_FILE, record)
    return record
