"""What calls cost: one line a call in ``calls.jsonl``, summed by agent and by round.

The file is the truth about money: it holds failed calls and those of rounds that were interrupted
too, and what was answered without a call is marked as such.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from reward_agent.llm.chat import AgentName, ChatRequest, Completion, ReplyText
from reward_agent.text import name_round
from reward_agent.types import OneLine, Record, Usage

CALLS_FILE = "calls.jsonl"
_FAILED = "failed: "
Source = Literal["model", "cache", "replay"]


class CallRecord(Record):
    """One call of a language model, or one that was answered without."""

    time: str
    agent: AgentName
    template: str
    iteration: int | None = None
    candidate: int = 0
    provider: str
    model: ReplyText
    source: Source = "model"
    outcome: OneLine
    usage: Usage
    wall_s: float = 0.0

    @property
    def is_failed(self) -> bool:
        """Whether no reply came back."""
        return self.outcome.startswith(_FAILED)


class CostSummary(Record):
    """What a run paid a language model, and what it did not have to pay.

    ``by_agent`` and ``by_round`` each add up to ``total``. A failed call may be billed all the
    same: ``may_add_usd`` is the most that all of them can cost.
    """

    total: Usage
    by_agent: dict[str, Usage]
    by_round: dict[str, Usage]
    n_failed: int
    may_add_usd: float
    n_from_cache: int
    n_replayed: int
    models_without_price: tuple[str, ...] = ()


class CallLog:
    """The calls of a run, in a file that only grows.

    Args:
        path: the file; None keeps the calls in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._records = read_calls(path) if path is not None else []
        if path is not None and path.is_file() and not path.read_bytes().endswith(b"\n"):
            # The next line must not join one that a killed process left half-written.
            path.write_bytes(path.read_bytes() + b"\n")
        self._lock = threading.Lock()

    @property
    def records(self) -> tuple[CallRecord, ...]:
        """All calls so far, oldest first."""
        with self._lock:
            return tuple(self._records)

    def append(self, record: CallRecord) -> None:
        """Note one call, durably enough for the next process."""
        with self._lock:
            self._records.append(record)
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(record.model_dump_json() + "\n")


def read_calls(path: Path) -> list[CallRecord]:
    """Read the calls of a run; a line that a killed process left half-written is passed over."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            records.append(CallRecord.model_validate_json(line))
        except ValidationError:
            continue
    return records


def make_call_record(
    request: ChatRequest, completion: Completion, source: Source = "model"
) -> CallRecord:
    """Return the record of a request that was answered."""
    return CallRecord(
        time=_now_utc(),
        agent=request.agent,
        template=request.template,
        iteration=request.iteration,
        candidate=request.sample_index,
        provider=completion.provider,
        model=completion.model,
        source="replay" if completion.provider == "replay" else source,
        outcome=completion.stop_reason,
        usage=completion.usage,
        wall_s=completion.wall_s,
    )


def make_failure_record(
    request: ChatRequest, provider: str, model: str, reason: str, usage: Usage
) -> CallRecord:
    """Return the record of a request that was not answered; ``usage`` is the most it can cost."""
    return CallRecord(
        time=_now_utc(),
        agent=request.agent,
        template=request.template,
        iteration=request.iteration,
        candidate=request.sample_index,
        provider=provider,
        model=model,
        outcome=f"{_FAILED}{reason}",
        usage=usage,
    )


def summarise_costs(records: Iterable[CallRecord]) -> CostSummary:
    """Return what calls cost, by agent and by round."""
    calls = list(records)
    paid = [call for call in calls if call.source == "model" and not call.is_failed]
    failed = [call for call in calls if call.is_failed]
    unpriced = {call.model for call in paid if call.usage.usd is None and call.usage.input_tokens}
    return CostSummary(
        total=sum_usage(paid),
        by_agent=group_usage(paid, lambda call: call.agent),
        by_round=group_usage(paid, name_round_of),
        n_failed=len(failed),
        may_add_usd=sum_charges(failed).usd or 0.0,
        n_from_cache=sum(call.source == "cache" for call in calls),
        n_replayed=sum(call.source == "replay" for call in calls),
        models_without_price=tuple(sorted(unpriced)),
    )


def sum_usage(records: Iterable[CallRecord]) -> Usage:
    """Return what the replies cost; what was answered without a call cost nothing."""
    return sum_charges(record for record in records if not record.is_failed)


def sum_charges(records: Iterable[CallRecord]) -> Usage:
    """Return the most that the calls can have cost: failed ones, which may be billed, included."""
    return sum((record.usage for record in records if record.source == "model"), Usage())


def group_usage(
    records: Iterable[CallRecord], name: Callable[[CallRecord], str]
) -> dict[str, Usage]:
    """Return what the calls cost by a name of theirs, in the order of first use."""
    groups: dict[str, list[CallRecord]] = {}
    for record in records:
        groups.setdefault(name(record), []).append(record)
    return {key: sum_usage(items) for key, items in groups.items()}


def name_round_of(record: CallRecord) -> str:
    """Return the round of a call, for people."""
    return "before the rounds" if record.iteration is None else name_round(record.iteration)


def _now_utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
