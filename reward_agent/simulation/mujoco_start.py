"""How episodes of MuJoCo simulations start: the states that are drawn."""

from __future__ import annotations

import mujoco
import numpy as np

from reward_agent.definitions.start import ResetNoise
from reward_agent.simulation.mujoco_model import check_object, list_names
from reward_agent.simulation.state import FloatArray


class ResetDraws:
    """The initial states of N simulations, in the draws of Gymnasium's own environments.

    Simulation i draws as after ``env.reset(seed=seed + i)``.
    """

    def __init__(self, reset: ResetNoise, model: mujoco.MjModel, n_sims: int, seed: int) -> None:
        self._reset = reset
        self.keyframe = _find_keyframe(reset, model)
        has_keyframe = self.keyframe >= 0
        self._qpos = np.array(model.key_qpos[self.keyframe] if has_keyframe else model.qpos0)
        self._qvel = np.array(model.key_qvel[self.keyframe] if has_keyframe else np.zeros(model.nv))
        joints = [
            model.joint(check_object(list_names(model, "joint"), "joint", name))
            for name in (reset.goal.joints if reset.goal else ())
        ]
        self._goal_addresses = [int(joint.qposadr[0]) for joint in joints]
        self._goal_dofs = [int(joint.dofadr[0]) for joint in joints]
        # Source: gymnasium.utils.seeding.np_random, which is numpy's default generator.
        self._generators = [np.random.default_rng(seed + i) for i in range(n_sims)]

    def draw(self, sim: int) -> tuple[FloatArray, FloatArray]:
        """Return a new initial state for simulation ``sim``: qpos ``(nq,)`` and qvel ``(nv,)``."""
        generator, noise = self._generators[sim], self._reset
        qpos, qvel = self._qpos.copy(), self._qvel.copy()
        if noise.qpos_uniform:
            qpos += generator.uniform(-noise.qpos_uniform, noise.qpos_uniform, len(qpos))
        if noise.goal:
            qpos[self._goal_addresses] = _draw_point(generator, noise.goal.radius)
        if noise.qvel_uniform:
            qvel += generator.uniform(-noise.qvel_uniform, noise.qvel_uniform, len(qvel))
        if noise.qvel_normal:
            qvel += noise.qvel_normal * generator.standard_normal(len(qvel))
        qvel[self._goal_dofs] = 0.0
        return qpos, qvel


def _draw_point(generator: np.random.Generator, radius: float) -> FloatArray:
    """Return a point ``(2,)`` within a disc.

    Source: gymnasium.envs.mujoco.reacher_v5, whose draws are repeated here one for one.
    """
    while True:
        point = generator.uniform(-radius, radius, 2)
        if np.linalg.norm(point) < radius:
            return point


def _find_keyframe(reset: ResetNoise, model: mujoco.MjModel) -> int:
    if reset.keyframe is None:
        return -1
    names = list_names(model, "key")
    return names.index(check_object(names, "keyframe", str(reset.keyframe)))
