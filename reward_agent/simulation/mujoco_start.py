"""How episodes of MuJoCo simulations start: the home pose, and states that are drawn around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.start import Keyframe
from reward_agent.errors import DataError
from reward_agent.simulation.interventions import BALL, FREE, HINGE, SLIDE, list_names
from reward_agent.simulation.mujoco_model import check_object
from reward_agent.simulation.simulation import list_ids
from reward_agent.simulation.state import FloatArray

# How many numbers of qpos a joint has.
_WIDTHS = {HINGE: 1, SLIDE: 1, BALL: 4, FREE: 7}


@dataclass(frozen=True)
class Home:
    """The pose that actions are about, and what holds it.

    Args:
        keyframe: its number; -1 where the pose is the model's reference.
        qpos: ``(nq,)``.
        ctrl: ``(nu,)`` within the control ranges.
        act: the state of each servo that has one, by its place in MuJoCo's ``act``.
    """

    keyframe: int
    qpos: FloatArray
    ctrl: FloatArray
    act: dict[int, float]


def find_home(card: EnvCard, model: mujoco.MjModel) -> Home:
    """Return the home pose of a card.

    Raises:
        DataError: the model has no such keyframe or joint.
    """
    home = card.home
    keyframe = -1 if home.keyframe is None else find_keyframe(model, home.keyframe)
    qpos = np.array(model.qpos0 if keyframe < 0 else model.key_qpos[keyframe])
    for name, value in home.joints.items():
        _set_joint(model, qpos, name, np.atleast_1d(value))
    ctrl, act = np.zeros(model.nu), dict[int, float]()
    if home.controls == "keyframe":
        if keyframe < 0:
            raise DataError("home.controls = 'keyframe', but home names none", "set home.keyframe")
        ctrl = np.array(model.key_ctrl[keyframe])
    elif home.controls == "pose":
        ctrl, act = find_holding_controls(model, qpos)
    return Home(keyframe, qpos, _limit(model, ctrl), act)


class Holding(NamedTuple):
    """What holds a pose: ``ctrl`` ``(nu,)``, and the state of each servo by its place in act."""

    ctrl: FloatArray
    act: dict[int, float]


def find_holding_controls(model: mujoco.MjModel, qpos: FloatArray) -> Holding:
    """Return the controls and states at which servos pull nowhere in a pose at rest.

    A servo is what MuJoCo's ``position`` makes: its force is gain * target + bias, and the bias
    falls with the length of what it acts on, be it a joint, a geared one, or a tendon.

    Source: https://mujoco.readthedocs.io/en/stable/computation/index.html#geactuation
    """
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_fwdPosition(model, data)
    ctrl, act = np.zeros(model.nu), dict[int, float]()
    for i in find_servos(model):
        offset, slope = model.actuator_biasprm[i, :2]
        is_plain = model.actuator_gaintype[i] == int(mujoco.mjtGain.mjGAIN_FIXED)
        gain = model.actuator_gainprm[i, 0] if is_plain else -slope
        length = data.actuator_length[model.actuator_outadr[i]]
        target = float(-(offset + slope * length) / gain)
        kind = int(model.actuator_dyntype[i])
        if kind != int(mujoco.mjtDyn.mjDYN_INTEGRATOR):
            ctrl[model.actuator_ctrladr[i]] = target
        if kind in _TARGET_IN_ACT:
            act[int(model.actuator_actadr[i] + model.actuator_actnum[i] - 1)] = target
    return Holding(_limit(model, ctrl), act)


def _limit(model: mujoco.MjModel, ctrl: FloatArray) -> FloatArray:
    is_limited = model.actuator_ctrllimited.astype(bool)
    return np.where(is_limited, np.clip(ctrl, *model.actuator_ctrlrange.T), ctrl)


# Where an actuator's state is the target that its control is filtered, or added up, to.
_TARGET_IN_ACT = {
    int(mujoco.mjtDyn.mjDYN_FILTER),
    int(mujoco.mjtDyn.mjDYN_FILTEREXACT),
    int(mujoco.mjtDyn.mjDYN_INTEGRATOR),
}


def find_servos(model: mujoco.MjModel) -> list[int]:
    """Return the numbers of the actuators that are told a position."""
    is_affine = model.actuator_biastype == int(mujoco.mjtBias.mjBIAS_AFFINE)
    is_plain = model.actuator_gaintype == int(mujoco.mjtGain.mjGAIN_FIXED)
    is_pid = model.actuator_gaintype == int(mujoco.mjtGain.mjGAIN_PID)
    # Bit 1 of a PID's inputs is a position.
    is_told = (is_plain & (model.actuator_gainprm[:, 0] > 0)) | (
        is_pid & (model.actuator_ctrlspec % 2 == 1)
    )
    return np.flatnonzero(is_affine & is_told & (model.actuator_biasprm[:, 1] < 0)).tolist()


def find_keyframe(model: mujoco.MjModel, which: Keyframe) -> int:
    """Return the number of a keyframe that is given by its name or number.

    Raises:
        DataError: the model has none such.
    """
    names = list_names(model, "key")
    if isinstance(which, int):
        if which < len(names):
            return which
        raise DataError(
            f"the model has no keyframe {which}: it has {len(names)}", "they are numbered from 0"
        )
    return names.index(check_object(names, "keyframe", which))


@dataclass(frozen=True)
class StartState:
    """Where an episode starts: a keyframe (-1: none), qpos ``(nq,)`` and qvel ``(nv,)``."""

    keyframe: int
    qpos: FloatArray
    qvel: FloatArray


class ResetDraws:
    """The initial states of N simulations, in the draws of Gymnasium's own environments.

    Args:
        card: the environment.
        model: of the simulations.
        home: where they start unless the card's reset says otherwise.
        generators: of each simulation; as Gymnasium's after ``env.reset(seed=seed + i)``.
    """

    def __init__(
        self,
        card: EnvCard,
        model: mujoco.MjModel,
        home: Home,
        generators: Sequence[np.random.Generator],
    ) -> None:
        self._reset, self._model, self._generators = card.reset, model, generators
        self._starts = _list_starts(card, model, home)
        reset = card.reset
        for name in reset.joints:
            check_object(list_names(model, "joint"), "joint", name)
        joints = [
            model.joint(check_object(list_names(model, "joint"), "joint", name))
            for name in (reset.goal.joints if reset.goal else ())
        ]
        self._goal_addresses = [int(joint.qposadr[0]) for joint in joints]
        self._goal_dofs = [int(joint.dofadr[0]) for joint in joints]

    def draw(self, sim: int) -> StartState:
        """Return a new initial state for simulation ``sim``."""
        generator, noise = self._generators[sim], self._reset
        several = len(self._starts) > 1
        start = self._starts[int(generator.integers(len(self._starts))) if several else 0]
        qpos, qvel = start.qpos.copy(), start.qvel.copy()
        if noise.qpos_uniform:
            qpos += generator.uniform(-noise.qpos_uniform, noise.qpos_uniform, len(qpos))
        for name, width in noise.joints.items():
            _perturb_joint(self._model, start.qpos, qpos, name, width, generator)
        if noise.goal:
            qpos[self._goal_addresses] = _draw_point(generator, noise.goal.radius)
        if noise.qvel_uniform:
            qvel += generator.uniform(-noise.qvel_uniform, noise.qvel_uniform, len(qvel))
        if noise.qvel_normal:
            qvel += noise.qvel_normal * generator.standard_normal(len(qvel))
        qvel[self._goal_dofs] = 0.0
        return StartState(start.keyframe, qpos, qvel)


def _list_starts(card: EnvCard, model: mujoco.MjModel, home: Home) -> list[StartState]:
    """Return the states that one is drawn from: the home pose, or keyframes."""
    named = card.reset.keyframes or (card.reset.keyframe,)
    starts = []
    for which in named:
        number = home.keyframe if which is None else find_keyframe(model, which)
        qpos = home.qpos if which is None else np.array(model.key_qpos[number])
        qvel = np.zeros(model.nv) if number < 0 else np.array(model.key_qvel[number])
        starts.append(StartState(number, qpos, qvel))
    return starts


def _draw_point(generator: np.random.Generator, radius: float) -> FloatArray:
    """Return a point ``(2,)`` within a disc.

    Source: gymnasium.envs.mujoco.reacher_v5, whose draws are repeated here one for one.
    """
    while True:
        point = generator.uniform(-radius, radius, 2)
        if np.linalg.norm(point) < radius:
            return point


def _set_joint(model: mujoco.MjModel, qpos: FloatArray, name: str, value: FloatArray) -> None:
    """Put a joint into a pose, its quaternion made one of unit length."""
    joint = model.joint(check_object(list_names(model, "joint"), "joint", name))
    width = _WIDTHS[int(joint.type[0])]
    if len(value) != width:
        raise DataError(
            f"home.joints: joint {name!r} has {width} numbers, {len(value)} are given",
            "a hinge or slide has one, a ball a quaternion, a free joint x, y, z and a quaternion",
        )
    value = np.array(value, dtype=np.float64)
    if width > 1:
        length = np.linalg.norm(value[-4:])
        if not length:
            raise DataError(f"home.joints: joint {name!r} has a quaternion of zeros", "correct it")
        value[-4:] /= length
    start = int(joint.qposadr[0])
    qpos[start : start + width] = value


def _perturb_joint(
    model: mujoco.MjModel,
    start: FloatArray,
    qpos: FloatArray,
    name: str,
    width: float,
    generator: np.random.Generator,
) -> None:
    """Move a joint from its start, uniformly; a rotation is turned and keeps its unit length."""
    joint = model.joint(name)
    address, kind = int(joint.qposadr[0]), int(joint.type[0])
    part = slice(address, address + _WIDTHS[kind])
    moved = start[part].copy()
    if kind in (HINGE, SLIDE):
        moved += generator.uniform(-width, width)
    if kind == FREE:
        moved[:3] += generator.uniform(-width, width, 3)
    if kind in (BALL, FREE):
        moved[-4:] = turn(moved[-4:], generator.uniform(-width, width, 3))
    qpos[part] = moved


def turn(quaternion: FloatArray, rotation: FloatArray) -> FloatArray:
    """Return a quaternion ``(4,)`` turned by a rotation vector ``(3,)`` in its own frame, rad."""
    angle = float(np.linalg.norm(rotation))
    axis = rotation / angle if angle else np.array([0.0, 0.0, 1.0])
    by, turned = np.empty(4), np.empty(4)
    mujoco.mju_axisAngle2Quat(by, axis, angle)
    mujoco.mju_mulQuat(turned, quaternion, by)
    mujoco.mju_normalize4(turned)
    return turned


class ActionMap(NamedTuple):
    """From the card's actions to MuJoCo's controls: ``scale`` and ``offset``, ``(nu,)`` each."""

    scale: FloatArray
    offset: FloatArray


def find_action_map(card: EnvCard, model: mujoco.MjModel, home: Home) -> ActionMap:
    """Return how the card's actions become MuJoCo's controls.

    Raises:
        DataError: they are not as many, or an actuator has no range to stretch an action to.
    """
    nu = model.nu
    n_mocap = sum(len(action.axes) for action in card.mocap_actions)
    if nu + n_mocap != card.n_actions:
        driven = f", and mocap_actions {n_mocap} axes" if n_mocap else ""
        raise DataError(
            f"environment {card.name!r} names {card.n_actions} actions, the model has {nu} "
            f"actuators{driven}",
            "name one action for each actuator, in their order"
            + (", then one for each axis" if n_mocap else ""),
        )
    if card.action_mapping == "direct":
        return ActionMap(np.ones(nu), np.zeros(nu))
    if card.action_mapping == "around_home":
        return ActionMap(_find_scale(card, nu), home.ctrl)
    is_limited = model.actuator_ctrllimited.astype(bool)
    if not is_limited.all():
        name = name_controls(card, model)[int(is_limited.argmin())]
        raise DataError(
            f"environment {card.name!r}: actuator {name!r} has no control range that "
            "action_mapping = 'rescaled' could stretch to, and would stay at 0",
            f"give it one: [model.control_ranges] {name} = [-1.0, 1.0]",
        )
    low, high = card.action_range
    ctrl_low, ctrl_high = model.actuator_ctrlrange.T
    scale = (ctrl_high - ctrl_low) / (high - low)
    return ActionMap(scale, ctrl_low - scale * low)


def _find_scale(card: EnvCard, nu: int) -> FloatArray:
    """Return ``(nu,)``: how far an action of 1 takes each control from home."""
    scale = np.array(card.action_scale, dtype=np.float64)
    if scale.ndim and len(scale) != nu:
        raise DataError(
            f"environment {card.name!r}: action_scale has {len(scale)} numbers, the "
            f"model has {nu} actuators",
            "give one number, or one for each actuator in their order",
        )
    return np.broadcast_to(scale, nu)


class MocapDrive:
    """Actions that move mocap bodies of N simulations.

    A body that is welded to one of the robot's starts where the weld pulls nothing in the home
    pose.

    Raises:
        DataError: the model has no such mocap body.
    """

    def __init__(self, card: EnvCard, batch: Batch, home: Home) -> None:
        self._position, self._quaternion = batch.bind("mocap_pos"), batch.bind("mocap_quat")
        self._low, self._high = card.action_range
        model, data = batch.model, mujoco.MjData(batch.model)
        data.qpos[:] = home.qpos
        mujoco.mj_kinematics(model, data)
        self._starts: dict[int, FloatArray] = {}
        entries, steps = list[tuple[int, int]](), list[float]()
        for action in card.mocap_actions:
            number = find_mocap(model, action.body)
            welded = _find_welded(model, data, model.body(action.body).id)
            if welded is not None:
                self._starts[number] = welded
            entries += [(number, "xyz".index(axis)) for axis in action.axes]
            steps += [action.step] * len(action.axes)
        self._bodies, self._axes = np.array(entries).T
        self._steps = np.array(steps)

    def begin(self, ids: NDArray[np.int32]) -> None:
        """Put the bodies where they start."""
        for number, pose in self._starts.items():
            self._position[ids, number], self._quaternion[ids, number] = pose[:3], pose[3:]

    def move(self, action: FloatArray, ids: ArrayLike | None) -> None:
        """Move them by an action ``(N, n)`` along axes of the world."""
        change = np.clip(action, self._low, self._high) * self._steps
        stepped = list_ids(ids, len(action))
        for column, (body, axis) in enumerate(zip(self._bodies, self._axes, strict=True)):
            self._position[stepped, body, axis] += change[stepped, column]


def find_mocap(model: mujoco.MjModel, name: str) -> int:
    """Return the number of a mocap body among mocap bodies.

    Raises:
        DataError: the model has no such mocap body.
    """
    bodies = list_names(model, "body")
    known = [bodies[i] for i in np.flatnonzero(model.body_mocapid >= 0)]
    return int(model.body_mocapid[bodies.index(check_object(known, "mocap body", name))])


def _find_welded(model: mujoco.MjModel, data: mujoco.MjData, mocap: int) -> FloatArray | None:
    """Return the pose ``(7,)`` in which the weld of a mocap body is satisfied; None without one.

    Source: mj_instantiateEqualityConstraints in MuJoCo's engine_core_constraint.c: of the two
    bodies, ``x1 + R1 relpos = x2 + R2 anchor`` and ``q1 relquat = q2``.
    """
    kinds = (model.eq_type == int(mujoco.mjtEq.mjEQ_WELD)) & (
        model.eq_objtype == int(mujoco.mjtObj.mjOBJ_BODY)
    )
    for weld in np.flatnonzero(kinds & model.eq_active0.astype(bool)):
        first, second = int(model.eq_obj1id[weld]), int(model.eq_obj2id[weld])
        if mocap not in (first, second) or 0 in (first, second):
            continue
        anchor, relpos = model.eq_data[weld, :3], model.eq_data[weld, 3:6]
        relquat = model.eq_data[weld, 6:10].copy()
        other = second if mocap == first else first
        here, there = (relpos, anchor) if mocap == first else (anchor, relpos)
        if mocap == first:
            mujoco.mju_negQuat(relquat, relquat)
        pose, rotation = np.empty(7), np.empty(9)
        mujoco.mju_mulQuat(pose[3:], data.xquat[other], relquat)
        mujoco.mju_quat2Mat(rotation, pose[3:])
        point = data.xpos[other] + data.xmat[other].reshape(3, 3) @ there
        pose[:3] = point - rotation.reshape(3, 3) @ here
        return pose
    return None


def name_controls(card: EnvCard, model: mujoco.MjModel) -> list[str]:
    """Return what to call each control: its actuator, by the card's action where it has no name."""
    names = list(card.actions[: model.nu]) + [""] * (model.nu - card.n_actions)
    for i, name in enumerate(list_names(model, "actuator")):
        start = int(model.actuator_ctrladr[i])
        for control in range(start, start + int(model.actuator_ctrlnum[i])):
            names[control] = name or names[control]
    return names
