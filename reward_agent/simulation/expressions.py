"""Sources compiled to functions that read many simulations at once, whatever simulates them.

A back end compiles the leaves of a source, what it measures itself; functions and indices are here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import Call, Indexed, Source, parse_source
from reward_agent.errors import DataError
from reward_agent.simulation.state import FloatArray

# Returns (N,) or (N, …): live memory of the back end or a fresh array. Copy it before keeping it.
Reader: TypeAlias = Callable[[], FloatArray]
CompileLeaf: TypeAlias = Callable[[Source], Reader]


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


def copy_values(read: Reader) -> FloatArray:
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
