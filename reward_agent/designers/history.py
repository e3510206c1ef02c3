"""The run so far, read back from its directory: what the Designer is told next."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from reward_agent.designers.brief import HistoryEntry, select_history
from reward_agent.records.jobs import EvaluateResult
from reward_agent.records.settings import Recall
from reward_agent.records.store import RunStore, read_record
from reward_agent.summary.summary import TrajectorySummary, render_training
from reward_agent.types import (
    Analysis,
    Candidate,
    CheckReport,
    Critique,
    ProbeReport,
    RewardProgram,
    TrainingResult,
    rank_value,
)

R = TypeVar("R", bound=BaseModel)


def read_history(store: RunStore) -> list[HistoryEntry]:
    """Return every candidate of the complete iterations, oldest first."""
    return [
        read_entry(store, candidate)
        for index in store.list_iterations()
        for candidate in store.read_iteration(index).candidates
    ]


def read_entry(store: RunStore, candidate: Candidate) -> HistoryEntry:
    """Return one candidate with everything that its folder holds."""
    folder = store.candidate_dir(candidate.iteration, candidate.id)
    judged = _read_optional(folder / "evaluation.json", EvaluateResult)
    source = store.read_program(candidate.iteration, candidate.id)
    text = folder / "summary.md"
    return HistoryEntry(
        candidate=candidate,
        program=RewardProgram(source) if source else None,
        check=_read_optional(folder / "check.json", CheckReport),
        probe=_read_optional(folder / "probe.json", ProbeReport),
        critique=_read_optional(folder / "critique.json", Critique),
        training=_read_optional(folder / "training.json", TrainingResult),
        curve=judged.curve if judged else (),
        summary=_read_optional(folder / "summary.json", TrajectorySummary),
        summary_text=text.read_text("utf-8") if text.is_file() else "",
        analysis=_read_optional(folder / "analysis.json", Analysis),
    )


def find_best(entries: list[HistoryEntry]) -> HistoryEntry | None:
    """Return the candidate with the best task score; the earlier one of equals."""
    scored = [entry for entry in entries if entry.candidate.task_score is not None]
    return max(scored, key=lambda entry: rank_value(entry.candidate.task_score), default=None)


def recall(
    entries: list[HistoryEntry], kind: Recall
) -> tuple[HistoryEntry | None, tuple[HistoryEntry, ...]]:
    """Return what the Designer is told: the best candidate, and others of the last rounds.

    Args:
        entries: the run so far.
        kind: ``rounds`` for everything; ``terms`` for the last round's best alone, with its course
            and its terms (Eureka, Ma et al. 2023, section 3.3); ``score`` for the same program
            with its score alone.
    """
    if kind == "rounds" or not entries:
        return find_best(entries), select_history(entries)
    last = [e for e in entries if e.candidate.iteration == entries[-1].candidate.iteration]
    best = find_best(last) or find_best(entries)
    if best is None:
        return None, ()
    text = render_training(best.summary) if kind == "terms" and best.summary else ""
    return HistoryEntry(best.candidate, best.program, summary_text=text), ()


def _read_optional(path: Path, kind: type[R]) -> R | None:
    return read_record(path, kind) if path.is_file() else None
