"""Where a run's time goes: every second of every slot gets one name.

A slot is room for one training. A busy slot's time has the names of what its job did; a free one's
the name of what the run was waiting for. So the seconds add up to slots times wall time; to more
where a device trains more side by side than there are slots.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from reward_agent.records.jobs import JOBS

# Nobody trained, and nothing that has a name was under way.
OWN_OVERHEAD = "own overhead"
# A slot had nothing to do while another one trained: too few candidates for the machine.
FREE_SLOT = "free slot"
# What a free slot waited for, if several things were under way: these first, then any other.
_WAITS = ("llm", "probe", "relabel", "checks", "summary", "report", "rendering")
# What a run is for; the rest is to stay small. To read the state is part of a step of the physics.
_PURPOSE = {job.activity for job in JOBS if job.is_purpose} | {
    "llm", "physics", "state", "policy", "update", FREE_SLOT,
}  # fmt: skip


class TimeLedger:
    """Notes what a run does, from several threads, and says where the time went.

    Args:
        n_slots: trainings side by side, without those of a device.
        earlier: slot seconds by activity of the processes that worked on the run before.
        earlier_s: their wall time.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        n_slots: int,
        earlier: Mapping[str, float] | None = None,
        earlier_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n_slots = n_slots
        self._seconds = defaultdict(float, earlier or {})
        self._earlier_s = earlier_s
        self._clock = clock
        self._started = self._changed = clock()
        self._n_busy = 0
        self._waits: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Wall time of the run so far."""
        return self._earlier_s + self._clock() - self._started

    @contextmanager
    def spend(self, activity: str, *, in_slot: bool = False) -> Iterator[dict[str, float]]:
        """Note what happens inside as an activity.

        Yields:
            A record to fill with seconds that have another name; the activity gets the rest.
        """
        start = self._change(activity, in_slot, 1)
        parts: dict[str, float] = {}
        try:
            yield parts
        finally:
            end = self._change(activity, in_slot, -1)
            if in_slot:
                with self._lock:
                    for name, seconds in _fit(parts, end - start, activity).items():
                        self._seconds[name] += seconds

    def account(self) -> dict[str, float]:
        """Return slot seconds by activity, largest first.

        They sum to slots times wall time, but for jobs in slots that have not ended.
        """
        self._change("", False, 0)
        with self._lock:
            ranked = sorted(self._seconds.items(), key=lambda item: -item[1])
        return {name: seconds for name, seconds in ranked if seconds > 0}

    def _change(self, activity: str, in_slot: bool, change: int) -> float:
        """Name what the free slots waited for since the last change; return the time."""
        with self._lock:
            now = self._clock()
            free = max(self.n_slots - self._n_busy, 0)
            self._seconds[self._name_wait()] += (now - self._changed) * free
            self._changed = now
            if in_slot:
                self._n_busy += change
            else:
                self._waits[activity] += change
            return now

    def _name_wait(self) -> str:
        for name in (*_WAITS, *sorted(self._waits)):
            if self._waits[name]:
                return name
        return FREE_SLOT if self._n_busy else OWN_OVERHEAD


def _fit(parts: Mapping[str, float], length: float, rest: str) -> dict[str, float]:
    """Return the parts with the rest named; parts that claim more than there was are cut."""
    claimed = sum(parts.values())
    scale = min(1.0, length / claimed) if claimed > 0 else 1.0
    fitted = {name: seconds * scale for name, seconds in parts.items()}
    fitted[rest] = fitted.get(rest, 0.0) + max(length - sum(fitted.values()), 0.0)
    return fitted


def find_waste(seconds: Mapping[str, float]) -> float | None:
    """Return the share of slot time that went to anything but the run's purpose, 0..1."""
    total = sum(seconds.values())
    spent = sum(seconds.get(name, 0.0) for name in _PURPOSE)
    return (total - spent) / total if total > 0 else None


def describe_shares(seconds: Mapping[str, float]) -> str:
    """Return in one line which shares of slot time went where, largest first."""
    shares = {name: part / (sum(seconds.values()) or 1.0) for name, part in seconds.items()}
    large = [f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.01]
    rest = sum(share for share in shares.values() if share < 0.01)
    return ", ".join([*large, *([f"rest {rest:.1%}"] if rest else [])])
