"""What the runs of a sweep may spend on a model together, however many are side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reward_agent.errors import BudgetError
from reward_agent.llm.budget import NO_LIMITS, SpendingLimits, sum_charges
from reward_agent.llm.replies import read_calls
from reward_agent.records.store import RunStore, list_runs
from reward_agent.types import Usage


class Purse:
    """The limits of a sweep; a run under way is promised its share of what is left.

    Args:
        limits: of all runs together, those of earlier days included.
        n_slots: runs side by side.
        folders: those of the jobs, with what was spent there before.
    """

    def __init__(
        self, limits: SpendingLimits, n_slots: int = 1, folders: Iterable[Path] = ()
    ) -> None:
        self.limits, self.n_slots = limits, n_slots
        is_bounded = limits != NO_LIMITS
        self._spent = {folder: _count_runs(folder) for folder in folders if is_bounded}
        self._promised: dict[Path, Usage] = {}
        self._lock = threading.Lock()

    @contextmanager
    def share(self, folder: Path) -> Iterator[SpendingLimits]:
        """Give what the run of a job may spend from now on.

        Raises:
            BudgetError: nothing is left.
        """
        if self.limits == NO_LIMITS:
            yield self.limits
            return
        with self._lock:
            share = self._promised[folder] = self._divide()
        try:
            yield SpendingLimits(
                None if self.limits.usd is None else share.usd,
                calls=None if self.limits.calls is None else share.n_calls,
            )
        finally:
            with self._lock:
                del self._promised[folder]
                self._spent[folder] = _count_runs(folder)

    def explain(self, reached: str) -> BudgetError:
        """Return the error for a sweep that has spent what it may.

        Args:
            reached: what says which limit it is.
        """
        limit = f"--max-calls {self.limits.calls}"
        if "--max-usd" in reached:
            limit = f"--max-usd {self.limits.usd:g}"
        return BudgetError(
            f"the sweep has spent its {limit}",
            "the same command with a higher limit goes on with it",
        )

    def _divide(self) -> Usage:
        """Return an equal share of what is neither spent nor promised."""
        spent = sum((*self._spent.values(), *self._promised.values()), Usage())
        n_free = max(1, self.n_slots - len(self._promised))
        usd = ((self.limits.usd or 0.0) - (spent.usd or 0.0)) / n_free
        n_calls = ((self.limits.calls or 0) - spent.n_calls) // n_free
        if self.limits.usd is not None and usd <= 0:
            raise self.explain("--max-usd")
        if self.limits.calls is not None and n_calls <= 0:
            raise self.explain("--max-calls")
        return Usage(n_calls=max(n_calls, 0), usd=max(usd, 0.0))


def count_charges(run: RunStore) -> Usage:
    """Return the most that the calls of a run can have cost."""
    return sum_charges(read_calls(run.dir))


def _count_runs(folder: Path) -> Usage:
    return sum((count_charges(run) for run in list_runs(folder / "runs")), Usage())
