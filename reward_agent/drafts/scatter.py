"""Other states of an environment that MuJoCo simulates: all of it elsewhere, then part by part."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gymnasium
import mujoco
import numpy as np

from reward_agent.drafts.columns import Array, Scattered
from reward_agent.drafts.signals import N_DOFS, Simulator, name_joint
from reward_agent.drafts.survey import read_row
from reward_agent.simulation.gymnasium_host import Columns, call_reset
from reward_agent.simulation.interventions import HINGE, SLIDE

_N_SCATTERED, _MOST_PARTS = 24, 200
_NEAR, _SPEED, _MOVED = 0.2, 0.5, 1e-7  # how far and how fast states are scattered, rad or m
_READERS = ("_get_obs", "get_obs", "_get_observation", "get_observation", "_get_ob", "_obs")


def scatter(env: Any, columns: Columns, simulator: Simulator, seed: int) -> Scattered | None:
    """Put MuJoCo's state elsewhere, all of it and part by part, and observe each; None if not."""
    observation, _ = call_reset("reset", env, seed=seed)
    row = read_row(columns, observation)
    read = _find_reader(env, columns, simulator, row)
    if read is None:
        return None
    model, data, rng = simulator.model, simulator.data, np.random.default_rng(seed)
    qpos, qvel = data.qpos.copy(), data.qvel.copy()

    def observe(new_qpos: Array, new_qvel: Array) -> Array:
        data.qpos[:], data.qvel[:] = new_qpos, new_qvel
        mujoco.mj_forward(model, data)
        return read()

    rows, values = [], []
    for _ in range(_N_SCATTERED):
        rows.append(observe(_shake(model, qpos, rng), rng.uniform(-_SPEED, _SPEED, model.nv)))
        values.append(simulator.read())
    base = observe(qpos, qvel)
    parts, moved = [], []
    for j in range(min(model.njnt, _MOST_PARTS)):
        dofs = np.zeros(model.nv)
        at = int(model.jnt_dofadr[j])
        dofs[at : at + N_DOFS[int(model.jnt_type[j])]] = 1e-3
        turned = qpos.copy()
        mujoco.mj_integratePos(model, turned, dofs, 1.0)
        for kind, state in (("position", (turned, qvel)), ("rate", (qpos, qvel + dofs))):
            parts.append((kind, *name_joint(model, j)))
            moved.append(np.abs(observe(*state) - base) > _MOVED)
    observe(qpos, qvel)
    return Scattered(
        columns=np.array(rows),
        values=np.array(values),
        signals=simulator.signals,
        moved=np.array(moved).reshape(len(parts), -1),
        parts=tuple(parts),
    )


def _shake(model: Any, qpos: Array, rng: np.random.Generator) -> Array:
    """Return joints elsewhere, near where they are and within their limits."""
    new = qpos.copy()
    mujoco.mj_integratePos(model, new, rng.uniform(-_NEAR, _NEAR, model.nv), 1.0)
    for j in np.flatnonzero(model.jnt_limited):
        if model.jnt_type[j] in (SLIDE, HINGE):
            at = int(model.jnt_qposadr[j])
            low, high = model.jnt_range[j]
            if not low <= new[at] <= high:
                new[at] = rng.uniform(low, high) if low < high else qpos[at]
    return new


def _find_reader(
    env: Any, columns: Columns, simulator: Simulator, row: Array
) -> Callable[[], Array] | None:
    """Return what observes the state as it is now; what it does not reach is nan. None if none."""
    for holder in dict.fromkeys((env.unwrapped, simulator.holder)):
        task = getattr(holder, "task", None)
        observers = [getattr(holder, name, None) for name in _READERS]
        if task is not None and hasattr(task, "get_observation"):  # dm_control's
            observers.append(functools.partial(task.get_observation, holder.physics))
        for observe in filter(callable, observers):
            place = _place_reading(env, columns, observe, row)
            if place is not None:
                return place
    return None


def _place_reading(
    env: Any, columns: Columns, observe: Callable[[], Any], row: Array
) -> Callable[[], Array] | None:
    """Return a reader, if what a method returns is the observation or a part of it."""

    def read_all() -> Array:
        value = observe()
        for wrapper in _list_wrappers(env):
            value = wrapper.observation(value)
        return read_row(columns, value)

    n = columns.observation_size
    slices: list[slice] = []

    def read_part() -> Array:
        read = np.full(n, np.nan)
        read[slices[0]] = _take_numbers(observe())
        return read

    try:
        if np.allclose(read_all(), row, atol=1e-9):
            return read_all
    except Exception:  # another observation, or none without an argument
        pass
    try:
        values = _take_numbers(observe())
    except Exception:  # of whoever wrote the environment
        return None
    for start, size in columns.names.values():
        if size == len(values) and np.allclose(row[start : start + size], values, atol=1e-9):
            slices.append(slice(start, start + size))
            return read_part
    return None


def _take_numbers(value: Any) -> Array:
    """Return an observation's numbers; some return an info with it."""
    first = value[0] if isinstance(value, tuple) and isinstance(value[-1], dict) else value
    return np.ravel(np.asarray(first, dtype=np.float64))


def _list_wrappers(env: Any) -> list[Any]:
    """Return the wrappers that change an observation by itself, the inmost first."""
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.ObservationWrapper):
            found.append(env)
        env = env.env
    return found[::-1]
