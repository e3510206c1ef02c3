"""Recorded episodes and their file: every field of the card over time, with the actions.

A file ``trajectories.npz`` (compressed, ``allow_pickle=False``) of E episodes, where episode e has
T_e states and T_e - 1 actions, all episodes end to end:

    starts         (E + 1,) int64     offsets into the states; the last is their number
    columns        (C, 4, sum T_e)    the four bytes of float32, all first bytes first
    field.<name>   () or (k,) int64   the columns that are the field, in the card's units
    action         (sum (T_e - 1), n_actions) float32
    terminated     (E,) bool          a field left its healthy range
    end            (E,) str           'truncated', or the field that ended the episode
    control_dt     () float64         seconds of one control step

Much of a state is said twice, such as an angle and its place in the observation, and the high bytes
of a smooth curve repeat: equal columns kept once, byte by byte, take less than half the room.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.tables import MOST_WORD_CHARS, find_odd_character
from reward_agent.errors import DataError
from reward_agent.evaluation.arrays import MAX_UNPACKED_BYTES, read_arrays
from reward_agent.evaluation.metrics import Episode
from reward_agent.files import write_atomic

# How an episode is said to end that no field ended.
TRUNCATED = "truncated"
# How one is that was cut off where nothing could change its score any more.
DECIDED = "decided"
_FIELD_PREFIX = "field."
_MOST_EPISODES = 100_000
_REMEDY = "delete the file and evaluate the policy again"


@dataclass(frozen=True)
class Trajectories:
    """Episodes end to end, as in the file; a field is ``(sum T_e[, k])`` float32.

    Raises:
        DataError: the arrays do not fit together.
    """

    starts: NDArray[np.int64]
    fields: Mapping[str, NDArray[np.float32]]
    action: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    ends: tuple[str, ...]
    control_dt: float

    def __post_init__(self) -> None:
        problem = _find_problem(self)
        if problem:
            raise DataError(f"trajectories: {problem}", _REMEDY)

    @property
    def n_episodes(self) -> int:
        """How many episodes."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Control steps of each episode, ``(E,)``."""
        return np.diff(self.starts) - 1

    def episode(self, index: int) -> Episode:
        """Return one episode; its arrays are copies in float64."""
        if not 0 <= index < self.n_episodes:
            raise IndexError(f"episode {index} of {self.n_episodes}")
        start, stop = int(self.starts[index]), int(self.starts[index + 1])
        # Each earlier episode has one action less than states.
        states, actions = slice(start, stop), slice(start - index, stop - index - 1)
        fields = {name: values[states] for name, values in self.fields.items()}
        return Episode(fields, self.action[actions], self.control_dt, bool(self.terminated[index]))

    def keep(self, n_episodes: int) -> Trajectories:
        """Return the first episodes only."""
        n_kept = min(n_episodes, self.n_episodes)
        n_states = int(self.starts[n_kept])
        return Trajectories(
            starts=self.starts[: n_kept + 1],
            fields={name: values[:n_states] for name, values in self.fields.items()},
            action=self.action[: n_states - n_kept],
            terminated=self.terminated[:n_kept],
            ends=self.ends[:n_kept],
            control_dt=self.control_dt,
        )

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        columns, places = _split_columns(self.fields)
        arrays = {f"{_FIELD_PREFIX}{name}": place for name, place in places.items()}
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            allow_pickle=False,
            starts=self.starts,
            columns=columns,
            action=self.action,
            terminated=self.terminated,
            end=np.array(self.ends, dtype=np.str_),
            control_dt=np.float64(self.control_dt),
            **arrays,
        )
        write_atomic(path, packed.getvalue())

    @classmethod
    def load(cls, path: Path) -> Trajectories:
        """Read a file.

        Raises:
            DataError: it is missing, not of this format, too large, or inconsistent.
        """
        try:
            arrays = read_arrays(path)
            return _assemble(arrays)
        except KeyError as error:
            raise DataError(f"{path}: array {error} is missing", _REMEDY) from error
        except DataError as error:
            what = error.message if str(path) in error.message else f"{path}: {error.message}"
            raise DataError(what, _REMEDY) from error

    def check_card(self, card: EnvCard) -> None:
        """Refuse a recording of something else than an environment.

        Raises:
            DataError: a field of the card is missing, or has another size.
        """
        for field in card.fields:
            values = self.fields.get(field.name)
            size = () if field.size is None else (field.size,)
            if values is None or values.shape[1:] != size:
                found = "missing" if values is None else f"{values.shape[1:]} a state"
                raise DataError(f"trajectories: field {field.name!r} is {found}", _REMEDY)


def make_trajectories(episodes: Sequence[Episode], ends: Sequence[str]) -> Trajectories:
    """Return episodes of one environment, end to end, and why each of them ended.

    Raises:
        DataError: there is none, or they do not have the same fields.
    """
    if not episodes:
        raise DataError("trajectories: no episode", "give at least one")
    names = [set(episode.fields) for episode in episodes]
    different = sorted({name for found in names for name in found ^ names[0]})
    if different:
        raise DataError(f"trajectories: not every episode has the fields {', '.join(different)}")
    counts = [episode.n_steps + 1 for episode in episodes]
    fields = {
        name: np.concatenate([episode.fields[name] for episode in episodes]).astype(np.float32)
        for name in episodes[0].fields
    }
    return Trajectories(
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        fields=fields,
        action=np.concatenate([episode.action for episode in episodes]).astype(np.float32),
        terminated=np.array([episode.terminated for episode in episodes], dtype=np.bool_),
        ends=tuple(ends),
        control_dt=episodes[0].control_dt,
    )


