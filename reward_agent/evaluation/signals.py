"""Signals of an episode, and how near they are to what is asked: the stuff of generic metrics."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from reward_agent.errors import DataError, hint_closest

if TYPE_CHECKING:  # which offers metrics made of these
    from reward_agent.evaluation.metrics import Episode

FloatArray = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Times and credits are compared up to rounding.
EPSILON = 1e-9


def read_scalar(episode: Episode, name: str) -> FloatArray:
    """Return a field, or an entry of a vector as ``torso_velocity[0]``, ``(T,)``.

    Raises:
        DataError: there is none of that name, or it is no single number.
    """
    match = re.fullmatch(r"(\w+)\[(\d+)\]", name)
    values = _read(episode, match[1] if match else name)
    size = values.shape[1] if values.ndim > 1 else 1
    if match and values.ndim > 1 and int(match[2]) < size:
        return values[:, int(match[2])]
    if values.ndim == 1 and not match:
        return values
    field = match[1] if match else name
    raise DataError(
        f"the metric takes {name!r} for one number, {field!r} has {size}",
        "name a scalar field, or an entry of a vector: NAME[0]",
    )


def read_columns(episode: Episode, name: str) -> FloatArray:
    """Return a field as ``(T, k)``.

    Raises:
        DataError: there is none of that name.
    """
    values = _read(episode, name)
    return values.reshape(len(values), -1)


def read_asked(episode: Episode, value: float | None, command: str | None) -> FloatArray:
    """Return what is asked for at each state, ``(T,)``."""
    if command is not None:
        return read_scalar(episode, command)
    assert value is not None
    return np.full(episode.n_steps + 1, float(value))


def grade(error: FloatArray, full: float | FloatArray, none: float | FloatArray) -> FloatArray:
    """Return 1 where an error is at most ``full``, falling linearly to 0 at ``none``."""
    return np.asarray(np.clip((none - error) / np.maximum(none - full, 1e-12), 0.0, 1.0))


def find_first(error: FloatArray, asked: FloatArray, within: float) -> FloatArray:
    """Return ``(T,)``: the error when what is asked was asked; twice ``within`` if it was near."""
    changes = np.concatenate([[False], np.diff(asked) != 0])
    first = error[np.maximum.accumulate(np.where(changes, np.arange(len(asked)), 0))]
    return np.where(first > within, first, 2 * within)


def average_last(values: FloatArray, seconds: float, episode: Episode) -> FloatArray:
    """Return ``(T,)``: the mean over the last ``seconds``; infinity before there were so many."""
    return _slide(values, max(count_steps(seconds, episode), 1), np.mean)


def find_worst(values: FloatArray, seconds: float, episode: Episode) -> FloatArray:
    """Return ``(T,)``: the largest of the last ``seconds``; infinity before there were so many."""
    return _slide(values, count_steps(seconds, episode) + 1, np.max)


def measure_speed(values: FloatArray, seconds: float, episode: Episode) -> FloatArray:
    """Return ``(T, k)``: how fast columns change, on average of the last ``seconds``."""
    steps = np.abs(np.diff(values, axis=0, prepend=values[:1])) / episode.control_dt
    n = max(count_steps(seconds, episode), 1)
    sums = np.cumsum(np.concatenate([np.zeros((n, steps.shape[1])), steps]), axis=0)
    return np.asarray((sums[n:] - sums[:-n]) / n)


def measure_longest(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true flags."""
    return int(np.max(_count_run(flags), initial=0))


def always(flags: ArrayLike, last: float | None = None) -> Flags:
    """Return where it has been so in each of the ``last`` rows up to this; None: in all."""
    run = _count_run(_read_flags(flags))
    return np.asarray(run >= (_number_rows(run) if last is None else max(round(last), 1)))


def eventually(flags: ArrayLike, last: float | None = None) -> Flags:
    """Return where it has been so in one of the ``last`` rows up to this; None: in any."""
    missing = _count_run(~_read_flags(flags))
    rows = _number_rows(missing)
    return np.asarray(missing < (rows if last is None else np.minimum(rows, max(round(last), 1))))


def until(flags: ArrayLike, release: ArrayLike) -> Flags:
    """Return where ``release`` has come, and ``flags`` were so in each row before it first did."""
    released = eventually(release)
    return released & always(_read_flags(flags) | released)


def in_order(*conditions: ArrayLike) -> NDArray[np.intp]:
    """Return how many have come true by each row, each in a later row than the one before."""
    passed = np.zeros((len(conditions), *np.shape(conditions[0])), dtype=bool)
    for k, flags in enumerate(map(_read_flags, conditions)):
        passed[k] = flags
        if k:
            passed[k, 0] = False
            passed[k, 1:] &= passed[k - 1, :-1]
        passed[k] = eventually(passed[k])
    return np.asarray(passed.sum(axis=0))


def _read_flags(flags: ArrayLike) -> Flags:
    return np.asarray(flags) > 0.5


def _count_run(flags: Flags) -> NDArray[np.intp]:
    """Return for how many rows, up to each, flags have been true, (T,) or (T, worlds)."""
    rows = _number_rows(flags)
    return np.asarray(rows - np.maximum.accumulate(np.where(flags, 0, rows), axis=0))


def _number_rows(values: NDArray[Any]) -> NDArray[np.intp]:
    """Return 1, 2, … down the rows."""
    return np.arange(1, len(values) + 1).reshape(-1, *[1] * (values.ndim - 1))


def find_flights(is_on_floor: NDArray[np.bool_], n_stance: int) -> list[tuple[int, int]]:
    """Return (first row in the air, first after) of flights that follow ``n_stance`` rows."""
    changes = np.flatnonzero(np.diff(is_on_floor)) + 1
    edges = [0, *changes.tolist(), len(is_on_floor)]
    return [
        (start, end)
        for before, start, end in zip(edges, edges[1:], edges[2:], strict=False)
        if not is_on_floor[start] and start - before >= n_stance
    ]


def _slide(values: FloatArray, n: int, function: Callable[..., FloatArray]) -> FloatArray:
    filled = np.full(len(values), np.inf)
    if len(values) >= n:
        filled[n - 1 :] = function(sliding_window_view(values, n), axis=-1)
    return filled


def count_steps(seconds: float, episode: Episode) -> int:
    """Return how many control steps there are in so many s."""
    return round(seconds / episode.control_dt)


def _read(episode: Episode, name: str) -> FloatArray:
    values = episode.fields.get(name)
    if values is None:
        raise DataError(
            f"the metric reads a field {name!r}, which the environment has not"
            f"{hint_closest(name, episode.fields)}",
            f"its fields: {', '.join(episode.fields)}",
        )
    return values
