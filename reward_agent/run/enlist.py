"""Enlist: the drafts of a round are made, and enter the race one by one."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from reward_agent.designers.brief import DesignBrief
from reward_agent.records.jobs import RESULT_FILE, EvaluateResult
from reward_agent.records.store import read_record
from reward_agent.run.active import ActiveRun
from reward_agent.run.adopt import adopt_draft
from reward_agent.run.draft import DRAFT_FILE, DraftRecord, draft_candidate
from reward_agent.run.evaluate import StoredEpisodes
from reward_agent.run.race import Race
from reward_agent.run.train import Entrant, set_initial_policy
from reward_agent.threads import map_threads
from reward_agent.types import RewardProgram


def draft_all(
    run: ActiveRun, race: Race, briefs: Sequence[DesignBrief], stored: StoredEpisodes
) -> list[DraftRecord]:
    """Draft what is not drafted yet, several at a time if the model allows it.

    Each candidate enters the race, or leaves it, as soon as its draft is finished.
    """
    index, adopting = briefs[0].iteration, threading.Lock()
    run.store.clear_drafts(index)
    drafts = {draft.index: draft for draft in _read_drafts(run, index)}
    for draft in drafts.values():
        _enter(run, race, draft, briefs[draft.index])

    def make(brief: DesignBrief) -> None:
        draft = draft_candidate(run, brief, stored)
        with adopting:
            drafts[brief.index] = adopt_draft(run, index, draft)
        _enter(run, race, drafts[brief.index], brief)

    missing = [brief for brief in briefs if brief.index not in drafts]
    map_threads(run.designer.max_concurrency, make, missing)
    return [drafts[number] for number in sorted(drafts)]


def _enter(run: ActiveRun, race: Race, draft: DraftRecord, brief: DesignBrief) -> None:
    if not draft.is_accepted:
        race.settle(1)
        return
    entrant = _make_entrant(run, brief.iteration, draft)
    if run.settings.warm_start and brief.best is not None:
        store, best = run.store, brief.best.candidate
        folder = store.evaluation_dir(best.iteration, best.id, run.settings.seed)
        evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
        set_initial_policy(entrant.candidate_dir, folder / evaluated.best_file, run.card)
    race.enter(entrant)


def _read_drafts(run: ActiveRun, index: int) -> list[DraftRecord]:
    folders = run.store.list_candidates(index)
    return [read_record(folder / DRAFT_FILE, DraftRecord) for folder in folders]


def _make_entrant(run: ActiveRun, index: int, draft: DraftRecord) -> Entrant:
    seed = run.settings.seed
    return Entrant(
        draft.id,
        run.store.candidate_dir(index, draft.id),
        run.store.training_dir(index, draft.id, seed),
        RewardProgram(run.store.read_program(index, draft.id)),
        seed,
    )
