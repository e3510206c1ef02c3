"""Adopt: a finished draft gets its place in the run, unless an earlier one pays the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reward_agent.records.jobs import PROGRAM_FILE
from reward_agent.records.outcomes import Outcome
from reward_agent.records.store import read_record, write_record
from reward_agent.rewards.source import list_ingredients
from reward_agent.run.active import ActiveRun
from reward_agent.run.draft import DRAFT_FILE, PROBE_FILE, DraftRecord
from reward_agent.text import name_round
from reward_agent.types import ProbeReport


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
    twin = find_twin(run.store.dir, folder, draft)
    changes: dict[str, object] = {}
    if twin is not None and run.settings.screens:
        changes["twin"] = twin.id
        if draft.is_accepted and twin.is_certain:
            detail = f"the same program as candidate {twin}{twin.likeness}"
            changes["outcome"] = Outcome(kind="rejected", stage="twin", detail=detail)
    if run.store.candidate_dir(index, draft.id).exists() or (twin and twin.id == draft.id):
        changes["id"] = f"{draft.id}-{draft.index}"
    if changes:
        draft = draft.model_copy(update=changes)
        write_record(folder / DRAFT_FILE, draft)
    run.store.adopt_draft(index, draft.index, draft.id)
    return draft


def find_twin(run_dir: Path, folder: Path, draft: DraftRecord) -> Twin | None:
    """Return the earlier candidate that is most like a draft, if one pays the same.

    Args:
        run_dir: the run.
        folder: where the draft lies.
        draft: its record.
    """
    for path in sorted(run_dir.glob(f"iterations/*/candidates/{draft.id}/{DRAFT_FILE}")):
        return Twin(draft.id, int(path.parts[-4]), "", True)
    if not draft.is_accepted:
        return None
    twins = list(_find_like(run_dir, folder))
    return min(twins, key=lambda twin: not twin.is_certain, default=None)


def _find_like(run_dir: Path, folder: Path) -> Iterator[Twin]:
    """Yield the accepted candidates whose rewards in the probe are those of a draft.

    Where fields and numbers are the same, too, the programs differ in words only.
    """
    source, digest = _read_program(folder), _read_digest(folder)
    for path in sorted(run_dir.glob(f"iterations/*/candidates/*/{DRAFT_FILE}")):
        other, place = path.parent, int(path.parts[-4])
        if digest is None or not read_record(path, DraftRecord).is_accepted:
            continue
        if _read_digest(other) == digest:
            is_certain = list_ingredients(_read_program(other)) == list_ingredients(source)
            yield Twin(other.name, place, ": it pays the same in every state tried", is_certain)


def _read_program(folder: Path) -> str:
    path = folder / PROGRAM_FILE
    return path.read_text("utf-8") if path.is_file() else ""


def _read_digest(folder: Path) -> str | None:
    path = folder / PROBE_FILE
    return read_record(path, ProbeReport).values_sha256 if path.is_file() else None
