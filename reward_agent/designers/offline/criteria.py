"""Criteria: by which generic metric each kind of goal is judged, and what that asks, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from reward_agent.definitions.roles import COMMANDS
from reward_agent.designers.offline.body import Body, Limb, normalise
from reward_agent.designers.offline.sentence import Sentence
from reward_agent.designers.offline.signals import SPIN_RAD_PER_S, choose_limb, choose_speed
from reward_agent.designers.offline.words import (
    COUNTS,
    FIXTURES,
    HELD,
    JUMPING,
    KEYWORDS,
    SIDES,
    STANDING,
    THINGS,
    Goal,
    Kind,
    stem,
)
from reward_agent.evaluation.generic import LEAST_HEIGHT, UPRIGHT
from reward_agent.evaluation.quantities import Amount

_RAISED_M = 0.1  # a foot or an object, where no height is said
_LEAST_JUMP_M, _JUMP_SHARE = 0.06, 0.2  # of the standing height
_LYING_SHARE, _CROUCH_SHARE = 0.5, 0.675  # of the standing height
_QUARTER = "full credit within a quarter of it, none at a difference as large as it"
_WINDOWED = ("reach", "place", "lift", "move_fixture")  # they take the worst of their seconds
_WITHIN_M = 0.05
_NEARNESS = frozenset({"within", "near", "close", "nearer", "closer", "than", "up", "away", "from"})
ALMOST = 0.95  # of what is asked for: what counts as done
# Froude numbers of what counts as going at all, and as going fast; else a share of the range.
_GOES, _GOES_FAST, _GOES_SHARE = 0.06, 0.25, 0.2


@dataclass(frozen=True)
class Criterion:
    """What one goal is judged by: a generic metric.

    Args:
        call: its text.
        words: what it asks, with its numbers.
        knows: words of the sentence that it judges, beside those of its kind.
        uses: quantities that it took its numbers from.
        unit: of its score.
        seconds: for how long it asks all to hold.
        lifts: whether the card's termination would end what it asks for.
        done: score of all that was asked for; 0 for that of a time.
        window_s: over how long it takes the worst, so that nothing counts before.
        is_bounded: whether more than that is no better.
    """

    call: str
    words: str
    knows: frozenset[str] = frozenset()
    uses: tuple[Amount, ...] = ()
    unit: str = "s"
    seconds: float = 0.0
    lifts: bool = False
    done: float = 0.0
    window_s: float = 0.0
    is_bounded: bool = True


def list_criteria(sentence: Sentence) -> dict[Kind, Criterion]:
    """Return a part for the main goal, and for each other that can be asked at the same time."""
    parts = dict[Kind, Criterion]()
    for goal in sentence.goals:
        make = _CRITERIA.get(goal.kind)
        part = make(sentence.of(goal), goal) if make else None
        if not parts and part is None:  # nothing stands in for what the sentence is about
            return {}
        units = {known.unit for known in parts.values()}
        if part is not None and (not parts or units | {part.unit} == {"s"}):
            parts[goal.kind] = part
            sentence = sentence.without(part.uses)
    return parts


def _find(body: Body, role: str, limb: str = "") -> str | None:
    """Return the name of what measures a role, an entry as ``velocity[0]``; nothing stands in."""
    found = body.card.find_quantity(role, limb)
    if found is None:
        return None
    plays, index = found
    return plays.name if index is None else f"{plays.name}[{index}]"


def _guard(body: Body, roles: Collection[str] = ("up", "height")) -> tuple[str, str]:
    """Return arguments that name what a fall loses, and what they ask, in words."""
    up, height = (body.card.find_role(role) if role in roles else None for role in ("up", "height"))
    arguments, words = "", []
    if up is not None and (up.rest is None or up.rest > UPRIGHT):
        arguments += f', up="{up.name}"'
        words.append(f"{up.name} is above {UPRIGHT:g}")
    if height is not None and (height.rest or 0.0) > 0 and body.foot_contacts:
        arguments += f', height="{height.name}"'
        words.append(f"{height.name} above {LEAST_HEIGHT:g} times that at the start")
    return arguments, f"; only while {' and '.join(words)}" if words else ""


def _time(
    sentence: Sentence,
    calls: str | Sequence[str],
    what: str,
    usual_s: float,
    guards: Collection[str] = ("up", "height"),
    uses: tuple[Amount, ...] = (),
    knows: Collection[str] = (),
    lifts: bool = False,
) -> Criterion:
    """Return a part that is judged in s: each call is completed by its duration and its guards."""
    seconds = sentence.find("time", usual_s)
    arguments, told = _guard(sentence.body, guards)
    made = [
        f"{call}, seconds={seconds:g}{_fit(call, arguments)})"
        for call in ([calls] if isinstance(calls, str) else calls)
    ]
    success = f"Success: full credit for {seconds:g} s without a break, and no fall."
    judged = frozenset(knows) | (STANDING if arguments else frozenset())
    words = f"s in which {what}{told}. {success}"
    used = (*sentence.first("time"), *uses)
    window_s = seconds if made[0].startswith(_WINDOWED) else 0.0
    return Criterion(join_calls(made), words, judged, used, "s", seconds, lifts, window_s=window_s)


def _fit(call: str, arguments: str) -> str:
    """Return the guards that a metric takes; those of objects take none, others no height."""
    if call.startswith(("place", "move_fixture")) or "object_" in call:
        return ""
    takes_height = call.startswith(("travel", "turn", "face", "hold_pose", "stand_on"))
    return arguments if takes_height else arguments.partition(", height=")[0]


def _travel(sentence: Sentence, goal: Goal) -> Criterion | None:
    body = sentence.body
    velocity = _find(body, f"{goal.axis}_velocity")
    if velocity is None:
        return None
    speed = choose_speed(body, goal)
    is_plain = not (speed or goal.runs or goal.direction < 0 or goal.axis == "sideways")
    command = _find(body, COMMANDS["forward_velocity"]) if is_plain else None
    if speed is None and command is None:
        return _go_far(sentence, goal, velocity)
    if speed is None:
        given, near = f'command="{command}"', f"near {command}: {_QUARTER}"
    else:
        given, near = _say_rate("speed", goal, speed, "m/s", sentence.span("speed"))
    what = f"{velocity}, averaged over the last second, is {near}"
    uses = sentence.span("speed")
    return _time(sentence, f'travel("{velocity}", {given}', what, 3.0, uses=uses)


def _say_rate(
    name: str, goal: Goal, asked: float, unit: str, span: Sequence[Amount]
) -> tuple[str, str]:
    """Return arguments that ask for a speed or a rate, or a range of it, and the same in words."""
    given = f"{name}={goal.sign}{asked:.4g}"
    if len(span) < 2:
        return given, f"near {goal.sign}{asked:.4g} {unit}: {_QUARTER}"
    low, high = (f"{goal.sign}{end.value:.4g}" for end in span)
    within = abs(span[1].value - span[0].value) / 2
    words = f"between {low} and {high} {unit}: full credit there, none at a difference as large"
    return f"{given}, within={within:.4g}", words


def _go_far(sentence: Sentence, goal: Goal, velocity: str) -> Criterion:
    """Return the metres gone: no speed is asked for, or a distance is."""
    guards, told = _guard(sentence.body)
    way = (
        f"Metres gone that way ({velocity} {'negative' if goal.sign else 'positive'}) before a fall"
    )
    metres, least = sentence.find("length", 0.0), _find_least_speed(sentence.body, goal)
    given = f"distance={goal.sign}{metres:.4g}" if metres else f"speed={goal.sign}{least:g}"
    most = f", at most {metres:.4g}" if metres else ""
    success = f"{metres:.4g} m" if metres else f"at least {least:g} m/s on average of the episode"
    episode_s = sentence.body.card.max_episode_steps * sentence.body.card.control_dt
    return Criterion(
        f'go_far("{velocity}", {given}{guards})',
        f"{way}{most}{told}. Success: {success}, and no fall.",
        STANDING if guards else frozenset(),
        sentence.first("length"),
        "m",
        done=ALMOST * metres or least * episode_s,
        is_bounded=metres > 0,
    )


def _find_least_speed(body: Body, goal: Goal) -> float:
    """Return how fast is far, m/s: for a robot of this height, else of its velocity's range."""
    least = body.measure_speed_at(_GOES_FAST if goal.runs else _GOES, 0.0)
    found = body.card.find_quantity(f"{goal.axis}_velocity")
    return least or float(f"{_GOES_SHARE * max(map(abs, found[0].range)):.2g}" if found else 1.0)


