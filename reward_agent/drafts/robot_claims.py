"""Claims about a robot: its start, its torso's axes, its limbs, joints and gripper."""

from __future__ import annotations

import mujoco
import numpy as np

from reward_agent.definitions.meaning import Gripper, JointSense, LimbClaim
from reward_agent.drafts.claims import CLOSE, LEAST_M, LIFT_M, NUDGE, YAW, ClaimTrial, expect, show
from reward_agent.drafts.live import ClaimError, LiveModel, UntestedError
from reward_agent.drafts.words import find_side
from reward_agent.simulation.interventions import UPWARD, Root
from reward_agent.simulation.mujoco_start import find_servos
from reward_agent.simulation.state import FloatArray

_STEP_S = 1e-4
# Cosines: of an axis that is up, of one that is level, of a displacement that goes some way.
_IS_UP, _IS_LEVEL, _GOES = 0.9, 0.35, 0.3
_DIP_M = 0.002
_MOST_DRIFT = 0.1  # rad or m, of a joint that is held for a second
_MOST_OVERLAP_M = 0.02
_FOOT_GAP = 0.1  # of the height of the torso above the lowest point
_SIDES = {
    "left": ("left", 1.0), "right": ("left", -1.0),
    "front": ("forward", 1.0), "fore": ("forward", 1.0),
    "rear": ("forward", -1.0), "hind": ("forward", -1.0), "back": ("forward", -1.0),
}  # fmt: skip


def try_start(trial: ClaimTrial, keyframe: str | int) -> str:
    """Hold the pose for a second: it stays finite, overlaps with nothing, keeps its joints."""
    live = trial.live
    qpos = live.find_keyframe(keyframe)
    data = live.pose(qpos)
    overlap = -min((float(contact.dist) for contact in data.contact), default=0.0)
    if overlap > _MOST_OVERLAP_M:
        raise ClaimError(f"in this pose parts overlap by {overlap:.3f} m")
    after = live.simulate(qpos)
    if not np.isfinite(after.qpos).all() or after.warning.number.any():
        raise ClaimError("held for 1 s, the physics diverges")
    live.home = qpos
    joints = [j for j in live.driven if int(live.model.jnt_type[j]) in NUDGE]
    drift = {j: abs(float((after.qpos - qpos)[live.model.jnt_qposadr[j]])) for j in joints}
    worst = max(drift, key=lambda joint: drift[joint], default=None)
    if worst is None or not find_servos(live.model):
        return f"finite after 1 s without control, overlap {max(overlap, 0.0):.3f} m"
    said = f"held for 1 s, joint {live.name_joint(worst)} moves by {drift[worst]:.2f}"
    if drift[worst] > _MOST_DRIFT:
        raise ClaimError(f"{said}, at most {_MOST_DRIFT} would be a pose that holds")
    return said


# --- the torso and its axes ----------------------------------------------------------------------


def try_torso(trial: ClaimTrial, place: str) -> str:
    """Lift the robot by 1 m: the torso's height grows by 1, its x by 0."""
    live = trial.live
    body = live.find_body(place)
    if place.startswith("joint:") or not live.is_of_robot(body):
        raise ClaimError("no actuator moves what it hangs together with: it is not of the robot")
    root = Root(live.model, body)
    lifted = root.shift(live.home, (0.0, 0.0, LIFT_M))
    if lifted is None:
        raise UntestedError("the robot is bolted down or cannot rise")
    rise = live.locate(live.pose(lifted), place) - live.locate(live.pose(), place)
    return expect(f"lifted by 1 m it rises by {rise[2]:.2f} m", rise, (0.0, 0.0, LIFT_M))


