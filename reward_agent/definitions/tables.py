"""Cards and tasks come from anybody: their TOML is read within bounds, their words are plain text.

What they say reaches prompts, reports, terminals and generated code. So a word is printable and of
bounded length, a number is finite and of a size that somebody may mean; what is not is refused in
one line, which names the file, the key, and what was found.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from reward_agent import files
from reward_agent.errors import DataError
from reward_agent.text import has_hidden
from reward_agent.types import Finite

V = TypeVar("V")

# Ours have 9 kB. The time that Python's parser takes grows with the square of a line.
MOST_TABLE_BYTES, _MOST_LINE_CHARS = 256 * 1024, 4000
MOST_PROGRAM_BYTES = 2**20
_MOST_ITEMS, _MOST_DEPTH = 200, 5
MOST_NUMBERS = 10_000  # of a vector: an observation, a field, an action, the width of a layer
MOST_STEPS = 10**10
MOST_WORD_CHARS, MOST_PROSE_CHARS, OF_PROSE = 100, 20_000, "\n\t"
# What Pydantic puts between the keys where one of several kinds may stand.
_KIND = re.compile(r"str|int|float|bool|(?:function-\w+|constrained-\w+|tuple|dict)\[.*\]")


def find_odd_character(text: str, allowed: str = "") -> str:
    """Return what is no printable text, by code and name; '' if all is.

    Control characters steer terminals; bidirectional, invisible and unassigned ones hide words.
    """
    if text.isprintable() and not has_hidden(text):  # as nearly all is
        return ""
    for place, char in enumerate(text, start=1):
        is_space = unicodedata.category(char) == "Zs"
        if has_hidden(char) or not (char.isprintable() or is_space or char in allowed):
            name = unicodedata.name(char, "a control character")
            return f"U+{ord(char):04X} ({name}) at character {place}"
    return ""


def make_plain(text: str, limit: int, allowed: str = "") -> str:
    """Return what may stand of a text, for words that are not worth a refusal."""
    return "".join(char for char in text if not find_odd_character(char, allowed))[:limit]


def _make_check(limit: int, allowed: str = "") -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > limit:
            raise ValueError(f"it has {len(text)} characters, at most {limit} may stand here")
        if odd := find_odd_character(text, allowed):
            raise ValueError(f"holds {odd}, only printable text may stand here")
        return text

    return AfterValidator(check)


def _check_rise(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        raise ValueError(f"range {limits[0]:g}..{limits[1]:g} is empty")
    return limits


Word = Annotated[str, _make_check(MOST_WORD_CHARS)]
Line = Annotated[str, _make_check(1000)]
Prose = Annotated[str, _make_check(MOST_PROSE_CHARS, OF_PROSE)]
Limits = Annotated[tuple[Finite, Finite], AfterValidator(_check_rise)]
Count = Annotated[int, Field(ge=1, le=MOST_NUMBERS)]
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]


def check_values(given: V, depth: int = _MOST_DEPTH) -> V:
    """Refuse words, numbers and nesting in free settings as in those that have a form.

    Raises:
        ValueError: some are not as they may be.
    """
    if isinstance(given, Mapping | list | tuple):
        if not depth or len(given) > _MOST_ITEMS:
            raise ValueError(f"more than {_MOST_ITEMS} values, or nested {_MOST_DEPTH} deep")
        parts = [*given, *given.values()] if isinstance(given, Mapping) else given
        for part in parts:
            check_values(part, depth - 1)
            if isinstance(given, list | tuple) and isinstance(part, int) and part > MOST_NUMBERS:
                raise ValueError(f"a list holds {part}, at most {MOST_NUMBERS} may stand there")
    elif isinstance(given, str) and (len(given) > _MOST_ITEMS or find_odd_character(given)):
        raise ValueError(f"{given[:40]!r} is no word: {find_odd_character(given) or 'too long'}")
    elif isinstance(given, float) and not math.isfinite(given):
        raise ValueError(f"a number is {given}")
    elif isinstance(given, int) and abs(given) > MOST_STEPS:
        raise ValueError(f"a number is beyond {MOST_STEPS}")
    return given


def read_text(path: Path, most_bytes: int = MOST_PROGRAM_BYTES) -> str:
    """Read a text that anybody may have written, such as a program.

    Raises:
        DataError: it cannot be read, is larger, or no text.
    """
    try:
        return files.read_text(files.find_real(path), max_bytes=most_bytes)
    except DataError as error:
        raise DataError(error.message, "correct it") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "correct it") from error


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML file that anybody may have written.

    Raises:
        DataError: it cannot be read, is no TOML, or larger or deeper than a card or a task is.
    """
    return parse_table(read_text(path, MOST_TABLE_BYTES), path)


def parse_table(text: str, path: Path) -> dict[str, Any]:
    """Return what the text of such a file says.

    Raises:
        DataError: it is no TOML, or deeper than a card or a task is.
    """
    import tomllib  # a child, which is given its card, has no use for it

    longest = max(map(len, text.split("\n")))
    if longest > _MOST_LINE_CHARS:
        raise DataError(f"{path} has a line of {longest} characters", "break it")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, a number without end
        raise DataError(f"{path} is not TOML: {error}", "correct what it names") from error


def list_keys(place: Sequence[int | str]) -> list[int | str]:
    """Return the keys of a place in a file, without the kinds that may stand there."""
    return [key for key in place if not (isinstance(key, str) and _KIND.fullmatch(key))]


def explain_invalid(
    path: Path, error: ValidationError, place: str = "", hint: str = ""
) -> DataError:
    """Say what is wrong with a file at which key, in one line."""
    wrong = error.errors(include_context=False, include_input=False)[0]
    place = place or ".".join(map(str, list_keys(wrong["loc"]))) or "the file"
    message = wrong["msg"].removeprefix("Value error, ")
    return DataError(f"{path}, {place}: {message}{hint}", "see envs/README.md for the keys")