def join_trajectories(parts: Sequence[Trajectories]) -> Trajectories:
    """Return the episodes of several recordings of one environment as one.

    Raises:
        DataError: there is none, or they are not of the same environment.
    """
    if len({part.control_dt for part in parts}) > 1:
        raise DataError("trajectories: the recordings have different control steps")
    episodes = [part.episode(i) for part in parts for i in range(part.n_episodes)]
    return make_trajectories(episodes, [end for part in parts for end in part.ends])


def _split_columns(
    fields: Mapping[str, NDArray[np.float32]],
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.int64]]]:
    """Return the bytes ``(C, 4, n)`` of the columns that differ, and where each field has its."""
    known: dict[bytes, int] = {}
    places = {}
    for name, values in fields.items():
        columns = values.astype("<f4").reshape(len(values), -1).T
        found = [known.setdefault(column.tobytes(), len(known)) for column in columns]
        places[name] = np.array(found, dtype=np.int64).reshape(values.shape[1:])
    rows = np.frombuffer(b"".join(known), dtype=np.uint8).reshape(len(known), -1, 4)
    return rows.transpose(0, 2, 1), places


def _join_columns(columns: NDArray[np.uint8], place: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a field of ``_split_columns``: ``(n,)`` or ``(n, k)``."""
    if place.size and not 0 <= place.min() <= place.max() < len(columns):
        raise DataError(f"a field names a column beyond the {len(columns)} that are there")
    values: NDArray[np.float32] = np.ascontiguousarray(columns[place].swapaxes(-1, -2)).view("<f4")
    return values[..., 0].astype(np.float32).T


def _assemble(arrays: Mapping[str, NDArray[Any]]) -> Trajectories:
    """Return the trajectories that the arrays of a file describe."""
    columns = _expect(arrays, "columns", np.uint8)
    if columns.ndim != 3 or columns.shape[1] != 4:
        raise DataError(f"columns has shape {columns.shape}, expected (columns, 4, states)")
    places = {
        name.removeprefix(_FIELD_PREFIX): _expect(arrays, name, np.int64)
        for name in arrays
        if name.startswith(_FIELD_PREFIX)
    }
    # A column may be told again and again: the fields may be larger than the file.
    n_bytes = sum(place.size for place in places.values()) * columns[:1].size
    if n_bytes > MAX_UNPACKED_BYTES or not all(name.isidentifier() for name in places):
        raise DataError(f"its fields have {n_bytes} bytes, or names that no field has")
    fields = {name: _join_columns(columns, place) for name, place in places.items()}
    control_dt = _expect(arrays, "control_dt", np.float64)
    end = arrays["end"]
    if control_dt.shape != () or end.ndim != 1 or end.dtype.kind != "U":
        raise DataError("control_dt must be a number and end a list of words")
    if any(len(word) > MOST_WORD_CHARS or find_odd_character(word) for word in end.tolist()):
        raise DataError("end is not a list of words")
    return Trajectories(
        starts=_expect(arrays, "starts", np.int64),
        fields=fields,
        action=_expect(arrays, "action", np.float32),
        terminated=_expect(arrays, "terminated", np.bool_),
        ends=tuple(str(word) for word in end),
        control_dt=float(control_dt),
    )


def _expect(arrays: Mapping[str, NDArray[Any]], name: str, dtype: type) -> NDArray[Any]:
    array = arrays[name]
    if array.dtype != dtype:
        raise DataError(f"{name} is {array.dtype}, expected {np.dtype(dtype)}")
    return array


def _find_problem(given: Trajectories) -> str | None:
    """Return what does not fit together, or None."""
    starts = given.starts
    if starts.ndim != 1 or len(starts) < 2 or starts[0] != 0 or (np.diff(starts) < 1).any():
        return "starts must begin with 0 and rise: one more offset than episodes"
    if len(starts) > _MOST_EPISODES:
        return f"there are {len(starts) - 1} episodes, at most {_MOST_EPISODES} are read"
    n_states, n_episodes = int(starts[-1]), len(starts) - 1
    if not given.fields:
        return "there is no field"
    for name, values in given.fields.items():
        if values.ndim not in (1, 2) or len(values) != n_states:
            return f"field {name!r} has shape {values.shape}, expected {n_states} rows"
    if given.action.ndim != 2 or len(given.action) != n_states - n_episodes:
        return f"action has shape {given.action.shape}, expected {n_states - n_episodes} rows"
    if given.terminated.shape != (n_episodes,) or len(given.ends) != n_episodes:
        return f"terminated and end must have one entry for each of {n_episodes} episodes"
    if not 0 < given.control_dt < 10:
        return f"control_dt is {given.control_dt} s, expected a positive number of seconds"
    return None
