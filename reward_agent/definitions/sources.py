"""Where a measurement comes from, in MuJoCo's words: a small language and its parser.

    source     = ( function | measure | attribute | draw | array ) [ "[" index or slice "]" ]
    array      = qpos | qvel | cinert | …                   any array of MuJoCo's data, or of what
                                                           the back end returns: info/success
    attribute  = KIND ":" name "." word [ "(" x, y, z ")" ]   joint:rooty.qpos, body:torso.xmat[8]
    measure    = contact: | contact_force: | lowest: | com: | com_velocity: | velocity: |
                 angular_momentum: | angular_velocity: | sensor:   followed by a name
    draw       = draw: name                                 what the card's [draws.NAME] has drawn
    function   = clip(s, low, high) | cos(s) | sin(s) | norm(s) | add(s, s) | subtract(s, s) |
                 scale(s, factor) | concat(s, …) | distance(point, point) |
                 contact(side, side) | contact_force(side, side) |
                 roll(frame, axes) | pitch(frame, axes) | yaw(frame, axes) |
                 local(frame, axes, s) | level(frame, axes, s) | relative(frame, frame)
    frame      = body: | geom: | site:                      followed by a name
    point      = frame | s                                  where the frame's origin is
    side       = geom: | body: | subtree:                   followed by a name
    axes       = forward axis, up axis                      +x, +z unless it is said

``contact:NAME`` is 1.0 while a geom touches the floor, ``contact_force:NAME`` the norm of the net
force, N, between them in the last physics step; with two sides both are of these. ``lowest:NAME``
is the height of the lowest point of a body with all that hangs on it, ``com:NAME`` and
``com_velocity:NAME`` the centre of mass of the same and its velocity, ``angular_momentum:NAME`` its
angular momentum about that, ``velocity:NAME`` and ``angular_velocity:NAME`` those of a body's frame
in the world. The measures that take several kinds have ``body:``, ``geom:``, … before the name.
``geom:NAME.point(x, y, z)`` is a point given in the geom's own frame.

``local`` is a world vector seen from a frame, forward, left and up, ``level`` the same seen from a
frame that turns with the heading alone. ``relative`` is the rotation vector, rad, of the second
frame seen from the first. Angles wrap: roll and yaw within pi, pitch within pi/2.

A name with odd characters is written in single quotes, a quote in it twice; what has no name by
the model's own number: ``geom:#12``.

Nothing here imports MuJoCo, so that a card can be read without it; a back end compiles.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from reward_agent.errors import DataError, hint_closest

KINDS = ("actuator", "body", "geom", "joint", "site", "tendon")
FRAMES = ("body", "geom", "site")
SIDES = ("geom", "body", "subtree")
# Each measure, with the kinds of object that it takes; the first is meant when none is named.
MEASURES = {
    "angular_momentum": ("body",),
    "angular_velocity": FRAMES,
    "com": ("body",),
    "com_velocity": ("body",),
    "contact": SIDES,
    "contact_force": SIDES,
    "lowest": ("body", "geom"),
    "sensor": ("sensor",),
    "velocity": FRAMES,
}
DRAW = "draw"
# What an environment itself pays for the step that led here; see ``simulation.spaces``.
OWN_REWARD = "reward"
# Each function, with its parameters; axes may be left out, the last source be repeated after "…".
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "add": ("source", "source"),
    "clip": ("source", "number", "number"),
    "concat": ("source", "…"),
    "contact": ("side", "side"),
    "contact_force": ("side", "side"),
    "cos": ("source",),
    "distance": ("point", "point"),
    "level": ("frame", "axes", "source"),
    "local": ("frame", "axes", "source"),
    "norm": ("source",),
    "pitch": ("frame", "axes"),
    "relative": ("frame", "frame"),
    "roll": ("frame", "axes"),
    "scale": ("source", "number"),
    "sin": ("source",),
    "subtract": ("source", "source"),
    "yaw": ("frame", "axes"),
}
_SHOWN = {
    "axes": "+x, +z",
    "frame": "body:NAME",
    "point": "body:NAME",
    "side": "body:NAME",
    "source": "s",
}
# What MuJoCo's integrator itself keeps; all else is derived from it by the stages of a step.
INTEGRATED = frozenset({"qpos", "qvel", "ctrl", "act", "time", "mocap_pos", "mocap_quat"})


@dataclass(frozen=True)
class Array:
    """A whole array of MuJoCo's data, such as ``qpos``."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Attribute:
    """One object's part of an array: ``joint:rooty.qpos``; ``point`` has three numbers."""

    kind: str
    name: str
    attribute: str
    numbers: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}.{self.attribute}"


