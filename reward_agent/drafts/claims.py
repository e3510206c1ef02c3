"""Claims about a model's meaning, each tried on the live model by intervention.

What a name suggests, a picture shows or a language model says is a claim. A claim is tried by a
person's means: the robot is lifted, turned over and pushed, a joint is nudged, one thing is put on
another. The verdict says what was measured. What nothing on the model can tell is said as that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mujoco
import numpy as np

from reward_agent.definitions.meaning import (
    ClaimTest,
    Gripper,
    JointSense,
    LimbClaim,
    Meaning,
    MeasureClaim,
    TaskIdea,
)
from reward_agent.drafts.live import LiveModel, RefusedError, UntestedError
from reward_agent.drafts.words import find_side
from reward_agent.simulation.interventions import HINGE, SLIDE, UPWARD, Root
from reward_agent.simulation.mujoco_start import find_servos
from reward_agent.simulation.state import FloatArray

_LIFT_M, _YAW, _STEP_S = 1.0, np.pi / 2, 1e-4
_NUDGE = {HINGE: 0.1, SLIDE: 0.02}  # rad, m
_CLOSE = 1e-3
# Cosines: of an axis that is up, of one that is level, of a displacement that goes some way.
_IS_UP, _IS_LEVEL, _GOES = 0.9, 0.35, 0.3
_DIP_M = 0.002
_LEAST_M = 0.001  # of what is said to move
_MOST_DRIFT = 0.1  # rad or m, of a joint that is held for a second
_MOST_OVERLAP_M = 0.02
_FOOT_GAP = 0.1  # of the height of the torso above the lowest point
_KEYS_OF_FRAME = ("up", "forward")
_SIDES = {
    "left": ("left", 1.0), "right": ("left", -1.0),
    "front": ("forward", 1.0), "fore": ("forward", 1.0),
    "rear": ("forward", -1.0), "hind": ("forward", -1.0), "back": ("forward", -1.0),
}  # fmt: skip
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
# Least and greatest size of a task's number, where the model does not say.
_BOUNDS = {
    "travel": (0.01, 20.0), "turn": (0.01, 20.0), "reach": (0.001, 2.0), "place": (0.001, 2.0),
    "lift": (0.005, 2.0), "move_fixture": (0.005, 10.0), "jump": (0.01, 3.0),
}  # fmt: skip


def try_meaning(
    model: mujoco.MjModel, meaning: Meaning, qpos: FloatArray | None = None
) -> tuple[ClaimTest, ...]:
    """Try every claim of a form on a model.

    Args:
        model: as it is simulated.
        meaning: the claims.
        qpos: the start pose, where the form names none that holds; None: the reference pose.
    """
    trial = _Trial(LiveModel(model, qpos), meaning)
    return tuple(trial.judge(key, number) for key, number in meaning.list_claims())


class _Test(NamedTuple):
    """What a claim is tried by: a name for people, and what returns what was measured."""

    name: str
    run: Callable[[Any, Any], str]


class _Trial:
    """One form on one model, claim by claim; what holds already is what later tests build on."""

    def __init__(self, live: LiveModel, meaning: Meaning) -> None:
        self.live, self.meaning = live, meaning
        self.held: set[tuple[str, int | None]] = set()
        self.states: list[Any] = []

    def judge(self, key: str, number: int | None) -> ClaimTest:
        """Try one claim."""
        value = getattr(self.meaning, key)
        test = _TESTS[key]
        try:
            holds, said = True, test.run(self, value if number is None else value[number])
        except RefusedError as error:
            holds, said = False, str(error)
        except UntestedError as error:
            holds, said = None, str(error)
        except (ValueError, mujoco.FatalError) as error:  # a pose that MuJoCo cannot compute
            holds, said = False, f"it cannot be tried: {error}"
        if holds is not False:
            self.held.add((key, number))
        return ClaimTest(key=key, number=number, test=test.name, holds=holds, said=said)

    def holds(self, key: str) -> bool:
        """Whether a claim of which there is one was made and not refused."""
        return (key, None) in self.held

    def list_held(self, key: str) -> list[Any]:
        """Return the claims of a key that were not refused."""
        return [v for i, v in enumerate(getattr(self.meaning, key)) if (key, i) in self.held]

    # --- directions ----------------------------------------------------------------------------

    def require_torso(self) -> str:
        """Return the torso's place."""
        if self.meaning.torso is None or not self.holds("torso"):
            raise RefusedError("no torso holds whose axis it could be")
        return self.meaning.torso

    def find_way(self, way: str) -> FloatArray:
        """Return a direction in the world at the start, seen from the robot, ``(3,)``."""
        if way in ("up", "down"):
            return np.array(UPWARD) * (1.0 if way == "up" else -1.0)
        if self.meaning.forward is None or not self.holds("forward"):
            raise RefusedError(f"{way} cannot be told: no forward axis holds")
        forward = self.live.point(self.live.pose(), self.require_torso(), self.meaning.forward)
        forward[2] = 0.0
        forward /= np.linalg.norm(forward)
        left = np.cross(UPWARD, forward)
        ways = {"forward": forward, "backward": -forward, "left": left, "right": -left}
        return ways[way]

    def root(self) -> Root:
        """Return what carries the torso."""
        return Root(self.live.model, self.live.find_body(self.require_torso()))


