"""The main path: ``run_design`` repeats ``design_iteration``, then confirms the winner.

Every expensive step (a reply, a job) is remembered on disk, so a run that was interrupted is taken
up by running the same path again: what is finished is read, not repeated.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reward_agent.designers.brief import DesignBrief, HistoryEntry
from reward_agent.designers.history import read_entry, read_history, recall
from reward_agent.designers.ideas import choose_ideas, find_lineage
from reward_agent.designers.worth import explain_no_analysis
from reward_agent.errors import DataError
from reward_agent.records.disk import write_record
from reward_agent.records.events import Concluded, Finished, IterationFinished, IterationStarted
from reward_agent.records.job import BEHAVIOURS_DIR
from reward_agent.records.outcomes import Outcome
from reward_agent.records.store import Candidate, DraftRecord, Iteration, RunRecord
from reward_agent.run.active import ActiveRun, update_run
from reward_agent.run.behaviours import describe_robot
from reward_agent.run.confirm import is_target_confirmed, score_beside
from reward_agent.run.draft import draft_all
from reward_agent.run.edits import EDIT_IDEA, Edits
from reward_agent.run.evaluate import evaluate_candidate
from reward_agent.run.given import GIVEN_IDEA, read_given
from reward_agent.run.judge import judge_round
from reward_agent.run.metric import MetricChoice
from reward_agent.run.probe import gather_recordings
from reward_agent.run.race import Race
from reward_agent.run.retrial import settle_doubt, try_metric_again
from reward_agent.run.starts import record_states
from reward_agent.run.train import Finish, read_initial_policy
from reward_agent.run.winner import has_stopped_improving, name_winner
from reward_agent.run.wish import compare_candidate
from reward_agent.threads import map_threads
from reward_agent.types import Usage


def run_design(run: ActiveRun, choice: MetricChoice) -> RunRecord:
    """Design, train and evaluate until the budget ends or the run knows that it is done.

    Args:
        run: the run in progress; its lock is held by the caller.
        choice: where another metric may come from, once the one it has is in doubt.

    Returns:
        The record with its winner.

    Raises:
        UndecidedError: a round speaks against the metric, and nobody accepted another.
        RewardAgentError: no program was accepted, or one of its kinds (a lost model, a full disk).
    """
    _reopen_short_round(run)
    of_sessions = run.store.list_session_rounds()
    own = (index for index in itertools.count() if index not in of_sessions)
    for index in itertools.islice(own, run.settings.iterations):
        if index not in run.store.list_iterations():
            if run.team.budget.reached:
                break
            run = settle_doubt(run, choice)
            iteration = design_iteration(run, index)
            unasked = _list_unasked(iteration)
            if len(unasked) == len(iteration.candidates):
                run.store.reopen_iteration(index, unasked)
                break
            commit_iteration(run, iteration)
            if _is_declined(iteration):
                break
        if is_target_confirmed(run) or has_stopped_improving(run):
            break
    record = name_winner(run)
    run.steering.end()
    run.steering.take(run.notify)
    run.notify(Finished(record.winner.candidate if record.winner else None))
    return record


def _is_declined(iteration: Iteration) -> bool:
    """Return whether several ideas got no program, for one reason: no other will get one."""
    outcomes = {str(candidate.outcome) for candidate in iteration.candidates}
    is_none = all(candidate.outcome.kind == "no_program" for candidate in iteration.candidates)
    return is_none and len(outcomes) == 1 < len(iteration.candidates)


def design_iteration(
    run: ActiveRun, index: int, briefs: Sequence[DesignBrief] | None = None
) -> Iteration:
    """Run one round: draft, train, evaluate, explain.

    Args:
        run: the run in progress.
        index: number of the round.
        briefs: what each candidate is asked for; by default what the run so far suggests.
    """
    started = time.monotonic()
    if briefs is None:
        briefs = _make_briefs(run, index)
    tried_on = briefs[0].history if run.settings.screens else ()
    recordings = gather_recordings(run, index, [entry.candidate for entry in tried_on])
    run.notify(IterationStarted(index, tuple(brief.idea.name for brief in briefs)))
    edits = Edits(run, briefs, recordings)
    race = Race(run, index, len(briefs), edits.make)
    with race.run():
        drafts = draft_all(run, race, briefs, recordings)
    briefs, finishes = edits.briefs, race.list_finishes()
    evaluated = map_threads(
        # One more than there are slots: the next is evaluated while this one is summarised.
        run.executor.n_slots + 1,
        lambda draft: _conclude_draft(run, briefs[draft.index], draft, finishes.get(draft.id)),
        [*drafts, *edits.drafts],
    )
    judged = judge_round(run, evaluated)
    doubt = try_metric_again(run, index, judged)
    candidates = map_threads(
        run.team.designer.max_concurrency,
        lambda candidate: _conclude(
            run, replace(briefs[candidate.index], metric_doubt=doubt), candidate
        ),
        judged,
    )
    return _make_iteration(run, index, tuple(candidates), time.monotonic() - started)


def commit_iteration(run: ActiveRun, iteration: Iteration) -> None:
    """Record a round as complete and bring the run's results up to date."""
    run.store.write_iteration(iteration)
    run.notify(IterationFinished(iteration.index, iteration.best))
    update_run(run)