def try_up(trial: ClaimTrial, axis: str) -> str:
    """At the start 1, turned over -1, after a yaw of 90 degrees unchanged."""
    live, torso, root = trial.live, trial.require_torso(), trial.root()
    at_home = _read_up(live, torso, axis)
    if at_home < _IS_UP:
        names = [sign + letter for letter in "xyz" for sign in "+-"]
        best = max(names, key=lambda name: _read_up(live, torso, name))
        raise ClaimError(
            f"at the start {axis} of {torso} is {at_home:.2f} upward, not 1; "
            f"{best} is {_read_up(live, torso, best):.2f}"
        )
    said = f"{at_home:.2f} at the start"
    for name, turn, expected in (
        ("turned over", ((1.0, 0.0, 0.0), np.pi), -at_home),
        ("turned over", ((0.0, 1.0, 0.0), np.pi), -at_home),
        ("after a yaw of 90 degrees", (UPWARD, YAW), at_home),
    ):
        turned = root.turn(live.home, *turn)
        if turned is None:
            continue
        found = _read_up(live, torso, axis, turned)
        said += f", {found:.2f} {name}" if name not in said else ""
        if abs(found - expected) > CLOSE:
            raise ClaimError(f"{said}, expected {expected:.2f}")
    return said


def _read_up(live: LiveModel, torso: str, axis: str, qpos: FloatArray | None = None) -> float:
    return float(live.point(live.pose(qpos), torso, axis)[2])


def try_forward(trial: ClaimTrial, axis: str) -> str:
    """Level at the start; turns with a yaw; a velocity along it is a forward velocity of 1."""
    live, torso, root = trial.live, trial.require_torso(), trial.root()
    forward = live.point(live.pose(), torso, axis)
    if abs(forward[2]) > _IS_LEVEL:
        raise ClaimError(f"at the start {axis} of {torso} is {forward[2]:.2f} upward, not level")
    if not root.joints:
        raise UntestedError(f"{axis} of {torso} is level at the start; the robot is bolted down")
    forward[2] = 0.0
    forward /= np.linalg.norm(forward)
    speed = root.push(live.home, forward)
    if speed is None:
        raise ClaimError(f"the robot's root cannot move along {axis} of {torso}")
    moved = np.array(live.home)
    mujoco.mj_integratePos(live.model, moved, speed, _STEP_S)
    velocity = (live.locate(live.pose(moved), torso) - live.locate(live.pose(), torso)) / _STEP_S
    said = expect(f"pushed along it, forward velocity {velocity @ forward:.2f}", velocity, forward)
    turned = root.turn(live.home, UPWARD, YAW)
    if turned is not None:
        after = live.point(live.pose(turned), torso, axis)
        expected = np.cross(UPWARD, live.point(live.pose(), torso, axis))
        expect("yawed by 90 degrees, it turns", after[:2], expected[:2])
        said += "; turns with a yaw of 90 degrees"
    return f"{said}; {_tell_front_from_back(trial, forward)}"


def _tell_front_from_back(trial: ClaimTrial, forward: FloatArray) -> str:
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
                if whose != "limbs of this form" and gap < -LEAST_M:
                    raise ClaimError(f"{said}, seen along it")
                if gap > LEAST_M:
                    return said
    raise UntestedError("nothing on the model tells its front from its back")


# --- limbs -------------------------------------------------------------------------------------


def try_foot(trial: ClaimTrial, place: str) -> str:
    """Lower the robot until it touches: the foot is what touches, or all but touches, then."""
    live = trial.live
    if not live.is_of_robot(live.find_body(place)):
        raise ClaimError("no actuator moves what it hangs together with: it is not of the robot")
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
        raise ClaimError(f"{said}: {name} touches first")
    return said + _try_contact(live, place, own)


