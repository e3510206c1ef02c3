"""Initial states of episodes, in the draws of Gymnasium's own environments."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np

from reward_agent.definitions.card import GoalDisc, ResetNoise
from reward_agent.errors import DataError
from reward_agent.simulation.model import check_object
from reward_agent.simulation.state import FloatArray


class InitialState(NamedTuple):
    """Where an episode starts: ``(nq,)`` and ``(nv,)``."""

    qpos: FloatArray
    qvel: FloatArray


class ResetDraws:
    """The initial states of N simulations, each drawn by a generator of its own.

    Args:
        reset: the noise.
        model: the model whose initial state it is added to.
        n_sims: number of simulations N.
        seed: of simulation 0; simulation i has ``seed + i``, as in ``env.reset(seed=seed + i)``.
    """

    def __init__(self, reset: ResetNoise, model: mujoco.MjModel, n_sims: int, seed: int) -> None:
        self._reset = reset
        self.keyframe = _find_keyframe(reset, model)
        has_keyframe = self.keyframe >= 0
        self._qpos = np.array(model.key_qpos[self.keyframe] if has_keyframe else model.qpos0)
        self._qvel = np.array(model.key_qvel[self.keyframe] if has_keyframe else np.zeros(model.nv))
        self._goal = _GoalDraw(reset.goal, model) if reset.goal else None
        # Source: gymnasium.utils.seeding.np_random, which is numpy's default generator.
        self._generators = [np.random.default_rng(seed + i) for i in range(n_sims)]

    def draw(self, sim: int) -> InitialState:
        """Return a new initial state for simulation ``sim``."""
        generator, noise = self._generators[sim], self._reset
        qpos, qvel = self._qpos.copy(), self._qvel.copy()
        if noise.qpos_uniform:
            qpos += generator.uniform(-noise.qpos_uniform, noise.qpos_uniform, len(qpos))
        if self._goal:
            self._goal.draw(generator, qpos)
        if noise.qvel_uniform:
            qvel += generator.uniform(-noise.qvel_uniform, noise.qvel_uniform, len(qvel))
        if noise.qvel_normal:
            qvel += noise.qvel_normal * generator.standard_normal(len(qvel))
        if self._goal:
            qvel[self._goal.dofs] = 0.0
        return InitialState(qpos, qvel)


class _GoalDraw:
    """Draws a goal in a disc into the two joints that hold it."""

    def __init__(self, goal: GoalDisc, model: mujoco.MjModel) -> None:
        names = [model.joint(i).name for i in range(model.njnt)]
        for name in goal.joints:
            check_object(names, "joint", name)
        joints = [model.joint(name) for name in goal.joints]
        self._addresses = [int(joint.qposadr[0]) for joint in joints]
        self.dofs = [int(joint.dofadr[0]) for joint in joints]
        self._radius = goal.radius

    def draw(self, generator: np.random.Generator, qpos: FloatArray) -> None:
        # Source: gymnasium.envs.mujoco.reacher_v5, whose draws are repeated here one for one.
        point = generator.uniform(-self._radius, self._radius, 2)
        while np.linalg.norm(point) >= self._radius:
            point = generator.uniform(-self._radius, self._radius, 2)
        qpos[self._addresses] = point


def _find_keyframe(reset: ResetNoise, model: mujoco.MjModel) -> int:
    if reset.keyframe is None:
        return -1
    names = [model.key(i).name for i in range(model.nkey)]
    if reset.keyframe not in names:
        listing = ", ".join(names) or "none"
        raise DataError(
            f"the model has no keyframe {reset.keyframe!r}", f"its keyframes: {listing}"
        )
    return names.index(reset.keyframe)
