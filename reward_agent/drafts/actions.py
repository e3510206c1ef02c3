"""What the actions of a drafted card do: one mapping that is right for every actuator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.drafts.pose import is_servo, is_speed_servo
from reward_agent.drafts.roles import Facts
from reward_agent.drafts.tools import Handling
from reward_agent.drafts.tree import call, list_ancestors, list_joints
from reward_agent.drafts.words import Names, drop_common, make_name, split_words
from reward_agent.simulation.interventions import HINGE

Array = NDArray[np.float64]
_JOINT = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
_TENDON, _SITE = int(mujoco.mjtTrn.mjTRN_TENDON), int(mujoco.mjtTrn.mjTRN_SITE)
# Of half a servo's range: what a leg's action moves it; and rad at most. An arm must reach.
_LEG, _MOST_LEG, _ARM, _MOST_ARM = 0.3, 0.5, 0.6, 1.0
_MOST_SLIDE = 0.25  # m
_SPEED = 5.0  # rad/s or m/s of a servo for speeds that gives no range
_MOCAP_M_PER_S = 0.5
_MOST_DIGITS = 3


@dataclass(frozen=True)
class Actions:
    """The actions of a card.

    Args:
        names: one for each actuator, then those of what is led.
        mapping: 'direct', 'rescaled' or 'around_home'.
        scale: for 'around_home', by actuator.
        control_ranges: of actuators that give none.
        mocap: bodies that lead others, and m in a control step at action 1.
        travel: how far actions may move a joint from the start, rad or m.
        doc: what they do, in words.
        guesses: what was guessed.
    """

    names: tuple[str, ...]
    mapping: str
    scale: tuple[float, ...] = ()
    control_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    mocap: tuple[tuple[str, float], ...] = ()
    travel: dict[int, float] = field(default_factory=dict)
    doc: str = ""
    guesses: dict[str, str] = field(default_factory=dict)


def choose_actions(facts: Facts, handling: Handling, control_dt: float) -> Actions:
    """Choose the mapping of a model's actions, and how much an action of 1 is."""
    model, names = facts.model, _name_actuators(facts)
    servo, speed = is_servo(model) & ~is_speed_servo(model), is_speed_servo(model)
    ranges = {
        names[a]: _find_range(facts, a, bool(speed[a]))
        for a in range(model.nu)
        if not model.actuator_ctrllimited[a] and not servo[a]
    }
    limits = np.array(
        [ranges.get(names[a], tuple(model.actuator_ctrlrange[a])) for a in range(model.nu)]
    ).reshape(model.nu, 2)
    is_uneven = bool(model.nu) and not np.allclose(limits[:, 0], -limits[:, 1], atol=1e-6)
    needs_home = servo.any() or (facts.pose.controls == "keyframe" and is_uneven)
    mocap = tuple(
        (call(model, "body", led), _round(_MOCAP_M_PER_S * control_dt)) for led, _ in facts.tree.led
    )
    scale = tuple(
        _choose_scale(facts, handling, a, bool(servo[a]), limits[a]) for a in range(model.nu)
    )
    led = [f"{make_name(split_words(body), 'lead')}_{axis}" for body, _ in mocap for axis in "xyz"]
    return Actions(
        names=(*names, *led),
        mapping="around_home" if needs_home else "rescaled",
        scale=scale if needs_home else (),
        control_ranges={
            _key(facts, name, i): ranges[name] for i, name in enumerate(names) if name in ranges
        },
        mocap=mocap,
        travel=_measure_travel(facts, scale, servo),
        doc=_describe(bool(needs_home), servo, speed, scale, limits, bool(mocap)),
        guesses=dict(_list_guesses(ranges, bool(needs_home))),
    )


def _list_guesses(ranges: Iterable[str], needs_home: bool) -> Iterator[tuple[str, str]]:
    """Yield what of the actions was guessed, by the key of the card that says it."""
    if ranges:
        yield (
            "control_ranges",
            f"the model gives no control range for {', '.join(ranges)}: what its limits of force, "
            "or its weight, ask for",
        )
    if needs_home:
        yield "action_scale", "how far an action of 1 moves what it moves from the start pose"


