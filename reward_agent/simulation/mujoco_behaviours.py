"""What a MuJoCo robot does without a policy: motors that hold a pose, a start tipped over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mujoco
import numpy as np
from mujoco.batch import Batch

from reward_agent.simulation.interventions import Root, find_moments, pose
from reward_agent.simulation.state import FloatArray

_LENGTHS = {
    int(kind)
    for kind in (
        mujoco.mjtTrn.mjTRN_JOINT,
        mujoco.mjtTrn.mjTRN_JOINTINPARENT,
        mujoco.mjtTrn.mjTRN_TENDON,
    )
}
# How fast a motor that holds a pose answers, in control steps: faster ones shake.
_ANSWER_STEPS, _DAMPING = 5.0, 4.0
# From flat to barely: the first that a card does not end the episode at is taken.
TILTS = (1.4, 0.7, 0.35, 0.17, 0.08)  # rad
_TIPPING_AXES = ((0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
_MOST_LIFTS, _HALVINGS = 4, 12


def hold_lengths(batch: Batch, controls: FloatArray, control_dt: float) -> Callable[[], FloatArray]:
    """Return what gives controls ``(N, nu)`` that keep motors at the lengths that they have now.

    What is told a position, and what pulls along no length, gets the controls ``(nu,)`` of the home
    pose. A motor pulls like a damped spring: stiff for what it would have to turn if all else were
    held, damped for the little that it turns if nothing is, which an action a step can still damp.
    """
    model = batch.model
    motors = find_motors(model)
    length, velocity = batch.bind("actuator_length"), batch.bind("actuator_velocity")
    outputs = model.actuator_outadr[motors]
    held = np.array(length[:, outputs])
    rate = 1.0 / (_ANSWER_STEPS * control_dt)
    inertia, least = _measure_inertia(model, pose(model, batch.bind("qpos")[0]), motors)
    stiffness, damping = rate**2 * inertia, _DAMPING * rate * least
    gain = model.actuator_gainprm[motors, 0]
    places = model.actuator_ctrladr[motors]

    def find_controls() -> FloatArray:
        given = np.tile(controls, (batch.nsim, 1))
        pull = stiffness * (held - length[:, outputs]) - damping * velocity[:, outputs]
        given[:, places] += pull / gain
        return given

    return find_controls


def find_motors(model: mujoco.MjModel) -> list[int]:
    """Return the actuators whose force is their control times a number, along some length."""
    is_motor = (model.actuator_gaintype == int(mujoco.mjtGain.mjGAIN_FIXED)) & (
        model.actuator_biastype == int(mujoco.mjtBias.mjBIAS_NONE)
    )
    has_length = np.isin(model.actuator_trntype, list(_LENGTHS))
    return np.flatnonzero(is_motor & has_length & (model.actuator_gainprm[:, 0] != 0)).tolist()


def _measure_inertia(
    model: mujoco.MjModel, data: mujoco.MjData, actuators: list[int]
) -> tuple[FloatArray, FloatArray]:
    """Return the inertia along each actuator's length, with all else held, and with all free."""
    rows, mass = find_moments(model, data)[actuators], np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, mass)
    squares = np.maximum(np.square(rows).sum(axis=1), 1e-9)
    held = np.einsum("ij,jk,ik->i", rows, mass, rows) / np.square(squares)
    free = np.einsum("ij,ji->i", rows, np.linalg.solve(mass, rows.T))
    return held, 1.0 / np.maximum(free, 1e-9)


def tip_over(model: mujoco.MjModel, root: Root, qpos: FloatArray) -> Iterator[list[FloatArray]]:
    """Yield, for each way that a robot can fall, its poses ``(nq,)``: tipped far first, down."""
    for axis in _TIPPING_AXES:
        turned = [root.turn(qpos, axis, angle) for angle in TILTS]
        if all(item is not None for item in turned):
            depth = _measure_depth(model, qpos)
            yield [_stand(model, root, item, depth) for item in turned if item is not None]


def _stand(model: mujoco.MjModel, root: Root, qpos: FloatArray, depth: float) -> FloatArray:
    """Return the pose moved up or down to where it just touches, as deep as ``depth``, m."""
    for _ in range(_MOST_LIFTS):
        excess = _measure_depth(model, qpos) - depth
        lifted = root.shift(qpos, (0.0, 0.0, excess)) if excess > 0 else None
        if lifted is None:
            break
        qpos = lifted
    low = root.shift(qpos, (0.0, 0.0, -float(model.stat.extent)))
    if low is None or _measure_depth(model, low) <= depth:
        return qpos  # nothing is below
    high = qpos
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _measure_depth(model, middle) > depth else (low, middle)
    return high


def _measure_depth(model: mujoco.MjModel, qpos: FloatArray) -> float:
    return max(0.0, -min(pose(model, qpos).contact.dist, default=0.0))
