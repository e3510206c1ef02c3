"""Simulations that count their steps, in place of a robot."""

from __future__ import annotations

import numpy as np

from reward_agent.simulation.state import State


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
