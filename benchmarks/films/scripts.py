"""Scripts that move a robot, so that what its film shows is known: no policy, and no metric.

Most set the joints and lay the robot on the floor, or above it, at each step; ``limp`` lets
MuJoCo's physics run without any torque.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.simulation.mujoco_model import make_model

Array = NDArray[np.float64]
# (time s, value) pairs, between which values go smoothly.
Course = Sequence[tuple[float, float]]
TURN = 2 * math.pi
# A robot that is free has more positions than any in a plane.
_N_PLANAR, _BOB_M = 10, 0.002


@dataclass(frozen=True)
class Pose:
    """Where a robot is at one time.

    Args:
        joints: of its joints in order, rad; those that are left out are 0.
        pitch: of the torso, rad; positive goes forward.
        x: m.
        clearance: of the lowest point above the floor, m.
        roll: rad, of a robot that is free.
        yaw: rad, likewise.
    """

    joints: Sequence[float] = ()
    pitch: float = 0.0
    x: float = 0.0
    clearance: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0


Script = Callable[[float], Pose]


def find(course: Course, time: float) -> float:
    """Return the value of a course at a time: it starts and ends each stretch gently."""
    times, values = zip(*course, strict=True)
    index = int(np.clip(np.searchsorted(times, time, side="right") - 1, 0, len(times) - 2))
    share = np.clip((time - times[index]) / (times[index + 1] - times[index]), 0.0, 1.0)
    gentle = share * share * (3 - 2 * share)
    return float(values[index] + (values[index + 1] - values[index]) * gentle)


def find_height(start: float, end: float, height: float, time: float) -> float:
    """Return the height of a flight at a time, a parabola."""
    share = (time - start) / (end - start)
    return 4 * height * share * (1 - share) if 0 < share < 1 else 0.0


# --- hopper: thigh, leg, foot ---------------------------------------------------------------------

_CROUCH, _TUCK, _HOPPER_S = (-0.7, -1.4, 0.7), (-1.2, -2.0, 0.5), 3.2


def _bend(amount: float, pose: Sequence[float] = _CROUCH) -> tuple[float, ...]:
    return tuple(amount * angle for angle in pose)


def flip(turn: float) -> Script:
    """Crouch, jump, turn once in the air, land on the foot, stand."""
    bend = ((0.3, 0.0), (0.6, 1.0), (0.75, 0.0), (1.5, 0.0), (1.75, 0.8), (2.2, 0.0))
    tuck = ((0.8, 0.0), (1.0, 1.0), (1.3, 1.0), (1.5, 0.0))
    pitch = ((0.75, 0.0), (1.5, turn * TURN))

    def script(time: float) -> Pose:
        joints = tuple(
            a + b for a, b in zip(_bend(find(bend, time)), _bend(find(tuck, time), _TUCK),
                                  strict=True)
        )  # fmt: skip
        return Pose(joints, find(pitch, time), clearance=find_height(0.75, 1.5, 0.7, time))

    return script


def half_flip(turn: float) -> Script:
    """Jump, turn half round, come down on the head and tip over onto the side."""
    bend = ((0.3, 0.0), (0.6, 1.0), (0.75, 0.0))
    half = turn * TURN / 2
    pitch = ((0.75, 0.0), (1.4, half), (1.8, half), (2.4, half / 2))
    return lambda time: Pose(
        _bend(find(bend, time)), find(pitch, time), clearance=find_height(0.75, 1.4, 0.5, time)
    )


def hop(speed: float) -> Script:
    """Hop eight times."""
    period = _HOPPER_S / 8

    def script(time: float) -> Pose:
        share = (time / period) % 1.0
        height = find_height(0.0, 0.7, 0.25, share)
        bend = math.sin(math.pi * (share - 0.7) / 0.3) if share > 0.7 else 0.0
        return Pose(_bend(0.8 * bend), x=speed * time, clearance=height)

    return script


def stand(_: float) -> Pose:
    """Do nothing."""
    return Pose()


def tip(course: Course) -> Script:
    """Lean as a course says."""
    return lambda time: Pose(pitch=find(course, time))


# --- half cheetah: thigh, shin, foot of the hind leg, then of the fore leg ------------------------


def run(speed: float) -> Script:
    """Gallop."""

    def script(time: float) -> Pose:
        phase = TURN * 2.0 * time * (1 if speed > 0 else -1)
        hind, fore = math.sin(phase), math.sin(phase + 2.2)
        joints = (0.5 * hind, 0.4 * math.cos(phase), 0.2 * hind,
                  0.5 * fore, 0.4 * math.cos(phase + 2.2), 0.2 * fore)  # fmt: skip
        lift = 0.06 * max(0.0, math.sin(phase))
        return Pose(joints, 0.1 * math.sin(phase), speed * time, lift)

    return script


def headstand(course: Course) -> Script:
    """Tip over onto the head, the fore leg drawn up to the belly."""
    folded = (0.0, 0.0, 0.0, 0.7, 0.87, 0.0)

    def script(time: float) -> Pose:
        pitch = find(course, time)
        return Pose(_bend(pitch / (TURN / 4), folded), pitch)

    return script


def somersault(time: float) -> Pose:
    """Roll over forwards twice, over the floor."""
    pitch = find(((0.5, 0.0), (3.5, 2 * TURN)), time)
    return Pose(pitch=pitch, x=6.0 * pitch / (2 * TURN))


# --- ant: hip and ankle of four legs --------------------------------------------------------------

_KNEES = (1.0, -1.0, -1.0, 1.0)
_SPREAD = (0.53, -0.53, -0.53, 0.53)


def _stand_on(hips: Sequence[float], knees: Sequence[float] = _KNEES) -> tuple[float, ...]:
    return tuple(angle for pair in zip(hips, knees, strict=True) for angle in pair)


def walk(speed: float) -> Script:
    """Swing the legs in pairs."""

    def script(time: float) -> Pose:
        phases = [TURN * 1.5 * time * (1 if speed > 0 else -1) + math.pi * (n % 2)
                  for n in range(4)]  # fmt: skip
        hips = [0.45 * math.sin(phase) for phase in phases]
        knees = [
            knee * (1.0 - 0.35 * max(0.0, math.cos(phase)))
            for knee, phase in zip(_KNEES, phases, strict=True)
        ]
        return Pose(_stand_on(hips, knees), x=speed * time)

    return script


def wave_leg(time: float) -> Pose:
    """Hold up the first leg, swing it; stand on the other three."""
    hips = (0.5 * math.sin(TURN * 1.2 * time), 0.0, 0.0, 0.0)
    return Pose(_stand_on(hips, (-0.2, *_KNEES[1:])))


def lie_down(time: float) -> Pose:
    """Sink onto the belly, the legs spread; the joints are let further than the model's limits."""
    amount = find(((0.5, 1.0), (2.0, 0.0)), time)
    knees = [spread * 0.2 + amount * (knee - spread * 0.2)
             for knee, spread in zip(_KNEES, _SPREAD, strict=True)]  # fmt: skip
    return Pose(_stand_on((0.0,) * 4, knees))


