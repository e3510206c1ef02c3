"""Twins: a draft that pays what an earlier candidate pays is not trained again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reward_agent.files import read_text
from reward_agent.records.disk import read_optional, write_record
from reward_agent.records.job import PROGRAM_FILE
from reward_agent.records.outcomes import Outcome
from reward_agent.records.store import DraftRecord, RunStore
from reward_agent.rewards.choices import read_choices
from reward_agent.rewards.pay import describe_states
from reward_agent.rewards.source import list_ingredients
from reward_agent.run.active import ActiveRun
from reward_agent.text import name_round
from reward_agent.types import ProbeReport

DRAFT_FILE = "draft.json"
PROBE_FILE = "probe.json"


@dataclass(frozen=True)
class Twin:
    """An earlier candidate that pays the same.

    Args:
        id: its name.
        iteration: its round.
        likeness: in what it is the same.
        is_certain: whether to train the new one would repeat it; if not, the two may still differ
            in states that the probe did not come to.
    """

    id: str
    iteration: int
    likeness: str
    is_certain: bool

    def __str__(self) -> str:
        return f"{self.id} of {name_round(self.iteration)}"


def adopt_draft(run: ActiveRun, index: int, draft: DraftRecord) -> DraftRecord:
    """Give a draft its place; one that pays what an earlier one pays is screened out.

    Drafts of a round are adopted one at a time.
    """
    folder = run.store.draft_dir(index, draft.index)
    twin = find_twin(run.store, folder, draft)
    changes: dict[str, object] = {}
    if twin is not None and run.settings.screens:
        changes["twin"] = twin.id
        if draft.is_accepted and twin.is_certain:
            detail = f"the same program as candidate {twin}{twin.likeness}"
            changes["outcome"] = Outcome(kind="rejected", stage="twin", detail=detail)
    if run.store.candidate_dir(index, draft.id).exists():
        changes["id"] = f"{draft.id}-{draft.index}"
    if changes:
        draft = draft.model_copy(update=changes)
        write_record(folder / DRAFT_FILE, draft)
    run.store.adopt_draft(index, draft.index, draft.id)
    return draft


def find_twin(store: RunStore, folder: Path, draft: DraftRecord) -> Twin | None:
    """Return the earlier candidate that is most like a draft in a folder, if one pays the same."""
    for index, other in store.list_candidates():
        known = read_optional(other / DRAFT_FILE, DraftRecord)
        if known and known.program_sha256 and known.program_sha256 == draft.program_sha256:
            return Twin(other.name, index, "", True)
    if not draft.is_accepted:
        return None
    twins = list(_find_like(store, folder))
    return min(twins, key=lambda twin: not twin.is_certain, default=None)


def _find_like(store: RunStore, folder: Path) -> Iterator[Twin]:
    """Yield the accepted candidates whose rewards in the probe are those of a draft.

    Where fields and numbers are the same, too, the programs differ in words only.
    """
    source, probe = (
        read_text(folder / PROGRAM_FILE, ""),
        read_optional(folder / PROBE_FILE, ProbeReport),
    )
    if probe is None or probe.values_sha256 is None:
        return
    for index, other in store.list_candidates():
        known = read_optional(other / PROBE_FILE, ProbeReport)
        if known is None or known.values_sha256 != probe.values_sha256:
            continue
        record = read_optional(other / DRAFT_FILE, DraftRecord)
        if record is not None and record.is_accepted:
            its_source = read_text(other / PROGRAM_FILE, "")
            if read_choices(its_source) != read_choices(source):
                continue  # it is to be learned from in another way
            is_certain = list_ingredients(its_source) == list_ingredients(source)
            likeness = f": it pays the same in every state tried ({describe_states(probe)})"
            yield Twin(other.name, index, likeness, is_certain)
