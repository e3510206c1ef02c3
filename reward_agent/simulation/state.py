"""What a reward function sees: a read-only view of N parallel simulations."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from reward_agent.errors import find_closest_name

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
            closest = find_closest_name(name, self._fields)
            hint = f"; did you mean {closest!r}?" if closest else ""
            raise AttributeError(f"the state has no field {name!r}{hint}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a State is read-only: {name!r} cannot be set")

    def __dir__(self) -> list[str]:
        return sorted([*self._fields, "fields", "n_sims", "take"])

    def __reduce__(self) -> tuple[type[State], tuple[dict[str, FloatArray]]]:
        return State, (self._fields,)

    def __repr__(self) -> str:
        return f"State({self.n_sims} simulations: {', '.join(self._fields)})"