def roll_over(time: float) -> Pose:
    """Turn over sideways onto the back."""
    return Pose(_stand_on((0.0,) * 4), roll=find(((0.5, 0.0), (2.0, math.pi)), time))


def turn_round(time: float) -> Pose:
    """Turn once round on the spot."""
    phases = [TURN * 1.5 * time + math.pi * (n % 2) for n in range(4)]
    hips = [0.35 * math.sin(phase) for phase in phases]
    return Pose(_stand_on(hips), yaw=find(((0.3, 0.0), (4.7, TURN)), time))


# Of each film its script and how long it is, s.
SCRIPTS: dict[str, dict[str, tuple[Script, float]]] = {
    "hopper": {
        "back_flip": (flip(-1.0), _HOPPER_S),
        "front_flip": (flip(1.0), _HOPPER_S),
        "half_back_flip": (half_flip(-1.0), _HOPPER_S),
        "half_front_flip": (half_flip(1.0), _HOPPER_S),
        "rock_back": (tip(((0.5, 0.0), (1.2, -TURN / 6), (2.4, 0.0))), _HOPPER_S),
        "hop_forward": (hop(1.0), _HOPPER_S),
        "hop_backward": (hop(-1.0), _HOPPER_S),
        "hop_in_place": (hop(0.0), _HOPPER_S),
        "stand": (stand, _HOPPER_S),
        "fall_forward": (tip(((0.2, 0.0), (1.2, TURN / 4))), _HOPPER_S),
    },
    "half_cheetah": {
        "run_forward": (run(2.0), 4.0),
        "run_backward": (run(-2.0), 4.0),
        "stand": (stand, 4.0),
        "headstand": (headstand(((0.4, 0.0), (1.4, TURN / 4))), 4.0),
        "brief_headstand": (
            headstand(((0.4, 0.0), (1.2, TURN / 4), (1.6, TURN / 4), (2.4, 0.0))),
            4.0,
        ),
        "rear_up": (tip(((0.4, 0.0), (1.4, -TURN * 75 / 360))), 4.0),
        "lie_on_back": (tip(((0.4, 0.0), (1.8, -TURN / 2))), 4.0),
        "somersaults": (somersault, 4.0),
    },
    "ant": {
        "walk_forward": (walk(1.0), 5.0),
        "walk_backward": (walk(-1.0), 5.0),
        "stand": (lambda _: Pose(_stand_on((0.0,) * 4)), 5.0),
        "wave_leg": (wave_leg, 5.0),
        "lie_on_back": (roll_over, 5.0),
        "lie_down": (lie_down, 5.0),
        "turn_round": (turn_round, 5.0),
    },
}


