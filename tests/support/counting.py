"""What counts: simulations their steps, in place of a robot; a bound the calls under it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import pytest

from reward_agent.simulation.state import State


@contextmanager
def at_most(n_calls: int) -> Iterator[None]:
    """Fail once what is done inside has called and left more functions, on whatever machine."""
    numbers = itertools.count(1)

    def note(frame: FrameType, event: str, argument: object) -> None:
        if next(numbers) > n_calls:
            sys.setprofile(None)
            pytest.fail(f"it made more than {n_calls} calls")

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


class CountingSimulation:
    """Simulation i counts its steps and terminates after ``ends[i]`` of them."""

    ends_by_itself = False

    def __init__(self, ends: list[int]) -> None:
        self.n_sims = len(ends)
        self._ends = np.array(ends)
        self._counts = np.zeros(self.n_sims)

    @property
    def observation(self) -> np.ndarray:
        return np.repeat(self._counts[:, None], 11, axis=1)

    def reset(self, ids: np.ndarray | None = None) -> None:
        self._counts[slice(None) if ids is None else ids] = 0.0

    def step(self, action: np.ndarray, ids: np.ndarray | None = None) -> None:
        self._counts[slice(None) if ids is None else ids] += 1.0

    def read_state(self) -> State:
        return State({"count": self._counts.copy()})

    def find_terminated(self) -> np.ndarray:
        return self._counts >= self._ends