# --- the start ---------------------------------------------------------------------------------


def _accept(trial: _Trial, value: Any) -> str:
    raise UntestedError("words for people; nothing tests them")


def _try_start(trial: _Trial, keyframe: str | int) -> str:
    """Hold the pose for a second: it stays finite, overlaps with nothing, keeps its joints."""
    live = trial.live
    qpos = live.find_keyframe(keyframe)
    data = live.pose(qpos)
    overlap = -min((float(contact.dist) for contact in data.contact), default=0.0)
    if overlap > _MOST_OVERLAP_M:
        raise RefusedError(f"in this pose parts overlap by {overlap:.3f} m")
    after = live.simulate(qpos)
    if not np.isfinite(after.qpos).all() or after.warning.number.any():
        raise RefusedError("held for 1 s, the physics diverges")
    live.home = qpos
    joints = [j for j in live.driven if int(live.model.jnt_type[j]) in _NUDGE]
    drift = {j: abs(float((after.qpos - qpos)[live.model.jnt_qposadr[j]])) for j in joints}
    worst = max(drift, key=lambda joint: drift[joint], default=None)
    if worst is None or not find_servos(live.model):
        return f"finite after 1 s without control, overlap {max(overlap, 0.0):.3f} m"
    said = f"held for 1 s, joint {live.name_joint(worst)} moves by {drift[worst]:.2f}"
    if drift[worst] > _MOST_DRIFT:
        raise RefusedError(f"{said}, at most {_MOST_DRIFT} would be a pose that holds")
    return said


# --- the torso and its axes ----------------------------------------------------------------------


def _try_torso(trial: _Trial, place: str) -> str:
    """Lift the robot by 1 m: the torso's height grows by 1, its x by 0."""
    live = trial.live
    body = live.find_body(place)
    if place.startswith("joint:") or not live.is_of_robot(body):
        raise RefusedError("no actuator moves what it hangs together with: it is not of the robot")
    root = Root(live.model, body)
    lifted = root.shift(live.home, (0.0, 0.0, _LIFT_M))
    if lifted is None:
        raise UntestedError("the robot is bolted down or cannot rise")
    rise = live.locate(live.pose(lifted), place) - live.locate(live.pose(), place)
    return _expect(f"lifted by 1 m it rises by {rise[2]:.2f} m", rise, (0.0, 0.0, _LIFT_M))


