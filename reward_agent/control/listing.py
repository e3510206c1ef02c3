"""Runs and diagnoses as data: a row of the list, and everything that one of them holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from reward_agent.control.status import Short
from reward_agent.designers.history import list_judgements
from reward_agent.feedback.state import ToldJudgement
from reward_agent.records.disk import read_optional
from reward_agent.records.store import DIAGNOSIS_FILE, Iteration, RunRecord, RunStore
from reward_agent.summary.diagnosis import RewardDiagnosis
from reward_agent.types import Finite, Record


class KeptDiagnosis(RewardDiagnosis):
    """A diagnosis that lies among the runs."""

    kind: Literal["diagnosis"] = "diagnosis"
    id: str


class RunRow(Record):
    """A run or a diagnosis in the list."""

    kind: Literal["design", "diagnosis"]
    id: str
    env: Short
    status: str
    designer: Short
    score: Finite | None
    unit: Short
    task: Short
    record: RunRecord | KeptDiagnosis | None = None


class WholeRun(RunRecord):
    """A run with all its complete rounds."""

    kind: Literal["design"] = "design"
    iterations: tuple[Iteration, ...]
    judgements: tuple[ToldJudgement, ...]


def read_whole(store: RunStore) -> WholeRun:
    """Read everything that the records of a run hold.

    Raises:
        DataError: one of them cannot be read.
    """
    run = store.read_run()
    return WholeRun(
        **{name: getattr(run, name) for name in RunRecord.model_fields},
        iterations=tuple(store.read_iteration(index) for index in store.list_iterations()),
        judgements=tuple(ToldJudgement(**dict(item)) for item in list_judgements(store)),
    )


def read_row(folder: Path) -> RunRow:
    """Read what the list says of a folder, with its record.

    Raises:
        DataError: its record cannot be read.
    """
    diagnosis = read_diagnosis(folder)
    if diagnosis is not None:
        return RunRow(
            kind="diagnosis",
            id=folder.name,
            env=diagnosis.env,
            status="finished" if diagnosis.steps else "refused",
            designer="–",
            score=diagnosis.task_score,
            unit=diagnosis.unit,
            task=f"{diagnosis.reward.file}: {diagnosis.headline}",
            record=diagnosis,
        )
    run = RunStore(folder).read_run()
    return RunRow(
        kind="design",
        id=run.id,
        env=run.card.name,
        status=run.status,
        designer=run.designer,
        score=run.winner.task_score if run.winner else None,
        unit=run.task.unit,
        task=run.task.description,
        record=run,
    )


def read_diagnosis(folder: Path) -> KeptDiagnosis | None:
    """Read a diagnosis; None where the folder is a run.

    Raises:
        DataError: it cannot be read.
    """
    found = read_optional(folder / DIAGNOSIS_FILE, RewardDiagnosis)
    return None if found is None else KeptDiagnosis(id=folder.name, **dict(found))
