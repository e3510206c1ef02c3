"""What a reward function sees: read-only views of N parallel simulations, and the steps between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reward_agent.errors import hint_closest

FloatArray = NDArray[np.float64]


class State:
    """N parallel simulations at one instant: one attribute per field of the card.

    The arrays are made read-only; they are taken over, not copied.

    Args:
        fields: arrays by name, each ``(N,)`` or ``(N, k)``.
    """

    __slots__ = ("_fields",)
    _fields: dict[str, FloatArray]

    def __init__(self, fields: Mapping[str, FloatArray]) -> None:
        if not fields:
            raise ValueError("a State needs at least one field")
        sizes = {len(values) for values in fields.values()}
        if len(sizes) != 1:
            raise ValueError(f"fields must have one number of simulations, got {sorted(sizes)}")
        for values in fields.values():
            values.flags.writeable = False
        object.__setattr__(self, "_fields", dict(fields))

    @property
    def fields(self) -> Mapping[str, FloatArray]:
        """The arrays by name, read-only."""
        return MappingProxyType(self._fields)

    @property
    def n_sims(self) -> int:
        """How many simulations."""
        return len(next(iter(self._fields.values())))

    def take(self, ids: NDArray[np.integer] | NDArray[np.bool_] | slice) -> State:
        """Return a copy of some simulations: indices, a mask ``(N,)`` or a slice."""
        return State({name: values[ids].copy() for name, values in self._fields.items()})

    def __getattr__(self, name: str) -> FloatArray:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._fields[name]
        except KeyError:
            hint = hint_closest(name, self._fields)
            raise AttributeError(f"the state has no field {name!r}{hint}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a State is read-only: {name!r} cannot be set")

    def __dir__(self) -> list[str]:
        return sorted([*self._fields, "fields", "n_sims", "take"])

    def __reduce__(self) -> tuple[type[State], tuple[dict[str, FloatArray]]]:
        return State, (self._fields,)

    def __repr__(self) -> str:
        return f"State({self.n_sims} simulations: {', '.join(self._fields)})"


@dataclass(frozen=True)
class Transition:
    """One step of N simulations: ``action`` (N, n_actions), ``terminated`` (N,) bool."""

    state: State
    action: NDArray[Any]
    next_state: State
    terminated: NDArray[Any]

    def take(self, ids: NDArray[Any]) -> Transition:
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
