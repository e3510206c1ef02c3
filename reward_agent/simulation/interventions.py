"""Interventions: what one would try by hand to learn what a model's parts and numbers are.

A robot is lifted, turned, pushed, a joint is nudged: each takes a pose and returns another, and
nothing is simulated. What then changes, and by how much, tells what a field measures.

It is also imported in a Python that has not this package's own packages, for what is found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import mujoco
import numpy as np

if TYPE_CHECKING:
    from reward_agent.definitions.card import EnvCard
    from reward_agent.simulation.state import FloatArray

FREE, BALL, SLIDE, HINGE = range(4)  # mjtJoint
UPWARD = (0.0, 0.0, 1.0)
Vector = Union[Sequence[float], "FloatArray"]
# Of a joint without a range, around its start.
_REACH = {SLIDE: 0.1, HINGE: 1.0}
_CLOSE = 1e-6


class Root:
    """What carries a body, and all that hangs together with it, through the world.

    That is the free joint, or the slides and hinges, of the outermost body that it hangs on. A
    robot that is bolted down has none, nor has one whose outermost joint only turns: that is its
    first link.

    Args:
        model: as it is simulated.
        body: id of any body of the robot.
    """

    def __init__(self, model: mujoco.MjModel, body: int) -> None:
        self.body = int(model.body_rootid[body])
        self._model = model
        start, count = int(model.body_jntadr[self.body]), int(model.body_jntnum[self.body])
        joints = range(start, start + count) if count else range(0)
        kinds = {int(model.jnt_type[joint]) for joint in joints}
        self.joints = tuple(joints) if kinds & {FREE, SLIDE} else ()

    @property
    def is_free(self) -> bool:
        """Whether it floats."""
        return any(self._model.jnt_type[joint] == FREE for joint in self.joints)

    def shift(self, qpos: FloatArray, by: Vector) -> FloatArray | None:
        """Return the pose ``(nq,)`` with the robot moved, m; None if its root cannot."""
        moved = np.array(qpos)
        if self.is_free:
            start = self._model.jnt_qposadr[self.joints[0]]
            moved[start : start + 3] += by
            return moved
        speed = self.push(qpos, by)
        if speed is None:
            return None
        mujoco.mj_integratePos(self._model, moved, speed, 1.0)
        return moved

    def turn(self, qpos: FloatArray, axis: Vector, angle: float) -> FloatArray | None:
        """Return the pose with the robot turned about a world axis through its root, rad."""
        moved = np.array(qpos)
        if self.is_free:
            start = self._model.jnt_qposadr[self.joints[0]] + 3
            turn, turned = np.zeros(4), np.zeros(4)
            mujoco.mju_axisAngle2Quat(turn, np.array(axis, dtype=float), angle)
            mujoco.mju_mulQuat(turned, turn, moved[start : start + 4])
            moved[start : start + 4] = turned
            return moved
        columns, _, turning = self._find_motion(qpos)
        hinges = [i for i in columns if self._model.jnt_type[self._model.dof_jntid[i]] == HINGE]
        for column in hinges:
            along = float(turning[:, column] @ np.array(axis))
            if abs(along) > 1.0 - _CLOSE:
                moved[self._model.jnt_qposadr[self._model.dof_jntid[column]]] += along * angle
                return moved
        return None

    def float_to(self, qpos: FloatArray, generator: np.random.Generator) -> FloatArray:
        """Return the pose with a robot that floats put and turned anywhere near."""
        axis = generator.standard_normal(3)
        shifted = self.shift(qpos, generator.uniform(-0.5, 0.5, 3))
        turned = None if shifted is None else self.turn(shifted, axis / np.linalg.norm(axis), 1.0)
        return qpos if turned is None else turned

    def push(self, qpos: FloatArray, velocity: Vector) -> FloatArray | None:
        """Return velocities ``(nv,)`` that move the robot so in the world, m/s, without turning.

        None if its root cannot move that way.
        """
        columns, moving, turning = self._find_motion(qpos)
        if not columns:
            return None
        wanted = np.array([*velocity, 0.0, 0.0, 0.0])
        rows = np.concatenate([moving, turning])[:, columns]
        found = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        if np.abs(rows @ found - wanted).max() > _CLOSE:
            return None
        qvel = np.zeros(self._model.nv)
        qvel[columns] = found
        return qvel

    def _find_motion(self, qpos: FloatArray) -> tuple[list[int], FloatArray, FloatArray]:
        """Return the root's dofs, and how all of them move and turn it, ``(3, nv)`` each."""
        data = pose(self._model, qpos)
        moving, turning = np.zeros((3, self._model.nv)), np.zeros((3, self._model.nv))
        mujoco.mj_jacBody(self._model, data, moving, turning, self.body)
        dofs = [i for i in range(self._model.nv) if int(self._model.dof_jntid[i]) in self.joints]
        return dofs, moving, turning