def _try_up(trial: _Trial, axis: str) -> str:
    """At the start 1, turned over -1, after a yaw of 90 degrees unchanged."""
    live, torso, root = trial.live, trial.require_torso(), trial.root()
    at_home = _read_up(live, torso, axis)
    if at_home < _IS_UP:
        names = [sign + letter for letter in "xyz" for sign in "+-"]
        best = max(names, key=lambda name: _read_up(live, torso, name))
        raise RefusedError(
            f"at the start {axis} of {torso} is {at_home:.2f} upward, not 1; "
            f"{best} is {_read_up(live, torso, best):.2f}"
        )
    said = f"{at_home:.2f} at the start"
    for name, turn, expected in (
        ("turned over", ((1.0, 0.0, 0.0), np.pi), -at_home),
        ("turned over", ((0.0, 1.0, 0.0), np.pi), -at_home),
        ("after a yaw of 90 degrees", (UPWARD, _YAW), at_home),
    ):
        turned = root.turn(live.home, *turn)
        if turned is None:
            continue
        found = _read_up(live, torso, axis, turned)
        said += f", {found:.2f} {name}" if name not in said else ""
        if abs(found - expected) > _CLOSE:
            raise RefusedError(f"{said}, expected {expected:.2f}")
    return said


def _read_up(live: LiveModel, torso: str, axis: str, qpos: FloatArray | None = None) -> float:
    return float(live.point(live.pose(qpos), torso, axis)[2])


def _try_forward(trial: _Trial, axis: str) -> str:
    """Level at the start; turns with a yaw; a velocity along it is a forward velocity of 1."""
    live, torso, root = trial.live, trial.require_torso(), trial.root()
    forward = live.point(live.pose(), torso, axis)
    if abs(forward[2]) > _IS_LEVEL:
        raise RefusedError(f"at the start {axis} of {torso} is {forward[2]:.2f} upward, not level")
    if not root.joints:
        raise UntestedError(f"{axis} of {torso} is level at the start; the robot is bolted down")
    forward[2] = 0.0
    forward /= np.linalg.norm(forward)
    speed = root.push(live.home, forward)
    if speed is None:
        raise RefusedError(f"the robot's root cannot move along {axis} of {torso}")
    moved = np.array(live.home)
    mujoco.mj_integratePos(live.model, moved, speed, _STEP_S)
    velocity = (live.locate(live.pose(moved), torso) - live.locate(live.pose(), torso)) / _STEP_S
    said = _expect(f"pushed along it, forward velocity {velocity @ forward:.2f}", velocity, forward)
    turned = root.turn(live.home, UPWARD, _YAW)
    if turned is not None:
        after = live.point(live.pose(turned), torso, axis)
        expected = np.cross(UPWARD, live.point(live.pose(), torso, axis))
        _expect("yawed by 90 degrees, it turns", after[:2], expected[:2])
        said += "; turns with a yaw of 90 degrees"
    return f"{said}; {_tell_front_from_back(trial, forward)}"


def _tell_front_from_back(trial: _Trial, forward: FloatArray) -> str:
    """Say which parts lie ahead of which, by the model's own names, else by the form's limbs.

    Nothing else can tell where a robot's front is.
    """
    live, data = trial.live, trial.live.pose()
    left = np.cross(UPWARD, forward)
    bodies = [body for body in range(1, live.model.nbody) if live.is_of_robot(body)]
    named = [(find_side(live.model.body(b).name), data.xipos[b]) for b in bodies]
    claimed = [
        (find_side(limb.limb), live.locate(data, limb.place))
        for limb in trial.meaning.limbs
        if _is_there(live, limb.place)
    ]
    for whose, sides in (("parts that the model names", named), ("limbs of this form", claimed)):
        for words, direction in ((("front", "back"), forward), (("left", "right"), left)):
            near, far = ([at for side, at in sides if word in side] for word in words)
            if near and far:
                gap = float((np.mean(near, axis=0) - np.mean(far, axis=0)) @ direction)
                said = f"{whose} {words[0]} lie {gap:.2f} m beyond those {words[1]}"
                if whose != "limbs of this form" and gap < -_LEAST_M:
                    raise RefusedError(f"{said}, seen along it")
                if gap > _LEAST_M:
                    return said
    raise UntestedError("nothing on the model tells its front from its back")