def _make_briefs(run: ActiveRun, index: int) -> list[DesignBrief]:
    """Say what each candidate of the round is asked for."""
    entries = read_history(run.store)
    best, history = recall(entries, run.settings.recall)
    settings = run.settings
    ideas = choose_ideas(
        index,
        settings.candidates,
        best=best,
        history=history,
        seed=settings.seed,
        is_greedy=settings.recall != "rounds",
        task=run.task,
        lineage=find_lineage(entry.candidate for entry in entries),
        has_choices=not settings.reward_only,
    )
    common = DesignBrief(
        run.shown_card,
        run.task,
        ideas[0],
        index,
        best=best,
        history=history,
        seed=settings.seed,
        steps=settings.steps,
        standing=describe_robot(run, run.store.dir / BEHAVIOURS_DIR),
        choices=run.describe_choices(),
        events=record_states(run, index),
        feedback=run.steering.begin_round(index),
    )
    given = () if entries else read_given(run.store)
    return [
        *(replace(common, idea=idea, index=number) for number, idea in enumerate(ideas)),
        *(
            replace(common, idea=GIVEN_IDEA, index=number, given=program)
            for number, program in enumerate(given, start=len(ideas))
        ),
    ]


def _conclude_draft(
    run: ActiveRun, brief: DesignBrief, draft: DraftRecord, finish: Finish | None
) -> Candidate:
    """Say what became of a draft; what was trained is scored and summarised."""
    folder = run.store.candidate_dir(brief.iteration, draft.id)
    has_start = read_initial_policy(folder) is not None
    best = brief.best.candidate.id if brief.best else None
    start = draft.parent if draft.idea == EDIT_IDEA.name else best
    known = dict(draft) | ({"outcome": finish.outcome} if finish else {})
    candidate = Candidate(
        **known, iteration=brief.iteration, started_from=start if has_start else None
    )
    if finish is not None and finish.result is not None and finish.result.snapshots:
        try:
            candidate = evaluate_candidate(run, candidate, finish.result, finish.course)
            candidate = score_beside(run, candidate, finish.beside)
            if brief.baseline is not None:
                compare_candidate(run, candidate, brief.baseline)
            return candidate
        except DataError as error:  # what the training left cannot be evaluated
            outcome = Outcome(kind="failed", stage="evaluation", detail=error.message)
            return candidate.model_copy(update={"outcome": outcome})
    return candidate


def _conclude(run: ActiveRun, brief: DesignBrief, candidate: Candidate) -> Candidate:
    """Let the Analyzer explain what was trained."""
    folder = run.store.candidate_dir(candidate.iteration, candidate.id)
    if candidate.evaluation is not None:
        usage = _analyse(run, folder, brief, read_entry(run.store, candidate))
        candidate = candidate.model_copy(update={"usage": candidate.usage + usage})
    run.notify(
        Concluded(candidate.iteration, candidate.id, candidate.outcome, candidate.mean_score)
    )
    return candidate


def _analyse(run: ActiveRun, candidate_dir: Path, brief: DesignBrief, entry: HistoryEntry) -> Usage:
    """Let the Analyzer diagnose one training, write ``analysis.json``, return what it cost."""
    if run.team.analyzer is None or explain_no_analysis(brief, entry):
        return Usage()
    with run.ledger.spend("llm"):
        opinion = run.team.analyzer.analyse(brief, entry)
    if opinion.record is not None:
        write_record(candidate_dir / "analysis.json", opinion.record)
    return sum((completion.usage for completion in opinion.completions), Usage())


def _make_iteration(
    run: ActiveRun, index: int, candidates: tuple[Candidate, ...], wall_s: float
) -> Iteration:
    usage = sum((candidate.usage for candidate in candidates), Usage())
    iteration = Iteration(index=index, candidates=candidates, wall_s=wall_s, usage=usage)
    return iteration.rank([*run.store.list_finished(), *candidates])


def _reopen_short_round(run: ActiveRun) -> None:
    """Take up the round whose candidates a limit of money kept from being written.

    What was trained in it stays; only the candidates without a program are asked for again.
    """
    of_sessions = run.store.list_session_rounds()
    own = [index for index in run.store.list_iterations() if index not in of_sessions]
    for index in own[-1:]:
        unasked = _list_unasked(run.store.read_iteration(index))
        if unasked:
            run.store.reopen_iteration(index, unasked)


def _list_unasked(iteration: Iteration) -> list[str]:
    """Return the candidates for which there was no money."""
    return [c.id for c in iteration.candidates if c.outcome.kind == "limit"]
