"""N simulations of a card side by side: what every back end's has in common.

A back end moves them, and compiles the leaves of a source, what it measures itself; fields, their
functions and indices, and the ranges outside of which an episode ends are here.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import Call, Indexed, Measure, Source, parse_source
from reward_agent.errors import DataError
from reward_agent.simulation.measures import (
    measure_pitch,
    measure_roll,
    measure_rotation,
    measure_yaw,
    turn_level,
    turn_local,
)
from reward_agent.simulation.state import FloatArray, State
from reward_agent.types import Finding, Severity

# Returns (N,) or (N, …): live memory of the back end or a fresh array. Copy it before keeping it.
Reader: TypeAlias = Callable[[], FloatArray]
CompileLeaf: TypeAlias = Callable[[Source], Reader]
# Puts some of the simulations whose episodes have just begun elsewhere, as a training may ask for.
Starter: TypeAlias = Callable[[NDArray[np.int32]], None]

_MOST_SHOWN_CHARS = 100


class Simulation(ABC):
    """N simulations of a card; call ``reset`` before the first ``step``.

    Simulation i draws from a generator of its own, seeded ``seed + i``. ``ids`` are sorted numbers
    of simulations, or a mask ``(N,)``; None means all. A back end calls this class's initialiser
    once its leaves can be compiled, and says in ``end_reason`` what ``find_stuck`` means.

    Args:
        card: the environment.
        n_sims: number of simulations N.
        fields: names of the fields that ``read_state`` returns; None for all of the card. Fewer
            are faster.

    Raises:
        UnknownNameError: ``fields`` names one that the card has not.
        DataError: the card does not fit what is simulated.
    """

    end_reason: ClassVar[str] = "cannot go on"
    starter: Starter | None = None
    # Whether find_stuck means that episodes have ended, not that the physics have failed.
    ends_by_itself: ClassVar[bool] = False

    def __init__(self, card: EnvCard, n_sims: int, fields: Collection[str] | None) -> None:
        self.card, self.n_sims = card, n_sims
        self._expressions = Expressions(self.compile_leaf)
        readers = {
            name: compile_field(card, card.field(name), self._expressions)
            for name in list_needed(card, fields)
        }
        self._read_observation = readers["observation"]
        names = [field.name for field in card.fields] if fields is None else fields
        self._all_readers = self._field_readers = {name: readers[name] for name in names}
        self._set_ranges(readers)

    @abstractmethod
    def compile_leaf(self, source: Source) -> Reader:
        """Compile what the back end measures itself: an array, an attribute, or a measure.

        Raises:
            DataError: there is nothing of that name.
        """

    @abstractmethod
    def begin(self, ids: NDArray[np.int32]) -> None:
        """Start new episodes in some simulations, at least one."""

    @abstractmethod
    def advance(self, action: FloatArray, ids: ArrayLike | None) -> None:
        """Advance some simulations by one control step.

        The action ``(N, n_actions)`` is finite; it is clipped to what the actuators can do.
        """

    @property
    def qpos(self) -> FloatArray:
        """Positions ``(N, nq)`` to draw, a copy; ``(N, 0)`` where an episode is played again."""
        return np.zeros((self.n_sims, 0))

    @property
    def pose(self) -> FloatArray:
        """What a picture is drawn from, ``(N, n)``, a copy: qpos, where nothing else differs."""
        return self.qpos

    def scatter(self) -> bool:
        """Put the simulations into states that no motion need lead to; False if it cannot."""
        return False

    def hold_pose(self) -> Reader:
        """Return what gives actions ``(N, n_actions)`` that hold the pose the robots have now.

        By default no action, the nearest that the range has to it.
        """
        low, high = self.card.action_range
        nothing = np.full((self.n_sims, self.card.n_actions), np.clip(0.0, low, high))
        return make_constant(nothing)

    def go_limp(self, ids: NDArray[np.int32]) -> bool:
        """Take the force from all actuators until the end; False if it cannot."""
        return False

    def tip_over(self, ids: NDArray[np.int32]) -> bool:
        """Tip the robots over where they stand, each as far as no episode ends; False if it cannot.

        They fall in turn in each direction that they can.
        """
        return False

    def measure_links(self) -> dict[str, float]:
        """Return the length of each link, m, from joint to joint or to its end; {} if unknown."""
        return {}

    def find_limits(self, field: StateField) -> tuple[float, float] | None:
        """Return the range that the model itself gives what a field measures; None if none."""
        return None

    def find_stuck(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: which simulations cannot go on until they are reset."""
        return np.zeros(self.n_sims, dtype=bool)

    def find_truncated(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: which the back end itself has cut off by time, as no termination is."""
        return np.zeros(self.n_sims, dtype=bool)

    @property
    def observation(self) -> FloatArray:
        """What the policy sees, ``(N, observation_size)``, a copy."""
        return _copy(self._read_observation)

    def put_fields(self, ids: NDArray[np.int32], values: Mapping[str, FloatArray]) -> None:
        """Put simulations into states whose fields have these values, (len(ids), k) each.

        ``qpos`` and ``qvel`` are all positions and all velocities, as ``physics`` has them.

        Raises:
            DataError: the back end cannot, or a field is none that it could set.
        """
        raise self._refuse_state()

    def find_keyframe(self, name: str) -> dict[str, FloatArray]:
        """Return what ``put_fields`` takes, one row, of a keyframe of the model.

        Raises:
            DataError: there is none of that name.
        """
        raise self._refuse_state()

    def list_keyframes(self) -> list[str]:
        """Return the names of the model's keyframes."""
        return []

    @property
    def physics(self) -> dict[str, FloatArray]:
        """What ``put_fields`` puts each simulation back by, copies; {} where it cannot."""
        return {}

    def _refuse_state(self) -> DataError:
        what = f"{self.card.name} is simulated by what cannot begin in a state that is given"
        return DataError(what, "leave STARTS and starts out")

    def reset(self, ids: ArrayLike | None = None) -> None:
        """Start new episodes."""
        chosen = list_ids(ids, self.n_sims)
        if len(chosen):
            self.begin(chosen)
            if self.starter is not None:
                self.starter(chosen)
            self._expressions.values.clear()

    def step(self, action: ArrayLike, ids: ArrayLike | None = None) -> None:
        """Advance by one control step.

        The action is ``(N, n_actions)`` in the card's ``action_range``; beyond it is clipped, rows
        of simulations that are not stepped are ignored.

        Raises:
            ValueError: the action has another shape, or is not finite.
        """
        values, shape = np.asarray(action, dtype=np.float64), (self.n_sims, self.card.n_actions)
        if values.shape != shape:
            raise ValueError(f"action must have shape {shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("action must be finite: the policy returned NaN or infinity")
        self.advance(values, ids)
        self._expressions.values.clear()

    def read_state(self) -> State:
        """Return the fields of all simulations, in fresh arrays that are safe to keep."""
        return State({name: _copy(read) for name, read in self._field_readers.items()})

    def show(self, fields: Collection[str] | None) -> None:
        """Have ``read_state`` return some of the fields only, until it is told otherwise.

        What is not shown need not be measured. None shows all.
        """
        names = self._all_readers if fields is None else fields
        self._field_readers = {name: self._all_readers[name] for name in names}

    def find_terminated(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: which have left a healthy range, or cannot go on; NaN is not healthy."""
        return self.find_stuck() | self._find_outside().any(axis=1)

    def termination_reason(self, sim: int) -> str | None:
        """Return why a simulation has terminated: the field whose range it has left, or another."""
        if self.find_stuck()[sim]:
            return self.end_reason
        is_outside = self._find_outside()[sim]
        return self._range_names[int(is_outside.argmax())] if is_outside.any() else None

    def _set_ranges(self, readers: dict[str, Reader]) -> None:
        """Lay the fields that have a healthy range side by side in K columns."""
        ranges = self.card.termination
        sizes = [self.card.field(bounds.field).size or 1 for bounds in ranges]
        ends = [0, *np.cumsum(sizes, dtype=int).tolist()]
        self._range_readers = [
            (readers[bounds.field], slice(start, end))
            for bounds, (start, end) in zip(ranges, pairwise(ends), strict=True)
        ]
        columns = [bounds for bounds, n in zip(ranges, sizes, strict=True) for _ in range(n)]
        self._range_names = [bounds.field for bounds in columns]
        self._range_low = np.array([-np.inf if b.min is None else b.min for b in columns])
        self._range_high = np.array([np.inf if b.max is None else b.max for b in columns])
        self._range_values = np.empty((self.n_sims, ends[-1]))

    def _find_outside(self) -> NDArray[np.bool_]:
        """Return ``(N, K)``: which values are not within their range."""
        values = self._range_values
        for read, part in self._range_readers:
            values[:, part] = read().reshape(len(values), -1)
        # Infinity is outside a range without a bound, too: it is no number to go on with.
        return np.asarray(~((values > self._range_low) & (values < self._range_high)))


def count_steps(most: int, most_s: float) -> Iterator[int]:
    """Yield 0, 1, … below ``most``, and no more once so many seconds have passed."""
    began = time.monotonic()
    for step in range(most):
        if step and time.monotonic() - began > most_s:
            return
        yield step


def draw_actions(card: EnvCard, generator: np.random.Generator, n_rows: int) -> FloatArray:
    """Return random actions ``(n_rows, n_actions)``, each as likely as any other."""
    if card.choices:
        return generator.integers(card.n_choices, size=(n_rows, card.n_actions)).astype(float)
    return generator.uniform(*card.action_range, size=(n_rows, card.n_actions))


def list_needed(card: EnvCard, fields: Collection[str] | None) -> list[str]:
    """Return the fields that a simulation reads: those asked for, all if None, and its own."""
    names = [field.name for field in card.fields] if fields is None else fields
    return list(dict.fromkeys([*names, "observation", *(r.field for r in card.termination)]))


def list_ids(ids: ArrayLike | None, n_sims: int) -> NDArray[np.int32]:
    """Return the numbers of the simulations that numbers, a mask ``(N,)`` or None (all) mean."""
    if ids is None:
        return np.arange(n_sims, dtype=np.int32)
    chosen = np.asarray(ids)
    if chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    return chosen.astype(np.int32)


def compile_field(card: EnvCard, field: StateField, expressions: Expressions) -> Reader:
    """Compile the source of a field to a reader of ``(N,)`` or ``(N, k)``.

    Raises:
        DataError: a leaf is unknown to the back end, or the size is not that of the card.
    """
    try:
        whole = expressions.compile(parse_source(field.source))
    except DataError as error:
        raise blame_field(card, field.name, error) from error
    read = whole if whole().ndim <= 2 else lambda: whole().reshape(len(whole()), -1)
    size = read().shape[1] if read().ndim > 1 else None
    if size == field.size:
        return read
    wrong = DataError(
        f"the card gives size {field.size or 'none (a scalar)'}, the model gives "
        f"{size or 'a scalar'}",
        "correct the size, or index the source",
    )
    raise blame_field(card, field.name, wrong)


class Expressions:
    """Compiles sources; what one reads is computed once until the simulations change.

    Args:
        compile_leaf: what compiles a measurement of the back end.
        functions: by name; each is given what its sources read, then its numbers.

    Attributes:
        values: what was computed; clear it when the simulations have changed.
    """

    def __init__(
        self, compile_leaf: CompileLeaf, functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self._compile_leaf, self._functions = compile_leaf, functions or FUNCTIONS
        self._readers: dict[str, Reader] = {}
        self.values: dict[str, FloatArray] = {}

    def compile(self, source: Source) -> Reader:
        """Compile a source to a reader; equal ones share it.

        Raises:
            DataError: a leaf is unknown to the back end, or an index is out of range.
        """
        key = repr(source)
        if key not in self._readers:
            read = self._compile_new(source)
            is_computed = isinstance(source, Call | Measure)
            self._readers[key] = self._keep(key, read) if is_computed else read
        return self._readers[key]

    def _keep(self, key: str, read: Reader) -> Reader:
        values = self.values

        def read_once() -> FloatArray:
            if key not in values:
                values[key] = read()
            return values[key]

        return read_once

    def _compile_new(self, source: Source) -> Reader:
        if isinstance(source, Call):
            readers = [self.compile(part) for part in source.sources]
            _check_sizes(source.function, [read().shape[1:] for read in readers])
            function, numbers = self._functions[source.function], source.numbers
            return lambda: function(*(read() for read in readers), *numbers)
        if isinstance(source, Indexed):
            return _compile_indexed(self.compile(source.source), source.index)
        return self._compile_leaf(source)


def blame_field(card: EnvCard, field: str, error: DataError) -> DataError:
    """Return the error with the environment and the field that it is about, and its source."""
    source = card.field(field).source
    shown = source if len(source) <= _MOST_SHOWN_CHARS else f"{source[:_MOST_SHOWN_CHARS]}…"
    message = f"environment {card.name!r}, field {field!r} ({shown}): {error.message}"
    return DataError(message, error.remedy)


def make_finding(what: str, message: str, remedy: str, severity: Severity = "warning") -> Finding:
    """Return a finding on a card; with an error it is of no use to train."""
    return Finding(rule=f"card/{what}", severity=severity, message=message, remedy=remedy)


def show_range(limits: tuple[float, float] | FloatArray) -> str:
    """Write a range as findings show it."""
    return f"{limits[0]:.4g}..{limits[1]:.4g}"


def make_constant(values: FloatArray) -> Reader:
    """Read an array that is refreshed in place."""
    return lambda: values


def _copy(read: Reader) -> FloatArray:
    """Return what a reader reads now, in an array that is safe to keep."""
    return np.array(read(), dtype=np.float64, order="C")


def _compile_indexed(read: Reader, index: int | slice) -> Reader:
    width: int = read().shape[1] if read().ndim > 1 else 0
    if isinstance(index, int):
        if not -width <= index < width:
            raise DataError(f"index {index} is out of range: there are {width} entries")
    elif not range(width)[index]:
        raise DataError(f"[{index.start}:{index.stop}] is empty: there are {width} entries")
    return lambda: read()[:, index]


def _check_sizes(function: str, sizes: list[tuple[int, ...]]) -> None:
    """Refuse what a function cannot take, or would take in a way that depends on N."""
    shown = " and ".join(str(size[0]) if size else "a scalar" for size in sizes)
    if function in ("add", "subtract") and len(set(sizes)) > 1:
        raise DataError(f"{function} takes two of one size, is given {shown}", "index the longer")
    if function == "norm" and not sizes[0]:
        raise DataError(f"norm takes a vector, is given {shown}", "leave the norm out")
    if function in ("level", "local") and sizes[1] != (3,):
        shown = shown.split(" and ")[1]
        raise DataError(f"{function} takes a vector of 3, is given {shown}", "index it")


def _concatenate(*parts: FloatArray) -> FloatArray:
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _norm(vector: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.sum(np.square(vector), axis=-1)))


# Each is given what its sources read, then its numbers.
FUNCTIONS: dict[str, Callable[..., FloatArray]] = {
    "add": np.add,
    "clip": np.clip,
    "concat": _concatenate,
    "cos": np.cos,
    "level": turn_level,
    "local": turn_local,
    "norm": _norm,
    "pitch": measure_pitch,
    "relative": measure_rotation,
    "roll": measure_roll,
    "scale": np.multiply,
    "sin": np.sin,
    "subtract": np.subtract,
    "yaw": measure_yaw,
}