def _expect(said: str, found: Any, expected: Any) -> str:
    """Refuse numbers that are not as expected."""
    if np.abs(np.asarray(found) - np.asarray(expected)).max() > _CLOSE:
        raise RefusedError(f"{said}: {_show(found)}, expected {_show(expected)}")
    return said


def _show(values: Any) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in np.atleast_1d(values)) + ")"


# --- limbs -------------------------------------------------------------------------------------


def _try_foot(trial: _Trial, place: str) -> str:
    """Lower the robot until it touches: the foot is what touches, or all but touches, then."""
    live = trial.live
    if not live.is_of_robot(live.find_body(place)):
        raise RefusedError("no actuator moves what it hangs together with: it is not of the robot")
    data, geoms = live.pose(), live.list_robot_geoms()
    low, own = live.measure_low(data, geoms), live.measure_low(data, live.list_geoms(place))
    if not np.isfinite(own) or not np.isfinite(low):
        raise UntestedError("the lowest point of its shape is not known")
    height = max(float(data.xpos[body][2]) for body in live.robot) - low
    gap = own - low
    said = f"when the lowered robot touches the floor, it is {max(gap, 0.0):.3f} m above it"
    if gap > _FOOT_GAP * max(height, 0.05):
        first = min(geoms, key=lambda geom: live.measure_low(data, [geom]))
        name = live.model.body(int(live.model.geom_bodyid[first])).name
        raise RefusedError(f"{said}: {name} touches first")
    return said + _try_contact(live, place, own)


def _try_contact(live: LiveModel, place: str, low: float) -> str:
    """Put the foot's lowest point just into the floor, then lift it: it touches, then it does not.

    Says nothing where there is no floor, or the robot cannot rise.
    """
    root, contacts = Root(live.model, live.find_body(place)), list[bool]()
    feet = set(live.list_geoms(place))
    for height in (-_DIP_M, _LIFT_M):
        floor = live.pose().geom_xpos[live.floors[0]][2] if live.floors else 0.0
        moved = root.shift(live.home, (0.0, 0.0, floor - low + height))
        if moved is None or not live.floors:
            return ""
        pairs = [{int(geom) for geom in contact.geom} for contact in live.pose(moved).contact]
        contacts.append(any(pair & feet and pair & set(live.floors) for pair in pairs))
    if contacts != [True, False]:
        raise RefusedError(
            f"put {_DIP_M * 1000:.0f} mm into the floor it touches: {_yes(contacts[0])}; "
            f"lifted by 1 m: {_yes(contacts[1])}"
        )
    return "; it touches the floor then, and not when it is lifted by 1 m"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _try_hand(trial: _Trial, place: str) -> str:
    """Move the robot's joints, not its root: it goes along."""
    live = trial.live
    body = live.find_body(place)
    reach = _measure_reach(live, place) if live.is_of_robot(body) else 0.0
    if reach < _LEAST_M:
        raise RefusedError(f"the robot's joints move it by {reach:.3f} m: nothing reaches with it")
    return f"the robot's joints move it by up to {reach:.2f} m"


def _try_tool(trial: _Trial, place: str) -> str:
    """Move the robot: its root carries it, or its joints move it."""
    live = trial.live
    body = live.find_body(place)
    if live.is_of_robot(body) and Root(live.model, body).joints:
        return "the robot's root carries it"
    return _try_hand(trial, place)


def _measure_reach(live: LiveModel, place: str) -> float:
    """Return how far a place moves at most when the robot's joints do and its root does not."""
    start = live.locate(live.pose(), place)
    poses = live.draw(live.list_joints(of_robot=True))
    return max(float(np.linalg.norm(live.locate(live.pose(q), place) - start)) for q in poses)


