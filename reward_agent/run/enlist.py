"""Enlist: the drafts of a round are made, and enter the race one by one."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from reward_agent.designers.brief import DesignBrief
from reward_agent.records.jobs import RESULT_FILE, EvaluateResult
from reward_agent.records.store import read_record
from reward_agent.run.adopt import adopt_draft
from reward_agent.run.draft import DRAFT_FILE, DraftRecord, draft_candidate
from reward_agent.run.judge import StoredEpisodes
from reward_agent.run.race import Race
from reward_agent.run.search import Search
from reward_agent.run.train import Entrant, set_initial_policy
from reward_agent.threads import map_threads
from reward_agent.types import RewardProgram


def draft_all(
    search: Search, race: Race, briefs: Sequence[DesignBrief], stored: StoredEpisodes
) -> list[DraftRecord]:
    """Draft what is not drafted yet, several at a time if the model allows it.

    Each candidate enters the race, or leaves it, as soon as its draft is finished.
    """
    index, adopting = briefs[0].iteration, threading.Lock()
    search.store.clear_drafts(index)
    drafts = {draft.index: draft for draft in _read_drafts(search, index)}
    for draft in drafts.values():
        _enter(search, race, draft, briefs[draft.index])

    def make(brief: DesignBrief) -> None:
        draft = draft_candidate(search, brief, stored)
        with adopting:
            drafts[brief.index] = adopt_draft(search, index, draft)
        _enter(search, race, drafts[brief.index], brief)

    missing = [brief for brief in briefs if brief.index not in drafts]
    map_threads(search.designer.max_concurrency, make, missing)
    return [drafts[number] for number in sorted(drafts)]


def _enter(search: Search, race: Race, draft: DraftRecord, brief: DesignBrief) -> None:
    if not draft.is_accepted:
        race.settle(1)
        return
    entrant = _make_entrant(search, brief.iteration, draft)
    if search.config.warm_start and brief.best is not None:
        store, best = search.store, brief.best.candidate
        folder = store.evaluation_dir(best.iteration, best.id, search.config.seed)
        judged = read_record(folder / RESULT_FILE, EvaluateResult)
        set_initial_policy(entrant.candidate_dir, folder / judged.best_file, search.card)
    race.enter(entrant)


def _read_drafts(search: Search, index: int) -> list[DraftRecord]:
    folders = search.store.list_candidates(index)
    return [read_record(folder / DRAFT_FILE, DraftRecord) for folder in folders]


def _make_entrant(search: Search, index: int, draft: DraftRecord) -> Entrant:
    seed = search.config.seed
    return Entrant(
        draft.id,
        search.store.candidate_dir(index, draft.id),
        search.store.training_dir(index, draft.id, seed),
        RewardProgram(search.store.read_program(index, draft.id)),
        seed,
    )