def _spin(sentence: Sentence, goal: Goal) -> Criterion | None:
    angle, heading = sentence.find("angle", 0.0), sentence.body.card.find_role("heading")
    if angle and not goal.speed:
        if heading is None or angle > math.pi:
            return None
        at = (heading.rest or 0.0) + goal.direction * angle
        what = f"{heading.name} is within 0.2 rad of {at:.4g} rad, less credit on the way there"
        call = f'face("{heading.name}", at={at:.4g}'
        return _time(sentence, call, what, 1.0, uses=sentence.first("angle"))
    rate, asked = _find(sentence.body, "yaw_rate"), goal.speed or SPIN_RAD_PER_S
    if rate is None:
        return None
    given, near = _say_rate("rate", goal, asked, "rad/s", sentence.span("turning"))
    what, uses = f"{rate}, averaged over the last second, is {near}", sentence.span("turning")
    call, around = f'turn("{rate}", {given}', sentence.first("count")
    if not around or sentence.has("time"):
        return _time(sentence, call, what, 3.0, uses=uses)
    seconds = float(
        f"{around[0].value * math.tau / abs(asked):.3g}"
    )  # so often round takes so long
    what = f"{what} (so for {around[0].value:g} times around)"
    part = _time(sentence, call, what, seconds, uses=(*uses, *around))
    return replace(part, done=ALMOST * seconds)