def _try_limb(trial: _Trial, claim: LimbClaim) -> str:
    """A left limb lies to the left of the forward axis, a front one ahead."""
    live = trial.live
    live.find_place(claim.place)
    said = []
    for word, (way, sign) in _SIDES.items():
        if word not in claim.limb.split("_"):
            continue
        offset = sign * _measure_side(trial, claim.place, way)
        said.append(f"{offset:.3f} m to the {word}")
        if offset < _LEAST_M:
            raise RefusedError(
                f"it lies {-offset:.3f} m to the other side: {way} is {_show(trial.find_way(way))}"
            )
    if not said:
        raise UntestedError("its name says no side")
    return "it lies " + ", ".join(said)


def _measure_side(trial: _Trial, place: str, way: str) -> float:
    """Return how far a place lies along a way, m: from the middle of the limbs that have a side.

    Where all of them are on one, from the torso.
    """
    live, data, direction = trial.live, trial.live.pose(), trial.find_way(way)
    sides = {sign: [] for sign in (1.0, -1.0)}  # type: dict[float, list[float]]
    for limb in trial.meaning.limbs:
        for word in set(limb.limb.split("_")) & set(_SIDES):
            if _SIDES[word][0] == way and _is_there(live, limb.place):
                at = float(live.locate(data, limb.place) @ direction)
                sides[_SIDES[word][1]].append(at)
    at = float(live.locate(data, place) @ direction)
    if all(sides.values()):
        return at - float(np.mean([np.mean(values) for values in sides.values()]))
    return at - float(live.locate(data, trial.require_torso()) @ direction)


def _is_there(live: LiveModel, place: str) -> bool:
    try:
        live.find_place(place)
    except RefusedError:
        return False
    return True


def _try_joint(trial: _Trial, claim: JointSense) -> str:
    """Nudge the joint: the part goes the way that is said."""
    live = trial.live
    joint = live.find("joint", claim.joint)
    step = _NUDGE.get(int(live.model.jnt_type[joint]))
    if step is None:
        raise RefusedError("it is no slide or hinge, and has no positive way")
    start, after = live.pose(), live.pose(live.nudge(joint, step))
    moved = live.locate(after, claim.moves) - live.locate(start, claim.moves)
    length = float(np.linalg.norm(moved))
    if length < _LEAST_M / 10:
        raise RefusedError(f"nudged by +{step:g}, it moves {claim.moves} by {length:.4f} m")
    along = float(moved @ trial.find_way(claim.positive))
    said = f"nudged by +{step:g}, {claim.moves} goes {along:.4f} m {claim.positive}"
    if along < _GOES * length:
        raise RefusedError(f"{said}, of {length:.4f} m in all: {_tell_ways(trial, moved)}")
    return said


def _tell_ways(trial: _Trial, moved: FloatArray) -> str:
    """Say where something went, in the robot's own words."""
    ways = ["up", "down"]
    if trial.holds("forward"):
        ways += ["forward", "backward", "left", "right"]
    along = {way: float(moved @ trial.find_way(way)) for way in ways}
    best = max(along, key=lambda way: along[way])
    return f"it goes {along[best]:.4f} m {best}"


def _try_gripper(trial: _Trial, claim: Gripper) -> str:
    """Hold its control low, then high, for a second each, and measure between the fingers."""
    live = trial.live
    actuator = live.find("actuator", claim.actuator)
    if not live.model.actuator_ctrllimited[actuator]:
        raise UntestedError("its actuator has no control range")
    widths = {}
    for end, value in zip(("low", "high"), live.model.actuator_ctrlrange[actuator], strict=True):
        data = live.simulate(live.home, {actuator: float(value)})
        gap = live.locate(data, claim.fingers[0]) - live.locate(data, claim.fingers[1])
        widths[end] = float(np.linalg.norm(gap))
    said = f"fingers are {widths['low']:.3f} m apart at low, {widths['high']:.3f} m at high control"
    other = {"low": "high", "high": "low"}[claim.opens]
    if widths[claim.opens] - widths[other] < _LEAST_M:
        raise RefusedError(said)
    return said