def find_robot(model: mujoco.MjModel, card: EnvCard) -> Root | None:
    """Return what carries the robot: its torso's root, else that of most driven joints."""
    kind, _, torso = (card.roles.torso or "" if card.roles else "").partition(":")
    if kind == "body" and torso in (bodies := list_names(model, "body")):
        body = bodies.index(torso)
    else:
        driven = [int(model.body_rootid[model.jnt_bodyid[joint]]) for joint in find_driven(model)]
        if not driven:
            return None
        body = max(sorted(driven), key=driven.count)
    root = Root(model, body)
    return root if root.joints else None


def pose(model: mujoco.MjModel, qpos: FloatArray, qvel: FloatArray | None = None) -> mujoco.MjData:
    """Return the data of a pose, with all that MuJoCo derives from it."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    if qvel is not None:
        data.qvel[:] = qvel
    mujoco.mj_forward(model, data)
    return data


def nudge(model: mujoco.MjModel, qpos: FloatArray, joint: int, by: float) -> FloatArray:
    """Return the pose with a slide or hinge moved, m or rad."""
    moved = np.array(qpos)
    moved[model.jnt_qposadr[joint]] += by
    return moved


def list_names(model: mujoco.MjModel, kind: str) -> list[str]:
    """Return the names of all objects of a kind in their order, '' for those without."""
    attribute = {"joint": "njnt", "actuator": "nactuator"}.get(kind, f"n{kind}")
    count: int = getattr(model, attribute)
    return [getattr(model, kind)(i).name for i in range(count)]


def find_driven(model: mujoco.MjModel) -> frozenset[int]:
    """Return the joints that an actuator's force acts on, through whatever transmission."""
    dofs = set[int]()
    # Where a force has no arm in the reference pose, it has one nearby.
    for turn in (0.0, 0.1):
        qpos = np.array(model.qpos0)
        mujoco.mj_integratePos(model, qpos, np.full(model.nv, turn), 1.0)
        moments = find_moments(model, pose(model, qpos))
        dofs |= set(np.flatnonzero(np.abs(moments).max(axis=0, initial=0.0) > 1e-9).tolist())
    return frozenset(int(model.dof_jntid[dof]) for dof in dofs)


def find_moments(model: mujoco.MjModel, data: mujoco.MjData) -> FloatArray:
    """Return the arm of each actuator's force on each dof, ``(nu, nv)``."""
    moments = np.zeros((model.nu, model.nv))
    if model.nu:
        mujoco.mju_sparse2dense(
            moments,
            data.actuator_moment.ravel(),
            data.moment_rownnz.ravel(),
            data.moment_rowadr.ravel(),
            data.moment_colind.ravel(),
        )
    return moments


def draw_poses(
    model: mujoco.MjModel, qpos: FloatArray, joints: Sequence[int], n_poses: int
) -> list[FloatArray]:
    """Return poses in which some slides and hinges are anywhere in their ranges, the rest stays.

    The same model gives the same poses.
    """
    generator = np.random.default_rng(0)
    poses = [np.array(qpos) for _ in range(n_poses)]
    for joint in joints:
        kind, place = int(model.jnt_type[joint]), model.jnt_qposadr[joint]
        if kind not in _REACH:
            continue
        start = float(qpos[place])
        low, high = start - _REACH[kind], start + _REACH[kind]
        if model.jnt_limited[joint]:
            low, high = model.jnt_range[joint]
        for moved in poses:
            moved[place] = generator.uniform(low, high)
    return poses