_COMMANDED = {
    "forward_velocity": "travel", "sideways_velocity": "travel", "yaw_rate": "turn",
    "heading": "face", "height": "keep_height",
}  # fmt: skip


def _follow(sentence: Sentence, goal: Goal) -> Criterion | None:
    pairs = [(_find(sentence.body, r), _find(sentence.body, c), r) for r, c in COMMANDS.items()]
    known = [(measure, asked, role) for measure, asked, role in pairs if measure and asked]
    if not known:
        return None
    calls = [f'{_COMMANDED[role]}("{name}", command="{asked}"' for name, asked, role in known]
    what = " and ".join(f"{name} is near {asked}" for name, asked, _ in known)
    return _time(sentence, calls, what, 3.0)


def _pose(sentence: Sentence, goal: Goal) -> Criterion | None:
    angles = sentence.body.card.find_role("joint_angles")
    # Beside another goal the pose that is held is not that of the start.
    if angles is None or (goal.kind == "still" and sentence.goals[0].kind != "still"):
        return None
    what = "every joint is within 0.2 rad of the start, none at 0.8 rad, and at rest"
    return _time(sentence, f'hold_pose("{angles.name}"', what, 3.0, knows=HELD)


def _stand(sentence: Sentence, goal: Goal) -> Criterion | None:
    card, support = sentence.body.card, _stand_on(sentence, goal)
    if support is not None:
        return support
    is_main = goal is sentence.goals[0]
    if is_main and any(other.kind == "still" for other in sentence.goals):
        pose = _pose(sentence, goal)
        if pose is not None:
            return pose
    height, up = card.find_role("height"), card.find_role("up")
    if height is not None and (height.rest or sentence.has("length")):
        return _keep_height(sentence, height.name, height.rest or 0.0, 3.0)
    if up is None:
        return None
    near = f"{up.name} is within 0.05 of 1 at its worst of the last 0.5 s"
    what = f"{near}, less credit on the way there"
    call = f'keep_height("{up.name}", at=1, within=0.05'
    return _time(sentence, call, what, 3.0, (), knows=STANDING)


def _keep_height(sentence: Sentence, name: str, usual: float, usual_s: float) -> Criterion:
    """Return keeping the height that is said, within a tenth; or within the range that is."""
    span = sentence.span("length")
    ends = [item.value for item in span]
    at = sum(ends) / len(ends) if ends else usual
    within = (ends[1] - ends[0]) / 2 if len(ends) > 1 else 0.1 * at
    near = f"within {within:.2g} m of {at:.3g} m"
    if len(ends) > 1:
        near = f"between {ends[0]:.3g} and {ends[1]:.3g} m"
    least = [end.min for end in sentence.body.card.termination if end.field == name]
    lifts = any(end is not None and end > at - within for end in least)
    return _time(
        sentence,
        f'keep_height("{name}", at={at:.3g}, within={within:.2g}',
        f"{name} is {near} at its worst of the last 0.5 s, less credit on the way there",
        usual_s,
        ("up",),
        span,
        {"high", "height"} if span else (),
        lifts,
    )


def _stand_on(sentence: Sentence, goal: Goal) -> Criterion | None:
    """Return standing on the feet that are named; None where none, or all, are."""
    feet = [limb for limb in sentence.body.limbs if limb.kind == "foot" and limb.contact]
    words = normalise(goal.limb[:-1]) if goal.limb[-1:] in (("foot",), ("leg",)) else set()
    number = next((COUNTS[word] for word in words if word in COUNTS), 0)
    down = [foot for foot in feet if words and words <= foot.words] or feet[len(feet) - number :]
    if not (words and 0 < len(down) < len(feet)):
        return None
    calls, what = _support(sentence.body, down, [foot for foot in feet if foot not in down])
    knows = _name_sides(down) | frozenset(COUNTS)
    return _time(sentence, calls, what, 2.0, knows=knows)


