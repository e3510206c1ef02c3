"""Signals: what a goal can be measured by, as expressions of the reward language in about -1..1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from reward_agent.designers.offline.body import (
    Body,
    Limb,
    Machine,
    Quantity,
    make_distance_machine,
    make_turn_machine,
    write_largest,
)
from reward_agent.designers.offline.words import Goal, Kind

Role = Literal["goal", "guide", "posture", "bonus", "cost"]

# Speeds (m/s) asked for without a number: the slow one, and the ceiling of the fast one.
_SLOW_M_PER_S, _TOP_M_PER_S = 0.5, 5.0
_LIFTED_M = 0.15  # m above the floor that a raised foot has for sure
_SWING_RAD_PER_S = 3.0
_SPIN_RAD_PER_S = 4.0
_HANDLED_M = 0.4  # m, about what an object and the hand on its way to it are moved over a table
_STEP_SHARE = 0.01  # of a distance's range: a good step
# Falls all the way from 1 to 0, so that there is a slope everywhere.
_LINEAR = ", sigmoid='linear', value_at_margin=0.0"


@dataclass(frozen=True)
class Signal:
    """One thing that a program can pay for or gate by.

    Args:
        name: name of the variable and of the term.
        code: expression (N,) with ``{scale}`` and ``{s}``, the state that it is read from.
        scale: the characteristic size that the expression is measured by.
        weight: pay of the signal at 1, as a term of its own; negative for a cost.
        role: ``goal`` what is wanted; ``guide`` 0..1, without which the goal is out of reach, can
            gate; ``posture`` 0..1, can gate; ``bonus`` paid for being alive;
            ``cost``.
        doc: what it means, for the comment on its line.
        machine: memory that the expression reads, if any.
    """

    name: str
    code: str
    scale: float
    weight: float
    role: Role
    doc: str
    machine: Machine | None = None

    @property
    def is_static(self) -> bool:
        """Whether it is a function of one state alone, as a potential must be."""
        return self.machine is None and "{s}" in self.code

    @property
    def can_gate(self) -> bool:
        """Whether it may multiply the pay of a goal."""
        return self.role in ("guide", "posture") and self.machine is None

    @property
    def has_cap(self) -> bool:
        """Whether it grows up to its scale and no further."""
        return "clip" in self.code

    def render(self, factor: float = 1.0, state: str = "next_state") -> str:
        """Return the expression with its scale multiplied by a factor."""
        scale = f"{self.scale * factor:.3g}"
        return self.code.replace("{scale}", scale).replace("{s}", state)


def list_signals(body: Body, goals: tuple[Goal, ...]) -> tuple[Signal, ...]:
    """Return the signals for the goals that the card can measure, the main goal's first.

    Signals of later goals are conditions: they keep their expression and become postures.
    """
    signals: dict[str, Signal] = {}
    for goal in goals:
        for signal in _RECIPES[goal.kind](body, goal):
            has_goal = any(known.role == "goal" for known in signals.values())
            is_condition = signal.role == "goal" and has_goal and goal is not goals[0]
            role: Role = "posture" if is_condition else signal.role
            signals.setdefault(signal.name, replace(signal, role=role))
    if not any(signal.role == "goal" for signal in signals.values()):
        return ()
    for signal in _list_common(body, goals[0].kind):
        signals.setdefault(signal.name, signal)
    return tuple(signals.values())


def list_conditions(body: Body, goals: tuple[Goal, ...]) -> tuple[Signal, ...]:
    """Return what a person who watches the policy may ask for beside the goals themselves."""
    goal = goals[0]
    if goal.kind in ("flip", "lie"):  # upright is what these are not
        return ()
    airborne = [signal for signal in _jump(body, goal) if signal.name == "airborne"]
    found = [*_stand(body, goal), *_straight(body, goal), *_slow(body), *airborne]
    return (*(replace(signal, role="posture") for signal in found), *_paced(body, goal))


def _list_common(body: Body, kind: Kind) -> list[Signal]:
    """Return what fits any goal: staying alive where episodes end early, and effort."""
    limit = max(map(abs, body.card.action_range))
    share = "action" if limit == 1 else f"action / {limit:g}"
    effort = f"np.mean(np.square({share}), axis=-1)"
    common = [Signal("effort", effort, 1.0, -0.01, "cost", "mean squared action")]
    if body.card.termination and kind not in ("flip", "lie"):
        code = "np.ones(len(action))"
        common.append(Signal("alive", code, 1.0, 0.4, "bonus", "the episode goes on"))
    return common


# --- forms of a signal: none where the card has no such measure -----------------------------------


def _grow(
    name: str, measure: Quantity | None, scale: float, doc: str, sign: str = "", low: float = -1.0
) -> list[Signal]:
    """Return a goal that grows with a measure, up to 1 at the scale."""
    if measure is None:
        return []
    code = f"np.clip({sign}{measure.code} / {{scale}}, {low}, 1.0)"
    return [Signal(name, code, scale, 1.0, "goal", doc)]


def _hold(
    name: str, measure: Quantity | None, bounds: str, scale: float, weight: float, doc: str
) -> list[Signal]:
    """Return a posture that is 1 while a measure is within bounds and falls over the scale."""
    if measure is None:
        return []
    code = f"tolerance({measure.code}, bounds=({bounds}), margin={{scale}})"
    return [Signal(name, code, scale, weight, "posture", doc)]


def _aim(signals: list[Signal]) -> list[Signal]:
    """Return postures with the first as what is wanted."""
    return [replace(signals[0], role="goal", weight=1.0), *signals[1:]] if signals else []


def _upright(body: Body, weight: float = 0.2) -> list[Signal]:
    return _hold("upright", body.up, "0.95, 1.0", 0.5, weight, "1 upright")


def _slow(body: Body) -> list[Signal]:
    """Return postures that are 1 at rest."""
    slow = _hold("slow", body.speed, "0.0, 0.1", 1.0, 0.2, "1 where the body rests")
    calm = _hold("calm", body.joint_speed, "0.0, 0.3", 4.0, 0.1, "1 where the joints rest")
    return slow + calm


def _clean_floor(body: Body) -> list[Signal]:
    """Return a posture that is 1 while nothing but feet touches the floor."""
    if not body.body_contacts:
        return []
    code = f"1.0 - {write_largest(body.body_contacts)}"
    return [Signal("clean_floor", code, 1.0, 0.1, "posture", "1 while only feet touch the floor")]


def _straight(body: Body, goal: Goal) -> list[Signal]:
    other = body.forward_velocity if goal.axis == "sideways" else body.sideways_velocity
    return _hold("straight", other, "-0.2, 0.2", 1.5, 0.1, "1 without drift to the side")


def _progress(distance: Quantity) -> Signal:
    """Return pay for each bit that a distance shrinks; what is lost again is charged."""
    way = f"({distance.read('state')} - {distance.read()})"
    code = f"np.clip({way} / {{scale}}, -1.0, 1.0)"
    step = round(_STEP_SHARE * distance.range[1], 4)
    return Signal("progress", code, step, 1.0, "goal", f"nearer than a step ago, 1 for {step:g} m")


# --- what each kind of goal is measured by --------------------------------------------------------


def _travel(body: Body, goal: Goal) -> list[Signal]:
    measure, speed = _choose_velocity(body, goal), _choose_speed(goal)
    if measure is None:
        return []
    scale = min(measure.range[1], _TOP_M_PER_S) if speed is None else speed
    main = _grow("travel", measure, scale, f"speed, 1 at {scale:g} m/s", goal.sign)
    if speed is not None:
        bounds = f"({0.9 * speed:.3g}, {1.1 * speed:.3g})"
        code = f"tolerance({goal.sign}{measure.code}, bounds={bounds}, margin={{scale}}{_LINEAR})"
        main = [replace(main[0], code=code, doc=f"{speed:g} m/s asked for")]
    if goal.axis == "forward":
        doc = "speed of the centre of mass"
        main += _new_ground(body, goal)
        main += _grow("momentum", body.com_forward_velocity, scale, doc, goal.sign)
    return [*main, *_upright(body), *_straight(body, goal), *_clean_floor(body)]


def _choose_velocity(body: Body, goal: Goal) -> Quantity | None:
    return body.sideways_velocity if goal.axis == "sideways" else body.forward_velocity


def _choose_speed(goal: Goal) -> float | None:
    """Return the speed that is asked for, m/s; None for as much as can be."""
    return _SLOW_M_PER_S if goal.speed is None and goal.pace == "slow" else goal.speed


def _new_ground(body: Body, goal: Goal) -> list[Signal]:
    """Return pay for new ground only, each bit once."""
    machine = make_distance_machine(body, goal.sign)
    if machine is None:
        return []
    doc = f"new ground, paid once; 1 at {_TOP_M_PER_S:g} m/s"
    code = "np.clip(gained / {scale}, 0.0, 1.0)"
    return [Signal("new_ground", code, _TOP_M_PER_S, 1.0, "goal", doc, machine)]


def _paced(body: Body, goal: Goal) -> list[Signal]:
    """Return a speed that is not to be passed, in place of the speed as such."""
    measure = _choose_velocity(body, goal)
    if goal.kind != "travel" or measure is None or _choose_speed(goal) is not None:
        return []
    ratio = f"{goal.sign}{measure.code} / {{scale}}"
    code = f"np.clip({ratio}, -1.0, 1.0) - np.clip({ratio} - 1.0, 0.0, 1.0)"
    top = min(measure.range[1], _TOP_M_PER_S)
    return [Signal("paced", code, top, 1.0, "goal", "speed, 1 at the one asked for")]


def _stand(body: Body, goal: Goal) -> list[Signal]:
    """Return upright, and tall where the card says how high standing is."""
    height, stand = body.height, body.standing_height
    tall = _hold(
        "tall", height, f"{0.95 * stand:.3g}, np.inf", 0.5 * stand, 0.5, "1 at full height"
    )
    postures = _upright(body, weight=1.0) + (tall if stand > 0 else [])
    if postures:
        postures[0] = replace(postures[0], role="goal")
    return [*postures, *_slow(body), *_clean_floor(body)]


def _still(body: Body, goal: Goal) -> list[Signal]:
    return _aim(_slow(body))


def _lie(body: Body, goal: Goal) -> list[Signal]:
    if body.height is None:
        return []
    stand = body.standing_height
    bounds, doc = f"-1.0, {0.72 * stand:.3g}", "1 near the floor"
    low = _aim(_hold("low", body.height, bounds, 0.4 * stand, 1.0, doc))
    up = body.up if body.up and "belly" not in body.up.doc else None
    bounds = "0.95, 1.0" if goal.direction > 0 else "-1.0, -0.95"
    level = _hold("level", up, bounds, 0.5, 0.3, "1 level, the right side up")
    return [*low, *level, *_slow(body)]


def _crouch(body: Body, goal: Goal) -> list[Signal]:
    stand, doc = body.standing_height, "1 at half to three quarters of standing"
    bounds = f"{0.6 * stand:.3g}, {0.75 * stand:.3g}"
    main = _aim(_hold("crouched", body.height, bounds, 0.3 * stand, 1.0, doc))
    return [*main, *_upright(body), *_slow(body), *_clean_floor(body)] if main else []


def _jump(body: Body, goal: Goal) -> list[Signal]:
    doc = "clear of the floor, 1 at 0.4 m"
    airborne = _grow("airborne", body.lowest_point, 0.4, doc, low=0.0)
    push = _grow("push", body.vertical_velocity, 3.0, "upward speed, 1 at 3 m/s", low=0.0)
    if airborne:
        push = [replace(signal, weight=0.5) for signal in push]
    signals = airborne + push
    return [*signals, *_upright(body), *_clean_floor(body)] if signals else []


def _spin(body: Body, goal: Goal) -> list[Signal]:
    doc = f"turning, 1 at {_SPIN_RAD_PER_S:g} rad/s"
    main = _grow("turning", body.yaw_rate, _SPIN_RAD_PER_S, doc, goal.sign)
    return [*main, *_upright(body), *_clean_floor(body)] if main else []


def _flip(body: Body, goal: Goal) -> list[Signal]:
    machine = make_turn_machine(body, goal.sign)
    if machine is None:
        return []
    turn = "np.clip(turned / {scale}, 0.0, 1.0)"
    climb = "np.clip((peak - memory['peak']) / {scale}, 0.0, 1.0)"
    come_round = "clean * (best > 1.2 * np.pi) * tolerance(turn, margin={scale}, "
    come_round += "bounds=(2 * np.pi - 0.3, 2 * np.pi + 0.3))"
    whole = "clean, and about one whole turn further"
    signals = [
        Signal("new_turn", turn, 0.1, 1.0, "goal", "new turn in the air, paid once"),
        Signal("landed", "done * standing", 1.0, 0.5, "goal", "stands after one whole turn"),
        Signal("come_round", come_round, 1.5, 0.5, "goal", whole),
        Signal("climb", climb, 0.02, 0.5, "posture", "new height in the air, paid once"),
    ]
    if body.pitch_rate:
        rate = f"{goal.sign}{body.pitch_rate.code}"
        code = f"(1.0 - done) * airborne * np.clip({rate} / {{scale}}, 0.0, 1.0)"
        doc = "turning the right way in the air"
        signals.append(Signal("rotate", code, 8.0, 0.1, "posture", doc))
    return [*(replace(signal, machine=machine) for signal in signals), *_clean_floor(body)]


def _choose_limb(body: Body, goal: Goal) -> Limb | None:
    """Return the limb that shares most words with the one named; the first of equals."""
    limbs = [limb for limb in body.limbs if limb.height is not None]
    words = {"foot" if word == "leg" else "hand" if word == "arm" else word for word in goal.limb}
    return max(limbs, key=lambda limb: len(words & set(limb.name.split("_"))), default=None)


def _raise(body: Body, goal: Goal) -> list[Signal]:
    limb = _choose_limb(body, goal)
    if limb is None:
        return []
    # A hand hangs above the floor already: it is to go above the torso.
    floor = max(body.standing_height, _LIFTED_M) if "hand" in limb.name else _LIFTED_M
    bounds, doc = f"{floor:.3g}, np.inf", f"1 with the {limb.name} up"
    signals = _aim(_hold("lifted", limb.height, bounds, floor, 1.0, doc))
    others = [o.contact for o in body.limbs if o.name != limb.name and o.contact is not None]
    if others:
        mean = f"({' + '.join(o.code for o in others)}) / {len(others)}"
        signals.append(Signal("planted", mean, 1.0, 0.3, "posture", "share of other feet down"))
    return [*signals, *_upright(body), *_clean_floor(body)]


def _wave(body: Body, goal: Goal) -> list[Signal]:
    limb = _choose_limb(body, goal)
    lifted = _raise(body, goal)
    if limb is None or not limb.angles:
        return lifted
    rates = [f"np.abs({a.read('next_state')} - {a.read('state')})" for a in limb.angles]
    per_s = f"({' + '.join(rates)}) / {body.card.control_dt:g}"
    code = f"lifted * np.clip({per_s} / {{scale}}, 0.0, 1.0)"
    doc = f"the lifted {limb.name} moves"
    return [lifted[0], Signal("swing", code, _SWING_RAD_PER_S, 1.0, "goal", doc), *lifted[1:]]


def _reach(body: Body, goal: Goal) -> list[Signal]:
    if body.distance is None:
        return []
    top = body.distance.range[1]
    close = f"tolerance({body.distance.code}, bounds=(0.0, 0.01), margin={{scale}}"
    return [
        Signal("near", f"{close}{_LINEAR})", top, 1.0, "goal", "1 at the target, 0 far from it"),
        Signal("precise", f"{close})", 0.1 * top, 0.5, "goal", "1 at the target, 0 beyond a tenth"),
        _progress(body.distance),
        *[replace(signal, weight=0.1) for signal in _slow(body)[-1:]],
    ]


def _handle(body: Body, goal: Goal) -> list[Signal]:
    if body.object_distance is None or body.object_goal_distance is None:
        return []
    bounds = "bounds=(0.0, 0.02), margin={scale}"
    there = f"tolerance({body.object_goal_distance.code}, {bounds}"
    near = f"tolerance({body.object_distance.code}, {bounds}{_LINEAR})"
    far = f"{there}{_LINEAR})"
    return [
        Signal("placed", far, _HANDLED_M, 1.0, "goal", "1 with the object at the goal"),
        Signal("exact", f"{there})", 0.2 * _HANDLED_M, 0.5, "goal", "1 at the goal, 0 far from it"),
        _progress(body.object_goal_distance),
        Signal("near", near, _HANDLED_M, 0.3, "guide", "1 with the hand at the object"),
    ]


_RECIPES: dict[Kind, Callable[[Body, Goal], list[Signal]]] = {
    "flip": _flip,
    "spin": _spin,
    "wave": _wave,
    "raise": _raise,
    "lie": _lie,
    "crouch": _crouch,
    "reach": _reach,
    "travel": _travel,
    "jump": _jump,
    "stand": _stand,
    "still": _still,
    "handle": _handle,
}
