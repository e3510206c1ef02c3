"""The states that a program's ``starts(rng, n)`` draws, checked at every call. Child side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.start import DRAWN
from reward_agent.errors import hint_closest
from reward_agent.rewards.bounds import Reporting
from reward_agent.rewards.choices import list_settable
from reward_agent.rewards.contract import Array, ContractError, check_finite
from reward_agent.rewards.guards import check_value

_MOST_DRAWN = 1_000_000  # numbers of one call
_MOST = 1e6  # of a position or a velocity
_RULE = "contract/starts"


class Draws:
    """What ``starts`` draws with: three of a generator's methods, and nothing else of it."""

    __slots__ = ("_generator",)

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Draw numbers, each as likely as any other between two."""
        return self._generator.uniform(low, high, _check_size(size))

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Draw numbers around a mean, by their standard deviation."""
        return self._generator.normal(loc, scale, _check_size(size))

    def choice(self, a: Any, size: Any = None) -> Any:
        """Draw from the rows of an array, or from 0 to a - 1, each as likely as any other."""
        given = check_value("rng.choice", np.asarray(a))
        return self._generator.choice(given, _check_size(size))


def _check_size(size: Any) -> Any:
    """Return a shape that may be drawn."""
    numbers = size if isinstance(size, tuple | list) else (size,)
    if size is not None and prod(map(int, numbers)) > _MOST_DRAWN:
        message = f"size {str(size)[:40]} is more than {_MOST_DRAWN:,} numbers"
        raise ContractError(_RULE, message, "draw n rows: rng.uniform(low, high, n)")
    return size


def draw_states(
    functions: Mapping[str, Callable[..., Any]],
    card: EnvCard,
    n: int,
    generator: np.random.Generator,
) -> dict[str, Array]:
    """Return values (n, k) of the fields that a program draws.

    Raises:
        ContractError: it fails, or draws no n states of fields that can be set.
    """
    with np.errstate(all="ignore"), Reporting(DRAWN):
        drawn = functions[DRAWN](Draws(generator), n)
    if type(drawn) is not dict or not drawn:
        raise _refuse(f"it returned {type(drawn).__name__}; expected {{field: array ({n}, k)}}")
    return {name: _check_field(card, name, values, n) for name, values in drawn.items()}


def _check_field(card: EnvCard, name: object, values: object, n: int) -> Array:
    """Return the values (n, k) of a field; one row is every row's, as is one number."""
    known = list_settable(card)
    if name not in known:
        hint = hint_closest(str(name)[:80], known)
        raise _refuse(f"{str(name)[:80]!r} is no field that a state can be begun by{hint}")
    size = card.field(str(name)).size or 1
    if not isinstance(values, int | float | list | tuple | np.ndarray | np.generic):
        raise _refuse(f"{name} is a {type(values).__name__}; expected an array")
    try:
        array = np.asarray(values, dtype=np.float64)
        columns = array.reshape(n, size) if array.size == n * size else array
        rows = np.array(np.broadcast_to(columns, (n, size)))
    except (ValueError, TypeError):
        raise _refuse(f"{name} has another shape than ({n}, {size})") from None
    check_finite(f"{DRAWN}: {name}", rows)
    if np.abs(rows).max(initial=0.0) > _MOST:
        raise _refuse(f"{name} reaches {np.abs(rows).max():.3g}; at most {_MOST:g} is begun with")
    return rows


def _refuse(message: str) -> ContractError:
    remedy = f"return {{field: values}} of n rows each from {DRAWN}(rng, n)"
    return ContractError(_RULE, f"{DRAWN}: {message}", remedy)
