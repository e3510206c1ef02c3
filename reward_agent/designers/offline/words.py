"""From a sentence to goals: keywords, directions, numbers and negation. No table of known tasks."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from reward_agent.evaluation.quantities import find_quantities, find_span
from reward_agent.rewards.language import split_names

Kind = Literal[
    "follow", "pose", "flip", "spin", "wave", "raise", "lie", "reach", "travel", "jump", "land",
    "crouch", "stand", "still", "handle", "lift", "fixture", "gather", "shun",
]  # fmt: skip

# The kind that comes first is what the sentence is about; the others are conditions on it.
KEYWORDS: dict[Kind, str] = {
    "follow": "follow follows command commands commanded",
    "pose": "pose",
    "flip": "flip flips somersault somersaults salto backflip frontflip tumble cartwheel",
    "spin": "spin spins spinning rotate rotates twirl pirouette whirl turn turns",
    "wave": "wave waves waving swing swings shake wiggle",
    "raise": "raise raises lift lifts",
    "lie": "lie lies lay lying prone sleep collapse flatten",
    "reach": "reach reaches touch bring point target goal catch",
    "travel": "run runs walk walks hop hops move moves go goes travel sprint crawl gallop trot "
    "march drive slide roll advance jog race dash forward forwards backward backwards ahead "
    "sideways reverse locomote swim swims strafe sidestep",
    "jump": "jump jumps leap leaps bounce high higher",
    "land": "land lands landing touchdown descend descends",
    "crouch": "crouch squat duck kneel sit low lower",
    "stand": "stand stands standing balance balances upright up tall stay",
    "still": "still motionless quiet quietly calm calmly freeze stop rest steady steadily",
}
_VERBS = frozenset(word for words in KEYWORDS.values() for word in words.split())
# What an arm does to an object; on a robot without one they mean something else, or nothing.
HANDLING = (
    "push press pull open close shut lock unlock put place pick take grasp grip insert plug unplug "
    "hook drag drop carry slide swing turn lift raise sweep drive set remove bring move"
)
THINGS = (
    "object objects cube block ball box puck peg cylinder can mug cup bottle thing brick pen hammer"
)
FIXTURES = (
    "door drawer lid valve handle knob button lever switch window cabinet faucet dial hinge gate "
    "microwave fixture latch"
)
# What is done in a world of things, where a card names such things.
GATHERING = "collect gather get find dig mine cut chop fetch harvest obtain explore search see"
# What is the robot's own: bringing it somewhere is reaching.
_OWN = (
    "hand hands gripper effector fingertip fingertips finger fingers arm arms palm tip wrist leg "
    "legs foot feet head torso body tool"
)
# What a robot also does with itself: a thing is to be named, and none of its own limbs.
_OF_ITSELF = "bring slide swing turn lift raise drive set move drop"
_LIFTING, _PLACING = {"lift", "lifts", "raise", "pick"}, {"target", "goal", "put", "place", "onto"}
# A main kind makes these meaningless: a flip is a jump, and nobody stands while lying.
_SUBSUMED: dict[Kind, frozenset[Kind]] = {
    "follow": frozenset({"spin", "travel", "stand", "crouch", "raise", "jump", "still"}),
    "pose": frozenset({"stand", "still", "travel", "crouch"}),
    "flip": frozenset(
        {"spin", "travel", "jump", "land", "stand", "reach", "raise", "still", "crouch"}
    ),
    "spin": frozenset({"travel", "jump", "stand"}),
    "wave": frozenset({"raise", "travel", "jump", "lie", "still"}),
    "raise": frozenset({"travel", "jump", "lie"}),
    "lie": frozenset({"stand", "crouch", "travel", "jump", "raise"}),
    "crouch": frozenset({"stand", "jump"}),
    "reach": frozenset({"travel", "jump", "stand", "still"}),
    "travel": frozenset({"stand", "still"}),
    "jump": frozenset({"land", "stand", "still"}),
    "land": frozenset({"stand", "still", "crouch"}),
}
_CLAUSE_ENDS = {",", ";", ":", ".", "and", "but", "then", "while"}
# Not that between the ends of a range.
_CLAUSE = re.compile(r"[;,:](?!\d)|\b(?:and|but|then|while|with)\b(?!\s*[-+.\d])")
_NEGATIONS = {"not", "never", "no", "without", "dont", "avoid", "nor", "neither", "cannot"}
_SHUNNED = _NEGATIONS | {"out", "away"}
# Gaits that are faster than walking.
_RUNNING = "run runs hop hops sprint gallop trot jog race dash"
_FAST = {"fast", "quick", "quickly", "rapid", "rapidly", "far", "sprint", "race", "dash"}
_SLOW = {"slow", "slowly", "gentle", "gently", "careful", "carefully", "crawl"}
_BACKWARD = {"back", "backward", "backwards", "backflip", "reverse", "rearward"}
_LIMBS = {"leg", "legs", "foot", "feet", "arm", "arms", "hand", "hands"}
SIDES = {"left", "right", "front", "back", "hind", "rear", "first", "second", "third", "fourth"}
# What "up" stands behind where it says how one stands; a leg is lifted up.
_RISING = ("get", "stand", "stay", "straight", "rise", "sit", "keep")
_SINGULAR = {"legs": "leg", "feet": "foot", "arms": "arm", "hands": "hand"}
COUNTS = {"one": 1, "two": 2, "three": 3}
# Words that ask for nothing.
EMPTY = split_names(
    """
    a about all also an and are as at be being but by can could do does doing each every for
    from good has have he her here his i in into is it it's its itself just keep keeping keeps let
    like make may must my now of off on one's onto or over own per please possible robot round
    around
    she should so that the their then there they this till to together try until want we well
    when where which while who will with would you your
    """
)
# What the guards judge: who stands upright does not fall.
STANDING = split_names(
    """
    balance balanced body don't fall fallen falling falls never no not right safe safely side stand
    standing stands stay stays tipping tip torso up upright way without tall
    """
)
STILL = split_names("motionless quiet quietly still")
HELD = STILL | split_names("hold holds stay stays steadily steady there")
# What else a kind judges beside its keywords.
JUDGED: dict[Kind, frozenset[str]] = {
    "follow": split_names("asked given heading speed turn velocity"),
    "pose": HELD | split_names("first initial start starting"),
    "spin": split_names("clockwise counter left place rate right speed spot"),
    "raise": HELD | split_names("air floor ground high off up"),
    "lie": split_names("back belly down fall falls flat floor ground on prone side stomach"),
    "reach": HELD | split_names("close near within"),
    "travel": split_names(
        """
        along backward backwards back direction far fast feet foot forward forwards left leg legs
        line quick quickly rapid rapidly reverse right slow slowly speed steady straight velocity x
        """
    ),
    "jump": split_names("air feet floor foot ground land landing lands off once up vertically"),
    "crouch": HELD | split_names("down height"),
    "stand": (HELD - STILL) | split_names("both feet foot height leg legs pole"),
    "handle": HELD
    | split_names(
        """
        bring carry drag drop goal grasp grip move pick place position pull push put set slide sweep
        take target up
        """
    ),
    "lift": HELD | split_names("air floor grasp ground high pick table up"),
    "fixture": HELD | split_names("open pull push swing turn up"),
}
# Of the keywords of travel, what says how the legs move: speed is judged, gaits are not.
GAITS = split_names("crawl gallop hop hops march roll slide swim swims trot")
JUMPING = split_names("bounce hop hops jump jumps leap leaps")
_SPEED, _AMOUNT, _LENGTH = ("speed", "turning"), ("length", "angle"), ("length",)
# "Keep the torso 1.2 m high" asks for a height, no jump.
_TRUNK = {"torso", "trunk", "body", "pelvis", "hips", "base"}
_KEEPING = {"keep", "keeps", "hold", "holds", "stay", "stays", "maintain", "maintains", "remain"}
_ON_BACK = re.compile(r"\bon (?:its|your|his|her|the|their) back\b")
_ON_THE_SPOT = re.compile(r"\b(?:in place|on the spot|up and down)\b")
# What something is called says nothing of what is done: 'push_rod'.
_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)")
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[,;:.]")


@dataclass(frozen=True)
class Goal:
    """One thing that the sentence asks for.

    Args:
        kind: what.
        direction: 1 forward, left or counter-clockwise; -1 the other way.
        axis: ``sideways`` for travel to the left or right.
        speed: m/s or rad/s asked for in numbers, or None.
        pace: ``fast``, ``slow`` or neither.
        limb: the limb's words, such as ``("front", "left", "foot")``.
        amount: m or rad asked for in numbers, or None.
        words: all of the sentence.
    """

    kind: Kind
    direction: int = 1
    axis: Literal["forward", "sideways"] = "forward"
    speed: float | None = None
    pace: Literal["fast", "slow", ""] = ""
    limb: tuple[str, ...] = ()
    amount: float | None = None
    words: frozenset[str] = frozenset()

    @property
    def runs(self) -> bool:
        """Whether a gait faster than walking is asked for."""
        return self.pace == "fast" or bool(self.words & {*_RUNNING.split()})

    @property
    def sign(self) -> str:
        """What stands before a measure that grows the other way."""
        return "" if self.direction > 0 else "-"

    def __str__(self) -> str:
        """The goal in a few words."""
        ways = (
            {1: "forward", -1: "backward"} if self.axis == "forward" else {1: "left", -1: "right"}
        )
        unit = "rad/s" if self.kind == "spin" else "m/s"
        speed = f"at {self.speed:g} {unit}" if self.speed is not None else self.pace
        limb = () if self.kind in ("handle", "lift", "fixture") else self.limb
        way = ways[self.direction] if self.kind in ("travel", "flip") else ""
        return " ".join(filter(None, [self.kind, way, speed, *limb]))


@dataclass(frozen=True)
class Scene:
    """What a robot may handle, whether it goes about, and the things of its world."""

    has_object: bool = False
    has_fixture: bool = False
    can_lift: bool = False
    goes: bool = False
    things: frozenset[str] = field(default=frozenset(), kw_only=True)


def read_goals(sentence: str, scene: Scene = Scene()) -> tuple[Goal, ...]:
    """Return the goals of a sentence, the main one first; empty if no word is known."""
    text, names = _QUOTED.sub("it", sentence.lower()), _QUOTED.findall(sentence.lower())
    tokens = _TOKEN.findall(text.replace("'", "").replace("-", " "))
    if scene.things and (goals := _read_things(tokens, scene)):
        return goals
    handling = _find_handling(tokens, scene)
    if handling:
        goal = _describe(handling, text, tokens)
        return (replace(goal, limb=(*_split(names), *goal.limb)),)
    found = _find_kinds(tokens)
    if "travel" in found and _ON_THE_SPOT.search(text):
        found = found - {"travel"} | {"jump"}
    is_kept = bool(_TRUNK & {*tokens} and _KEEPING & {*tokens})
    if found <= {"jump"} and is_kept and _find_number(_LENGTH, text):
        found = {"stand"}
    ordered = [kind for kind in KEYWORDS if kind in found]
    if not ordered:
        return ()
    dropped = _SUBSUMED.get(ordered[0], frozenset())
    kept = [kind for kind in ordered if kind not in dropped]
    first, *conditions = (_describe(kind, pick_clauses(kind, kept, text), tokens) for kind in kept)
    if first.kind == "reach":
        first = replace(first, limb=(*_split(names), *first.limb))
    # The limb that is named is the first one's.
    return (first, *(replace(goal, limb=()) for goal in conditions))


def _read_things(tokens: list[str], scene: Scene) -> tuple[Goal, ...]:
    """Return what is to be got or looked for, and what is to be kept away from."""
    named: dict[bool, list[str]] = {True: [], False: []}
    is_shunned = False
    for token in tokens:
        is_shunned = (is_shunned or token in _SHUNNED) and token not in _CLAUSE_ENDS
        thing = {token, token.removesuffix("s")} & scene.things
        named[is_shunned].extend(thing)
    if not any(named.values()) and not {*tokens} & {*GATHERING.split()}:
        return ()
    words = frozenset(tokens)
    shunned = [Goal("shun", limb=tuple(named[True]), words=words)] if named[True] else []
    return (Goal("gather", limb=tuple(named[False]), words=words), *shunned)


def pick_clauses(kind: Kind, kinds: Collection[Kind], text: str) -> str:
    """Return a sentence without the clauses that speak of other kinds alone."""
    picked = []
    for clause in _CLAUSE.split(text.lower()):
        words = {form for word in re.findall("[a-z]+", clause) for form in (word, stem(word))}
        spoken = {each for each in kinds if words & {*KEYWORDS.get(each, "").split()}}
        if not spoken and words & _TRUNK:
            spoken = {each for each in kinds if each in ("stand", "crouch", "lie")} or {"stand"}
        if kind in spoken or not spoken:
            picked.append(clause)
    return " , ".join(picked)


def _split(names: Collection[str]) -> list[str]:
    return re.findall(r"[a-z]+", " ".join(names))


def _find_handling(tokens: list[str], scene: Scene) -> Kind | None:
    """Return what is done to a thing beside the robot, if anything is."""
    words = set(tokens)
    is_named, is_fixture = (bool(words & {*nouns.split()}) for nouns in (THINGS, FIXTURES))
    if not any(
        _handles(verb, tokens[index + 1 :], scene, is_named or is_fixture)
        for index, token in enumerate(tokens)
        for verb in {token, token.removesuffix("s"), token.removesuffix("es")}
    ):
        return None
    if (is_fixture and not scene.has_object) or (scene.has_fixture and not is_named):
        return "fixture"
    is_lift = bool(words & _LIFTING) and not words & _PLACING
    return "lift" if is_lift and (scene.can_lift or not scene.has_object) else "handle"


def _handles(verb: str, following: list[str], scene: Scene, is_named: bool) -> bool:
    """Return whether a word tells of handling, read with what follows it."""
    if verb not in HANDLING.split():
        return False
    is_of_itself = verb in _OF_ITSELF.split()
    if is_of_itself and {*_OWN.split()} & {*following[:4]}:
        return False
    is_known = scene.has_object or scene.has_fixture
    is_doubtful = not is_known or verb == "move" or (scene.goes and is_of_itself)
    return is_named or not is_doubtful


def _find_kinds(tokens: list[str]) -> set[Kind]:
    """Return the kinds named; a negated one counts as its opposite where it has one."""
    found: set[Kind] = set()
    is_negated = False
    for index, token in enumerate(tokens):
        is_negated = (is_negated or token in _NEGATIONS) and token not in _CLAUSE_ENDS
        if token.startswith("fall"):
            found.add("stand" if is_negated else "lie")
        if token == "up" and not tokens[max(0, index - 1)].startswith(_RISING):
            continue
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
    if token == "stay" and not {"up", "upright"} & {*following}:
        return []
    if token == "back" and "forth" in following:
        return []
    return [kind for kind, words in KEYWORDS.items() if {token, stem(token)} & {*words.split()}]


def stem(word: str) -> str:
    """Return the verb of a form that ends in -ing, where it is a known one: "hopping" is "hop"."""
    root = word.removesuffix("ing")
    forms = () if root == word else (root, f"{root}e", root[:-1])
    return next((form for form in forms if form in _VERBS), word)


def _describe(kind: Kind, text: str, tokens: list[str]) -> Goal:
    """Add direction, speed, amount and limb to a kind."""
    words, side = frozenset(tokens), _find_side(tokens)
    goal = Goal(kind, amount=_find_number(_AMOUNT if kind == "fixture" else _LENGTH, text))
    goal = replace(goal, words=words)
    if kind in ("flip", "travel", "spin"):
        goal = replace(goal, speed=_find_number(_SPEED, text))
    if kind == "spin":
        is_clockwise = "clockwise" in words and "counter" not in words
        return replace(goal, direction=-1 if is_clockwise or side < 0 else 1)
    if kind == "travel" and side:
        return replace(goal, direction=side, axis="sideways", pace=_find_pace(words))
    if kind in ("flip", "travel"):
        # "back and forth", "a back leg" and "the belly of its back" are no directions.
        marks = _BACKWARD if kind == "flip" else _BACKWARD - {"back"}
        direction = -1 if words & marks or "moves back" in text else 1
        # "Backwards at -1 m/s" says it twice.
        speed = abs(goal.speed) if goal.speed and direction < 0 else goal.speed
        return replace(goal, direction=direction, speed=speed, pace=_find_pace(words))
    is_on_back = _ON_BACK.search(text) is not None
    return replace(goal, limb=_find_limb(tokens), direction=-1 if is_on_back else 1)


def _find_side(tokens: list[str]) -> int:
    """Return 1 for travel to the left, -1 to the right, 0 for neither."""
    for index, token in enumerate(tokens):
        after = tokens[index + 1 : index + 2]
        if token in ("left", "right") and not ({*after} & (_LIMBS | {"way", "side"})):
            return 1 if token == "left" else -1
        if token in ("sideways", "sidestep", "strafe"):
            return -1 if "right" in tokens else 1
    return 0


def _find_number(kinds: Collection[str], text: str) -> float | None:
    """Return the first number that measures one of these, in the unit of the fields.

    Of a range it is the middle.
    """
    span = find_span(find_quantities(text), kinds)
    return sum(item.value for item in span) / len(span) if span else None


def _find_pace(words: Collection[str]) -> Literal["fast", "slow", ""]:
    if _FAST & {*words}:
        return "fast"
    return "slow" if _SLOW & {*words} else ""


def _find_limb(tokens: list[str]) -> tuple[str, ...]:
    """Return the last limb that is named, with the sides before it; several by sides or a number.

    "The front feet" are ``("front", "foot")``, "three legs" ``("three", "leg")``.
    """
    for index in reversed(range(len(tokens))):
        noun = _SINGULAR.get(tokens[index], tokens[index])
        marks = SIDES if noun == tokens[index] else {*SIDES, *COUNTS}
        sides = [token for token in tokens[max(0, index - 2) : index] if token in marks]
        if noun in _SINGULAR.values() and (sides or noun == tokens[index]):
            return (*sides, noun)
    return ()
