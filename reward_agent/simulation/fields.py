"""The fields of a card over N simulations, whatever simulates them.

A back end compiles the leaves of a source, what it measures itself; functions, indices and the
ranges outside of which an episode ends are here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import Call, Indexed, Source, parse_source
from reward_agent.errors import DataError
from reward_agent.simulation.state import FloatArray, State

# Returns (N,) or (N, …): live memory of the back end or a fresh array. Copy it before keeping it.
Reader: TypeAlias = Callable[[], FloatArray]
CompileLeaf: TypeAlias = Callable[[Source], Reader]


def list_needed(card: EnvCard, fields: Collection[str] | None) -> list[str]:
    """Return the fields that a simulation reads: those asked for, all if None, and its own."""
    names = [field.name for field in card.fields] if fields is None else fields
    return list(dict.fromkeys([*names, "observation", *(r.field for r in card.termination)]))


class Fields:
    """What a card measures of N simulations, and its healthy ranges, compared all at once.

    Args:
        card: the environment.
        n_sims: number of simulations N.
        names: of the fields that ``read_state`` returns; None for all of the card.
        compile_leaf: compiles what the back end itself measures.

    Raises:
        UnknownNameError: ``names`` holds one that the card has not.
        DataError: a leaf is unknown to the back end, or a size is not that of the card.
    """

    def __init__(
        self,
        card: EnvCard,
        n_sims: int,
        names: Collection[str] | None,
        compile_leaf: CompileLeaf,
    ) -> None:
        readers = {
            name: compile_field(card, card.field(name), compile_leaf)
            for name in list_needed(card, names)
        }
        self._read_observation = readers["observation"]
        chosen = [field.name for field in card.fields] if names is None else dict.fromkeys(names)
        self._readers = {name: readers[name] for name in chosen}
        self._set_ranges(card, n_sims, readers)

    @property
    def observation(self) -> FloatArray:
        """What the policy sees, ``(N, observation_size)``, a copy."""
        return _copy(self._read_observation)

    def read_state(self) -> State:
        """Return the fields, in fresh arrays that are safe to keep."""
        return State({name: _copy(read) for name, read in self._readers.items()})

    def find_left(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: which simulations are not within every healthy range; NaN is not."""
        return np.asarray(self._find_outside().any(axis=1))

    def name_left(self, sim: int) -> str | None:
        """Return the first field whose healthy range a simulation has left, or None."""
        is_outside = self._find_outside()[sim]
        return self._columns[int(is_outside.argmax())] if is_outside.any() else None

    def _set_ranges(self, card: EnvCard, n_sims: int, readers: dict[str, Reader]) -> None:
        """Lay the fields that have a range side by side in K columns."""
        ranges = card.termination
        sizes = [card.field(bounds.field).size or 1 for bounds in ranges]
        ends = [0, *np.cumsum(sizes, dtype=int).tolist()]
        self._limited = [
            (readers[bounds.field], slice(start, end))
            for bounds, (start, end) in zip(ranges, pairwise(ends), strict=True)
        ]
        self._columns = [
            bounds.field for bounds, n in zip(ranges, sizes, strict=True) for _ in range(n)
        ]
        low = [-np.inf if bounds.min is None else bounds.min for bounds in ranges]
        high = [np.inf if bounds.max is None else bounds.max for bounds in ranges]
        repeats = np.array(sizes, dtype=int)
        self._low, self._high = np.repeat(low, repeats), np.repeat(high, repeats)
        self._values = np.empty((n_sims, ends[-1]))

    def _find_outside(self) -> NDArray[np.bool_]:
        """Return ``(N, K)``: which values are not within their range."""
        values = self._values
        for read, part in self._limited:
            values[:, part] = read().reshape(len(values), -1)
        # Infinity is outside a range without a bound, too: it is no number to go on with.
        is_inside = (values > self._low) & (values < self._high)
        is_outside: NDArray[np.bool_] = ~is_inside
        return is_outside


def compile_field(card: EnvCard, field: StateField, compile_leaf: CompileLeaf) -> Reader:
    """Compile the source of a field to a reader of ``(N,)`` or ``(N, k)``.

    Raises:
        DataError: a leaf is unknown to the back end, or the size is not that of the card.
    """
    try:
        read = _flatten(compile_expression(parse_source(field.source), compile_leaf))
    except DataError as error:
        raise blame_field(card, field.name, error) from error
    size = read().shape[1] if read().ndim > 1 else None
    if size == field.size:
        return read
    wrong = DataError(
        f"the card gives size {field.size or 'none (a scalar)'}, the model gives "
        f"{size or 'a scalar'}",
        "correct the size, or index the source",
    )
    raise blame_field(card, field.name, wrong)


def compile_expression(source: Source, compile_leaf: CompileLeaf) -> Reader:
    """Compile a source to a reader.

    Raises:
        DataError: a leaf is unknown to the back end, or an index is out of range.
    """
    if isinstance(source, Call):
        readers = [compile_expression(part, compile_leaf) for part in source.sources]
        return _FUNCTIONS[source.function](readers, source.numbers)
    if isinstance(source, Indexed):
        return _compile_indexed(source, compile_leaf)
    return compile_leaf(source)


def blame_field(card: EnvCard, field: str, error: DataError) -> DataError:
    """Return the error with the environment and the field that it is about."""
    message = f"environment {card.name!r}, field {field!r}: {error.message}"
    return DataError(message, error.remedy)


def make_constant(values: FloatArray) -> Reader:
    """Read an array that is refreshed in place."""
    return lambda: values


def _copy(read: Reader) -> FloatArray:
    """Return what a reader reads now, in an array that is safe to keep."""
    return np.array(read(), dtype=np.float64, order="C")


def _flatten(read: Reader) -> Reader:
    if read().ndim <= 2:
        return read
    return lambda: read().reshape(len(read()), -1)


def _compile_indexed(source: Indexed, compile_leaf: CompileLeaf) -> Reader:
    read, index = compile_expression(source.source, compile_leaf), source.index
    width: int = read().shape[1] if read().ndim > 1 else 0
    if isinstance(index, int):
        if not -width <= index < width:
            raise DataError(f"index {index} is out of range: there are {width} entries")
    elif not range(width)[index]:
        raise DataError(f"[{index.start}:{index.stop}] is empty: there are {width} entries")
    return lambda: read()[:, index]


_Function: TypeAlias = Callable[[list[Reader], tuple[float, ...]], Reader]


def _map(function: Callable[..., FloatArray], readers: list[Reader], _: object) -> Reader:
    return lambda: function(*(read() for read in readers))


def _clip(readers: list[Reader], numbers: tuple[float, ...]) -> Reader:
    (read,), (low, high) = readers, numbers
    return lambda: np.clip(read(), low, high)


def _concatenate(*parts: FloatArray) -> FloatArray:
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _norm(vector: FloatArray) -> FloatArray:
    length: FloatArray = np.sqrt(np.sum(np.square(vector), axis=-1))
    return length


_FUNCTIONS: dict[str, _Function] = {
    "clip": _clip,
    "concat": partial(_map, _concatenate),
    "cos": partial(_map, np.cos),
    "norm": partial(_map, _norm),
    "sin": partial(_map, np.sin),
    "subtract": partial(_map, np.subtract),
}
