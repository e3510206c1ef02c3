"""N plain Gymnasium environments side by side, as columns of numbers.

This file imports NumPy and Gymnasium alone: it is also run as a script, in a Python that has not
this package, where ``serve`` takes the place of whoever calls ``EnvGroup``. For a draft it imports
there what watches an environment, which needs no more than that either.

What comes back from environment i is row i of ``EnvGroup.values``, whose columns have names:

    observation              all of it, in the order of ``gymnasium.spaces.flatten``: a Box row by
                             row, a Discrete as so many numbers of which one is 1, Dict and Tuple
                             part by part in their own order
    observation/KEY          a part of a Dict, of a Tuple by its number, and so on within
    observation/…/number     of a Discrete or MultiDiscrete part: its number, or numbers
    reward                   the environment's own, of the step that led here; 0 after a reset
    info/KEY                 a number, a flag (0 or 1) or an array of its info, KEY/KEY within;
                             0 in steps whose info lacks it
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib
import inspect
import json
import mmap
import os
import sys
import time
import traceback
import types
from typing import Any, Callable, Iterator, Sequence  # noqa: UP035  # of any Python

import gymnasium
import numpy as np
from gymnasium import spaces

OBSERVATION, REWARD, INFO, NUMBER = "observation", "reward", "info", "number"
MOST_NUMBERS = 10_000
# Longer than any episode: the card says how long one lasts.
_ENDLESS = 2**31 - 1
_SEEDS = 2**31 - 1
# Steps of random actions that tell which keys the info has, and after which seconds no more.
_N_TRIED, _TRIED_S = 5, 2.0
# A table of bytes that is larger is a picture.
_MOST_BYTES = 1000
_IMAGES = "images are not observed here"
_LESS = (
    "several at a time take more memory than a job may have: raise memory_mib (--memory-mib, or "
    "REWARD_AGENT_MEMORY_MIB), or have fewer n_envs"
)
_WRAP = "wrap the environment so that it observes numbers"
_OWN = "see the environment's own code"
_SEALED = "it runs sealed: without network, and it writes to no file outside of its job's folder"
_OLD = "have it return what Gymnasium's do"


class EnvError(Exception):
    """An environment that cannot be used; ``remedy`` says what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


def make_env(name: str, options: dict[str, Any], folder: str, is_drawn: bool = False) -> Any:
    """Make one environment: by an id, or by a function ``module:function``.

    Its own time limit is taken off an id; what a function returns is used as it is.

    Args:
        name: what makes it.
        options: arguments.
        folder: where modules are looked for first.
        is_drawn: whether ``render`` is to return pictures.

    Raises:
        EnvError: there is none, or it is no environment of numbers.
    """
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)
    module, colon, function = name.partition(":")
    drawn = {"render_mode": "rgb_array"} if is_drawn else {}
    try:
        if colon and function.isidentifier():
            make = getattr(importlib.import_module(module), function)
            takes = inspect.signature(make).parameters
            is_asked = "render_mode" in takes or any(
                p.kind is p.VAR_KEYWORD for p in takes.values()
            )
            env = make(**{**options, **(drawn if is_asked else {})})
        else:
            given = {"max_episode_steps": _ENDLESS, "disable_env_checker": True}
            env = gymnasium.make(name, **{**given, **options, **drawn})
    except Exception as error:  # of whoever wrote the environment
        is_large = isinstance(error, MemoryError) or "allocate memory" in str(error)
        raise EnvError(
            f"{name} cannot be made: {tell(error)}", _LESS if is_large else "correct model.id"
        ) from error
    _check_env(name, env)
    return env


def load_installed(name: str) -> None:
    """Import what makes the environment of an id, of installed packages alone.

    Some of it starts processes, which a sealed process could not. What fails fails again when the
    environment is made, and is told then; a person's own function is left to that time.
    """
    # What environments of MuJoCo import: glfw starts a process then.
    with contextlib.suppress(Exception):
        importlib.import_module("gymnasium.envs.mujoco.mujoco_rendering")
    module, _, rest = name.rpartition(":")
    if module and rest.isidentifier():
        return
    with contextlib.suppress(Exception):
        if module:
            importlib.import_module(module)
        made_by = gymnasium.spec(rest).entry_point
        if isinstance(made_by, str):
            importlib.import_module(made_by.partition(":")[0])