# --- objects, targets, fixtures ----------------------------------------------------------------


def _try_object(trial: _Trial, place: str) -> str:
    """Lift it by its own joint, not the robot's: it rises by 1 m."""
    live = trial.live
    body = live.find_body(place)
    own = [joint for joint in live.list_joints(body) if joint not in live.driven]
    if not own:
        raise RefusedError("it has no joint of its own: it cannot be moved")
    if live.is_of_robot(body):
        raise RefusedError("it hangs together with the robot")
    start = live.locate(live.pose(), place)
    lifted = Root(live.model, body).shift(live.home, (0.0, 0.0, _LIFT_M))
    if lifted is not None:
        rise = live.locate(live.pose(lifted), place) - start
        return _expect(
            f"its own joint lifts it by {rise[2]:.2f} m; the robot's joints leave it",
            rise, (0.0, 0.0, _LIFT_M),
        )  # fmt: skip
    step = _NUDGE.get(int(live.model.jnt_type[own[-1]]), 0.0)
    moved = float(np.linalg.norm(live.locate(live.pose(live.nudge(own[-1], step)), place) - start))
    if moved < _LEAST_M / 10:
        raise RefusedError(f"its own joint moves it by {moved:.4f} m")
    return f"its own joint {live.name_joint(own[-1])} moves it by {moved:.3f} m"


def _try_target(trial: _Trial, place: str) -> str:
    """Put the tool, or the object, on it: distance 0; carry it away by 1 m: 1."""
    live, meaning = trial.live, trial.meaning
    roots = live.model.body_rootid
    root = roots[live.find_body(place)]
    for key in ("object", "tool"):
        other = getattr(meaning, key)
        if other is not None and trial.holds(key):
            if root == roots[live.find_body(other)]:
                raise RefusedError(f"it hangs together with {other}, and goes where that goes")
            return _try_distance(trial, other, place)
    raise UntestedError("no tool and no object holds that could be brought there")


def _try_distance(trial: _Trial, first: str, second: str) -> str:
    live = trial.live
    home = live.pose()
    start = live.locate(home, second) - live.locate(home, first)
    if live.find_body(first) == live.find_body(second):
        raise RefusedError(f"both are on one body, always {np.linalg.norm(start):.3f} m apart")
    roots = live.model.body_rootid
    if roots[live.find_body(first)] == roots[live.find_body(second)]:
        return f"{np.linalg.norm(start):.3f} m at the start, changes with the joints between them"
    gaps = []
    for by in (start, start + np.array((0.0, 0.0, _LIFT_M))):
        with live.carried(first, by) as data:
            gap = live.locate(data, first) - live.locate(data, second)
            gaps.append(float(np.linalg.norm(gap)))
    said = f"{first} put on {second}: {gaps[0]:.2f} m; carried on by 1 m: {gaps[1]:.2f} m"
    return _expect(said, gaps, (0.0, _LIFT_M))


def _try_fixture(trial: _Trial, place: str) -> str:
    """Move the joint itself: its part moves; no actuator drives it."""
    live = trial.live
    kind, joint = live.find_place(place)
    if kind != "joint":
        raise RefusedError("a fixture is a joint, such as joint:door_hinge")
    if joint in live.driven or live.is_of_robot(int(live.model.jnt_bodyid[joint])):
        raise RefusedError("it is a joint of the robot")
    step = _NUDGE.get(int(live.model.jnt_type[joint]))
    if step is None:
        raise RefusedError("it is no slide or hinge")
    moved = live.pose(live.nudge(joint, step))
    below = sorted(live.list_below(int(live.model.jnt_bodyid[joint])))
    changes = np.abs(moved.xipos[below] - live.pose().xipos[below])
    return f"nudged by +{step:g}, what hangs on it moves by {changes.max():.3f} m"