def _name_sides(limbs: Sequence[Limb]) -> frozenset[str]:
    """Return what the sides of these limbs may be called: a "front leg" is none of a back one."""
    named = {word for limb in limbs for word in limb.words}
    return frozenset(word for word in SIDES if normalise([word]) <= named) | {"others"}


def _support(body: Body, down: Sequence[Limb], off: Sequence[Limb]) -> tuple[str, str]:
    """Return the call that asks for standing on some feet with others off, and its words."""
    never = [measure.name for measure in body.body_contacts]
    groups = [[limb.contact.name for limb in limbs if limb.contact] for limbs in (down, off)]
    on, lifted, others = (
        "[" + ", ".join(f'"{name}"' for name in group) + "]" for group in (*groups, never)
    )
    names = [", ".join(limb.name.replace("_", " ") for limb in limbs) for limbs in (down, off)]
    what = f"it stands on {names[0]} with {names[1]} lifted and nothing else on the floor, for the "
    return f"stand_on({on}, off={lifted}, never={others}", f"{what}last 0.5 s"


def _raise(sentence: Sentence, goal: Goal) -> Criterion | None:
    body = sentence.body
    limb = choose_limb(body, goal)
    height = _find(body, f"{limb.kind}_height", limb.name) if limb else None
    if limb is None or height is None:
        return None
    by = sentence.find("length", _RAISED_M)
    calls, what = [f'lift("{height}", by={by:.4g}'], f"{height} is {by:.4g} m above its start"
    others = [other for other in body.limbs if other.contact and other.kind == limb.kind == "foot"]
    others = [other for other in others if other.name != limb.name]
    if limb.contact and others:
        call, words = _support(body, others, [limb])
        calls, what = [*calls, call], f"{what} and {words}"
    # A name that a sentence says in part is the limb that was chosen.
    knows = _name_sides([limb]) | limb.words | {"leg", "arm", "legs", "arms"}
    return _time(sentence, calls, what, 2.0, uses=sentence.first("length"), knows=knows)


def _lie(sentence: Sentence, goal: Goal) -> Criterion | None:
    height, up = (sentence.body.card.find_role(role) for role in ("height", "up"))
    if height is None or not height.rest or up is None:
        return None
    by, at = _LYING_SHARE * height.rest, float(goal.direction)
    calls = [
        f'lift("{height.name}", by=-{by:.3g}',
        f'keep_height("{up.name}", at={at:g}, within=0.15',
    ]
    what = f"{height.name} is {by:.3g} m below its start and {up.name} within 0.15 of {at:g}"
    return _time(sentence, calls, what, 2.0, (), lifts=True)


def _crouch(sentence: Sentence, goal: Goal) -> Criterion | None:
    height = sentence.body.card.find_role("height")
    if height is None or not (height.rest or sentence.has("length")):
        return None
    return _keep_height(sentence, height.name, _CROUCH_SHARE * (height.rest or 0.0), 2.0)


def _reach(sentence: Sentence, goal: Goal) -> Criterion | None:
    role = "target_distance" if sentence.body.find("target_distance") else "object_distance"
    return _come_near(sentence, goal, role, "reach", "")


def _handle(sentence: Sentence, goal: Goal) -> Criterion | None:
    approach = _approach(sentence.body, "object_distance", goal)
    return _come_near(sentence, goal, "object_target_distance", "place", approach)


def _come_near(
    sentence: Sentence, goal: Goal, role: str, metric: str, approach: str
) -> Criterion | None:
    measures = sentence.body.list_named(role, goal.limb) if sentence.body.find(role) else []
    if not measures:
        return None
    start = measures[0].rest
    usual = _WITHIN_M if start is None else min(_WITHIN_M, max(0.1 * start, 0.005))
    # "Push it 10 cm to the left" says nothing of how near.
    span = sentence.span("length") if goal.words & _NEARNESS else ()
    within, name = (span[-1].value if span else usual), measures[0].name
    what = f"{name}, at its worst of that time, is small: full credit within {within:.3g} m, none "
    knows = frozenset(goal.limb) | (
        frozenset() if role == "target_distance" else _name_things(sentence, THINGS)
    )
    return _time(
        sentence,
        f'{metric}("{name}", within={within:.3g}{approach}',
        f"{what}at the distance at the start{_say_approach(approach)}",
        0.5,
        (),
        uses=span[-1:],
        knows=knows,
    )


