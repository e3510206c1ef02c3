"""Steps of N simulations as a reward sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from reward_agent.simulation.state import State

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Transition:
    """One step of N simulations: ``action`` (N, n_actions), ``terminated`` (N,) bool."""

    state: State
    action: Array
    next_state: State
    terminated: Array

    def take(self, ids: Array) -> Transition:
        """Return a copy of some simulations, in the order of ``ids``."""
        return Transition(
            self.state.take(ids),
            self.action[ids].copy(),
            self.next_state.take(ids),
            self.terminated[ids].copy(),
        )

    @classmethod
    def join(cls, steps: Sequence[Self]) -> Transition:
        """Return the steps as one of so many simulations, in their order."""
        if len(steps) == 1:
            return steps[0]
        return cls(
            _join_states([step.state for step in steps]),
            np.concatenate([step.action for step in steps]),
            _join_states([step.next_state for step in steps]),
            np.concatenate([step.terminated for step in steps]),
        )


def _join_states(states: Sequence[State]) -> State:
    """Return the states of one simulation as one; they name their fields in the same order."""
    columns = zip(*(state.fields.values() for state in states), strict=True)
    return State(dict(zip(states[0].fields, map(np.concatenate, columns), strict=True)))
