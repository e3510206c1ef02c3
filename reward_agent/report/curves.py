"""The course of a run's trainings as rows: for a table of pandas, or a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from reward_agent.designers.history import read_history
from reward_agent.files import list_names, read_text
from reward_agent.records.job import PROGRESS_FILE
from reward_agent.records.store import RunStore

_MAX_BYTES = 64 * 2**20
# What comes before what was noted of a training.
_FIRST = ("round", "candidate", "seed", "total_timesteps")

CurveRow = Mapping[str, str | int | float | None]


def list_curve_rows(store: RunStore) -> list[CurveRow]:
    """Return the course of each training: round, candidate, seed, and what was noted then.

    A row is a slice of the training, or one of its policies that was scored: those have
    ``task_score`` and ``success_rate``.
    """
    rows: list[CurveRow] = [
        {
            **_place(entry.candidate.iteration, entry.candidate.id, entry.training.seed),
            "total_timesteps": evaluation.total_timesteps,
            "task_score": evaluation.task_score,
            "success_rate": evaluation.success_rate,
        }
        for entry in read_history(store)
        if entry.training is not None
        for evaluation in entry.curve
    ]
    for index, folder in store.list_candidates():
        for name in list_names(folder / "training"):
            seed = name.removeprefix("seed_")
            text = read_text(folder / "training" / name / PROGRESS_FILE, "", _MAX_BYTES)
            if seed.isdecimal():
                place = _place(index, folder.name, int(seed))
                rows += [
                    place | {column: _read_number(word) for column, word in row.items() if column}
                    for row in csv.DictReader(io.StringIO(text))
                ]
    return rows


def _place(iteration: int, candidate: str, seed: int) -> dict[str, str | int | float | None]:
    return {"round": iteration + 1, "candidate": candidate, "seed": seed}


def _read_number(word: str | list[str] | None) -> float | None:
    """Return a number that a child wrote; None for anything else."""
    try:
        return float(word) if isinstance(word, str) else None
    except ValueError:
        return None


def render_csv(rows: Sequence[CurveRow]) -> str:
    """Return rows as a CSV with every column that one of them has."""
    columns = dict.fromkeys([*_FIRST, *(name for row in rows for name in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