def find_joint(facts: Facts, actuator: int) -> int | None:
    """Return the joint that an actuator moves; None where it moves none, or several."""
    model = facts.model
    kind, number = int(model.actuator_trntype[actuator]), int(model.actuator_trnid[actuator, 0])
    if kind in _JOINT:
        return number
    if kind == _TENDON:
        first, count = int(model.tendon_adr[number]), int(model.tendon_num[number])
        joints = [
            int(model.wrap_objid[wrap])
            for wrap in range(first, first + count)
            if model.wrap_type[wrap] == int(mujoco.mjtWrap.mjWRAP_JOINT)
        ]
        return joints[0] if len(joints) == 1 else None
    return None


def _key(facts: Facts, name: str, actuator: int) -> str:
    """Return how a card names an actuator: the model's name, else that of its action."""
    return facts.name("actuator", actuator) or name


def _name_actuators(facts: Facts) -> list[str]:
    model, rows = facts.model, []
    for actuator in range(model.nu):
        name = facts.name("actuator", actuator)
        kind, number = int(model.actuator_trntype[actuator]), int(model.actuator_trnid[actuator, 0])
        if not name and kind in _JOINT:
            name = facts.name("joint", number)
        elif not name and kind == _TENDON:
            name = facts.name("tendon", number)
        elif not name and kind == _SITE:
            name = facts.name("site", number)
        words = split_words(name)
        kept = [w for w in words if w not in ("actuator", "joint", "motor", "act")]
        rows.append(kept if any(w[:1].isalpha() for w in kept) else words)
    names = Names()
    return [names.take(make_name(row, f"actuator_{i}")) for i, row in enumerate(drop_common(rows))]


def _find_range(facts: Facts, actuator: int, is_speed: bool) -> tuple[float, float]:
    """Return a control range: by limits of force, else by what the weight asks for."""
    model = facts.model
    if is_speed:
        return -_SPEED, _SPEED
    if model.actuator_dyntype[actuator] == int(mujoco.mjtDyn.mjDYN_MUSCLE):
        return 0.0, 1.0
    gear = float(np.abs(model.actuator_gear[actuator]).max())
    gain = float(model.actuator_gainprm[actuator, 0])
    per_unit = max(gear * abs(gain), 1e-9)
    if model.actuator_forcelimited[actuator]:
        top = float(np.abs(model.actuator_forcerange[actuator]).max()) / max(abs(gain), 1e-9)
        return -_round(top), _round(top)
    joint = find_joint(facts, actuator)
    if joint is not None and model.jnt_actfrclimited[joint]:
        top = float(np.abs(model.jnt_actfrcrange[joint]).max()) / per_unit
        return -_round(top), _round(top)
    top = _weigh(facts, joint) / per_unit
    return -_round(top), _round(top)


def _weigh(facts: Facts, joint: int | None) -> float:
    """Return the torque, N m, or force, N, that bears what hangs on a joint, twice."""
    model = facts.model
    g = max(float(np.linalg.norm(model.opt.gravity)), 1.0)
    if joint is None:
        return 2 * g * float(model.body_subtreemass[facts.tree.root])
    body = int(model.jnt_bodyid[joint])
    mass = float(model.body_subtreemass[body])
    if facts.tree.base != "fixed" and facts.stands:  # a leg bears the robot
        mass = max(mass, float(model.body_subtreemass[facts.tree.root]) / 2)
    is_hinge = model.jnt_type[joint] == HINGE
    arm = facts.data.subtree_com[body] - facts.data.xpos[body]
    length = max(float(np.linalg.norm(arm)), 0.1 * facts.size) if is_hinge else 1.0
    return 2 * max(mass * g * length, 1e-3)