def make_poses(env: str, name: str) -> Array:
    """Return the episode of a film as positions ``(T, nq)``."""
    card = load_env(env)
    model = make_model(card, fields=())
    if name == "limp":
        return _let_fall(card, model)
    script, seconds = SCRIPTS[env][name]
    times = np.arange(round(seconds / card.control_dt) + 1) * card.control_dt
    rows = np.stack([_lay(model, script(float(time))) for time in times])
    if rows.shape[1] > _N_PLANAR:  # what never rises or sinks is filmed from above
        rows[:, 2] += _BOB_M * np.sin(TURN * times)
    return rows


def _let_fall(card: EnvCard, model: mujoco.MjModel) -> Array:
    data = mujoco.MjData(model)
    data.qvel[:] = 0.01
    rows = [data.qpos.copy()]
    for _ in range(round(_HOPPER_S / card.control_dt)):
        mujoco.mj_step(model, data, nstep=card.model.frame_skip)
        rows.append(data.qpos.copy())
    return np.stack(rows)


def _lay(model: mujoco.MjModel, pose: Pose) -> Array:
    """Return the positions of a pose whose lowest point is where it is to be."""
    data = mujoco.MjData(model)
    is_free = model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
    height, first = (2, 7) if is_free else (1, 3)
    data.qpos[:] = 0.0
    data.qpos[0] = pose.x
    data.qpos[first : first + len(pose.joints)] = pose.joints
    if is_free:
        mujoco.mju_euler2Quat(data.qpos[3:7], np.array([pose.roll, pose.pitch, pose.yaw]), "XYZ")
    else:
        data.qpos[2] = pose.pitch
    mujoco.mj_kinematics(model, data)
    data.qpos[height] += pose.clearance - _find_lowest(model, data)
    return np.array(data.qpos)


def _find_lowest(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Return the height of the lowest point of a robot of spheres and capsules, m."""
    moving = np.flatnonzero(model.body_weldid[model.geom_bodyid] != 0)
    axes = np.abs(data.geom_xmat[moving].reshape(-1, 3, 3)[:, 2, 2])
    is_long = model.geom_type[moving] == mujoco.mjtGeom.mjGEOM_CAPSULE
    reach = model.geom_size[moving, 0] + is_long * axes * model.geom_size[moving, 1]
    return float((data.geom_xpos[moving, 2] - reach).min())


@dataclass(frozen=True)
class Facts:
    """What was measured on a film.

    Args:
        turn: of the torso from start to end, degrees; backward is negative.
        travel: along x, m.
        lowest: least cosine of its tilt; -1 is upside down.
    """

    turn: float
    travel: float
    lowest: float


def measure(poses: Array) -> Facts:
    """Measure what a film shows, from positions alone."""
    travel = float(poses[-1, 0] - poses[0, 0])
    if poses.shape[1] > _N_PLANAR:
        up = 1 - 2 * (poses[:, 4] ** 2 + poses[:, 5] ** 2)
        return Facts(math.degrees(math.acos(np.clip(up[-1], -1, 1))), travel, float(up.min()))
    pitch = poses[:, 2]
    return Facts(math.degrees(pitch[-1] - pitch[0]), travel, float(np.cos(pitch).min()))
