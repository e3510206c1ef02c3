"""The bytes of a person's file -> its text, as Python reads it: encodings, notebooks, their lines.

Lines keep their numbers, so that a finding names the line that the person sees.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from reward_agent.rewards.source import parse_source
from reward_agent.text import find_encoding
from reward_agent.translation.values import Untranslatable

_NAMES = {"utf-8-sig": "a byte order mark", "utf-16": "UTF-16", "utf-32": "UTF-32"}
# What a notebook's cell may hold beside Python: magics, shell commands, help, a plot's last line.
_MAGIC = re.compile(r"^\s*(?:%|!|\?)|^\s*[\w.]+\?{1,2}\s*$")
_FENCE = re.compile(r"^```\w*\s*$")


@dataclass(frozen=True)
class Reading:
    """A file's text, and what was left out of it or put right."""

    text: str
    notes: tuple[str, ...] = ()


def read_file(data: bytes) -> Reading:
    """Return the text of a file.

    Raises:
        Untranslatable: it is no text.
    """
    text, notes = _decode(data)
    if text.lstrip().startswith("{") and '"cells"' in text:
        text, more = _read_notebook(text)
        notes += more
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        notes.append("the ends of lines are Windows' own, which is no matter")
    if parse_source(text).source is None:
        text = _drop_lines(text, notes)
    return Reading(text, tuple(notes))


def _decode(data: bytes) -> tuple[str, list[str]]:
    encoding = find_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        if any(ord(character) < 9 for character in text):
            raise Untranslatable(
                "the file is no text", "give a Python file, saved as UTF-8", 1
            ) from None
        return text, ["read as Latin-1: it is no UTF-8"]
    if encoding in _NAMES:
        return text, [f"read past {_NAMES[encoding]} at the file's beginning"]
    return text, [] if encoding == "utf-8" else [f"read as {encoding.upper()}"]


def _read_notebook(text: str) -> tuple[str, list[str]]:
    try:
        cells: Any = json.loads(text)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Untranslatable(
            "the notebook cannot be read", "export it as Python, and give that file", 1
        ) from error
    return "\n\n".join(code) + "\n", ["the code of a notebook's cells, one after the other"]


def _drop_lines(text: str, notes: list[str]) -> str:
    """Leave out what is a notebook's and not Python's; a comment keeps the line's number."""
    lines, dropped = text.split("\n"), list[str]()
    for place, line in enumerate(lines):
        if _MAGIC.match(line) or _FENCE.match(line):
            lines[place] = "# " + line.strip()
            dropped.append(str(place + 1))
    if dropped:
        notes.append(f"left out what is a notebook's, not Python's: line {', '.join(dropped[:20])}")
    return "\n".join(lines)
