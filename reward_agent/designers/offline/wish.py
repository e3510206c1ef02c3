"""A person's wish in numbers, without a model: keywords of their words, roles of the card's fields.

Their words are read clause by clause. What a clause is about is measured by the fields that play
the roles for it; a clause without a known word, or without such a field, is listed as not measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.words import EMPTY
from reward_agent.designers.roles import WishProposal
from reward_agent.evaluation.wish import MOST_POINTS, Wish, WishMeasure, WishPoint

# rad of lean that nobody sees; s after a landing in which it counts; share that is hardly any.
_LEAN, _AFTER_S, _HARDLY = 0.05, 0.2, 0.05
_CLAUSE = re.compile(r"[,.;:!?\n]+|\b(?:and|but|yet|while|although|though)\b", re.I)
_AT_TIMES = re.compile(r"\b(?:sometimes|at times|now and then|once|after|when|at the)\b", re.I)


@dataclass(frozen=True)
class Gauge:
    """A measure and the code of its number, an expression of ``episode`` or None of no moment.

    Args:
        measure: the measure.
        code: statements that set ``parts["name"]``.
    """

    measure: WishMeasure
    code: str


@dataclass(frozen=True)
class Topic:
    """What people speak of.

    Args:
        pattern: the words that say so, as complaint or as wish.
        gauge: returns what measures it on a body, the most literal first, for a clause.
    """

    pattern: str
    gauge: Callable[[Body, str], Sequence[Gauge]]


def compose_wish(body: Body, description: str, wish: str) -> WishProposal:
    """Return measures of what a person says; with no known word, what is not measured alone."""
    gauges: list[Gauge] = []
    points: list[WishPoint] = []
    left_out: list[str] = []
    seen: dict[str, str] = {}
    for text in (description, wish):
        for clause in _split(text):
            name = next((key for key, topic in TOPICS.items() if _says(topic, clause)), "")
            found = TOPICS[name].gauge(body, clause) if name and name not in seen else ()
            if found and len(points) < MOST_POINTS:
                points.append(WishPoint(words=clause, measures=tuple(g.measure for g in found)))
                gauges += found
                seen[name] = clause
            elif name not in seen:
                left_out.append(clause)
    told = Wish(points=tuple(points), not_measured=tuple(dict.fromkeys(left_out))[:20])
    source = _write(gauges) if gauges else None
    return WishProposal(source, told, reply="Composed by keywords; no language model has read it.")


def _says(topic: Topic, clause: str) -> bool:
    plain = clause.lower().replace("'", "").replace("\u2019", "")
    return re.search(rf"\b(?:{topic.pattern})", plain) is not None


def _split(text: str) -> Iterator[str]:
    """Yield the clauses that ask for something."""
    for clause in _CLAUSE.split(text):
        words = re.findall(r"[^\W\d_]+", clause.lower())
        if set(words) - EMPTY:
            yield " ".join(clause.split())[:300]


def _write(gauges: Sequence[Gauge]) -> str:
    body = "\n".join(f"    {line}" for gauge in gauges for line in gauge.code.splitlines())
    return (
        "def score(episode):\n"
        '    """What a person asked for, in numbers."""\n'
        "    parts = {}\n"
        f"{body}\n"
        "    return Score(0.0, False, parts)\n"
    )


def _gauge(
    name: str,
    says: str,
    unit: str,
    code: str,
    wanted: Literal["less", "more"] = "less",
    enough: float | None = None,
) -> Gauge:
    measure = WishMeasure(name=name, says=says, unit=unit, wanted=wanted, enough=enough)
    return Gauge(measure, f'parts["{name}"] = float({code})')


# --- what measures each topic ---------------------------------------------------------------------


def _lean(body: Body, clause: str) -> list[Gauge]:
    """Return measures of a lean: forward, backward, or any."""
    pitch, way = body.card.find_role("pitch"), "any"
    if re.search(r"\bforwards?\b|\bahead\b|\bnose\b", clause, re.I):
        way = "forward"
    elif re.search(r"\bback(?:wards?)?\b", clause, re.I):
        way = "backward"
    if pitch is None:
        return _tilt(body)
    rest = f" - {pitch.rest:g}" if pitch.rest else ""
    signed = {"forward": "{}", "backward": "-({})", "any": "np.abs({})"}[way]
    lean = signed.format(f"episode.{pitch.name}{rest}")
    what = f"{way} lean of the torso" if way != "any" else "lean of the torso"
    gauges = [
        _gauge("mean_lean", f"mean {what}", "rad", f"np.mean({lean})", enough=_LEAN),
        _gauge("most_lean", f"largest {what}", "rad", f"np.max({lean})"),
        *_after_landing(body, lean, what),
    ]
    if _AT_TIMES.search(clause):
        gauges = [*gauges[1:], gauges[0]]
    return gauges


def _tilt(body: Body) -> list[Gauge]:
    up = body.card.find_role("up")
    if up is None:
        return []
    tilt = f"np.arccos(np.clip(episode.{up.name}, -1.0, 1.0))"
    return [
        _gauge("mean_tilt", "mean tilt from upright", "rad", f"np.mean({tilt})", enough=_LEAN),
        _gauge("most_tilt", "largest tilt from upright", "rad", f"np.max({tilt})"),
    ]


def _after_landing(body: Body, lean: str, what: str) -> list[Gauge]:
    feet = [field.name for field in body.card.list_roles("foot_contact")]
    if not feet:
        return []
    n = max(1, round(_AFTER_S / body.card.control_dt))
    contacts = ", ".join(f"episode.{name}" for name in feet)
    says = f"largest {what} within {_AFTER_S:g} s of a landing, on average"
    code = (
        f"touching = np.max(np.stack([{contacts}]), axis=0) > 0.5\n"
        "landings = np.flatnonzero(touching[1:] & ~touching[:-1]) + 1\n"
        f"lean = {lean}\n"
        "if len(landings) > 0:\n"
        f'    parts["landing_lean"] = float(np.mean([np.max(lean[i:i + {n}]) for i in landings]))'
    )
    measure = WishMeasure(name="landing_lean", says=says, unit="rad", wanted="less")
    return [Gauge(measure, code)]


def _touchdown(body: Body, clause: str) -> list[Gauge]:
    """Return the speed at which the feet come down."""
    pairs = [
        (limb.contact.name, limb.height.name)
        for limb in body.limbs
        if limb.kind == "foot" and limb.contact and limb.height
    ]
    if not pairs:
        return []
    listed = ", ".join(f"(episode.{contact}, episode.{height})" for contact, height in pairs)
    code = (
        "falls = []\n"
        f"for contact, height in [{listed}]:\n"
        "    lands = (contact[1:] > 0.5) & (contact[:-1] <= 0.5)\n"
        "    fall = -np.diff(height) / episode.control_dt\n"
        "    falls.extend(fall[:-1][lands[1:]])\n"
        "if len(falls) > 0:\n"
        '    parts["{name}"] = float(np.{function}(np.array(falls)))'
    )
    what = "downward speed of the foot as it lands"
    told = (
        ("touchdown_speed", "mean", f"mean {what}"),
        ("hardest_touchdown", "max", f"largest {what}"),
    )
    return [
        Gauge(
            WishMeasure(name=name, says=says, unit="m/s", wanted="less"),
            code.replace("{name}", name).replace("{function}", function),
        )
        for name, function, says in told
    ]


def _speed(body: Body, clause: str) -> list[Gauge]:
    velocity = _name(body, "forward_velocity")
    if not velocity:
        return []
    is_less = re.search(r"slower|slow down|more slowly|too (?:fast|quick)|gentl|rush", clause, re.I)
    wanted: Literal["less", "more"] = "less" if is_less else "more"
    return [
        _gauge("mean_speed", "mean forward speed", "m/s", f"np.mean({velocity})", wanted),
        _gauge("top_speed", "highest forward speed", "m/s", f"np.max({velocity})", wanted),
    ]


def _height(body: Body, clause: str) -> list[Gauge]:
    height, lowest = _name(body, "height"), _name(body, "lowest_point")
    is_less = re.search(r"too high|lower\b|crouch down|less high", clause, re.I)
    wanted: Literal["less", "more"] = "less" if is_less else "more"
    jumps = re.search(r"\bjump|\bhop|\bleap|\bflight|\bair\b|\bground\b", clause, re.I)
    gauges = []
    if lowest:
        gauges.append(
            _gauge("clearance", "greatest height of its lowest point above the floor", "m",
                   f"np.max({lowest})", wanted)
        )  # fmt: skip
    if height:
        gauges.append(
            _gauge("mean_height", "mean height of the torso", "m", f"np.mean({height})", wanted)
        )
    return gauges if jumps else gauges[::-1]


def _steadiness(body: Body, clause: str) -> list[Gauge]:
    """Return how much torso, joints and actions change from moment to moment."""
    rate = _name(body, "pitch_rate")
    angular = body.card.find_role("angular_velocity")
    joints = body.card.find_role("joint_velocities")
    gauges = []
    if rate:
        says = "how fast the torso pitches, root mean square"
        gauges.append(_gauge("pitching", says, "rad/s", f"np.sqrt(np.mean(np.square({rate})))"))
    elif angular is not None:
        says = "how fast the torso turns, root mean square"
        squares = f"np.sum(np.square(episode.{angular.name}), axis=-1)"
        gauges.append(_gauge("turning", says, "rad/s", f"np.sqrt(np.mean({squares}))"))
    if joints is not None:
        says = "change of the joints' speeds from step to step, mean"
        change = f"np.mean(np.abs(np.diff(episode.{joints.name}, axis=0)))"
        gauges.append(_gauge("joint_jerks", says, "rad/s", change))
    says = "change of the action from step to step, mean"
    change = "np.mean(np.abs(np.diff(episode.action, axis=0))) if len(episode.action) > 1 else 0.0"
    return [*gauges, _gauge("action_jerks", says, "", change)]


def _effort(body: Body, clause: str) -> list[Gauge]:
    mean = "np.mean(np.abs(episode.action))"
    return [_gauge("effort", "mean size of the action", "", mean)]


def _body_contact(body: Body, clause: str) -> list[Gauge]:
    """Return the share of the time that something else than a foot is on the floor."""
    names = ", ".join(f"episode.{measure.name}" for measure in body.body_contacts)
    if not names:
        return []
    share = f"np.mean(np.max(np.stack([{names}]), axis=0) > 0.5)"
    says = "share of the time that something else than a foot touches the floor"
    return [_gauge("on_floor", says, "", share, enough=_HARDLY)]


def _falls(body: Body, clause: str) -> list[Gauge]:
    whole_s = body.card.max_episode_steps * body.card.control_dt
    return [
        _gauge("falls", "share of the episodes that end too early", "",
               "1.0 if episode.terminated else 0.0", enough=_HARDLY),
        _gauge("duration", "time until the episode ends", "s", "episode.duration_s", "more",
               enough=(1 - _HARDLY) * whole_s),
    ]  # fmt: skip


def _drift(body: Body, clause: str) -> list[Gauge]:
    """Return how far it leaves the straight line."""
    sideways, heading = _name(body, "sideways_velocity"), body.card.find_role("heading")
    gauges = []
    if sideways:
        drift = f"np.abs(np.sum({sideways}[1:]) * episode.control_dt)"
        gauges.append(_gauge("drift", "distance sideways at the end", "m", drift))
    if heading is not None:
        turn = f"np.max(np.abs(wrap_angle(episode.{heading.name} - episode.{heading.name}[0])))"
        gauges.append(_gauge("turned", "furthest turn away from where it began to go", "rad", turn))
    return gauges


def _name(body: Body, role: str) -> str:
    """Return the code of a scalar role over an episode; '' where no field plays it."""
    found = body.card.find_quantity(role)
    if found is None:
        return ""
    plays, index = found
    return f"episode.{plays.name}" + ("" if index is None else f"[:, {index}]")


# In this order: of a clause that speaks of two, the first is meant.
TOPICS: dict[str, Topic] = {
    "touchdown": Topic(
        r"slaps?\b|slapping|stamp\w*|stomp\w*|pounds?\b|pounding|thuds?\b|slams?\b|impact\w*|"
        r"bangs?\b|(?:land|touch|step|com)\w*\b.{0,20}\b(?:hard|soft|gentl|heav|loud|quiet)\w*|"
        r"(?:hard|soft|gentl|heav|loud|quiet)\w*\b.{0,12}\b(?:land|touchdown|footfall|step)\w*",
        _touchdown,
    ),
    "lean": Topic(
        r"upright|lean\w*|tips?\b|tipping|tilt\w*|bent|bends?\b|bending|slouch\w*|hunch\w*|posture",
        _lean,
    ),
    "falls": Topic(
        r"fall\w*|fell\b|toppl\w*|stumbl\w*|collaps\w*|crash\w*|stay up|keep going|"
        r"ends? (?:too )?early|balance\w*",
        _falls,
    ),
    "contact": Topic(
        r"knees?\b|crawl\w*|drag\w*|scrap\w*|belly|on (?:its|the|your) (?:back|side|floor|ground)|"
        r"roll(?:s|ing)?\b",
        _body_contact,
    ),
    "effort": Topic(
        r"effort|energy|power\b|torques?\b|forces?\b|strain\w*|full throttle|motors?\b", _effort
    ),
    "steady": Topic(
        r"shak\w*|jerk\w*|trembl\w*|twitch\w*|jitter\w*|vibrat\w*|oscillat\w*|wobbl\w*|flail\w*|"
        r"smooth\w*|calm\w*|quiet\w*|glid\w*|sway\w*|rock(?:s|ing)\b|nod(?:s|ding)\b|stead\w*",
        _steadiness,
    ),
    "drift": Topic(
        r"straight\b(?! up)|drift\w*|veer\w*|sideways|curv\w*|swerv\w*|turns? aside", _drift
    ),
    "height": Topic(
        r"higher|taller|lower\b|too (?:low|high)\b|crouch\w*|jumps? more|more height|"
        r"off the (?:ground|floor)",
        _height,
    ),
    "speed": Topic(
        r"fast\w*|quick\w*|slow\w*|speed\w*|rush\w*|hurr\w*|(?:hardly|barely) moves?|stands? still",
        _speed,
    ),
}
