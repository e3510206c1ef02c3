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
        is_static: whether it is a function of one state alone, as a potential must be.
    """

    name: str
    code: str
    scale: float
    weight: float
    role: Role
    doc: str
    machine: Machine | None = None
    is_static: bool = True

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


def _list_common(body: Body, kind: Kind) -> list[Signal]:
    """Return what fits any goal: staying alive where episodes end early, and effort."""
    low, high = body.card.action_range
    limit = max(abs(low), abs(high))
    share = "action" if limit == 1 else f"action / {limit:g}"
    effort = f"np.mean(np.square({share}), axis=-1)"
    common = [Signal("effort", effort, 1.0, -0.01, "cost", "mean squared action", is_static=False)]
    if body.card.termination and kind not in ("flip", "lie"):
        code, doc = "np.ones(len(action))", "the episode goes on"
        common.append(Signal("alive", code, 1.0, 0.4, "bonus", doc, is_static=False))
    return common


def list_conditions(body: Body, goals: tuple[Goal, ...]) -> tuple[Signal, ...]:
    """Return what a person who watches the policy may ask for beside the goals themselves."""
    goal = goals[0]
    if goal.kind in ("flip", "lie"):  # upright is what these are not
        return ()
    found = [
        *_stand(body, goal),
        *_straight(body, goal),
        *_slow(body),
        *(signal for signal in _jump(body, goal) if signal.name == "airborne"),
    ]
    conditions = [replace(signal, role="posture") for signal in found]
    return (*conditions, *_paced(body, goal))


def _paced(body: Body, goal: Goal) -> list[Signal]:
    """Return a speed that is not to be passed, in place of the speed as such."""
    travel = next((s for s in _travel(body, goal) if s.name == "travel"), None)
    if goal.kind != "travel" or travel is None or "clip" not in travel.code:
        return []
    ratio = travel.code.removeprefix("np.clip(").removesuffix(", -1.0, 1.0)")
    code = f"np.clip({ratio}, -1.0, 1.0) - np.clip({ratio} - 1.0, 0.0, 1.0)"
    return [Signal("paced", code, travel.scale, 1.0, "goal", "speed, 1 at the one asked for")]


def _posture(body: Body, *, weight: float = 0.2) -> list[Signal]:
    """Return upright, and tall where the card says how high standing is."""
    signals = []
    if body.up:
        code = f"tolerance({body.up.code}, bounds=(0.95, 1.0), margin={{scale}})"
        signals.append(Signal("upright", code, 0.5, weight, "posture", "1 upright"))
    return signals


def _clean_floor(body: Body) -> list[Signal]:
    """Return a posture that is 1 while nothing but feet touches the floor."""
    if not body.body_contacts:
        return []
    code = f"1.0 - {write_largest(body.body_contacts)}"
    doc = "1 while only feet touch the floor"
    return [Signal("clean_floor", code, 1.0, 0.1, "posture", doc, is_static=False)]


def _travel(body: Body, goal: Goal) -> list[Signal]:
    measure = body.sideways_velocity if goal.axis == "sideways" else body.forward_velocity
    if measure is None:
        return []
    sign = "" if goal.direction > 0 else "-"
    if goal.speed is not None or goal.pace == "slow":
        speed = goal.speed if goal.speed is not None else _SLOW_M_PER_S
        code = f"tolerance({sign}{measure.code}, bounds=({0.9 * speed:.3g}, {1.1 * speed:.3g}), "
        code += "margin={scale}, sigmoid='linear', value_at_margin=0.0)"
        main = Signal("travel", code, speed, 1.0, "goal", f"{speed:g} m/s asked for")
    else:
        top = min(measure.range[1], _TOP_M_PER_S)
        code = f"np.clip({sign}{measure.code} / {{scale}}, -1.0, 1.0)"
        main = Signal("travel", code, top, 1.0, "goal", f"speed, 1 at {top:g} m/s")
    others = [*_new_ground(body, goal), *_momentum(body, goal, main)]
    return [main, *others, *_posture(body), *_straight(body, goal), *_clean_floor(body)]


def _new_ground(body: Body, goal: Goal) -> list[Signal]:
    """Return pay for new ground only, each bit once."""
    machine = make_distance_machine(body, goal.direction) if goal.axis == "forward" else None
    if machine is None:
        return []
    code = "np.clip(gained / {scale}, 0.0, 1.0)"
    doc = f"new ground, paid once; 1 at {_TOP_M_PER_S:g} m/s"
    return [Signal("new_ground", code, _TOP_M_PER_S, 1.0, "goal", doc, machine, False)]


def _momentum(body: Body, goal: Goal, main: Signal) -> list[Signal]:
    velocity = body.com_forward_velocity
    if velocity is None or goal.axis == "sideways":
        return []
    sign = "" if goal.direction > 0 else "-"
    code = f"np.clip({sign}{velocity.code} / {{scale}}, -1.0, 1.0)"
    return [Signal("momentum", code, main.scale, 1.0, "goal", "speed of the centre of mass")]


def _straight(body: Body, goal: Goal) -> list[Signal]:
    other = body.forward_velocity if goal.axis == "sideways" else body.sideways_velocity
    if other is None:
        return []
    code = f"tolerance({other.code}, bounds=(-0.2, 0.2), margin={{scale}})"
    return [Signal("straight", code, 1.5, 0.1, "posture", "1 without drift to the side")]


def _stand(body: Body, goal: Goal) -> list[Signal]:
    signals = _posture(body, weight=1.0)
    if body.height and body.standing_height > 0:
        low = 0.95 * body.standing_height
        code = f"tolerance({body.height.code}, bounds=({low:.3g}, np.inf), margin={{scale}})"
        signals.append(
            Signal("tall", code, 0.5 * body.standing_height, 0.5, "posture", "1 at full height")
        )
    if signals:
        signals[0] = replace(signals[0], role="goal")
    return [*signals, *_slow(body), *_clean_floor(body)]


def _slow(body: Body) -> list[Signal]:
    """Return postures that are 1 at rest."""
    signals = []
    if body.speed:
        code = f"tolerance({body.speed.code}, bounds=(0.0, 0.1), margin={{scale}})"
        signals.append(Signal("slow", code, 1.0, 0.2, "posture", "1 where the body rests"))
    if body.joint_speed:
        code = f"tolerance({body.joint_speed.code}, bounds=(0.0, 0.3), margin={{scale}})"
        signals.append(Signal("calm", code, 4.0, 0.1, "posture", "1 where the joints rest"))
    return signals


def _still(body: Body, goal: Goal) -> list[Signal]:
    signals = _slow(body)
    if signals:
        signals[0] = replace(signals[0], role="goal", weight=1.0)
    return signals


def _lie(body: Body, goal: Goal) -> list[Signal]:
    if body.height is None:
        return []
    stand = body.standing_height
    code = f"tolerance({body.height.code}, bounds=(-1.0, {0.72 * stand:.3g}), margin={{scale}})"
    signals = [Signal("low", code, 0.4 * stand, 1.0, "goal", "1 near the floor")]
    if body.up and "belly" not in body.up.doc:
        bounds = "(0.95, 1.0)" if goal.direction > 0 else "(-1.0, -0.95)"
        code = f"tolerance({body.up.code}, bounds={bounds}, margin={{scale}})"
        signals.append(Signal("level", code, 0.5, 0.3, "posture", "1 level, the right side up"))
    return [*signals, *_slow(body)]


def _crouch(body: Body, goal: Goal) -> list[Signal]:
    if body.height is None:
        return []
    low, high = 0.6 * body.standing_height, 0.75 * body.standing_height
    code = f"tolerance({body.height.code}, bounds=({low:.3g}, {high:.3g}), margin={{scale}})"
    margin = 0.3 * body.standing_height
    main = Signal("crouched", code, margin, 1.0, "goal", "1 at half to three quarters of standing")
    return [main, *_posture(body), *_slow(body), *_clean_floor(body)]


def _jump(body: Body, goal: Goal) -> list[Signal]:
    signals = []
    if body.lowest_point:
        code = f"np.clip({body.lowest_point.code} / {{scale}}, 0.0, 1.0)"
        signals.append(Signal("airborne", code, 0.4, 1.0, "goal", "clear of the floor, 1 at 0.4 m"))
    if body.vertical_velocity:
        code = f"np.clip({body.vertical_velocity.code} / {{scale}}, 0.0, 1.0)"
        weight = 0.5 if signals else 1.0
        signals.append(Signal("push", code, 3.0, weight, "goal", "upward speed, 1 at 3 m/s"))
    return [*signals, *_posture(body), *_clean_floor(body)] if signals else []


def _spin(body: Body, goal: Goal) -> list[Signal]:
    if body.yaw_rate is None:
        return []
    sign = "" if goal.direction > 0 else "-"
    code = f"np.clip({sign}{body.yaw_rate.code} / {{scale}}, -1.0, 1.0)"
    doc = f"turning, 1 at {_SPIN_RAD_PER_S:g} rad/s"
    main = Signal("turning", code, _SPIN_RAD_PER_S, 1.0, "goal", doc)
    return [main, *_posture(body), *_clean_floor(body)]


def _flip(body: Body, goal: Goal) -> list[Signal]:
    machine = make_turn_machine(body, goal.direction)
    if machine is None:
        return []
    paid = "np.clip(turned / {scale}, 0.0, 1.0)"
    stays = "done * standing"
    round_code = "clean * (best > 1.2 * np.pi) * tolerance(turn, margin={scale}, "
    round_code += "bounds=(2 * np.pi - 0.3, 2 * np.pi + 0.3))"
    round_doc = "clean, and about one whole turn further"
    signals = [
        Signal(
            "new_turn", paid, 0.1, 1.0, "goal", "new turn in the air, paid once", machine, False
        ),
        Signal("landed", stays, 1.0, 0.5, "goal", "stands after one whole turn", machine, False),
        Signal("come_round", round_code, 1.5, 0.5, "goal", round_doc, machine, False),
    ]
    code = "np.clip((peak - memory['peak']) / {scale}, 0.0, 1.0)"
    doc = "new height in the air, paid once"
    signals.append(Signal("climb", code, 0.02, 0.5, "posture", doc, machine, False))
    if body.pitch_rate:
        rate = f"{'' if goal.direction > 0 else '-'}{body.pitch_rate.code}"
        code = f"(1.0 - done) * airborne * np.clip({rate} / {{scale}}, 0.0, 1.0)"
        doc = "turning the right way in the air"
        signals.append(Signal("rotate", code, 8.0, 0.1, "posture", doc, machine, False))
    return [*signals, *_clean_floor(body)]


def _choose_limb(body: Body, goal: Goal) -> Limb | None:
    """Return the limb that shares most words with the one named; the first of equals."""
    limbs = [limb for limb in body.limbs if limb.height is not None]
    words = {"foot" if word == "leg" else "hand" if word == "arm" else word for word in goal.limb}
    return max(limbs, key=lambda limb: len(words & set(limb.name.split("_"))), default=None)


def _raise(body: Body, goal: Goal) -> list[Signal]:
    limb = _choose_limb(body, goal)
    if limb is None or limb.height is None:
        return []
    floor = _LIFTED_M
    if "hand" in limb.name:
        # A hand hangs above the floor already: it is to go above the torso.
        floor = max(body.standing_height, _LIFTED_M)
    code = f"tolerance({limb.height.code}, bounds=({floor:.3g}, np.inf), margin={{scale}})"
    signals = [Signal("lifted", code, floor, 1.0, "goal", f"1 with the {limb.name} up")]
    others = [o.contact for o in body.limbs if o.name != limb.name and o.contact is not None]
    if others:
        mean = f"({' + '.join(o.code for o in others)}) / {len(others)}"
        signals.append(Signal("planted", mean, 1.0, 0.3, "posture", "share of other feet down"))
    return [*signals, *_posture(body), *_clean_floor(body)]


def _wave(body: Body, goal: Goal) -> list[Signal]:
    limb = _choose_limb(body, goal)
    lifted = _raise(body, goal)
    if limb is None or not lifted or not limb.angles:
        return lifted
    rates = [f"np.abs({a.read('next_state')} - {a.read('state')})" for a in limb.angles]
    per_s = f"({' + '.join(rates)}) / {body.card.control_dt:g}"
    code = f"lifted * np.clip({per_s} / {{scale}}, 0.0, 1.0)"
    doc = f"the lifted {limb.name} moves"
    swing = Signal("swing", code, _SWING_RAD_PER_S, 1.0, "goal", doc, is_static=False)
    return [lifted[0], swing, *lifted[1:]]


def _reach(body: Body, goal: Goal) -> list[Signal]:
    if body.distance is None:
        return []
    top = body.distance.range[1]
    far = f"tolerance({body.distance.code}, bounds=(0.0, 0.01), margin={{scale}}, "
    near = "sigmoid='linear', value_at_margin=0.0)"
    close = f"tolerance({body.distance.code}, bounds=(0.0, 0.01), margin={{scale}})"
    return [
        Signal("near", far + near, top, 1.0, "goal", "1 at the target, 0 far from it"),
        Signal("precise", close, 0.1 * top, 0.5, "goal", "1 at the target, 0 beyond a tenth"),
        _progress(body.distance),
        *[replace(signal, weight=0.1) for signal in _slow(body)[-1:]],
    ]


def _progress(distance: Quantity) -> Signal:
    """Return pay for each bit that a distance shrinks; what is lost again is charged."""
    way = f"({distance.read('state')} - {distance.read()})"
    code = f"np.clip({way} / {{scale}}, -1.0, 1.0)"
    step = round(_STEP_SHARE * distance.range[1], 4)
    doc = f"nearer than a step ago, 1 for {step:g} m"
    return Signal("progress", code, step, 1.0, "goal", doc, is_static=False)


def _handle(body: Body, goal: Goal) -> list[Signal]:
    if body.object_distance is None or body.object_goal_distance is None:
        return []
    shape = "bounds=(0.0, 0.02), margin={scale}, sigmoid='linear', value_at_margin=0.0)"
    placed = f"tolerance({body.object_goal_distance.code}, {shape}"
    near = f"tolerance({body.object_distance.code}, {shape}"
    exact = f"tolerance({body.object_goal_distance.code}, bounds=(0.0, 0.02), margin={{scale}})"
    return [
        Signal("placed", placed, _HANDLED_M, 1.0, "goal", "1 with the object at the goal"),
        Signal("exact", exact, 0.2 * _HANDLED_M, 0.5, "goal", "1 at the goal, 0 far from it"),
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
