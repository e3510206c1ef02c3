"""Where a run's time goes: it adds up, whatever overlaps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.records.timing import (
    FREE_SLOT,
    OWN_OVERHEAD,
    TimeLedger,
    describe_shares,
    find_waste,
)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_slot_is_named_after_its_job_and_a_free_one_after_what_it_waits_for() -> None:
    clock = Clock()
    ledger = TimeLedger(1, clock=clock)
    clock.now += 1.0
    with ledger.spend("llm"):
        clock.now += 3.0
    with ledger.spend("child start", in_slot=True) as parts:
        clock.now += 10.0
        parts.update(physics=6.0, update=3.0)
    assert ledger.account() == {
        "physics": 6.0,
        "llm": 3.0,
        "update": 3.0,
        "child start": 1.0,
        OWN_OVERHEAD: 1.0,
    }


def test_what_happens_while_all_slots_are_busy_costs_nothing() -> None:
    clock = Clock()
    ledger = TimeLedger(1, clock=clock)
    with ledger.spend("physics", in_slot=True):
        clock.now += 2.0
        with ledger.spend("llm"):
            clock.now += 5.0
        clock.now += 1.0
    assert ledger.account() == {"physics": 8.0}


def test_a_slot_without_a_candidate_is_free_while_others_train() -> None:
    clock = Clock()
    ledger = TimeLedger(3, clock=clock)
    with ledger.spend("physics", in_slot=True):
        clock.now += 2.0
    assert ledger.account() == {FREE_SLOT: 4.0, "physics": 2.0}


def test_where_a_device_trains_more_than_there_are_slots_none_is_free() -> None:
    clock = Clock()
    ledger = TimeLedger(1, clock=clock)
    with ledger.spend("physics", in_slot=True), ledger.spend("physics", in_slot=True):
        clock.now += 2.0
    assert ledger.account() == {"physics": 4.0}


def test_a_job_that_claims_more_time_than_it_took_is_cut() -> None:
    clock = Clock()
    ledger = TimeLedger(1, clock=clock)
    with ledger.spend("child start", in_slot=True) as parts:
        clock.now += 2.0
        parts.update(physics=6.0, update=2.0)
    assert ledger.account() == pytest.approx({"physics": 1.5, "update": 0.5})


def test_a_resumed_run_adds_to_what_was_spent_before() -> None:
    clock = Clock()
    ledger = TimeLedger(1, {"physics": 4.0}, 5.0, clock=clock)
    with ledger.spend("physics", in_slot=True):
        clock.now += 2.0
    assert ledger.account() == {"physics": 6.0}
    assert ledger.elapsed_s == 7.0


@given(
    n_slots=st.integers(1, 4),
    spans=st.lists(
        st.tuples(
            st.sampled_from(["llm", "probe", "train"]),
            st.floats(0.0, 5.0),
            st.floats(0.0, 5.0),
        ),
        max_size=12,
    ),
)
def test_slot_seconds_sum_to_slots_times_wall_time(
    n_slots: int, spans: list[tuple[str, float, float]]
) -> None:
    clock = Clock()
    ledger = TimeLedger(n_slots, clock=clock)
    free_at = [0.0] * n_slots
    changes = []
    for name, start, length in spans:
        if name == "train":  # a slot takes one job after the other
            slot = min(range(n_slots), key=lambda index: free_at[index])
            start = max(start, free_at[slot])
            free_at[slot] = start + length
        spending = ledger.spend(name, in_slot=name == "train")
        changes.append((start, spending.__enter__))
        changes.append((start + length, lambda it=spending: it.__exit__(None, None, None)))
    for moment, change in sorted(changes, key=lambda item: item[0]):
        clock.now = 100.0 + moment
        change()
    clock.now += 50.0
    assert sum(ledger.account().values()) == pytest.approx(n_slots * ledger.elapsed_s)
    assert all(seconds >= 0 for seconds in ledger.account().values())


def test_waste_is_what_served_no_purpose() -> None:
    seconds = {"physics": 60.0, "update": 30.0, "llm": 5.0, "child start": 4.0, OWN_OVERHEAD: 1.0}
    assert find_waste(seconds) == pytest.approx(0.05)
    assert find_waste({}) is None
    assert describe_shares(seconds | {"state": 0.3}) == (
        "physics 60%, update 30%, llm 5%, child start 4%, rest 1.3%"
    )