def tell(error: BaseException) -> str:
    """Return an error in one line; one without words with the line of code that raised it."""
    frames = [] if str(error) else traceback.extract_tb(error.__traceback__)
    if frames:
        last = frames[-1]
        return f"{type(error).__name__} in {last.filename}:{last.lineno}: {str(last.line)[:200]}"
    shown = "".join(char if char.isprintable() else " " for char in str(error))
    words = " ".join(shown.split())[:300]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def call(what: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call an environment's own code.

    Raises:
        EnvError: it fails, or would end the process; the message says what.
    """
    try:
        return function(*given, **named)
    except (Exception, SystemExit) as error:  # of whoever wrote the environment
        remedy = _SEALED if isinstance(error, PermissionError) else _OWN
        raise EnvError(f"its {what} failed: {tell(error)}", remedy) from error


def call_reset(what: str, env: Any, **given: Any) -> tuple[Any, Any]:
    """Begin an episode; return the observation and the info.

    Raises:
        EnvError: it fails, or returns something else.
    """
    returned = call(what, env.reset, **given)
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise _refuse_returned(what, returned, "observation, info")
    return returned[0], returned[1]


def call_step(what: str, env: Any, action: Any) -> tuple[Any, float, bool, bool, Any]:
    """Advance by a step; return observation, reward, terminated, truncated, info.

    Raises:
        EnvError: it fails, or returns something else.
    """
    returned = call(what, env.step, action)
    if not isinstance(returned, (tuple, list)) or len(returned) != 5:
        expected = "observation, reward, terminated, truncated, info"
        raise _refuse_returned(what, returned, expected)
    observation, reward, terminated, truncated, info = returned
    try:
        if isinstance(reward, np.ndarray):
            reward = reward.item()
        return observation, float(reward), bool(terminated), bool(truncated), info
    except (TypeError, ValueError) as error:
        message = f"its {what} returned no number as reward, or no flag as end: {tell(error)}"
        raise EnvError(message, _OLD) from error


def _refuse_returned(what: str, returned: Any, expected: str) -> EnvError:
    is_several = isinstance(returned, (tuple, list))
    shown = f"{len(returned)} values" if is_several else f"one {type(returned).__name__}"
    return EnvError(f"its {what} returned {shown} and not {expected}", _OLD)


def _check_env(name: str, env: Any) -> None:
    if hasattr(env, "possible_agents"):
        raise EnvError(f"{name} has several agents", "one policy acts here: wrap it for one")
    if not isinstance(env, gymnasium.Env):
        raise EnvError(f"{name} makes a {type(env).__name__}, no gymnasium.Env", _WRAP)
    inner = env
    while isinstance(inner, gymnasium.Wrapper):
        if type(inner).__name__ in ("Autoreset", "AutoResetWrapper"):
            raise EnvError(f"{name} begins its next episode by itself", "take its Autoreset off")
        inner = inner.env


class Columns:
    """What the columns of a row mean, and how an observation is written into them.

    ``write(observation, row)`` fills ``(width,)``, or of many at a time ``(N, width)``.
    """

    def __init__(self, name: str, space: Any) -> None:
        self.names: dict[str, tuple[int, int]] = {}  # start and size; size 0: one number
        self._numbers: list[tuple[str, int]] = []
        self.write, self.observation_size = self._lay(name, space, OBSERVATION, 0)
        if not 0 < self.observation_size <= MOST_NUMBERS:
            raise EnvError(f"{name} observes {self.observation_size} numbers", _WRAP)
        self.width = self.observation_size
        for path, size in self._numbers:
            self.add(path, size)

    def add(self, name: str, size: int) -> int:
        """Make room for so many numbers, 0 for one alone; return where it is."""
        start, self.width = self.width, self.width + max(size, 1)
        self.names[name] = (start, size)
        return start

    def _lay(
        self, name: str, space: Any, path: str, start: int
    ) -> tuple[Callable[[Any, Any], None], int]:
        """Return what writes a part, whose columns begin at ``start``, and its size."""
        if isinstance(space, (spaces.Dict, spaces.Tuple)):
            is_dict = isinstance(space, spaces.Dict)
            keys = list(space.spaces) if is_dict else list(range(len(space.spaces)))
            parts, at = [], start
            for key in keys:
                write, size = self._lay(name, space.spaces[key], f"{path}/{key}", at)
                parts.append((key, write))
                at += size
            self.names[path] = (start, at - start)
            return _write_parts(parts), at - start
        if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
            return self._lay_choices(space, path, start)
        if not isinstance(space, (spaces.Box, spaces.MultiBinary)):
            what = f"{path} of {name} is a {type(space).__name__}"
            raise EnvError(f"{what}, which is no fixed number of numbers", _WRAP)
        if _is_image(space):
            raise EnvError(f"{path} of {name} is an image {space.shape}: {_IMAGES}", _WRAP)
        size = int(np.prod(space.shape))
        self.names[path] = (start, size if space.shape else 0)
        return _write_numbers(start, size), size

    def _lay_choices(
        self, space: Any, path: str, start: int
    ) -> tuple[Callable[[Any, Any], None], int]:
        sizes, firsts = _list_choices(space)
        size = sum(sizes)
        self.names[path] = (start, size)
        at = len(self._numbers)
        number = f"{path}/{NUMBER}"
        self._numbers.append((number, 0 if isinstance(space, spaces.Discrete) else len(sizes)))
        offsets = start + np.cumsum([0, *sizes[:-1]])

        def write(value: Any, row: Any) -> None:
            if row.ndim > 1:
                for i, part in enumerate(row):
                    write(value[i], part)
                return
            given = np.ravel(value)
            row[start : start + size] = 0.0
            row[offsets + given.astype(int) - firsts] = 1.0
            place = self.names[self._numbers[at][0]][0]
            row[place : place + len(sizes)] = given

        return write, size


def _write_parts(parts: Sequence[tuple[Any, Any]]) -> Callable[[Any, Any], None]:
    def write(value: Any, row: Any) -> None:
        for key, write_part in parts:
            write_part(value[key], row)

    return write


def _write_numbers(start: int, size: int) -> Callable[[Any, Any], None]:
    def write(value: Any, row: Any) -> None:
        row[..., start : start + size] = np.asarray(value).reshape(*row.shape[:-1], size)

    return write


def _is_image(space: Any) -> bool:
    if not isinstance(space, spaces.Box) or len(space.shape) not in (2, 3):
        return False
    is_bytes = space.dtype == np.uint8 and int(np.prod(space.shape)) > _MOST_BYTES
    return bool(is_bytes or (len(space.shape) == 3 and space.shape[-1] in (1, 3, 4)))


def _list_choices(space: Any) -> tuple[list[int], Any]:
    """Return how many choices each number has, and the first of each."""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)], np.array([int(space.start)])
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape)), np.zeros(int(np.prod(space.shape)), int)
    sizes = [int(n) for n in np.ravel(space.nvec)]
    return sizes, np.ravel(getattr(space, "start", np.zeros(len(sizes), int))).astype(int)


class ActionForm:
    """What an environment's actions are, as numbers or as choices, from 0 each.

    Attributes:
        n_choices: of each action; () where actions are numbers.
        low, high: of each number.
        n_actions: how many.
    """

    def __init__(self, name: str, space: Any) -> None:
        self._space = space
        self.n_choices: list[int] = []
        self.low = self.high = np.zeros(0)
        if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            self.n_choices, self._firsts = _list_choices(space)
        elif isinstance(space, spaces.Box):
            self.low, self.high = (np.ravel(end).astype(float) for end in (space.low, space.high))
        else:
            raise EnvError(
                f"actions of {name} are a {type(space).__name__}",
                "an action here is numbers (Box) or choices (Discrete, MultiDiscrete, MultiBinary)",
            )
        self.n_actions = len(self.n_choices) or len(self.low)
        if not 0 < self.n_actions <= MOST_NUMBERS:
            raise EnvError(f"{name} has {self.n_actions} actions", "wrap it for others")

    def encode(self, action: Any) -> Any:
        """Return the numbers ``(n_actions,)`` of an action of the environment's own."""
        given = np.ravel(np.asarray(action, dtype=float))
        return given - self._firsts if self.n_choices else given

    def decode(self, rows: Any) -> Any:
        """Return what environments take for ``(N, n_actions)``, one after the other."""
        space = self._space
        if not self.n_choices:
            chosen = np.clip(rows, self.low, self.high)
            if space.dtype.kind in "iu":  # cut off, the highest would hardly ever be taken
                chosen = np.rint(chosen)
        else:
            last = np.array(self.n_choices) - 1
            chosen = np.clip(np.rint(rows).astype(int), 0, last) + self._firsts
        if isinstance(space, spaces.Discrete):
            return chosen[:, 0].tolist()
        return chosen.astype(space.dtype).reshape(len(rows), *space.shape)


class Readout:
    """What an environment returns, as a row of numbers.

    Args:
        name: of the environment, for errors.
        env: one, for its spaces.
        infos: paths into the info that are to be read, and their sizes, where nothing was seen.
        sizes: that were seen, 0 of a single number.
    """

    def __init__(self, name: str, env: Any, infos: dict[str, int], sizes: dict[str, int]) -> None:
        self.columns = Columns(name, env.observation_space)
        self._name, self._reward_at = name, self.columns.add(REWARD, 0)
        self._infos = [
            (path, path.partition("/")[2], self.columns.add(path, sizes.get(path, size)))
            for path, size in infos.items()
        ]
        self.seen: dict[str, int] = {}

    def write(self, row: Any, observation: Any, reward: Any, info: Any) -> None:
        """Write what a step or a reset returned into a row ``(width,)``.

        Raises:
            EnvError: the observation is another than its space says.
        """
        try:
            self.columns.write(observation, row)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            message = f"{self._name} observes something else than its space says: {tell(error)}"
            raise EnvError(message, "correct its observation_space") from error
        row[self._reward_at] = reward
        for path, own, start in self._infos:
            size = self.columns.names[path][1]
            part = row[start : start + max(size, 1)]
            found = _find(info, own)
            numbers = None if found is None else _read_numbers(found)
            part[:] = 0.0
            # Of an array of which a field reads an entry no more may be known than that it has it.
            if numbers is not None and (numbers.size == len(part) or numbers.size > size > 0):
                self.seen[path] = size
                part[:] = numbers.ravel()[: len(part)]

    def read(self, row: Any, name: str) -> Any:
        """Return what stands under a name in a row."""
        start, size = self.columns.names[name]
        return row[start : start + size] if size else row[start]


class EnvGroup:
    """N environments of one kind, each stepped in turn.

    Args:
        name, options, folder: see ``make_env``.
        n_envs: how many.
        seed: environment i starts its first episode with ``seed + i``.
        infos: see ``Readout``.
        is_drawn: see ``make_env``.

    Attributes:
        readout: what the columns of ``values`` mean.
        actions: what an action is.
        values: ``(N, width)``.
        terminated, truncated: ``(N,)``, by the environment; it then stays where it is.
        known: what the info was seen to have in a trial, by path, each with its size; ``seen``
            is that of what was read since.
        names, n_choices, low, high, n_actions: of the above.

    Raises:
        EnvError: it cannot be made, or is not one of numbers.
    """

    def __init__(
        self,
        name: str,
        options: dict[str, Any],
        folder: str,
        n_envs: int,
        seed: int,
        infos: dict[str, int] | None = None,
        is_drawn: bool = False,
    ) -> None:
        self.name, self._seed = name, seed
        self.envs = [make_env(name, options, folder, is_drawn)]
        first = self.envs[0]
        self.actions = ActionForm(name, first.action_space)
        Columns(name, first.observation_space)  # refuses images before anything is stepped
        self.known = self._try(first)
        self.readout = Readout(name, first, infos or {}, self.known)
        self.envs += [make_env(name, options, folder, is_drawn) for _ in range(n_envs - 1)]
        self._is_fresh = [True] * n_envs
        self.names, self.seen = self.readout.columns.names, self.readout.seen
        self.n_choices, self.n_actions = self.actions.n_choices, self.actions.n_actions
        self.low, self.high = self.actions.low, self.actions.high
        self.place(
            np.zeros((n_envs, self.readout.columns.width)),
            np.zeros(n_envs, dtype=bool),
            np.zeros(n_envs, dtype=bool),
        )

    def place(self, values: Any, terminated: Any, truncated: Any) -> None:
        """Write into these arrays from now on."""
        self.values, self.terminated, self.truncated = values, terminated, truncated

    def reset(self, ids: Sequence[int]) -> None:
        """Start new episodes; the first of an environment has its seed."""
        for i in ids:
            seed = {"seed": (self._seed + i) % _SEEDS} if self._is_fresh[i] else {}
            self._is_fresh[i] = False
            observation, info = call_reset("reset", self.envs[i], **seed)
            self.terminated[i] = self.truncated[i] = False
            self.readout.write(self.values[i], observation, 0.0, info)

    def step(self, action: Any, ids: Sequence[int]) -> None:
        """Advance some environments by ``action`` ``(N, n_actions)``, unless they have ended."""
        taken = self.actions.decode(action)
        for i in ids:
            if self.terminated[i] or self.truncated[i]:
                continue
            observation, reward, terminated, truncated, info = call_step(
                "step", self.envs[i], taken[i]
            )
            # What ends by itself at once with its time is no matter of time.
            self.terminated[i], self.truncated[i] = terminated, truncated and not terminated
            self.readout.write(self.values[i], observation, reward, info)

    def read_physics(self) -> dict[str, Any]:
        """Return positions and velocities, where they are MuJoCo's of Gymnasium, else nothing."""
        inner = [env.unwrapped for env in self.envs]
        if not all(hasattr(env, "set_state") and hasattr(env, "_get_obs") for env in inner):
            return {}
        return {
            name: np.stack([np.array(getattr(env.data, name)) for env in inner])
            for name in ("qpos", "qvel")
        }

    def put(self, ids: Sequence[int], qpos: Any, qvel: Any) -> None:
        """Put environments, whose episodes have just begun, into states of ``read_physics``."""
        for row, i in enumerate(ids):
            wrapper, inner = self.envs[i], self.envs[i].unwrapped
            call("set_state", inner.set_state, qpos[row], qvel[row])
            observation = call("_get_obs", inner._get_obs)
            info = inner._get_reset_info() if hasattr(inner, "_get_reset_info") else {}
            seen = []
            while isinstance(wrapper, gymnasium.Wrapper):
                if isinstance(wrapper, gymnasium.ObservationWrapper):
                    seen.append(wrapper.observation)
                wrapper = wrapper.env
            for change in reversed(seen):
                observation = call("observation", change, observation)
            self.readout.write(self.values[i], observation, 0.0, info)

    def draw(self) -> Any:
        """Return a picture ``(height, width, 3)`` of the first environment.

        Raises:
            EnvError: it draws none.
        """
        frame = call("render", self.envs[0].render)
        frame = frame[-1] if isinstance(frame, list) and frame else frame
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.dtype != np.uint8:
            raise EnvError(f"{self.name} draws no picture", 'give it render_mode = "rgb_array"')
        return frame[:, :, :3]

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def _try(self, env: Any) -> dict[str, int]:
        """Return what the info has in a few steps, by path, each with its size."""
        began = time.monotonic()
        _, info = call_reset("reset", env, seed=self._seed % _SEEDS)
        known = dict(_list_infos(info, INFO))
        env.action_space.seed(self._seed % _SEEDS)
        for _ in range(_N_TRIED):
            action = env.action_space.sample()
            _, _, terminated, truncated, info = call_step("step", env, action)
            known.update(_list_infos(info, INFO))
            if terminated or truncated or time.monotonic() - began > _TRIED_S:
                break
        return known


def _list_infos(info: Any, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(info, dict):
        for key, value in info.items():
            yield from _list_infos(value, f"{path}/{key}")
        return
    numbers = _read_numbers(info)
    if numbers is not None and 0 < numbers.size <= MOST_NUMBERS:
        yield path, numbers.size if numbers.ndim else 0


def _find(info: Any, path: str) -> Any:
    """Return what an info has at KEY or KEY/KEY, where a key may have a slash of its own."""
    if not isinstance(info, dict) or path in info:
        return info[path] if isinstance(info, dict) else None
    parts = path.split("/")
    for n in range(1, len(parts)):
        found = _find(info.get("/".join(parts[:n])), "/".join(parts[n:]))
        if found is not None:
            return found
    return None


def _read_numbers(value: Any) -> Any:
    """Return numbers or flags as an array; None where they are none."""
    if isinstance(value, (bool, int, float, np.number, np.bool_, np.ndarray, list, tuple)):
        try:
            array = np.asarray(value)
        except ValueError:  # lists of several lengths
            return None
        return array.astype(float) if array.dtype.kind in "biuf" else None
    return None


def list_arrays(n_envs: int, width: int, n_actions: int) -> list[tuple[str, tuple[int, ...], str]]:
    """Return name, shape and kind of the arrays of a group, in the order of shared memory."""
    return [
        ("values", (n_envs, width), "f8"),
        ("action", (n_envs, n_actions), "f8"),
        ("terminated", (n_envs,), "?"),
        ("truncated", (n_envs,), "?"),
    ]


def lay_arrays(memory: Any, start: int, forms: list[Any]) -> tuple[dict[str, Any], int]:
    """Return arrays in shared memory from a place on, and where they end.

    Raises:
        EnvError: there is no room.
    """
    arrays = {}
    for name, shape, kind in forms:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        if start + size > len(memory):
            raise EnvError("so many environments do not fit into memory", "make n_envs smaller")
        arrays[name] = np.frombuffer(memory, kind, int(np.prod(shape)), start).reshape(shape)
        start += -(-size // 8) * 8
    return arrays, start


class Host:
    """Groups of environments in a process of their own, asked for in lines of JSON.

    Args:
        memory: shared with who asks.
    """

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self._groups: dict[int, tuple[EnvGroup, dict[str, Any]]] = {}

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what was asked for and return what came of it."""
        os.environ.update(asked.pop("environ"))
        return dict(getattr(self, f"_do_{asked.pop('do')}")(**asked) or {})

    def _do_load(self, name: str) -> None:
        load_installed(name)

    def _do_find(self, name: str) -> None:
        _import_ours("drafts.env_ids").find_id(name)

    def _do_survey(self, **given: Any) -> dict[str, Any]:
        return dataclasses.asdict(_import_ours("drafts.survey").survey_named(**given))

    def _do_make(self, number: int, start: int, **given: Any) -> dict[str, Any]:
        group = EnvGroup(**given)
        columns, actions = group.readout.columns, group.actions
        forms = list_arrays(len(group.envs), columns.width, actions.n_actions)
        arrays, end = lay_arrays(self._memory, start, forms)
        group.place(arrays["values"], arrays["terminated"], arrays["truncated"])
        self._groups[number] = group, arrays
        return {
            "end": end,
            "forms": forms,
            "names": columns.names,
            "known": group.known,
            "n_choices": actions.n_choices,
            "low": actions.low.tolist(),
            "high": actions.high.tolist(),
        }

    def _do_reset(self, number: int, ids: list[int]) -> dict[str, Any]:
        group, _ = self._groups[number]
        group.reset(ids)
        return {"seen": group.readout.seen}

    def _do_step(self, number: int, ids: list[int]) -> dict[str, Any]:
        group, arrays = self._groups[number]
        group.step(arrays["action"], ids)
        return {"seen": group.readout.seen}

    def _do_draw(self, number: int, start: int) -> dict[str, Any]:
        picture = self._groups[number][0].draw()
        arrays, _ = lay_arrays(self._memory, start, [("picture", picture.shape, "u1")])
        arrays["picture"][...] = picture
        return {"shape": picture.shape}

    def _do_close(self, number: int) -> None:
        self._groups.pop(number)[0].close()

    def _do_seal(self, program: str, call: int) -> None:
        """Put this process under a filter of system calls, for good.

        Raises:
            EnvError: the kernel does not.
        """
        content = bytes.fromhex(program)

        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

        record = Program(len(content) // 8, content)
        library = ctypes.CDLL(None, use_errno=True)
        for flags in (5, 1):  # for all threads; without slowing down loads where that is known
            given = (ctypes.c_long(call), ctypes.c_ulong(1), ctypes.c_ulong(flags))
            if library.syscall(*given, ctypes.byref(record)) == 0:
                return
        raise EnvError(f"the environment's process cannot be sealed: error {ctypes.get_errno()}")


def _import_ours(name: str) -> Any:
    """Import a module that lies beside this one, and nothing else of the packages that do."""
    package = types.ModuleType("reward_agent")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.modules["reward_agent"] = package
    sys.modules["reward_agent.simulation.gymnasium_host"] = sys.modules[__name__]  # one EnvError
    return importlib.import_module(f"reward_agent.{name}")


def _write_plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else sorted(value)


def serve(asking: int, answering: int, shared: int, size: int) -> None:
    """Answer on descriptors until the asking one is closed."""
    os.dup2(2, 1)  # what an environment prints is no answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: it ends with who started it
    host = Host(mmap.mmap(shared, size))
    with os.fdopen(asking, "rb") as lines, os.fdopen(answering, "wb", 0) as answers:
        for line in lines:
            try:
                answer = host.answer(json.loads(line))
            except EnvError as error:
                answer = {"error": error.message, "remedy": error.remedy}
            except Exception as error:  # of whatever is imported there
                answer = {"error": tell(error), "remedy": ""}
            answers.write(json.dumps(answer, default=_write_plain).encode() + b"\n")


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
