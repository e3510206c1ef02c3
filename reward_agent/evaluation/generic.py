"""Metrics for any robot, made from names of fields: ``score = travel("forward_velocity", 0.8)``.

A ``metric.py`` has these functions without an import. Each returns a metric, a function of an
``Episode`` that returns its ``Score``. A run records the text of its ``metric.py``, and apart from
it the version of the program, which decides what these functions make of it: write the numbers
that you mean into the text.

Every metric but ``jump`` and ``go_far`` is ``Timed``. Its ``task_score`` is in s: how long all is
as asked, each instant weighted by a credit of 0 to 1, which rises smoothly from what doing nothing
gives, 0.
``success`` is strict: full credit for a stated time without a break, and no fall. A fall is an end
by the card's termination, or an episode that ends otherwise than upright.

What is asked of all in the same words: ``seconds``, for which it is to be so, without a break, for
a success; ``up``, the field of the cosine of the tilt (None for what cannot fall over: a fish, an
arm), and ``height``, that of the torso's height, m (below half of that at the start it lies);
``command``, a field that says at each instant what is asked, in place of one number; ``approach``,
the field of the distance, m, from the tool to what it is to move: coming near earns a fifth.

They are composed of *conditions*, which say of each state how nearly it is as asked. A new kind of
task is one more function of an episode that returns ``Judged``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from reward_agent.errors import DataError
from reward_agent.evaluation.signals import (
    EPSILON,
    FloatArray,
    average_last,
    count_steps,
    find_first,
    find_flights,
    find_worst,
    grade,
    measure_longest,
    measure_speed,
    read_asked,
    read_columns,
    read_scalar,
)
from reward_agent.rewards.guards import Kept
from reward_agent.rewards.language import METRIC_NAMES
from reward_agent.rewards.library import describe_functions, wrap_angle
from reward_agent.types import Score

if TYPE_CHECKING:  # it offers these functions to a metric
    from reward_agent.evaluation.metrics import Episode

UPRIGHT = 0.7  # cosine of the tilt
LEAST_HEIGHT = 0.5  # of the height at the start; below it a robot lies
GAIT_S = 1.0  # over which a speed is measured: the swing of a gait is no fault
NEAR_SHARE = 0.25  # of an asked speed: full credit within it
NEAR_ZERO = 0.05  # m/s or rad/s: full credit within it, however slow a command
STILL, MOVING = 0.5, 3.0  # rad/s of the fastest joint: full credit up to, none from
STILL_S = 0.2  # over which that is measured
APPROACH = 0.2  # of full credit, for bringing the tool to what is to be moved
STANCE_S = 0.1  # on the floor before a jump; what comes down and bounces has less
STAY_S = 0.5  # upright after a jump
UNLANDED_CREDIT = 0.25
STEADY_S = 0.5  # for which a contact, or a height, is to be there
CHATTER = 0.05  # of it that it may be lost


@dataclass(frozen=True)
class Judged:
    """How nearly each state is as asked, and numbers that explain it.

    Args:
        name: what is asked, with the field that tells.
        credit: ``(T,)``, 0 to 1; 1 is as asked.
        parts: of the whole episode, by name.
    """

    name: str
    credit: FloatArray
    parts: dict[str, float] = field(default_factory=dict)


Condition: TypeAlias = "Callable[[Episode], Judged]"


@dataclass(frozen=True)
class Timed(Kept):
    """A metric in s: how long all conditions hold, each instant weighted by their product.

    Args:
        conditions: what is asked for.
        guards: what may never be lost, such as standing upright; an episode that ends without
            one has ended in a fall.
        seconds: how long all hold with full credit, without a break, for a success.
    """

    conditions: tuple[Condition, ...]
    guards: tuple[Condition, ...] = ()
    seconds: float = 0.0

    def __call__(self, episode: Episode) -> Score:
        """Judge an episode."""
        judged = [condition(episode) for condition in (*self.conditions, *self.guards)]
        guards = judged[len(self.conditions) :]
        credits = dict[str, FloatArray]()
        for each in judged:
            credits[each.name] = each.credit * credits.get(each.name, 1.0)
        credit = np.prod([*credits.values()], axis=0)
        credit = credit[1:]  # row 0 is the reset
        longest = measure_longest(credit > 1 - EPSILON) * episode.control_dt
        fell = episode.terminated or any(guard.credit[-1] < 1 for guard in guards)
        parts = {name: value for each in judged for name, value in each.parts.items()}
        parts |= {"longest": longest, "duration": episode.duration_s, "fell": float(fell)}
        seconds = float(np.sum(credit)) * episode.control_dt
        is_held = 0 < longest >= self.seconds - EPSILON
        return Score(seconds, is_held and not fell, parts)


def both(first: Timed, second: Timed) -> Timed:
    """Return the metric that asks for two things at a time: ``both(travel(…), keep_height(…))``.

    Raises:
        DataError: one of them is no time, as that of ``jump``.
    """
    for metric in (first, second):
        if not isinstance(metric, Timed):
            raise DataError("both(…) takes two metrics in s", "combine those, or score one")
    return Timed(
        (*first.conditions, *second.conditions),
        (*first.guards, *second.guards),
        max(first.seconds, second.seconds),
    )


# --- what a robot holds ------------------------------------------------------------------------


def hold_pose(
    angles: str,
    *,
    pose: Sequence[float] | None = None,
    within: float = 0.2,
    seconds: float = 3.0,
    up: str | None = None,
    height: str | None = None,
) -> Timed:
    """Hold the start pose: s in which every joint is near it, and at rest.

    ``angles`` is the field of the joints' angles, rad; full credit ``within`` of ``pose`` (None:
    those at the start of the episode), none at four times that.
    """

    def near_pose(episode: Episode) -> Judged:
        values = read_columns(episode, angles)
        if pose is not None and len(pose) != values.shape[1]:
            raise DataError(
                f"the pose has {len(pose)} angles, {angles!r} has {values.shape[1]}",
                "give one for each joint",
            )
        error = np.max(np.abs(values - (values[0] if pose is None else np.array(pose))), axis=1)
        speed = np.max(measure_speed(values, STILL_S, episode), axis=1)
        credit = grade(error, within, 4 * within) * grade(speed, STILL, MOVING)
        return Judged(
            f"{angles} near the pose, at rest", credit, {"mean_pose_error": float(np.mean(error))}
        )

    return Timed((near_pose,), make_guards(up, height), seconds)


def keep_height(
    height: str,
    *,
    at: float | None = None,
    command: str | None = None,
    within: float = 0.03,
    seconds: float = 2.0,
    up: str | None = None,
) -> Timed:
    """Bring the torso to a height, m, and keep it there: s near it.

    Full credit ``within`` of the height ``at``, at its worst of the last 0.5 s, or of the command;
    none at the difference that there was when it was asked for.
    """
    return Timed((_come_to(height, at, command, within),), make_guards(up, None), seconds)


def face(
    heading: str,
    *,
    at: float | None = None,
    command: str | None = None,
    within: float = 0.2,
    seconds: float = 1.0,
    up: str | None = None,
    height: str | None = None,
) -> Timed:
    """Turn to a heading, rad, and keep it: s near it; as ``keep_height``."""
    condition = _come_to(heading, at, command, within, wrap_angle)
    return Timed((condition,), make_guards(up, height), seconds)


def _come_to(
    name: str,
    at: float | None,
    command: str | None,
    within: float,
    wrap: Callable[[FloatArray], FloatArray] = np.asarray,
) -> Condition:
    _check_one(at, command)

    def near(episode: Episode) -> Judged:
        asked = read_asked(episode, at, command)
        error = np.abs(wrap(read_scalar(episode, name) - asked))
        worst = error if at is None else _hold(error, episode)
        credit = grade(worst, within, find_first(error, asked, within))
        return Judged(
            f"{name} near what is asked", credit, {f"mean_{name}_error": float(np.mean(error))}
        )

    return near


def _hold(error: FloatArray, episode: Episode) -> FloatArray:
    """Return ``(T,)``: the worst of the last 0.5 s, so that passing by is not being there."""
    worst = find_worst(error, STEADY_S, episode)
    return np.where(np.isinf(worst), np.maximum.accumulate(error), worst)


def stand_on(
    feet: Sequence[str],
    *,
    off: Sequence[str] = (),
    never: Sequence[str] = (),
    seconds: float = 2.0,
    up: str | None = None,
    height: str | None = None,
) -> Timed:
    """Stand on some feet: s in which they touch the floor and nothing else does.

    ``feet``, ``off`` and ``never`` are fields of contacts, 0/1: of those that touch, of feet that
    are to be lifted, and of what may not touch, as a knee. Credit is the share of the first that
    do times the share of the second that do not, each for the last 0.5 s: none where it is
    otherwise for half of that, as in stamping.
    """

    def on_feet(episode: Episode) -> Judged:
        touching = [_measure_steady(episode, name, 1.0) for name in feet]
        lifted = [_measure_steady(episode, name, 0.0) for name in off] or [np.ones(1)]
        free = [_measure_steady(episode, name, 0.0) for name in never] or [np.ones(1)]
        credit = np.mean(touching, axis=0) * np.mean(lifted, axis=0) * np.min(free, axis=0)
        return Judged(
            "on the feet that are asked", credit, {"mean_on_feet": float(np.mean(credit))}
        )

    if isinstance(feet, str) or not feet:
        raise DataError("stand_on needs a list of contacts", 'for example ["left_foot_contact"]')
    return Timed((on_feet,), make_guards(up, height), seconds)


# --- how a robot goes --------------------------------------------------------------------------


def travel(
    velocity: str,
    speed: float | None = None,
    *,
    command: str | None = None,
    within: float | None = None,
    seconds: float = 3.0,
    up: str | None = None,
    height: str | None = None,
) -> Timed:
    """Go at a speed: s in which the velocity, over the last second, is near what is asked.

    ``velocity`` is a field, m/s: forward, sideways or up; ``speed`` is negative for the other way.
    Full credit ``within`` a difference (None: a quarter of what is asked), none at one as large as
    what is asked: standing still, or twice as fast. Near a command that is hardly any, 0.05 m/s,
    there is full credit.
    """
    return _go(velocity, speed, command, within, seconds, make_guards(up, height))


def go_far(
    velocity: str,
    *,
    speed: float | None = None,
    distance: float | None = None,
    up: str | None = None,
    height: str | None = None,
) -> GoFar:
    """Go as far as can be: m gone one way before a fall, at most the ``distance`` if one is asked.

    ``velocity`` is a field, m/s; a negative ``speed`` or ``distance`` is the other way.
    ``success``: at least that speed on average of the whole episode, or that distance; no fall.
    """
    if (speed is None) == (distance is None) or not (speed or distance):
        raise DataError("go_far needs how fast, or how far", "give speed = or distance =, not 0")
    return GoFar(velocity, speed, distance, up, height)


@dataclass(frozen=True)
class GoFar(Kept):
    """The metric of ``go_far``, whose arguments it has."""

    velocity: str
    speed: float | None
    distance: float | None
    up: str | None
    height: str | None

    def __call__(self, episode: Episode) -> Score:
        """Judge an episode."""
        asked = float(self.speed or self.distance or 0.0)
        guards = [guard(episode).credit for guard in make_guards(self.up, self.height)]
        # What is gone after a fall is not gone, even if it gets up.
        stands = np.minimum.accumulate(np.min([np.ones(episode.n_steps + 1), *guards], axis=0))
        steps = np.sign(asked) * read_scalar(episode, self.velocity) * stands * episode.control_dt
        way = np.cumsum(steps[1:])
        fell = episode.terminated or stands[-1] < 1
        gone = float(way[-1]) if len(way) else 0.0
        least = abs(asked) * episode.duration_s
        if self.distance is not None:
            gone, least = float(np.max(way, initial=0.0)), abs(asked)
        parts = {"distance": gone, "duration": episode.duration_s, "fell": float(fell)}
        score = gone if self.distance is None else min(gone, least)
        return Score(score, 0 < least <= gone + EPSILON and not fell, parts)


def turn(
    yaw_rate: str,
    rate: float | None = None,
    *,
    command: str | None = None,
    within: float | None = None,
    seconds: float = 3.0,
    up: str | None = None,
    height: str | None = None,
) -> Timed:
    """Turn at a rate, rad/s; as ``travel``."""
    return _go(yaw_rate, rate, command, within, seconds, make_guards(up, height))


def _go(
    name: str,
    value: float | None,
    command: str | None,
    within: float | None,
    seconds: float,
    guards: tuple[Condition, ...],
) -> Timed:
    _check_one(value, command)

    def at_speed(episode: Episode) -> Judged:
        asked = read_asked(episode, value, command)
        speed = read_scalar(episode, name)
        error = np.abs(average_last(speed, GAIT_S, episode) - asked)
        size = np.abs(asked)
        # A number that is asked for is met in its own size, be it that of a worm.
        least = 0.0 if value else NEAR_ZERO
        full = np.maximum(NEAR_SHARE * size if within is None else within, least)
        credit = grade(error, full, np.maximum(size, 2 * least))
        return Judged(f"{name} near what is asked", credit, {f"mean_{name}": float(np.mean(speed))})

    return Timed((at_speed,), guards, seconds)


def jump(
    lowest: str, height: float, *, times: int = 1, clear: float = 0.03, up: str | None = None
) -> Jump:
    """Jump: m, the height of the lowest point in the best flight, at most what is asked.

    ``lowest`` is the field of the robot's lowest point above the floor, m; above ``clear`` the
    robot is in the air. A flight begins upright, with 0.1 s on the floor: what falls down at the
    start and bounces has not jumped. What is above ``clear`` is stretched to the asked height; a
    flight that does not end on the floor with 0.5 s upright after it earns a quarter. ``success``:
    the height is reached in one that does, and the episode does not end in a fall. To jump several
    ``times`` is judged by as many of the best flights: their mean, and all of them.
    """
    if times < 1:
        raise DataError(f"a jump {times} times is none", "ask for one")
    if not height > clear:
        raise DataError(f"a jump of {height:g} m is none above {clear:g} m", "ask for a higher one")

    return Jump(lowest, height, times, clear, up)


@dataclass(frozen=True)
class Jump(Kept):
    """The metric of ``jump``, whose arguments it has."""

    lowest: str
    height: float
    times: int
    clear: float
    up: str | None

    def __call__(self, episode: Episode) -> Score:
        """Judge an episode."""
        flights, has_fallen = _list_flights(episode, self.lowest, self.clear, self.up)
        none = [{"height": 0.0, "landed": 0.0}] * self.times
        best = sorted([*flights, *none], key=self._price)[: -self.times - 1 : -1]
        parts = {**best[0], "jumps": float(len(flights)), "duration": episode.duration_s}
        parts["fell"] = float(episode.terminated or has_fallen)
        is_high = all(each["height"] >= self.height and each["landed"] > 0 for each in best)
        score = float(np.mean([self._price(each) for each in best]))
        return Score(score, is_high and not parts["fell"], parts)

    def _price(self, flight: dict[str, float]) -> float:
        above = (flight["height"] - self.clear) / (self.height - self.clear)
        share = min(max(above, 0.0), 1.0)
        return self.height * share * (1.0 if flight["landed"] else UNLANDED_CREDIT)


def _list_flights(
    episode: Episode, lowest: str, clear: float, up: str | None
) -> tuple[list[dict[str, float]], bool]:
    """Return height and landing of every flight, and whether the robot lies at the end."""
    values = read_scalar(episode, lowest)
    is_upright = np.ones(len(values), dtype=bool)
    for guard in make_guards(up, None):
        is_upright &= guard(episode).credit > 0
    n_stay, flights = count_steps(STAY_S, episode), []
    for start, end in find_flights(values <= clear, count_steps(STANCE_S, episode)):
        if is_upright[start - 1]:
            after = is_upright[end : end + n_stay + 1]
            landed = len(after) == n_stay + 1 and bool(after.all())
            flights.append({"height": float(np.max(values[start:end])), "landed": float(landed)})
    return flights, not is_upright[-1]


# --- what a tool does --------------------------------------------------------------------------


def reach(
    distance: str, *, within: float = 0.05, seconds: float = 0.5, up: str | None = None
) -> Timed:
    """Bring the tool to a target: s in which the distance, at its worst of ``seconds``, is small.

    Credit rises from 0 at the distance at the start; sliding past the target earns none.
    """
    return Timed((_come_near(distance, within, seconds, None),), make_guards(up, None))


def place(
    distance: str,
    *,
    within: float = 0.05,
    seconds: float = 0.5,
    approach: str | None = None,
    up: str | None = None,
) -> Timed:
    """Bring the object to a target; as ``reach``, of the distance between the two."""
    return Timed((_come_near(distance, within, seconds, approach),), make_guards(up, None))


def lift(
    height: str,
    by: float = 0.1,
    *,
    seconds: float = 1.0,
    approach: str | None = None,
    up: str | None = None,
) -> Timed:
    """Lift the object ``by`` m: s in which it is up, at its worst of ``seconds``.

    What is thrown has come down by then.
    """
    return Timed((_bring(height, by, seconds, approach),), make_guards(up, None))


def move_fixture(
    position: str, by: float, *, seconds: float = 0.5, approach: str | None = None
) -> Timed:
    """Open, close or turn a fixture: s in which it is moved, at its worst of ``seconds``.

    ``position`` is the field of its joint; ``by`` is negative for the other way, in its unit.
    What swings past is not there.
    """
    return Timed((_bring(position, by, seconds, approach),))


def _come_near(distance: str, within: float, seconds: float, approach: str | None) -> Condition:
    def near(episode: Episode) -> Judged:
        values = read_scalar(episode, distance)
        held = find_worst(values, seconds, episode)
        credit = grade(held, within, values[0] if values[0] > within else 2 * within)
        parts = {f"least_{distance}": float(values.min()), f"final_{distance}": float(values[-1])}
        credit = _add_approach(credit, episode, approach, seconds)
        return Judged(f"{distance} near 0", credit, parts)

    return near


def _bring(position: str, by: float, seconds: float, approach: str | None) -> Condition:
    if not by:
        raise DataError("the metric asks to move something by 0", "say how far")

    def moved(episode: Episode) -> Judged:
        values = read_scalar(episode, position)
        missing = np.sign(by) * (values[0] + by - values)
        held = find_worst(missing, seconds, episode)
        furthest = float(np.max(np.sign(by) * (values - values[0])))
        credit = grade(held, 0.0, abs(by))
        parts = {f"furthest_{position}": furthest}
        credit = _add_approach(credit, episode, approach, seconds)
        return Judged(f"{position} as far as is asked", credit, parts)

    return moved


def _add_approach(
    credit: FloatArray, episode: Episode, approach: str | None, seconds: float
) -> FloatArray:
    """Add what bringing the tool there is worth while the thing itself has not moved."""
    if approach is None:
        return credit
    distance = read_scalar(episode, approach)
    near = grade(find_worst(distance, seconds, episode), 0.0, max(float(distance[0]), 1e-3))
    return credit + APPROACH * (1 - credit) * near


# --- conditions that many share ----------------------------------------------------------------


def make_guards(up: str | None, height: str | None) -> tuple[Condition, ...]:
    """Return the conditions of standing, of those fields that there are."""

    def upright(episode: Episode) -> Judged:
        assert up is not None
        is_upright = read_scalar(episode, up) > UPRIGHT
        name, parts = f"{up} above {UPRIGHT:g}", {"upright_share": float(np.mean(is_upright))}
        return Judged(name, is_upright.astype(float), parts)

    def high(episode: Episode) -> Judged:
        assert height is not None
        values = read_scalar(episode, height)
        is_high = values > LEAST_HEIGHT * values[0]
        name = f"{height} above {LEAST_HEIGHT:g} of its start"
        return Judged(name, is_high.astype(float), {"high_share": float(np.mean(is_high))})

    pairs = ((up, upright), (height, high))
    return tuple(condition for name, condition in pairs if name is not None)


def _measure_steady(episode: Episode, name: str, value: float) -> FloatArray:
    """Return ``(T,)``: 1 where a contact is as asked, 0 where for half of the time it is not."""
    off = np.abs(read_scalar(episode, name) - value)
    return grade(average_last(off, STEADY_S, episode), CHATTER, 0.5)


def _check_one(value: float | None, command: str | None) -> None:
    if (value is None) == (command is None):
        raise DataError(
            "the metric needs a number that is asked for, or command = the field that says it",
            "give one of the two",
        )


# --- all of them, for a metric without an import ------------------------------------------------

GENERIC_METRICS = {name: globals()[name] for name in sorted(METRIC_NAMES)}


def describe_metrics() -> str:
    """Return the signature and first line of every metric, as text for a prompt."""
    return describe_functions(GENERIC_METRICS)