def _choose_scale(
    facts: Facts, handling: Handling, actuator: int, is_servo: bool, limits: Array
) -> float:
    """Return how much of its control an action of 1 adds to an actuator's at the start."""
    model, joint = facts.model, find_joint(facts, actuator)
    half = 0.5 * float(limits[1] - limits[0])
    home = float(facts.pose.ctrl[actuator])
    if not is_servo:
        return _round(float(max(limits[1] - home, home - limits[0])))
    if not model.actuator_ctrllimited[actuator]:
        has_range = joint is not None and model.jnt_limited[joint]
        half = 0.5 * float(np.ptp(model.jnt_range[joint])) if has_range else 1.5
    if joint in handling.grippers or _closes(facts, handling, actuator):
        return _round(2 * half)  # 1 and -1 open and close, wherever it starts
    is_slide = joint is not None and model.jnt_type[joint] != HINGE
    if _is_arm(facts, handling, joint):
        return _round(min(_ARM * half, _MOST_SLIDE if is_slide else _MOST_ARM))
    if facts.tree.is_fluid:  # a fin pushes by how far it beats
        return _round(min(half, 0.1 if is_slide else _MOST_ARM))
    return _round(min(_LEG * half, 0.1 if is_slide else _MOST_LEG))


def _closes(facts: Facts, handling: Handling, actuator: int) -> bool:
    """Return whether an actuator closes the fingers of the second hand of the same kind."""
    joint = find_joint(facts, actuator)
    if joint is None or not handling.grippers:
        return False

    def strip(number: int) -> list[str]:
        words = split_words(facts.name("joint", number))
        return [word for word in words if word not in ("left", "right", "l", "r")]

    return strip(joint) in [strip(gripper) for gripper in handling.grippers]


def _is_arm(facts: Facts, handling: Handling, joint: int | None) -> bool:
    """Return whether a joint belongs to what reaches: an arm, of a robot that is fixed."""
    if joint is None or handling.tool is None:
        return False
    if facts.tree.base == "fixed":
        return True
    if handling.tool.name == "torso":
        return False
    chain = [
        j
        for b in list_ancestors(facts.model, handling.tool.body)
        for j in list_joints(facts.model, b)
    ]
    return joint in chain


def _measure_travel(
    facts: Facts, scale: tuple[float, ...], servo: NDArray[np.bool_]
) -> dict[int, float]:
    """Return how far from the start each driven joint comes, rad or m."""
    model, travel = facts.model, dict[int, float]()
    for joint in facts.tree.driven:
        is_hinge = model.jnt_type[joint] == HINGE
        travel[joint] = np.pi if is_hinge else 0.5
        if model.jnt_limited[joint]:
            travel[joint] = float(np.ptp(model.jnt_range[joint]))
    for actuator, width in enumerate(scale):
        moved = find_joint(facts, actuator)
        if moved is not None and servo[actuator]:
            gear = abs(float(model.actuator_gear[actuator, 0])) or 1.0
            travel[moved] = width / gear
    return travel


def _describe(
    is_home: bool,
    servo: NDArray[np.bool_],
    speed: NDArray[np.bool_],
    scale: tuple[float, ...],
    limits: Array,
    is_led: bool,
) -> str:
    parts = []
    if is_home and servo.any():
        widths = [width for width, is_one in zip(scale, servo, strict=True) if is_one]
        parts.append(
            f"Servos hold the start pose at 0; 1 moves the position that one is told by "
            f"{_span(widths)} rad (or m)."
        )
    others = np.flatnonzero(~servo & ~speed)
    if len(others):
        tops = [float(max(abs(limits[a]))) for a in others]
        what = "The other actuators" if servo.any() else "Motors"
        at_zero = "" if is_home else ", 0 is the middle of its range"
        parts.append(f"{what} pull with the action; 1 is a control of {_span(tops)}{at_zero}.")
    if speed.any():
        tops = [float(max(abs(limits[a]))) for a in np.flatnonzero(speed)]
        parts.append(f"Servos of speed turn at the action; 1 is {_span(tops)} rad/s (or m/s).")
    if is_led:
        parts.append("The last ones move what leads the arm, along x, y and z of the world.")
    return " ".join(parts)


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def _round(value: float) -> float:
    return float(f"{value:.{_MOST_DIGITS}g}")
