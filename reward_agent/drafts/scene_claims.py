"""Claims about what surrounds a robot, and about numbers that a model measures."""

from __future__ import annotations

import mujoco
import numpy as np

from reward_agent.definitions.meaning import MeasureClaim
from reward_agent.drafts.claims import CLOSE, LEAST_M, LIFT_M, NUDGE, ClaimTrial, expect, show
from reward_agent.drafts.live import ClaimError, UntestedError
from reward_agent.simulation.interventions import UPWARD, Root

# Powers of length and of speed.
_DIMENSIONS = {(1, 0): ("m",), (0, 0): ("rad", "1"), (1, 1): ("m/s",), (0, 1): ("rad/s",)}
_SENSORS = mujoco.mjtSensor
_FORCES = {
    int(_SENSORS.mjSENS_TOUCH): "N",
    int(_SENSORS.mjSENS_FORCE): "N",
    int(_SENSORS.mjSENS_TORQUE): "N m",
    int(_SENSORS.mjSENS_ACCELEROMETER): "m/s^2",
}
_QUANTITIES = {
    "distance": ("m",), "height": ("m",), "angle": ("rad",), "speed": ("m/s",),
    "turning_rate": ("rad/s",), "force": ("N", "N m"),
}  # fmt: skip


# --- objects, targets, fixtures ----------------------------------------------------------------


def try_object(trial: ClaimTrial, place: str) -> str:
    """Lift it by its own joint, not the robot's: it rises by 1 m."""
    live = trial.live
    body = live.find_body(place)
    own = [joint for joint in live.list_joints(body) if joint not in live.driven]
    if not own:
        raise ClaimError("it has no joint of its own: it cannot be moved")
    if live.is_of_robot(body):
        raise ClaimError("it hangs together with the robot")
    start = live.locate(live.pose(), place)
    lifted = Root(live.model, body).shift(live.home, (0.0, 0.0, LIFT_M))
    if lifted is not None:
        rise = live.locate(live.pose(lifted), place) - start
        return expect(
            f"its own joint lifts it by {rise[2]:.2f} m; the robot's joints leave it",
            rise, (0.0, 0.0, LIFT_M),
        )  # fmt: skip
    step = NUDGE.get(int(live.model.jnt_type[own[-1]]), 0.0)
    moved = float(np.linalg.norm(live.locate(live.pose(live.nudge(own[-1], step)), place) - start))
    if moved < LEAST_M / 10:
        raise ClaimError(f"its own joint moves it by {moved:.4f} m")
    return f"its own joint {live.name_joint(own[-1])} moves it by {moved:.3f} m"


def try_target(trial: ClaimTrial, place: str) -> str:
    """Put the tool, or the object, on it: distance 0; carry it away by 1 m: 1."""
    live, meaning = trial.live, trial.meaning
    roots = live.model.body_rootid
    root = roots[live.find_body(place)]
    for key in ("object", "tool"):
        other = getattr(meaning, key)
        if other is not None and trial.holds(key):
            if root == roots[live.find_body(other)]:
                raise ClaimError(f"it hangs together with {other}, and goes where that goes")
            return try_distance(trial, other, place)
    raise UntestedError("no tool and no object holds that could be brought there")


def try_distance(trial: ClaimTrial, first: str, second: str) -> str:
    """Put one place on the other: distance 0; carry it on by 1 m: 1."""
    live = trial.live
    home = live.pose()
    start = live.locate(home, second) - live.locate(home, first)
    if live.find_body(first) == live.find_body(second):
        raise ClaimError(f"both are on one body, always {np.linalg.norm(start):.3f} m apart")
    roots = live.model.body_rootid
    if roots[live.find_body(first)] == roots[live.find_body(second)]:
        return f"{np.linalg.norm(start):.3f} m at the start, changes with the joints between them"
    gaps = []
    for by in (start, start + np.array((0.0, 0.0, LIFT_M))):
        with live.carried(first, by) as data:
            gap = live.locate(data, first) - live.locate(data, second)
            gaps.append(float(np.linalg.norm(gap)))
    said = f"{first} put on {second}: {gaps[0]:.2f} m; carried on by 1 m: {gaps[1]:.2f} m"
    return expect(said, gaps, (0.0, LIFT_M))