# --- numbers -----------------------------------------------------------------------------------


def _try_measure(trial: _Trial, claim: MeasureClaim) -> str:
    """It changes, has the unit, and behaves as what it is said to be."""
    live = trial.live
    trial.states = trial.states or live.draw_states()
    values = np.array([live.read(data, claim.source) for data in trial.states])
    low, high = values.min(axis=0), values.max(axis=0)
    if (high - low).max() < 1e-9:
        raise RefusedError(
            f"nothing changes it: always {_show(low)} in {len(values)} states in which "
            f"everything moves; that is no {claim.quantity}"
        )
    units = _QUANTITIES.get(claim.quantity)
    if units and claim.unit not in units:
        raise RefusedError(f"a {claim.quantity} is in {' or '.join(units)}, not in {claim.unit}")
    said = _try_unit(trial, claim)
    if claim.quantity in ("distance", "height") and values.shape[1] != 1:
        raise RefusedError(f"it has {values.shape[1]} numbers, a {claim.quantity} is one")
    if claim.quantity == "distance":
        if low[0] < 0:
            raise RefusedError(f"it goes down to {low[0]:.3f}, a distance is never below 0")
        if claim.source.startswith("distance("):
            first, _, second = claim.source[len("distance(") : -1].partition(",")
            said += "; " + _try_distance(trial, first.strip(), second.strip())
    if claim.quantity == "height":
        said += "; " + _try_height(trial, claim.source)
    return said


def _try_unit(trial: _Trial, claim: MeasureClaim) -> str:
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
                raise RefusedError(f"a sensor of its type is in {unit}, not in {claim.unit}")
            return f"a sensor of its type is in {unit}"
    powers = live.measure_dimension(claim.source, trial.states)
    if powers is None:
        raise RefusedError(
            f"it is no {claim.unit}: in a model twice as large it grows by no one factor"
        )
    length, speed = powers
    found = _DIMENSIONS.get((round(length), round(speed)), ())
    said = f"in a model twice as large it is {2**length:.2f} times as large"
    said += f", at twice the speed {2**speed:.2f} times"
    if claim.unit not in found:
        raise RefusedError(
            f"{said}: that is {' or '.join(found) or 'none of the units'}, not {claim.unit}"
        )
    return said


def _try_height(trial: _Trial, source: str) -> str:
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
        if abs(found[0]) > _CLOSE:
            return _expect(
                f"{name} lifted by 1 m: {found[0]:+.2f}, moved by 1 m in x: {found[1]:+.2f}",
                found, (1.0, 0.0),
            )  # fmt: skip
    raise RefusedError("nothing that is lifted by 1 m changes it")


# --- tasks -------------------------------------------------------------------------------------


def _try_task(trial: _Trial, idea: TaskIdea) -> str:
    """The robot has what the task needs, and the start does not do it already."""
    for key in _NEEDED[idea.kind]:
        is_there = trial.list_held(key) if key == "feet" else trial.holds(key)
        if not is_there:
            raise RefusedError(f"{idea.kind} needs {key}, and none holds")
    if idea.kind not in _BOUNDS:
        return _try_stance(trial, idea) if idea.kind == "stand_on" else "the robot has joints"
    low, high = _BOUNDS[idea.kind]
    if idea.number is None or not low <= abs(idea.number) <= high:
        raise RefusedError(f"its number is {idea.number}, expected {low:g} to {high:g}")
    return _TASKS[idea.kind](trial, idea.number)


def _try_stance(trial: _Trial, idea: TaskIdea) -> str:
    known = trial.list_held("feet")
    unknown = [foot for foot in idea.feet if foot not in known]
    if unknown or not idea.feet or len(set(idea.feet)) == len(known):
        raise RefusedError(f"stand on some of the feet, not all: {', '.join(known)}")
    return f"{len(set(idea.feet))} of {len(known)} feet"


