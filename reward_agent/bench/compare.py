"""Two sweeps side by side."""

from __future__ import annotations

from reward_agent.bench.results import Cell, list_scores, summarise_sweep
from reward_agent.bench.sweep import SweepStore
from reward_agent.errors import DataError
from reward_agent.evaluation.statistics import probability_of_improvement
from reward_agent.types import Finite, Record


class Comparison(Record):
    """A method on a task in both sweeps; ``improvement`` is P(a run of the second is better)."""

    task: str
    label: str
    unit: str
    first: Finite | None
    first_interval: tuple[Finite, Finite] | None
    second: Finite | None
    second_interval: tuple[Finite, Finite] | None
    improvement: Finite | None


def compare_sweeps(first: SweepStore, second: SweepStore) -> list[Comparison]:
    """Compare two sweeps.

    Raises:
        DataError: they have no task and method in common.
    """
    theirs = summarise_sweep(second)
    pairs = [
        (cell, other)
        for cell in summarise_sweep(first).cells
        if (other := theirs.find_cell(cell.task, cell.label)) is not None
    ]
    if not pairs:
        raise DataError(
            f"{first.dir} and {second.dir} have no task and method in common",
            "compare sweeps of the same suite",
        )
    return [_compare(cell, other) for cell, other in pairs]


def _compare(cell: Cell, other: Cell) -> Comparison:
    mine, theirs = list_scores(cell), list_scores(other)
    is_known = bool(mine and theirs)
    return Comparison(
        task=cell.task,
        label=cell.label,
        unit=cell.unit,
        first=cell.mean,
        first_interval=cell.interval,
        second=other.mean,
        second_interval=other.interval,
        improvement=probability_of_improvement([theirs], [mine]) if is_known else None,
    )
