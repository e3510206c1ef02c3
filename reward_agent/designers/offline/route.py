"""The way to a goal: states shortly before it that a training may begin in, and its two stages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reward_agent.definitions.start import EVENT, TrainingStart
from reward_agent.designers.offline.body import Body, Machine, Quantity, write_largest
from reward_agent.designers.offline.words import Goal
from reward_agent.rewards.choices import list_settable

_SHARE, _UNTIL = 0.5, 0.6
_STAGE_SHARES = (0.3, 0.6)  # of an episode
# Of the standing height, or of a distance's range.
_UP, _TOP, _NEAR = 0.02, 0.12, 0.1
# Just off the floor and rising: from the top of a flight nobody learns to take off
# (docs/results/hard_to_explore.md).
_RISING_M_PER_S, _TURN_RAD, _SPIN_RAD_PER_S = (0.5, 2.5), (0.2, 1.2), (6.0, 14.0)
_OFF_RAD, _ROUND_RAD = 1.5, 5.5
_AIRBORNE = ("flip", "jump")
# What a hand does with a thing ends where this does.
_MOVED = {
    "lift": ("highest", "object_height"),
    "handle": ("lowest", "object_target_distance"),
    "fixture": ("highest", "fixture_position"),
}


@dataclass(frozen=True)
class Route:
    """What a program may say of the way to its goal.

    Args:
        starts: where a falling share of a training's episodes may begin.
        stages: names of two stages, each with the condition that ends it.
        stage_steps: most control steps of an episode while the one or the other is practised.
    """

    starts: tuple[TrainingStart, ...] = ()
    stages: Mapping[str, str] = field(default_factory=dict)
    stage_steps: tuple[int, ...] = ()


def find_route(body: Body, goal: Goal, events: Sequence[str], earns: float | None) -> Route:
    """Return the way to a goal, as far as the card's fields tell it.

    Args:
        body: what the card measures.
        goal: what the sentence asks for.
        events: recorded in the run's best episodes, whose states a training may begin in.
        earns: return of an episode that does as well as the best so far; None where that is
            not known.
    """
    names = ["success", *(["take-off"] if goal.kind in _AIRBORNE else [])]
    if moved := _find_moved(body, goal):
        names.append(f"{_MOVED[goal.kind][0]} {moved.name}")
    event = next((name for name in names if name in events), None)
    starts = [TrainingStart(share=_SHARE, until=_UNTIL, origin=EVENT + event, earns=earns)
              ] if event else _begin_off_the_floor(body, goal)  # fmt: skip
    steps = tuple(round(share * body.card.max_episode_steps) for share in _STAGE_SHARES)
    return Route(tuple(starts), _find_stages(body, goal), steps)


def _begin_off_the_floor(body: Body, goal: Goal) -> list[TrainingStart]:
    """Return states just off the floor, of a flip turning, where fields can be put there."""
    height = body.find("height")
    if goal.kind not in _AIRBORNE or height is None or not height.rest:
        return []
    low, high = ((1 + share) * height.rest for share in (_UP, _TOP))
    spans = {"height": (low, high), "vertical_velocity": _RISING_M_PER_S}
    if goal.kind == "flip":
        spans |= {
            role: (low, high) if goal.direction > 0 else (-high, -low)
            for role, (low, high) in {"pitch": _TURN_RAD, "pitch_rate": _SPIN_RAD_PER_S}.items()
        }
    known, fields = list_settable(body.card), {}
    for role, (low, high) in spans.items():
        measure = body.find(role)
        if measure is None or measure.name not in known:
            return []
        fields[measure.name] = ((round(low, 3), round(high, 3)),)
    return [TrainingStart(share=_SHARE, until=_UNTIL, fields=fields)]


def _find_stages(body: Body, goal: Goal) -> dict[str, str]:
    """Return the stages of what has two: to leave the floor and land, to reach and move."""
    if goal.kind in _AIRBORNE and body.foot_contacts:
        foot = f"{write_largest(body.foot_contacts)} > 0.5"
        pitch, lowest = body.find("pitch"), body.find("lowest_point")
        if goal.kind == "flip" and pitch:
            turn = f"{goal.sign}{pitch.read()}"
            return {"take-off": f"{turn} > {_OFF_RAD}",
                    "landing": f"({turn} > {_ROUND_RAD}) & ({foot})"}  # fmt: skip
        if goal.kind == "jump" and lowest:
            up = _NEAR * body.standing_height if goal.amount is None else 0.5 * goal.amount
            return {"take-off": f"{lowest.read()} > {up:.3g}", "landing": foot}
    role = "fixture_distance" if goal.kind == "fixture" else "object_distance"
    near, moved = body.find_nearest(role, goal.limb), _find_moved(body, goal)
    if not near or not moved:
        return {}
    return {"reach": f"{near.read()} < {_NEAR * near.top:.3g}", goal.kind: _ends(moved, goal)}


def _find_moved(body: Body, goal: Goal) -> Quantity | None:
    """Return what measures how far a hand has moved a thing; None where that is not asked for."""
    if goal.kind not in _MOVED:
        return None
    return next(iter(body.list_named(_MOVED[goal.kind][1], {*goal.limb, *goal.words})), None)


def _ends(moved: Quantity, goal: Goal) -> str:
    """Return the condition that a thing is about where it is to be."""
    if goal.kind == "handle":
        return f"{moved.read()} < {_NEAR * moved.top:.3g}"
    amount = goal.amount or _NEAR * moved.range[1]
    return f"np.abs({moved.read()} - {moved.rest or 0.0:g}) > {0.9 * amount:.3g}"


def remember_stage(machine: Machine | None, stages: Mapping[str, str]) -> Machine | None:
    """Return a program's memory with the stage that an episode is in."""
    if not stages:
        return machine
    gates = ", ".join(stages.values())
    some = re.search(r"next_state\.\w+", gates)
    assert some is not None
    line = f'stage = next_stage(memory["stage"], {gates})'
    before = machine or Machine("stage", (), ("next_memory = {}",), "")
    rest = before.lines[-1].removesuffix("}")
    return Machine(
        before.name,
        (*before.initial, ("stage", f"np.zeros(len({some[0].removeprefix('next_')}))")),
        (*before.lines[:-1], line, f'{rest}{", " if machine else ""}"stage": stage}}'),
        f"{before.doc} Which stage it is in.".strip(),
    )