def _try_speed(trial: _Trial, speed: float) -> str:
    if not trial.root().joints:
        raise RefusedError("the robot is bolted down")
    return f"the root moves; {speed:g} m/s is asked for"


def _try_rate(trial: _Trial, rate: float) -> str:
    if trial.root().turn(trial.live.home, UPWARD, _YAW) is None:
        raise RefusedError("the robot's root cannot turn about the vertical")
    return f"the root turns; {rate:g} rad/s is asked for"


def _try_gap(trial: _Trial, first: str, within: float) -> str:
    live, data = trial.live, trial.live.pose()
    gap = live.locate(data, getattr(trial.meaning, first)) - live.locate(
        data, str(trial.meaning.target)
    )
    away = float(np.linalg.norm(gap))
    if away <= within:
        raise RefusedError(f"the start does it already: {away:.3f} m away, {within:g} m is asked")
    return f"{away:.3f} m away at the start, {within:g} m is asked for"


def _try_lift(trial: _Trial, by: float) -> str:
    root = Root(trial.live.model, trial.live.find_body(str(trial.meaning.object)))
    if by < 0 or root.shift(trial.live.home, (0.0, 0.0, by)) is None:
        raise RefusedError("the object's own joints do not let it rise by that")
    return f"the object can rise by {by:g} m"


def _try_opening(trial: _Trial, by: float) -> str:
    live = trial.live
    joint = live.find_place(str(trial.meaning.fixture))[1]
    start = float(live.home[live.model.jnt_qposadr[joint]])
    if live.model.jnt_limited[joint]:
        low, high = live.model.jnt_range[joint]
        if not low <= start + by <= high:
            raise RefusedError(
                f"moved by {by:g} it is at {start + by:.2f}, its range is {low:.2f} to {high:.2f}"
            )
    return f"from {start:.2f} to {start + by:.2f}, within its range"


def _try_jump(trial: _Trial, height: float) -> str:
    if height < 0 or trial.root().shift(trial.live.home, (0.0, 0.0, height)) is None:
        raise RefusedError("the robot's root cannot rise by that")
    return f"the robot can rise by {height:g} m"


_NEEDED: dict[str, tuple[str, ...]] = {
    "hold_pose": (), "travel": ("torso", "forward"), "turn": ("torso", "up"),
    "reach": ("tool", "target"), "place": ("object", "target"), "lift": ("object",),
    "move_fixture": ("fixture",), "stand_on": ("torso", "feet"), "jump": ("torso",),
}  # fmt: skip
_TASKS: dict[str, Callable[[_Trial, float], str]] = {
    "travel": _try_speed,
    "turn": _try_rate,
    "reach": lambda trial, within: _try_gap(trial, "tool", within),
    "place": lambda trial, within: _try_gap(trial, "object", within),
    "lift": _try_lift,
    "move_fixture": _try_opening,
    "jump": _try_jump,
}
_TESTS: dict[str, _Test] = {
    "description": _Test("words", _accept),
    "start": _Test("held for a second", _try_start),
    "torso": _Test("lifted by a metre", _try_torso),
    "up": _Test("turned over", _try_up),
    "forward": _Test("pushed and yawed", _try_forward),
    "feet": _Test("lowered until it touches", _try_foot),
    "hands": _Test("moved by the robot's joints", _try_hand),
    "tool": _Test("moved by the robot", _try_tool),
    "object": _Test("moved by its own joint", _try_object),
    "target": _Test("put one on the other", _try_target),
    "fixture": _Test("moved by its own joint", _try_fixture),
    "limbs": _Test("side of the forward axis", _try_limb),
    "joints": _Test("nudged", _try_joint),
    "measures": _Test("changed, built twice as large, lifted", _try_measure),
    "gripper": _Test("control low and high", _try_gripper),
    "tasks": _Test("needs and start", _try_task),
}
