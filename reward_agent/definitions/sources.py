"""Where a measurement comes from, in MuJoCo's words: a small language and its parser.

    source     = ( function | measure | attribute | array ) [ "[" index or slice "]" ]
    array      = qpos | qvel | cinert | …                   any array of MuJoCo's data
    attribute  = KIND ":" name "." word [ "(" x, y, z ")" ]   joint:rooty.qpos, body:torso.xmat[8]
    measure    = contact: | lowest: | com: | com_velocity: | sensor:   followed by a name
    function   = clip(s, low, high) | cos(s) | sin(s) | norm(s) | subtract(s, s) | concat(s, …)

``contact:NAME`` is 1.0 while a geom touches the floor, ``lowest:NAME`` the height of the lowest
point of a body with all that hangs on it, ``com:NAME`` and ``com_velocity:NAME`` the centre of
mass of the same and its velocity. ``contact:`` and ``lowest:`` take ``body:`` or ``geom:`` before
the name. ``geom:NAME.point(x, y, z)`` is a point given in the geom's own frame. A name with odd
characters is written in single quotes.

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
# Each measure, with the kinds of object that it takes; the first is meant when none is named.
MEASURES = {
    "contact": ("geom", "body"),
    "lowest": ("body", "geom"),
    "com": ("body",),
    "com_velocity": ("body",),
    "sensor": ("sensor",),
}
# Each function, with how many sources it takes (None: one or more) and how many numbers then.
FUNCTIONS: dict[str, tuple[int | None, int]] = {
    "clip": (1, 2),
    "concat": (None, 0),
    "cos": (1, 0),
    "norm": (1, 0),
    "sin": (1, 0),
    "subtract": (2, 0),
}
# What MuJoCo's integrator itself keeps; all else is derived from it by the stages of a step.
INTEGRATED = frozenset({"qpos", "qvel", "ctrl", "act", "time", "mocap_pos", "mocap_quat"})


@dataclass(frozen=True)
class Array:
    """A whole array of MuJoCo's data, such as ``qpos``."""

    name: str


@dataclass(frozen=True)
class Attribute:
    """One object's part of an array: ``joint:rooty.qpos``; ``point`` has three numbers."""

    kind: str
    name: str
    attribute: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Measure:
    """A measurement of an object that is no array of MuJoCo's: ``contact:foot_geom``."""

    measure: str
    kind: str
    name: str


@dataclass(frozen=True)
class Call:
    """A function of sources: ``clip(qvel, -10, 10)``."""

    function: str
    sources: tuple[Source, ...]
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Indexed:
    """An entry or a range of entries of a source: ``qpos[1:]``."""

    source: Source
    index: int | slice


Source: TypeAlias = Array | Attribute | Measure | Call | Indexed

_MOST_NESTED = 32

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_][\w/-]*)|'(?P<quoted>[^']*)'|(?P<mark>[:.,()\[\]]))"
)


def parse_source(text: str) -> Source:
    """Parse the text of a source.

    Raises:
        DataError: the text is not a source; the message says where and what was expected.
    """
    return _Parser(text).parse()


def find_leaves(source: Source) -> Iterator[Array | Attribute | Measure]:
    """Yield every measurement that a source is made of."""
    if isinstance(source, Call):
        for part in source.sources:
            yield from find_leaves(part)
    elif isinstance(source, Indexed):
        yield from find_leaves(source.source)
    else:
        yield source


def find_measures(source: Source) -> set[Measure]:
    """Return every measure that a source is made of."""
    return {leaf for leaf in find_leaves(source) if isinstance(leaf, Measure)}


def is_derived(source: Source) -> bool:
    """Return whether a source needs more than what the integrator keeps."""
    names = {getattr(leaf, "attribute", leaf.name) for leaf in find_leaves(source)}
    return bool(find_measures(source)) or not names <= INTEGRATED


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

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, position = [], 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise DataError(
                    f"source {text!r}: unexpected {text[position:].strip()[0]!r}",
                    "write it like joint:rooty.qpos, body:torso.xpos[2] or contact:foot_geom",
                )
            kind = match.lastgroup or ""
            tokens.append((kind, match.group(kind)))
            position = match.end()
        return tokens

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, mark: str) -> bool:
        if self._peek() == ("mark", mark):
            self._next += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise self._error(f"{mark!r}")

    def _take_name(self, what: str, kinds: Collection[str] = ("name", "quoted")) -> str:
        kind, text = self._peek()
        if kind not in kinds:
            raise self._error(what)
        self._next += 1
        return text

    def _error(self, expected: str) -> DataError:
        kind, text = self._peek()
        found = "the end" if kind == "end" else repr(text)
        return DataError(
            f"source {self._text!r}: expected {expected}, found {found}",
            "write it like joint:rooty.qpos, body:torso.xpos[2] or contact:foot_geom",
        )

    def _parse_source(self) -> Source:
        source = self._parse_primary()
        return Indexed(source, self._parse_index()) if self._take("[") else source

    def _parse_primary(self) -> Source:
        word = self._take_name("a name")
        if self._take(":"):
            if word in MEASURES:
                return self._parse_measure(word)
            self._check_known(word, (*KINDS, *MEASURES), "kind of object")
            return self._parse_attribute(word)
        if self._take("("):
            self._check_known(word, FUNCTIONS, "function")
            return self._parse_call(word)
        return Array(word)

    def _parse_measure(self, measure: str) -> Measure:
        kinds = MEASURES[measure]
        name = self._take_name(f"the name of a {kinds[0]}")
        if name in kinds and self._take(":"):
            return Measure(measure, name, self._take_name(f"the name of a {name}"))
        return Measure(measure, kinds[0], name)

    def _parse_attribute(self, kind: str) -> Attribute:
        name = self._take_name(f"the name of a {kind}")
        self._expect(".")
        attribute = self._take_name("an attribute such as qpos or xpos")
        if attribute != "point":
            return Attribute(kind, name, attribute)
        self._expect("(")
        numbers = self._parse_numbers(3)
        self._expect(")")
        return Attribute(kind, name, attribute, numbers)

    def _parse_call(self, function: str) -> Call:
        n_sources, n_numbers = FUNCTIONS[function]
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._error(f"at most {_MOST_NESTED} functions nested")
        sources = [self._parse_source()]
        while len(sources) != n_sources and self._take(","):
            sources.append(self._parse_source())
        if n_sources is not None and len(sources) != n_sources:
            raise self._error(f"{n_sources} sources in {function}(…)")
        if n_numbers:
            self._expect(",")
        numbers = self._parse_numbers(n_numbers)
        self._expect(")")
        self._depth -= 1
        return Call(function, tuple(sources), numbers)

    def _parse_numbers(self, count: int) -> tuple[float, ...]:
        numbers = []
        for i in range(count):
            if i:
                self._expect(",")
            numbers.append(float(self._take_name("a number", ["number"])))
            if not math.isfinite(numbers[-1]):
                self._next -= 1
                raise self._error("a finite number")
        return tuple(numbers)

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
            raise DataError(
                f"source {self._text!r}: unknown {what} {word!r}{hint_closest(word, known)}",
                f"known: {', '.join(sorted(known))}",
            )