def _try_contact(live: LiveModel, place: str, low: float) -> str:
    """Put the foot's lowest point just into the floor, then lift it: it touches, then it does not.

    Says nothing where there is no floor, or the robot cannot rise.
    """
    root, contacts = Root(live.model, live.find_body(place)), list[bool]()
    feet = set(live.list_geoms(place))
    for height in (-_DIP_M, LIFT_M):
        floor = live.pose().geom_xpos[live.floors[0]][2] if live.floors else 0.0
        moved = root.shift(live.home, (0.0, 0.0, floor - low + height))
        if moved is None or not live.floors:
            return ""
        pairs = [{int(geom) for geom in contact.geom} for contact in live.pose(moved).contact]
        contacts.append(any(pair & feet and pair & set(live.floors) for pair in pairs))
    if contacts != [True, False]:
        raise ClaimError(
            f"put {_DIP_M * 1000:.0f} mm into the floor it touches: {_yes(contacts[0])}; "
            f"lifted by 1 m: {_yes(contacts[1])}"
        )
    return "; it touches the floor then, and not when it is lifted by 1 m"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def try_hand(trial: ClaimTrial, place: str) -> str:
    """Move the robot's joints, not its root: it goes along."""
    live = trial.live
    body = live.find_body(place)
    reach = _measure_reach(live, place) if live.is_of_robot(body) else 0.0
    if reach < LEAST_M:
        raise ClaimError(f"the robot's joints move it by {reach:.3f} m: nothing reaches with it")
    return f"the robot's joints move it by up to {reach:.2f} m"


def try_tool(trial: ClaimTrial, place: str) -> str:
    """Move the robot: its root carries it, or its joints move it."""
    live = trial.live
    body = live.find_body(place)
    if live.is_of_robot(body) and Root(live.model, body).joints:
        return "the robot's root carries it"
    return try_hand(trial, place)


def _measure_reach(live: LiveModel, place: str) -> float:
    """Return how far a place moves at most when the robot's joints do and its root does not."""
    start = live.locate(live.pose(), place)
    poses = live.draw(live.list_joints(of_robot=True))
    return max(float(np.linalg.norm(live.locate(live.pose(q), place) - start)) for q in poses)


def try_limb(trial: ClaimTrial, claim: LimbClaim) -> str:
    """A left limb lies to the left of the forward axis, a front one ahead."""
    live = trial.live
    live.find_place(claim.place)
    said = []
    for word, (way, sign) in _SIDES.items():
        if word not in claim.limb.split("_"):
            continue
        offset = sign * _measure_side(trial, claim.place, way)
        said.append(f"{offset:.3f} m to the {word}")
        if offset < LEAST_M:
            raise ClaimError(
                f"it lies {-offset:.3f} m to the other side: {way} is {show(trial.find_way(way))}"
            )
    if not said:
        raise UntestedError("its name says no side")
    return "it lies " + ", ".join(said)


def _measure_side(trial: ClaimTrial, place: str, way: str) -> float:
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
    except ClaimError:
        return False
    return True


def try_joint(trial: ClaimTrial, claim: JointSense) -> str:
    """Nudge the joint: the part goes the way that is said."""
    live = trial.live
    joint = live.find("joint", claim.joint)
    step = NUDGE.get(int(live.model.jnt_type[joint]))
    if step is None:
        raise ClaimError("it is no slide or hinge, and has no positive way")
    start, after = live.pose(), live.pose(live.nudge(joint, step))
    moved = live.locate(after, claim.moves) - live.locate(start, claim.moves)
    length = float(np.linalg.norm(moved))
    if length < LEAST_M / 10:
        raise ClaimError(f"nudged by +{step:g}, it moves {claim.moves} by {length:.4f} m")
    along = float(moved @ trial.find_way(claim.positive))
    said = f"nudged by +{step:g}, {claim.moves} goes {along:.4f} m {claim.positive}"
    if along < _GOES * length:
        raise ClaimError(f"{said}, of {length:.4f} m in all: {_tell_ways(trial, moved)}")
    return said


def _tell_ways(trial: ClaimTrial, moved: FloatArray) -> str:
    """Say where something went, in the robot's own words."""
    ways = ["up", "down"]
    if trial.holds("forward"):
        ways += ["forward", "backward", "left", "right"]
    along = {way: float(moved @ trial.find_way(way)) for way in ways}
    best = max(along, key=lambda way: along[way])
    return f"it goes {along[best]:.4f} m {best}"


def try_gripper(trial: ClaimTrial, claim: Gripper) -> str:
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
    if widths[claim.opens] - widths[other] < LEAST_M:
        raise ClaimError(said)
    return said
