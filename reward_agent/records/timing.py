"""Where a run's time goes: every second of every slot gets one name.

A slot is room for one training. A busy slot's time has the names of what its job did; a free one's
the name of what the run was waiting for. So the seconds add up to slots times wall time.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _Span:
    """A stretch of time on the clock; ``seconds`` by activity add up to its length."""

    start: float
    end: float
    seconds: Mapping[str, float]
    in_slot: bool


class TimeLedger:
    """Notes what a run does, from several threads, and says where the time went.

    Args:
        n_slots: trainings side by side.
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
        self._earlier, self._earlier_s = dict(earlier or {}), earlier_s
        self._clock = clock
        self._started = clock()
        self._spans: list[_Span] = []
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
        start = self._clock()
        parts: dict[str, float] = {}
        try:
            yield parts
        finally:
            end = self._clock()
            with self._lock:
                seconds = _fit(parts, end - start, activity)
                self._spans.append(_Span(start, end, seconds, in_slot))

    def account(self) -> dict[str, float]:
        """Return slot seconds by activity, largest first; they sum to slots times wall time."""
        with self._lock:
            spans = list(self._spans)
        total = defaultdict(float, self._earlier)
        busy: list[_Span] = []
        waits: list[_Span] = []
        moments = {moment for span in spans for moment in (span.start, span.end)}
        edges = sorted({self._started, self._clock()} | moments)
        opening = sorted(spans, key=lambda span: span.start)
        for start, end in itertools.pairwise(edges):
            while opening and opening[0].start <= start:
                span = opening.pop(0)
                (busy if span.in_slot else waits).append(span)
            busy = [span for span in busy if span.end > start]
            waits = [span for span in waits if span.end > start]
            for span in busy:
                share = (end - start) / (span.end - span.start)
                for name, seconds in span.seconds.items():
                    total[name] += seconds * share
            total[_name_wait(waits, bool(busy))] += (end - start) * (self.n_slots - len(busy))
        ranked = sorted(total, key=lambda name: -total[name])
        return {name: total[name] for name in ranked if total[name] > 0}


def _fit(parts: Mapping[str, float], length: float, rest: str) -> dict[str, float]:
    """Return the parts with the rest named; parts that claim more than there was are cut."""
    claimed = sum(parts.values())
    scale = min(1.0, length / claimed) if claimed > 0 else 1.0
    fitted = {name: seconds * scale for name, seconds in parts.items()}
    fitted[rest] = fitted.get(rest, 0.0) + max(length - sum(fitted.values()), 0.0)
    return fitted


def _name_wait(waits: list[_Span], is_training: bool) -> str:
    names = {name for span in waits for name in span.seconds}
    for name in (*_WAITS, *sorted(names)):
        if name in names:
            return name
    return FREE_SLOT if is_training else OWN_OVERHEAD


def find_waste(seconds: Mapping[str, float]) -> float | None:
    """Return the share of slot time that went to anything but the run's purpose, 0..1."""
    total = sum(seconds.values())
    spent = sum(seconds.get(name, 0.0) for name in _PURPOSE)
    return (total - spent) / total if total > 0 else None


def describe_shares(seconds: Mapping[str, float], least: float = 0.01) -> str:
    """Return in one line which shares of slot time went where, largest first."""
    total = sum(seconds.values()) or 1.0
    large = [
        f"{name} {part / total:.0%}" for name, part in seconds.items() if part >= least * total
    ]
    rest = sum(part for part in seconds.values() if part < least * total) / total
    return ", ".join([*large, *([f"rest {rest:.1%}"] if rest else [])])
