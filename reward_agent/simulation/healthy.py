"""The ranges of a card outside of which an episode ends."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.simulation.expressions import Reader


class HealthyRanges:
    """The healthy ranges of a card, compared all at once.

    Args:
        card: whose ``termination`` they are.
        n_sims: number of simulations N.

    Attributes:
        fields: the field of each of the K columns that are compared.
    """

    def __init__(self, card: EnvCard, n_sims: int) -> None:
        sizes = [card.field(bounds.field).size or 1 for bounds in card.termination]
        ends = [0, *np.cumsum(sizes, dtype=int).tolist()]
        self._columns = [
            (bounds.field, slice(start, end))
            for bounds, (start, end) in zip(card.termination, pairwise(ends), strict=True)
        ]
        self.fields = [name for name, part in self._columns for _ in range(part.start, part.stop)]
        low = [-np.inf if bounds.min is None else bounds.min for bounds in card.termination]
        high = [np.inf if bounds.max is None else bounds.max for bounds in card.termination]
        repeats = np.array(sizes, dtype=int)
        self._low, self._high = np.repeat(low, repeats), np.repeat(high, repeats)
        self._values = np.empty((n_sims, ends[-1]))

    def find_left(self, readers: Mapping[str, Reader]) -> NDArray[np.bool_]:
        """Return ``(N, K)``: which values are not within their range; NaN is not."""
        values = self._values
        for name, part in self._columns:
            values[:, part] = readers[name]().reshape(len(values), -1)
        # Infinity is outside a range without a bound, too: it is no number to go on with.
        is_inside = (values > self._low) & (values < self._high)
        has_left: NDArray[np.bool_] = ~is_inside
        return has_left
