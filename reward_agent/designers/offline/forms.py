"""The forms of a signal: an expression of the reward language in about -1..1, from measures.

There is none where the card has no such measure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from reward_agent.designers.offline.body import Body, Machine, Quantity, write_largest
from reward_agent.designers.offline.words import Goal

Role = Literal["goal", "guide", "posture", "bonus", "cost"]

STEP_SHARE = 0.01  # of a distance's range: a good step
_UPRIGHT = 0.9  # up, of a robot that stands straight at rest
# Falls all the way from 1 to 0, so that there is a slope everywhere.
LINEAR = ", sigmoid='linear', value_at_margin=0.0"


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
        field: name of the field that it measures, where a person's words may be about it.
    """

    name: str
    code: str
    scale: float
    weight: float
    role: Role
    doc: str
    machine: Machine | None = None
    field: str = ""

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


def grow(
    name: str, measure: Quantity | None, scale: float, doc: str, sign: str = "", low: float = -1.0
) -> list[Signal]:
    """Return a goal that grows with a measure, up to 1 at the scale."""
    if measure is None:
        return []
    code = f"np.clip({sign}{measure.code} / {{scale}}, {low}, 1.0)"
    return [Signal(name, code, scale, 1.0, "goal", doc)]


def hold(
    name: str, measure: Quantity | None, bounds: str, scale: float, weight: float, doc: str
) -> list[Signal]:
    """Return a posture that is 1 while a measure is within bounds and falls over the scale."""
    if measure is None or scale <= 0:
        return []
    code = f"tolerance({measure.code}, bounds=({bounds}), margin={{scale}})"
    return [Signal(name, code, scale, weight, "posture", doc)]


def aim(signals: list[Signal]) -> list[Signal]:
    """Return postures with the first as what is wanted."""
    return [replace(signals[0], role="goal", weight=1.0), *signals[1:]] if signals else []


def upright(body: Body, weight: float = 0.2) -> list[Signal]:
    """Return a posture that is 1 upright; for a robot that leans at rest, as it rests."""
    up = body.find("up")
    if up is None or up.rest is None or up.rest > _UPRIGHT:
        return hold("upright", up, "0.95, 1.0", 0.5, weight, "1 upright")
    bounds = f"{up.rest - 0.05:.3g}, {up.rest + 0.05:.3g}"
    return hold("upright", up, bounds, 0.5, weight, "1 upright as at rest")


def raise_up(body: Body) -> list[Signal]:
    """Return a posture that is 1 upright; for what hangs or lies at rest, rising all the way."""
    up = body.find("up")
    if up is None or up.rest is None or up.rest > _UPRIGHT:
        return upright(body, weight=1.0)
    code = f"tolerance({up.code}, bounds=(0.95, 1.0), margin={{scale}}{LINEAR})"
    return [Signal("upright", code, 0.95 - up.rest, 1.0, "posture", "1 upright, 0 as at rest")]


def slow(body: Body) -> list[Signal]:
    """Return postures that are 1 at rest."""
    slow = hold("slow", body.speed, "0.0, 0.1", 1.0, 0.2, "1 where the body rests")
    calm = hold("calm", body.joint_speed, "0.0, 0.3", 4.0, 0.1, "1 where the joints rest")
    return slow + calm


def clean_floor(body: Body) -> list[Signal]:
    """Return a posture that is 1 while nothing but feet touches the floor."""
    if not body.body_contacts:
        return []
    code = f"1.0 - {write_largest(body.body_contacts)}"
    return [Signal("clean_floor", code, 1.0, 0.1, "posture", "1 while only feet touch the floor")]


def straight(body: Body, goal: Goal, speed: float = 0.5) -> list[Signal]:
    """Return a posture that is 1 without drift across the way, as large as the speed allows."""
    other = "forward_velocity" if goal.axis == "sideways" else "sideways_velocity"
    drift, scale = min(0.2, 0.4 * speed), min(1.5, 3 * speed)
    bounds = f"{-drift:.3g}, {drift:.3g}"
    return hold("straight", body.find(other), bounds, scale, 0.1, "1 without drift to the side")


def progress(distance: Quantity) -> Signal:
    """Return pay for each bit that a distance shrinks; what is lost again is charged."""
    way = f"({distance.read('state')} - {distance.read()})"
    code = f"np.clip({way} / {{scale}}, -1.0, 1.0)"
    step = round(STEP_SHARE * distance.top, 4)
    return Signal("progress", code, step, 1.0, "goal", f"nearer than a step ago, 1 for {step:g} m")


def ask(signal: Signal, code: str, size: float, doc: str) -> Signal:
    """Return pay for a measure of the size that is asked for, none at twice or nothing of it."""
    bounds = f"({0.9 * size:.3g}, {1.1 * size:.3g})"
    code = f"tolerance({code}, bounds={bounds}, margin={{scale}}{LINEAR})"
    return replace(signal, code=code, scale=size, doc=doc)