@dataclass(frozen=True)
class Measure:
    """A measurement of an object that is no array of MuJoCo's: ``contact:foot_geom``.

    A contact has another side: an object, or the floor where it names none.
    """

    measure: str
    kind: str
    name: str
    other_kind: str = ""
    other_name: str = ""

    def list_others(self, floors: Collection[str]) -> list[tuple[str, str]]:
        """Return kind and name of each object that is the other side of a contact.

        Raises:
            DataError: it is the floor, and there is none.
        """
        if self.other_kind:
            return [(self.other_kind, self.other_name)]
        if not floors:
            raise DataError(
                f"{self} is of a contact with the floor, but the card names no floor",
                "set model.floor to the name of the floor's geom, or name the other side: "
                "contact(body:NAME, geom:NAME)",
            )
        return [("geom", floor) for floor in dict.fromkeys(floors)]

    def __str__(self) -> str:
        if self.other_kind:
            sides = f"{self.kind}:{self.name}, {self.other_kind}:{self.other_name}"
            return f"{self.measure}({sides})"
        return f"{self.measure}:{self.kind}:{self.name}"


@dataclass(frozen=True)
class Drawn:
    """What the card's ``[draws.NAME]`` has drawn: where something is, or a command."""

    name: str

    def __str__(self) -> str:
        return f"{DRAW}:{self.name}"


@dataclass(frozen=True)
class Call:
    """A function of sources: ``clip(qvel, -10, 10)``.

    A frame is the rotation ``xmat`` of an object. An axis is a number: ``-3`` is ``-z``.
    """

    function: str
    sources: tuple[Source, ...]
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Indexed:
    """An entry or a range of entries of a source: ``qpos[1:]``."""

    source: Source
    index: int | slice


Leaf: TypeAlias = Array | Attribute | Measure | Drawn
Source: TypeAlias = Leaf | Call | Indexed

_MOST_NESTED = 32
_MOST_SHOWN_CHARS = 100
_AXES = {"+x": 1.0, "-x": -1.0, "+y": 2.0, "-y": -2.0, "+z": 3.0, "-z": -3.0}
_FORWARD_AND_UP = (1.0, 3.0)

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)"
    r"|(?P<axis>[+-][xyz](?!\w))|(?P<name>[^\W\d][\w/-]*)|(?P<id>#[0-9]{1,9}(?!\w))"
    r"|'(?P<quoted>(?:[^']|'')*)'|(?P<mark>[:.,()\[\]]))"
)
_EXAMPLES = "write it like joint:rooty.qpos, body:torso.xpos[2] or contact:foot_geom"
_NAMES = (
    "a name with other characters than letters, digits, _, / and - stands in single quotes; what "
    "has no name is said by its number: geom:#12"
)

_PLAIN_NAME = re.compile(r"[^\W\d][\w/-]*|#[0-9]+")


def parse_source(text: str) -> Source:
    """Parse the text of a source.

    Raises:
        DataError: the text is not a source; the message says where and what was expected.
    """
    return _Parser(text).parse()


def quote_name(name: str) -> str:
    """Return a name as sources write it: an odd one in single quotes."""
    return name if _PLAIN_NAME.fullmatch(name) else "'" + name.replace("'", "''") + "'"


def find_leaves(source: Source) -> Iterator[Leaf]:
    """Yield every measurement that a source is made of."""
    if isinstance(source, Call):
        for part in source.sources:
            yield from find_leaves(part)
    elif isinstance(source, Indexed):
        yield from find_leaves(source.source)
    else:
        yield source


def find_indexed(source: Source) -> Iterator[Indexed]:
    """Yield every part of a source that is an entry or a range of entries."""
    if isinstance(source, Call):
        for part in source.sources:
            yield from find_indexed(part)
    elif isinstance(source, Indexed):
        yield source
        yield from find_indexed(source.source)


def find_measures(source: Source) -> set[Measure]:
    """Return every measure that a source is made of."""
    return {leaf for leaf in find_leaves(source) if isinstance(leaf, Measure)}


