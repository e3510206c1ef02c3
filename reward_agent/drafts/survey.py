"""What an environment of Gymnasium's is: watched over some episodes, and moved where it can be.

Its own code runs here, in the sealed child; what comes of it is numbers and words. So that it can
run in another Python as well, nothing here imports from a package but NumPy and Gymnasium.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from reward_agent.drafts.columns import Array, ColumnSignal, Scattered
from reward_agent.drafts.env_ids import find_id
from reward_agent.simulation.gymnasium_host import (
    ActionForm,
    Columns,
    EnvError,
    call_reset,
    call_step,
    make_env,
    tell,
)

if TYPE_CHECKING:
    from reward_agent.drafts.signals import Simulator

_MOST_STEPS, _MOST_EPISODES, _MOST_S = 1200, 24, 25.0
_HOLD_STEPS, _LONGEST = 10, 300
# Steps after which there are enough episodes; of short ones there may be as many.
_ENOUGH = 200
_MOST_DOC_CHARS, _ENDLESS = 100_000, 2**31 - 1
VARIES = -1


@dataclass
class InfoKey:
    """A number of the info, by how it was seen.

    Args:
        size: 0 for one number, ``VARIES`` for arrays of several sizes.
        low: smallest value.
        high: largest.
        n_seen: steps that had it.
        is_flag: whether it was a bool, or only ever 0 and 1.
        at_end: whether it came with the last steps of episodes alone.
    """

    size: int
    low: float = np.inf
    high: float = -np.inf
    n_seen: int = 0
    is_flag: bool = True
    is_bool: bool = False
    at_end: bool = True


@dataclass
class Watched:
    """Episodes of random and of held random actions.

    Args:
        episodes: ``(T + 1, n)`` each.
        rewards: of all steps.
        lengths: steps of each episode.
        n_terminated: episodes that the environment ended.
        cut_off_at: steps of each that it cut off by time.
        info: by path, such as ``info/success``.
        odd_info: keys whose values are no numbers.
        n_steps: all.
        steps_per_s: of one environment, resets included.
    """

    episodes: list[Array] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    n_terminated: int = 0
    cut_off_at: list[int] = field(default_factory=list)
    info: dict[str, InfoKey] = field(default_factory=dict)
    odd_info: set[str] = field(default_factory=set)
    n_steps: int = 0
    steps_per_s: float = 0.0


@dataclass(frozen=True)
class ActionSpace:
    """What an environment takes.

    Args:
        n_choices: of each action; () where actions are numbers.
        low: of each number.
        high: the same.
    """

    n_choices: tuple[int, ...]
    low: Array
    high: Array

    @property
    def n_actions(self) -> int:
        """How many there are."""
        return len(self.n_choices) or len(self.low)


@dataclass(frozen=True)
class ModelFacts:
    """What is told of the model that MuJoCo simulates.

    Args:
        objects: names of all that it has.
        root_joints: of what carries a robot that moves freely; none of one that is bolted down.
        limits: of slides and hinges that have some, by name.
        actuators: their names, or those of the joints that they move; '' for one without.
    """

    objects: frozenset[str]
    root_joints: tuple[str, ...]
    limits: Mapping[str, tuple[float, float]]
    actuators: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """All that is known of an environment, before anything is made of it.

    Args:
        name: what makes it again: an id with the module that registers it, or a function.
        names: start and size of each part of an observation, and of what is made of it.
        n: how many numbers an observation has.
        low: ``(n,)``, of the observation space.
        high: the same.
        actions: numbers or choices.
        doc: docstring of the environment itself.
        watched: its episodes.
        scattered: states that it was put in; None where it cannot be.
        sampled: the simulator's signals at states of the episodes.
        dt: seconds of one step, and who says so.
        limit: steps of an episode, by its own word.
        threshold: return that its registry calls solved.
        model: of MuJoCo's, where that simulates.
        twin: whether states were set in Gymnasium's own environment in place of EnvPool's.
    """

    name: str
    names: Mapping[str, tuple[int, int]]
    n: int
    low: Array
    high: Array
    actions: ActionSpace
    doc: str
    watched: Watched
    scattered: Scattered | None
    sampled: Scattered | None
    dt: float
    dt_source: str
    limit: int | None
    threshold: float | None
    model: ModelFacts | None
    twin: bool = False

    @property
    def objects(self) -> frozenset[str]:
        """Names of all that the simulator has."""
        return self.model.objects if self.model else frozenset()


def survey_named(name: str, options: dict[str, Any], folder: str) -> Survey:
    """Make an environment by its id or its function, and watch it; see ``make_env``.

    Raises:
        EnvError: there is none, or it is none of numbers.
    """
    name = find_id(name)
    return survey_env(make_env(name, options, folder), name)


def survey_env(env: Any, name: str, seed: int = 0) -> Survey:
    """Watch an environment, put it in other states where it lets one, and read what it says.

    Raises:
        EnvError: it observes or takes what is no numbers, or its code fails.
    """
    columns, actions = Columns(name, env.observation_space), ActionForm(name, env.action_space)
    simulator, scattered, samples = None, None, list[tuple[Array, Array]]()
    if "mujoco" in sys.modules:
        from reward_agent.drafts.signals import find_simulator

        simulator = find_simulator(env)
    watched = _watch(env, columns, simulator, samples, seed)
    if simulator:
        from reward_agent.drafts.scatter import scatter

        scattered = scatter(env, columns, simulator, seed)
    spec = getattr(env, "spec", None)
    dt, source = _find_dt(env, simulator)
    low, high = _read_bounds(env.observation_space, columns)
    return Survey(
        name=name,
        names=columns.names,
        n=columns.observation_size,
        low=low,
        high=high,
        actions=ActionSpace(tuple(actions.n_choices), actions.low, actions.high),
        doc=_find_doc(env.unwrapped)[:_MOST_DOC_CHARS],
        watched=watched,
        scattered=scattered,
        sampled=_collect(samples, simulator) if simulator else None,
        dt=dt,
        dt_source=source,
        limit=_find_limit(env, spec) or _find_common(watched.cut_off_at),
        threshold=getattr(spec, "reward_threshold", None) or getattr(env, "threshold", None),
        model=simulator.tell_facts() if simulator else None,
    )


def read_survey(data: dict[str, Any]) -> Survey:
    """Return a survey of which ``dataclasses.asdict`` came over a pipe as JSON."""

    def read_scattered(some: dict[str, Any] | None) -> Scattered | None:
        if some is None:
            return None
        n, n_parts = len(data["low"]), len(some["parts"])
        return Scattered(
            columns=np.array(some["columns"], float),
            values=np.array(some["values"], float),
            signals=tuple(
                ColumnSignal(**{**signal, "names": tuple(signal["names"])})
                for signal in some["signals"]
            ),
            moved=np.array(some["moved"], bool).reshape(n_parts, n),
            parts=tuple(map(tuple, some["parts"])),
        )

    watched, actions, model = dict(data["watched"]), data["actions"], data["model"]
    watched["episodes"] = [np.array(episode, float) for episode in watched["episodes"]]
    watched["info"] = {path: InfoKey(**key) for path, key in watched["info"].items()}
    watched["odd_info"] = set(watched["odd_info"])
    if model:
        limits = {name: (float(low), float(high)) for name, (low, high) in model["limits"].items()}
        model = ModelFacts(
            frozenset(model["objects"]),
            tuple(model["root_joints"]),
            limits,
            tuple(model["actuators"]),
        )
    read = {
        "names": {name: (int(start), int(n)) for name, (start, n) in data["names"].items()},
        "low": np.array(data["low"], float),
        "high": np.array(data["high"], float),
        "actions": ActionSpace(
            tuple(actions["n_choices"]), *(np.array(actions[e], float) for e in ("low", "high"))
        ),
        "watched": Watched(**watched),
        "scattered": read_scattered(data["scattered"]),
        "sampled": read_scattered(data["sampled"]),
        "model": model or None,
    }
    return Survey(**{**data, **read})


def read_row(columns: Columns, observation: Any) -> Array:
    """Return an observation as numbers ``(n,)``.

    Raises:
        EnvError: it is not what the space says.
    """
    row = np.zeros(columns.width)
    try:
        columns.write(observation, row)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise EnvError(
            f"it observes something else than its space says: {tell(error)}",
            "correct its observation_space",
        ) from error
    return row[: columns.observation_size]


def _find_doc(inner: Any) -> str:
    """Return the docstring of an environment, or the one that stands for it."""
    own = getattr(inner, "own_doc", None)
    return str(type(inner).__doc__ or "") if own is None else str(own)


def _find_limit(env: Any, spec: Any) -> int | None:
    """Return the steps of an episode: a wrapper's, or the registry's, where that was taken off."""
    while isinstance(env, gymnasium.Wrapper):
        limit = getattr(env, "_max_episode_steps", None)
        if isinstance(limit, int) and limit < _ENDLESS:
            return limit
        env = env.env
    limit = getattr(env, "limit", None)
    if isinstance(limit, int) and limit < _ENDLESS:
        return limit
    known = gymnasium.registry.get(getattr(spec, "id", ""))
    return getattr(known, "max_episode_steps", None)


def _find_common(lengths: list[int]) -> int | None:
    """Return the steps after which episodes were cut off, if always after so many."""
    return lengths[0] if len(lengths) > 1 and len(set(lengths)) == 1 else None


def _read_bounds(space: Any, columns: Columns) -> tuple[Array, Array]:
    n = columns.observation_size
    low, high = np.zeros(columns.width), np.ones(columns.width)
    for end, rows in (("low", low), ("high", high)):
        try:
            columns.write(_find_end(space, end), rows)
        except (ValueError, TypeError, AttributeError, IndexError):
            rows[:] = -np.inf if end == "low" else np.inf
    return low[:n], high[:n]


def _find_end(space: Any, end: str) -> Any:
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: _find_end(part, end) for key, part in space.spaces.items()}
    if isinstance(space, gymnasium.spaces.Tuple):
        return [_find_end(part, end) for part in space.spaces]
    if isinstance(space, gymnasium.spaces.Box):
        return getattr(space, end)
    return space.sample() * 0 if not isinstance(space, gymnasium.spaces.Discrete) else space.start


# --- watching ------------------------------------------------------------------------------------


def _watch(
    env: Any,
    columns: Columns,
    simulator: Simulator | None,
    samples: list[tuple[Array, Array]],
    seed: int,
) -> Watched:
    """Return episodes; add rows of the observation and the simulator's signals at some steps."""
    watched, began, rng = Watched(), time.monotonic(), np.random.default_rng(seed)
    env.action_space.seed(seed)
    spent = 0.0
    while watched.n_steps < _MOST_STEPS:
        number = len(watched.episodes)
        if number >= _MOST_EPISODES and (watched.n_steps >= _ENOUGH or number >= _ENOUGH):
            break
        start = time.perf_counter()
        observation, info = call_reset("reset", env, seed=seed + number)
        spent += time.perf_counter() - start
        rows = [read_row(columns, observation)]
        _sample(samples, simulator, rows[-1])
        _note_info(watched, info, is_last=False, is_step=False)
        action, ended, total, is_held = env.action_space.sample(), False, 0.0, number % 2 == 1
        while not ended and len(rows) <= _LONGEST and time.monotonic() - began < _MOST_S:
            if not is_held or len(rows) % _HOLD_STEPS == 0:
                action = env.action_space.sample()
            start = time.perf_counter()
            observation, reward, terminated, truncated, info = call_step(
                f"step {len(rows)} of an episode", env, action
            )
            spent += time.perf_counter() - start
            rows.append(read_row(columns, observation))
            ended = terminated or truncated
            watched.rewards.append(reward)
            total += reward
            watched.n_terminated += terminated
            if truncated and not terminated:
                watched.cut_off_at.append(len(rows) - 1)
            watched.n_steps += 1
            _note_info(watched, info, is_last=ended, is_step=True)
            if rng.random() < 0.1:
                _sample(samples, simulator, rows[-1])
        watched.episodes.append(np.array(rows))
        watched.returns.append(total)
        if time.monotonic() - began > _MOST_S:
            break
    watched.steps_per_s = watched.n_steps / max(spent, 1e-9)
    return watched


