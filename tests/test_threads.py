"""Calls in threads: what fails is told at once."""

from __future__ import annotations

import ast
import gc
import threading
import time
from pathlib import Path

import pytest

import reward_agent
from reward_agent.text import parse_python
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


class Garbage:
    """Refers to itself, and lets another thread go on where it is collected."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(1e-4)


def test_threads_parse_one_after_the_other_and_in_one_place() -> None:
    source = "x = (" + " + ".join(f"f{i}(y[{i}])" for i in range(400)) + ")"

    def parse(_: int) -> ast.Module:
        for _ in range(30):
            Garbage()
        return parse_python(source)

    usual = gc.get_threshold()
    gc.set_threshold(50)
    try:
        assert len(map_threads(4, parse, range(24))) == 24
    finally:
        gc.set_threshold(*usual)
    package = Path(reward_agent.__file__).parent
    callers = [p.name for p in package.rglob("*.py") if "ast.parse(" in p.read_text("utf-8")]
    assert callers == ["text.py"]
