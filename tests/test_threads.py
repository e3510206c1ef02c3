"""Calls in threads: what fails is told at once."""

from __future__ import annotations

import threading

import pytest

from reward_agent.threads import map_threads


def test_results_are_in_the_order_of_the_items() -> None:
    assert map_threads(3, lambda item: item * 2, [3, 1, 2]) == [6, 2, 4]
    assert map_threads(3, str, []) == []


def test_a_failure_of_a_later_item_ends_the_wait_and_what_is_not_begun_never_is() -> None:
    release, begun = threading.Event(), []

    def work(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("one")
        release.wait(20)

    waiting = threading.Timer(10, release.set)
    waiting.start()
    try:
        with pytest.raises(ValueError, match="one"):
            map_threads(2, work, range(5))
        assert not release.is_set()
    finally:
        waiting.cancel()
        release.set()
    assert set(begun) <= {0, 1, 2}