def _note_info(watched: Watched, info: Any, is_last: bool, is_step: bool) -> None:
    for path, value in _list_values(info, "info"):
        try:
            numbers = np.asarray(value)
        except ValueError:  # lists of several lengths
            numbers = np.array(None)
        if numbers.dtype.kind not in "biuf" or not 0 < numbers.size <= 500:
            watched.odd_info.add(path)
            continue
        size = numbers.size if numbers.ndim else 0
        key = watched.info.setdefault(path, InfoKey(size))
        key.size = size if size == key.size else VARIES
        values = numbers.astype(float).ravel()
        key.low, key.high = min(key.low, values.min()), max(key.high, values.max())
        key.is_bool |= numbers.dtype.kind == "b"
        key.is_flag &= bool(np.isin(values, (0.0, 1.0)).all())
        key.n_seen += is_step
        key.at_end &= is_last or not is_step


def _list_values(info: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(info, dict):
        yield path, info
        return
    for key, value in info.items():
        yield from _list_values(value, f"{path}/{key}")


def _sample(samples: list[tuple[Array, Array]], simulator: Simulator | None, row: Array) -> None:
    if simulator is not None and len(samples) < 60:
        samples.append((row, simulator.read()))


def _collect(samples: list[tuple[Array, Array]], simulator: Simulator) -> Scattered:
    n = samples[0][0].size
    return Scattered(
        columns=np.array([row for row, _ in samples]),
        values=np.array([values for _, values in samples]),
        signals=simulator.signals,
        moved=np.zeros((0, n), dtype=bool),
        parts=(),
    )


def _find_dt(env: Any, simulator: Simulator | None) -> tuple[float, str]:
    """Return the seconds of a step, and what says so; '' where nothing does."""
    inner = env.unwrapped
    if simulator is not None:
        call_reset("reset", env, seed=0)
        before = float(simulator.data.time)
        call_step("step", env, env.action_space.sample())
        passed = float(simulator.data.time) - before
        if passed > 0:
            return float(f"{passed:.6g}"), "MuJoCo's clock"
    for name in ("dt", "tau", "control_timestep"):
        value = getattr(inner, name, None)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e3:
            return float(value), f"its {name}"
    fps = (getattr(inner, "metadata", None) or {}).get("render_fps")
    if isinstance(fps, (int, float)) and fps > 0:
        return 1.0 / float(fps), "the frames a second of its films"
    return 1.0, ""
