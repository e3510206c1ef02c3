"""What calls cost: sums of a run's record by agent and by round.

Failed calls and those of rounds that were interrupted count too; what was answered without a call
costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reward_agent.llm.replies import CallRecord
from reward_agent.text import name_round
from reward_agent.types import Record, Usage


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
