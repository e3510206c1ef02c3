"""The run so far, read back from its directory: what the Designer is told next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reward_agent.designers.brief import HistoryEntry, select_history
from reward_agent.evaluation.wish import WISH_FILE, WishRecord
from reward_agent.files import list_names, read_text
from reward_agent.records.disk import read_optional, write_record
from reward_agent.records.job import RESULT_FILE
from reward_agent.records.judgement import JUDGEMENT_FILE, SHOWN, Judgement, name_shown
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.settings import Recall
from reward_agent.records.store import Candidate, RunStore
from reward_agent.summary.summary import TrajectorySummary, render_training
from reward_agent.types import (
    Analysis,
    CheckReport,
    Critique,
    FileRecord,
    ProbeReport,
    RewardProgram,
    Sha256,
    TrainingResult,
)

PLAN_FILE = "plan.json"
# Where the offline designer's plan stood before it had a file: at the end of the program.
_RECIPE = re.compile(r"^# recipe of ([0-9a-f]{8}): (\{.*\})$", re.MULTILINE)


class PlanRecord(FileRecord):
    """``plan.json``: data of a designer's own about a program, void once the program is changed."""

    program_sha256: Sha256
    plan: dict[str, Any]


def write_plan(folder: Path, program: RewardProgram, plan: Mapping[str, Any]) -> None:
    """Keep a plan beside its program."""
    record = PlanRecord(program_sha256=program.sha256, plan=dict(plan))
    write_record(folder / PLAN_FILE, record)


def read_history(store: RunStore) -> list[HistoryEntry]:
    """Return every candidate of the complete iterations, oldest first."""
    return [read_entry(store, candidate) for candidate in store.list_finished()]


def read_entry(store: RunStore, candidate: Candidate) -> HistoryEntry:
    """Return one candidate with everything that its folder holds."""
    folder = store.candidate_dir(candidate.iteration, candidate.id)
    evaluated = read_optional(folder / "evaluation.json", EvaluateResult)
    source, plan = _split_recipe(store.read_program(candidate.iteration, candidate.id))
    program = RewardProgram(source) if source else None
    training = read_optional(folder / "training.json", TrainingResult)
    stored = read_optional(folder / PLAN_FILE, PlanRecord)
    if stored is not None and program is not None and stored.program_sha256 == program.sha256:
        plan = stored.plan
    return HistoryEntry(
        candidate=candidate,
        program=program,
        plan=plan,
        check=read_optional(folder / "check.json", CheckReport),
        probe=read_optional(folder / "probe.json", ProbeReport),
        critique=read_optional(folder / "critique.json", Critique),
        training=training,
        curve=evaluated.curve if evaluated else (),
        summary=read_optional(folder / "summary.json", TrajectorySummary),
        summary_text=read_text(folder / "summary.md", ""),
        analysis=read_optional(folder / "analysis.json", Analysis),
        judgements=tuple(read_judgements(store, candidate, training.seed)) if training else (),
        wish=read_optional(folder / WISH_FILE, WishRecord),
    )


def read_judgements(store: RunStore, candidate: Candidate, seed: int) -> list[Judgement]:
    """Read what the judge said of a training's policy, beside what the metric says now."""
    folder = store.evaluation_dir(candidate.iteration, candidate.id, seed)
    names = (name_shown(JUDGEMENT_FILE, shown) for shown in SHOWN)
    found = [item for name in names if (item := read_optional(folder / name, Judgement))]
    evaluated = read_optional(folder / RESULT_FILE, EvaluateResult) if found else None
    return [item.compare(evaluated.best) for item in found] if evaluated else found


def list_judgements(store: RunStore) -> list[Judgement]:
    """Return every judgement of a run's complete rounds, oldest first."""
    found = list[Judgement]()
    for candidate in store.list_finished():
        folder = store.candidate_dir(candidate.iteration, candidate.id) / "evaluation"
        names = [name for name in list_names(folder) if re.fullmatch(r"seed_\d{1,10}", name)]
        seeds = sorted(int(name.removeprefix("seed_")) for name in names)
        found += [item for seed in seeds for item in read_judgements(store, candidate, seed)]
    return found


def _split_recipe(source: str) -> tuple[str, dict[str, Any] | None]:
    """Return the program of an earlier version without its plan, and the plan if it is valid."""
    match = _RECIPE.search(source)
    if match is None:
        return source, None
    is_as_written = match[1] == RewardProgram(source[: match.start()].strip()).id
    plan = json.loads(match[2]) if is_as_written else None
    return _RECIPE.sub("", source).rstrip() + "\n", plan


def find_best(entries: list[HistoryEntry]) -> HistoryEntry | None:
    """Return the candidate that ranks first; None where none has a score."""
    scored = [entry for entry in entries if entry.candidate.task_score is not None]
    return min(scored, key=lambda entry: entry.candidate.rank, default=None)


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
    return HistoryEntry(best.candidate, best.program, best.plan, summary_text=text), ()
