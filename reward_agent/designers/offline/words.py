"""From a sentence to goals: keywords, directions, numbers and negation. No table of known tasks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "flip", "spin", "wave", "raise", "lie", "reach", "travel", "jump", "crouch", "stand", "still",
    "handle",
]  # fmt: skip

# The kind that comes first is what the sentence is about; the others are conditions on it.
KEYWORDS: dict[Kind, str] = {
    "flip": "flip flips somersault somersaults salto backflip frontflip tumble cartwheel",
    "spin": "spin spins spinning rotate rotates twirl pirouette whirl turn turns",
    "wave": "wave waves waving swing swings shake wiggle",
    "raise": "raise raises lift lifts",
    "lie": "lie lies lay lying prone sleep collapse flatten",
    "reach": "reach reaches touch bring point target goal catch",
    "travel": "run runs walk walks hop hops move moves go goes travel sprint crawl gallop trot "
    "march drive slide roll advance jog race dash forward forwards backward backwards ahead "
    "sideways reverse locomote",
    "jump": "jump jumps leap leaps bounce high higher",
    "crouch": "crouch squat duck kneel sit low lower",
    "stand": "stand stands standing balance balances upright up tall stay",
    "still": "still motionless quiet quietly calm calmly freeze stop rest steady steadily",
}
# What an arm does to an object; on a robot without one they mean something else, or nothing.
HANDLING = (
    "push press pull open close shut lock unlock put place pick take grasp grip insert plug unplug "
    "hook drag drop carry slide swing turn lift raise sweep drive set remove bring"
)
# A main kind makes these meaningless: a flip is a jump, and nobody stands while lying.
_SUBSUMED: dict[Kind, frozenset[Kind]] = {
    "flip": frozenset({"spin", "travel", "jump", "stand", "reach", "raise", "still", "crouch"}),
    "spin": frozenset({"travel", "jump", "stand"}),
    "wave": frozenset({"raise", "travel", "jump", "lie", "still"}),
    "raise": frozenset({"travel", "jump", "lie"}),
    "lie": frozenset({"stand", "crouch", "travel", "jump", "raise"}),
    "crouch": frozenset({"stand", "jump"}),
    "reach": frozenset({"travel", "jump", "stand", "still"}),
    "travel": frozenset({"stand", "still"}),
    "jump": frozenset({"stand", "still"}),
}
_CLAUSE_ENDS = {",", ";", ":", ".", "and", "but", "then", "while"}
_NEGATIONS = {"not", "never", "no", "without", "dont", "avoid", "nor", "neither", "cannot"}
_FAST = {"fast", "quick", "quickly", "rapid", "rapidly", "far", "sprint", "race", "dash"}
_SLOW = {"slow", "slowly", "gentle", "gently", "careful", "carefully", "walk", "crawl"}
_BACKWARD = {"back", "backward", "backwards", "backflip", "reverse", "rearward"}
_LIMBS = {"leg", "legs", "foot", "feet", "arm", "arms", "hand", "hands"}
_SIDES = {"left", "right", "front", "back", "hind", "rear", "first", "second", "third", "fourth"}
_SPEED = re.compile(r"(\d+(?:\.\d+)?)\s*(?:m/s|metres? per second|meters? per second)")
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[,;:.]")


@dataclass(frozen=True)
class Goal:
    """One thing that the sentence asks for.

    Args:
        kind: what.
        direction: 1 forward, left or counter-clockwise; -1 the other way.
        axis: ``sideways`` for travel to the left or right.
        speed: m/s asked for in numbers, or None.
        pace: ``fast``, ``slow`` or neither.
        limb: the limb's words, such as ``("front", "left", "foot")``.
    """

    kind: Kind
    direction: int = 1
    axis: Literal["forward", "sideways"] = "forward"
    speed: float | None = None
    pace: Literal["fast", "slow", ""] = ""
    limb: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        """What stands before a measure that grows the other way."""
        return "" if self.direction > 0 else "-"

    def __str__(self) -> str:
        """The goal in a few words."""
        ways = (
            {1: "forward", -1: "backward"} if self.axis == "forward" else {1: "left", -1: "right"}
        )
        speed = f"at {self.speed:g} m/s" if self.speed is not None else self.pace
        way = ways[self.direction] if self.kind in ("travel", "flip") else ""
        return " ".join(filter(None, [self.kind, way, speed, *self.limb]))


def read_goals(sentence: str, has_object: bool = False) -> tuple[Goal, ...]:
    """Return the goals of a sentence, the main one first; empty if no word is known.

    ``has_object`` says whether there is an object that the robot may handle.
    """
    tokens = _TOKEN.findall(sentence.lower().replace("'", "").replace("-", " "))
    if has_object and any(_names_handling(token) for token in tokens):
        return (Goal("handle"),)
    found = _find_kinds(tokens)
    ordered = [kind for kind in KEYWORDS if kind in found]
    if not ordered:
        return ()
    dropped = _SUBSUMED.get(ordered[0], frozenset())
    kept = [kind for kind in ordered if kind not in dropped]
    return tuple(_describe(kind, sentence.lower(), tokens) for kind in kept)


def _names_handling(token: str) -> bool:
    return bool({token, token.removesuffix("s"), token.removesuffix("es")} & {*HANDLING.split()})


def _find_kinds(tokens: list[str]) -> set[Kind]:
    """Return the kinds named; a negated one counts as its opposite where it has one."""
    found: set[Kind] = set()
    is_negated = False
    for index, token in enumerate(tokens):
        is_negated = (is_negated or token in _NEGATIONS) and token not in _CLAUSE_ENDS
        if token.startswith("fall"):
            found.add("stand" if is_negated else "lie")
        for kind in _match(token, tokens[index + 1 : index + 3]):
            if not is_negated:
                found.add(kind)
            elif kind in ("travel", "spin", "wave"):
                found.add("still")
            elif kind in ("lie", "crouch"):
                found.add("stand")
    return found


def _match(token: str, following: list[str]) -> list[Kind]:
    """Return the kinds of one word, read with the two words after it."""
    if token in ("turn", "turns") and "over" in following:
        return ["flip"]
    if token in ("stay", "up") and not {"up", "upright"} & {token, *following}:
        return []
    if token == "back" and "forth" in following:
        return []
    return [kind for kind, words in KEYWORDS.items() if token in words.split()]


def _describe(kind: Kind, text: str, tokens: list[str]) -> Goal:
    """Add direction, speed and limb to a kind."""
    words = set(tokens)
    side = _find_side(tokens)
    if kind in ("flip", "travel") and (kind == "flip" or not side):
        # "back and forth", "a back leg" and "the belly of its back" are no directions.
        marks = _BACKWARD if kind == "flip" else _BACKWARD - {"back"}
        return Goal(
            kind,
            direction=-1 if words & marks or "moves back" in text else 1,
            speed=_find_speed(text),
            pace=_find_pace(words),
        )
    if kind == "travel":
        return Goal(kind, side, "sideways", _find_speed(text), _find_pace(words))
    if kind == "spin":
        is_clockwise = "clockwise" in words and "counter" not in words
        return Goal(kind, direction=-1 if is_clockwise or side < 0 else 1)
    return Goal(kind, limb=_find_limb(tokens), direction=-1 if "on its back" in text else 1)


def _find_side(tokens: list[str]) -> int:
    """Return 1 for travel to the left, -1 to the right, 0 for neither."""
    for index, token in enumerate(tokens):
        after = tokens[index + 1 : index + 2]
        if token in ("left", "right") and not ({*after} & (_LIMBS | {"way", "side"})):
            return 1 if token == "left" else -1
        if token == "sideways":
            return -1 if "right" in tokens else 1
    return 0


def _find_speed(text: str) -> float | None:
    match = _SPEED.search(text)
    return float(match[1]) if match else None


def _find_pace(words: set[str]) -> Literal["fast", "slow", ""]:
    if words & _FAST:
        return "fast"
    return "slow" if words & _SLOW else ""


def _find_limb(tokens: list[str]) -> tuple[str, ...]:
    """Return the last limb that is named in the singular, with the sides before it."""
    for index in reversed(range(len(tokens))):
        if tokens[index] in ("leg", "foot", "arm", "hand"):
            sides = [token for token in tokens[max(0, index - 2) : index] if token in _SIDES]
            return (*sides, tokens[index])
    return ()