def try_fixture(trial: ClaimTrial, place: str) -> str:
    """Move the joint itself: its part moves; no actuator drives it."""
    live = trial.live
    kind, joint = live.find_place(place)
    if kind != "joint":
        raise ClaimError("a fixture is a joint, such as joint:door_hinge")
    if joint in live.driven or live.is_of_robot(int(live.model.jnt_bodyid[joint])):
        raise ClaimError("it is a joint of the robot")
    step = NUDGE.get(int(live.model.jnt_type[joint]))
    if step is None:
        raise ClaimError("it is no slide or hinge")
    moved = live.pose(live.nudge(joint, step))
    below = sorted(live.list_below(int(live.model.jnt_bodyid[joint])))
    changes = np.abs(moved.xipos[below] - live.pose().xipos[below])
    return f"nudged by +{step:g}, what hangs on it moves by {changes.max():.3f} m"


# --- numbers -----------------------------------------------------------------------------------


def try_measure(trial: ClaimTrial, claim: MeasureClaim) -> str:
    """It changes, has the unit, and behaves as what it is said to be."""
    live = trial.live
    trial.states = trial.states or live.draw_states()
    values = np.array([live.read(data, claim.source) for data in trial.states])
    low, high = values.min(axis=0), values.max(axis=0)
    if (high - low).max() < 1e-9:
        raise ClaimError(
            f"nothing changes it: always {show(low)} in {len(values)} states in which "
            f"everything moves; that is no {claim.quantity}"
        )
    units = _QUANTITIES.get(claim.quantity)
    if units and claim.unit not in units:
        raise ClaimError(f"a {claim.quantity} is in {' or '.join(units)}, not in {claim.unit}")
    said = _try_unit(trial, claim)
    if claim.quantity in ("distance", "height") and values.shape[1] != 1:
        raise ClaimError(f"it has {values.shape[1]} numbers, a {claim.quantity} is one")
    if claim.quantity == "distance":
        if low[0] < 0:
            raise ClaimError(f"it goes down to {low[0]:.3f}, a distance is never below 0")
        if claim.source.startswith("distance("):
            first, _, second = claim.source[len("distance(") : -1].partition(",")
            said += "; " + try_distance(trial, first.strip(), second.strip())
    if claim.quantity == "height":
        said += "; " + _try_height(trial, claim.source)
    return said


def _try_unit(trial: ClaimTrial, claim: MeasureClaim) -> str:
    """Build the model twice as large, then move it twice as fast: units grow as they do."""
    live = trial.live
    kind, _, name = claim.source.partition(":")
    if kind == "sensor":
        number = live.find(kind, name)
        if live.model.sensor_needstage[number] == mujoco.mjtStage.mjSTAGE_ACC:
            unit = _FORCES.get(int(live.model.sensor_type[number]))
            if unit is None:
                return f"its unit {claim.unit} is as said, untested"
            if unit != claim.unit:
                raise ClaimError(f"a sensor of its type is in {unit}, not in {claim.unit}")
            return f"a sensor of its type is in {unit}"
    powers = live.measure_dimension(claim.source, trial.states)
    if powers is None:
        raise ClaimError(
            f"it is no {claim.unit}: in a model twice as large it grows by no one factor"
        )
    length, speed = powers
    found = _DIMENSIONS.get((round(length), round(speed)), ())
    said = f"in a model twice as large it is {2**length:.2f} times as large"
    said += f", at twice the speed {2**speed:.2f} times"
    if claim.unit not in found:
        raise ClaimError(
            f"{said}: that is {' or '.join(found) or 'none of the units'}, not {claim.unit}"
        )
    return said


def _try_height(trial: ClaimTrial, source: str) -> str:
    """Lift what it is the height of, whatever that is: it grows by 1; moved sideways by 0."""
    live = trial.live
    before = live.read(live.pose(), source)
    for root in sorted({int(body) for body in live.model.body_rootid[1:]}):
        name = live.model.body(root).name
        if not name:
            continue
        found = []
        for by in (UPWARD, (1.0, 0.0, 0.0)):
            with live.carried(f"body:{name}", np.array(by)) as data:
                found.append(float((live.read(data, source) - before)[0]))
        if abs(found[0]) > CLOSE:
            return expect(
                f"{name} lifted by 1 m: {found[0]:+.2f}, moved by 1 m in x: {found[1]:+.2f}",
                found, (1.0, 0.0),
            )  # fmt: skip
    raise ClaimError("nothing that is lifted by 1 m changes it")