def find_draws(source: Source) -> set[str]:
    """Return the names of the draws that a source reads."""
    return {leaf.name for leaf in find_leaves(source) if isinstance(leaf, Drawn)}


def is_derived(source: Source) -> bool:
    """Return whether a source needs more than what the integrator keeps."""
    leaves = [leaf for leaf in find_leaves(source) if not isinstance(leaf, Drawn)]
    names = {getattr(leaf, "attribute", leaf.name) for leaf in leaves}
    return bool(find_measures(source)) or not names <= INTEGRATED


def is_settable(source: Source) -> bool:
    """Return whether a source is a position or a velocity itself, which a state is made of."""
    if isinstance(source, Indexed):
        return is_settable(source.source)
    if isinstance(source, Attribute):
        return source.kind == "joint" and source.attribute in ("qpos", "qvel")
    return isinstance(source, Array) and source.name in ("qpos", "qvel")


class _Parser:
    """Recursive descent over the tokens of one source."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._next, self._depth = 0, 0

    def parse(self) -> Source:
        source = self._parse_source()
        if self._next < len(self._tokens):
            raise self._error("nothing more")
        return source

    def _split(self, text: str) -> list[tuple[str, str, int]]:
        """Return kind, text and place of every token."""
        tokens: list[tuple[str, str, int]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                rest = text[position:].lstrip()
                raise DataError(
                    f"source {self._show(position)}: unexpected {rest[0]!r}",
                    _NAMES if tokens else _EXAMPLES,
                )
            kind = match.lastgroup or ""
            value = match.group(kind)
            if kind == "quoted":
                value = value.replace("''", "'")
            tokens.append((kind, value, match.start(kind)))
            position = match.end()
        return tokens

    def _show(self, position: int) -> str:
        """Return the text, or what stands around a position of a long one."""
        if len(self._text) <= _MOST_SHOWN_CHARS:
            return repr(self._text)
        start = max(0, position - _MOST_SHOWN_CHARS // 2)
        return repr(f"…{self._text[start : start + _MOST_SHOWN_CHARS]}…")

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        place = self._next + ahead
        return self._tokens[place][:2] if place < len(self._tokens) else ("end", "")

    def _take(self, mark: str) -> bool:
        if self._peek() == ("mark", mark):
            self._next += 1
            return True
        return False

    def _expect(self, mark: str, remedy: str = _EXAMPLES) -> None:
        if not self._take(mark):
            raise self._error(f"{mark!r}", remedy)

    def _take_word(self, what: str, kinds: Collection[str] = ("name",)) -> str:
        kind, text = self._peek()
        if kind not in kinds:
            raise self._error(what)
        self._next += 1
        return text

    def _take_name(self, kind: str) -> str:
        found, text = self._peek()
        if found not in ("name", "quoted", "id") or not text:
            raise self._error(f"the name of a {kind}", _NAMES)
        self._next += 1
        return text

    def _error(self, expected: str, remedy: str = _EXAMPLES) -> DataError:
        kind, text = self._peek()
        found = "the end" if kind == "end" else repr(text[:_MOST_SHOWN_CHARS])
        place = len(self._text) if kind == "end" else self._tokens[self._next][2]
        return DataError(f"source {self._show(place)}: expected {expected}, found {found}", remedy)

    def _parse_source(self) -> Source:
        source = self._parse_primary()
        return Indexed(source, self._parse_index()) if self._take("[") else source

    def _parse_primary(self) -> Source:
        if self._peek()[0] == "quoted":
            return Array(self._take_name("array"))
        word = self._take_word("a name")
        if self._take(":"):
            if word in MEASURES:
                return self._parse_measure(word)
            if word == DRAW:
                return Drawn(self._take_name(DRAW))
            self._check_known(word, (*KINDS, *MEASURES, DRAW), "kind of object")
            return self._parse_attribute(word)
        if self._take("("):
            self._check_known(word, FUNCTIONS, "function")
            return self._parse_call(word)
        return Array(word)

    def _parse_measure(self, measure: str) -> Measure:
        kinds = MEASURES[measure]
        if self._peek()[1] in kinds and self._peek(1) == ("mark", ":"):
            return Measure(measure, *self._parse_object(kinds))
        return Measure(measure, kinds[0], self._take_name(kinds[0]))

    def _parse_object(self, kinds: Collection[str]) -> tuple[str, str]:
        """Return kind and name of an object."""
        kind, expected = self._peek()[1], " or ".join(f"{kind}:NAME" for kind in kinds)
        if kind not in kinds:
            raise self._error(f"{expected}", f"write {expected}{hint_closest(kind, kinds)}")
        self._next += 1
        self._expect(":")
        return kind, self._take_name(kind)

    def _parse_attribute(self, kind: str) -> Attribute:
        name = self._take_name(kind)
        self._expect(".", f"write {kind}:NAME.qpos or {kind}:NAME.xpos; {_NAMES}")
        attribute = self._take_word("an attribute such as qpos or xpos")
        if attribute != "point":
            return Attribute(kind, name, attribute)
        self._check_known(kind, FRAMES, "kind of object with points")
        self._expect("(")
        numbers = []
        for i in range(3):
            if i:
                self._expect(",")
            numbers.append(self._parse_number())
        self._expect(")")
        return Attribute(kind, name, attribute, tuple(numbers))

    def _parse_call(self, function: str) -> Source:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._error(f"at most {_MOST_NESTED} functions nested")
        usage = f"write it as {_show_usage(function)}"
        sources: list[Source] = []
        numbers: list[float] = []
        sides: list[str] = []
        for i, parameter in enumerate(FUNCTIONS[function]):
            if i and parameter not in ("axes", "…"):
                self._expect(",", usage)
            if parameter == "side":
                sides += self._parse_object(SIDES)
            elif parameter in ("axes", "number"):
                numbers += self._parse_axes() if parameter == "axes" else [self._parse_number()]
            else:
                sources += self._parse_sources(parameter)
        self._expect(")", usage)
        self._depth -= 1
        if sides:
            return Measure(function, *sides)
        if function == "distance":
            return Call("norm", (Call("subtract", tuple(sources)),))
        return Call(function, tuple(sources), tuple(numbers))

    def _parse_sources(self, parameter: str) -> Iterator[Source]:
        if parameter == "frame":
            yield Attribute(*self._parse_object(FRAMES), "xmat")
        elif parameter == "point":
            yield self._parse_point()
        elif parameter == "source":
            yield self._parse_source()
        else:
            while self._take(","):
                yield self._parse_source()

    def _parse_point(self) -> Source:
        """Parse a frame, which means its origin, or a source."""
        is_frame = self._peek()[1] in FRAMES and self._peek(1) == ("mark", ":")
        if is_frame and self._peek(3) != ("mark", "."):
            return Attribute(*self._parse_object(FRAMES), "xpos")
        return self._parse_source()

    def _parse_axes(self) -> tuple[float, ...]:
        """Parse forward and up axis, each with a comma before it, if they are given."""
        if self._peek(1)[0] != "axis":
            return _FORWARD_AND_UP
        self._expect(",")
        forward = _AXES[self._take_word("an axis", ["axis"])]
        self._expect(",", "give the forward and the up axis, such as +x, +z")
        up = _AXES[self._take_word("the up axis, such as +z", ["axis"])]
        if abs(forward) == abs(up):
            self._next -= 1
            raise self._error("an up axis across the forward one")
        return forward, up

    def _parse_number(self) -> float:
        number = float(self._take_word("a number", ["number"]))
        if not math.isfinite(number):
            self._next -= 1
            raise self._error("a finite number")
        return number

    def _parse_index(self) -> int | slice:
        start = self._parse_bound()
        if not self._take(":"):
            self._expect("]")
            if start is None:
                raise self._error("an index")
            return start
        stop = self._parse_bound()
        self._expect("]")
        return slice(start, stop)

    def _parse_bound(self) -> int | None:
        kind, text = self._peek()
        if kind != "number":
            return None
        if not re.fullmatch(r"-?[0-9]{1,9}", text):
            raise self._error("a whole number")
        self._next += 1
        return int(text)

    def _check_known(self, word: str, known: Collection[str], what: str) -> None:
        if word not in known:
            shown = word[:_MOST_SHOWN_CHARS]
            raise DataError(
                f"source {self._show(0)}: unknown {what} {shown!r}{hint_closest(shown, known)}",
                f"known: {', '.join(sorted(known))}",
            )


def _show_usage(function: str) -> str:
    shown = [_SHOWN.get(parameter, parameter) for parameter in FUNCTIONS[function]]
    return f"{function}({', '.join(shown)})"