def _lift(sentence: Sentence, goal: Goal) -> Criterion | None:
    height = sentence.body.card.find_role("object_height")
    if height is None:
        return None
    by, approach = (
        sentence.find("length", _RAISED_M),
        _approach(sentence.body, "object_distance", goal),
    )
    return _time(
        sentence,
        f'lift("{height.name}", by={by:.4g}{approach}',
        f"{height.name} is {by:.4g} m above its start, at its worst of that time"
        f"{_say_approach(approach)}",
        1.0,
        (),
        uses=sentence.first("length"),
        knows=_name_things(sentence, THINGS)
        | frozenset(goal.limb)
        | frozenset(KEYWORDS["raise"].split()),
    )


def _name_things(sentence: Sentence, words: str) -> frozenset[str]:
    """Return what the card's thing may be called: as the card does, anything where it does not."""
    card, things = sentence.body.card, {*words.split()}
    plain = things & {"object", "objects", "thing", "hinge", "handle", "latch"}
    told = " ".join([card.description, *(f"{field.name} {field.doc}" for field in card.state)])
    named = things & {*re.findall(r"[a-z]+", told.lower())} - plain
    return frozenset(named | plain if named else things)


def _move_fixture(sentence: Sentence, goal: Goal) -> Criterion | None:
    positions = sentence.body.list_named("fixture_position", {*goal.limb, *goal.words})
    # Which way closes it no card says.
    if not positions or goal.words & {"close", "closes", "shut", "lock", "unlock"}:
        return None
    fixture = sentence.body.card.field(positions[0].name)
    low, high = fixture.range
    what = "length" if fixture.unit == "m" else "angle"
    by = sentence.find(what, 0.5 * max(high, -low)) * (1 if high >= -low else -1)
    approach = _approach(sentence.body, "fixture_distance", goal)
    return _time(
        sentence,
        f'move_fixture("{fixture.name}", by={by:.3g}{approach}',
        f"{fixture.name} is {by:.3g} {fixture.unit} from its start, at its worst of that time"
        f"{_say_approach(approach)}",
        0.5,
        (),
        uses=sentence.first(what),
        knows=_name_things(sentence, FIXTURES) | frozenset(goal.limb),
    )


def _approach(body: Body, role: str, goal: Goal) -> str:
    measures = body.list_named(role, goal.limb) if body.card.list_roles(role) else []
    return f', approach="{measures[0].name}"' if measures else ""


def _say_approach(approach: str) -> str:
    return "; coming near it earns a fifth" if approach else ""


def _jump(sentence: Sentence, goal: Goal) -> Criterion | None:
    lowest, up = (sentence.body.card.find_role(role) for role in ("lowest_point", "up"))
    # "0.4 m high" alone is no jump.
    if lowest is None or not {stem(word) for word in goal.words} & JUMPING:
        return None
    usual = max(_LEAST_JUMP_M, float(f"{_JUMP_SHARE * sentence.body.standing_height:.2g}"))
    height, times = sentence.find("length", usual), max(int(sentence.find("count", 1)), 1)
    guard, often = f', up="{up.name}"' if up else "", f", times={times}" if times > 1 else ""
    often_told = f"{times} times" if times > 1 else "once"
    flights = f"the best {times} flights, on average" if times > 1 else "the best flight"
    return Criterion(
        f'jump("{lowest.name}", height={height:.4g}{often}{guard})',
        f"Height, m, of {lowest.name} in {flights}, at most {height:.4g}; above 0.03 m the "
        "robot is in the air; a quarter for a flight that does not end on the floor, upright for "
        f"0.5 s. Success: {height:.4g} m, landed, {often_told}, and no fall.",
        STANDING | ({"hop", "hops"} if sentence.has("count") else set()),
        (*sentence.first("length"), *sentence.first("count")),
        "m",
        done=ALMOST * height,
    )


# No generic metric judges a flip, or a limb that swings.
_CRITERIA: dict[Kind, Callable[[Sentence, Goal], Criterion | None]] = {
    "follow": _follow,
    "pose": _pose,
    "spin": _spin,
    "raise": _raise,
    "lie": _lie,
    "crouch": _crouch,
    "reach": _reach,
    "travel": _travel,
    "jump": _jump,
    "stand": _stand,
    "still": _pose,
    "handle": _handle,
    "lift": _lift,
    "fixture": _move_fixture,
}


# Roles of which one is needed where nothing may stand in for it.
NEEDS: dict[Kind, tuple[str, ...]] = {
    "jump": ("lowest_point",), "spin": ("yaw_rate",), "lie": ("height", "up"),
}  # fmt: skip


def join_calls(calls: Sequence[str]) -> str:
    """Return calls as one metric."""
    joined, *others = dict.fromkeys(calls)
    for call in others:
        joined = f"both({joined}, {call})"
    return joined
