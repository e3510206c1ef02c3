"""What an environment's docstring says of its observation: claims, none of them believed yet.

Gymnasium's environments have Markdown tables, a row an entry; others have lists (``0: angle, rad``)
or one sentence. Tables of actions and of a model's joints look the same and are told apart by the
words around them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from reward_agent.drafts.words import split_words

_MOST_CHARS, _MOST_ROWS = 200_000, 2000
_ABSENT = ("", "-", "na", "n/a", "none")
_NUMBER = re.compile(r"-?\s*\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)
_ENTRY = re.compile(r"\s*(\d+)\s*(?:(?:-|–|to|\.\.)\s*(\d+))?\s*")
_LISTED = re.compile(
    r"\s*(?:[-*+]\s+)?[`*]{0,2}(?:obs(?:ervation)?|state|s)?\[?(\d+)(?:\s*(?:-|–|:)\s*(\d+))?\]?"
    r"[`*]{0,2}\s*(?::|=|–|—|\s-\s|\.\s)\s*(\S.*)"
)
_PART = re.compile(r"\s*[-*+]\s+\*{1,2}(\w+)(?:\([\w.]*\))?\s*\((\d+) elements?[^)]*\)[:.]?\*{0,2}")
_HEADING = re.compile(r"\s*(?:#+\s*(.+)|\*\*([^*|]+)\*\*:?\s*|(\w[\w ]{0,40}):\s*)")
_UNDERLINE = re.compile(r"\s*([=~^-])\1{2,}\s*")
_KEY = re.compile(r"`+[\"']?(\w+)[\"']?`+")
_INFO_KEY = re.compile(r"info\[\s*[\"'](\w+)[\"']\s*\]|[\"'](\w+)[\"']")
_HISTORY = re.compile(r"version history", re.IGNORECASE)
_OF_OBSERVATION = ("observation", "observations", "obs", "state", "states")
# What else a table or a list may be of, as the words before it end.
_OF_OTHERS = re.compile(
    r"\b(actions?|rewards?|parameters?|arguments?|versions?|joints|body parts)( are)?\s*:?$"
    r"|\bactions?\b(?!.*\bobserv)|\b(terminat|episode ends)",
    re.IGNORECASE,
)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}

# Units as a card has them, by how docstrings write them.
_UNITS = (
    (re.compile(r"rad(?:ians?)?\s*(?:/|per)\s*s(?:ec(?:onds?)?)?\b(?!\s*\^?2)", re.I), "rad/s"),
    (re.compile(r"\bm(?:eters?)?\s*(?:/|per)\s*s(?:ec(?:onds?)?)?\b(?!\s*\^?2)", re.I), "m/s"),
    (re.compile(r"\bm/s\^?2|m/s\*\*2", re.I), "m/s^2"),
    (re.compile(r"deg(?:rees?)?\s*(?:/|per)\s*s", re.I), "deg/s"),
    (re.compile(r"\bN\s*m\b|newton[ -]?met"), "N m"),
    (re.compile(r"\brad(?:ians?)?\b", re.I), "rad"),
    (re.compile(r"\bdeg(?:rees?)?\b|°", re.I), "deg"),
    (re.compile(r"\(N\)|\bnewtons?\b"), "N"),
    (re.compile(r"\((?:m|meters?|metres?)\)|\bmet(?:er|re)s?\b|^m$", re.I), "m"),
    (re.compile(r"\((?:s|sec|seconds?)\)"), "s"),
    (re.compile(r"\b(?:unitless|dimensionless)\b", re.I), "1"),
)


@dataclass(frozen=True)
class Row:
    """What a docstring says of one entry, or of a few that follow each other.

    Args:
        first: number of the entry, as it is written.
        last: the last one's.
        text: what it is said to be.
        name: of the simulated thing that it is said to be of; '' if none is named.
        kind: hinge, slide, …; '' where it is not said.
        unit: as a card has it; '' where none is said.
        low: smallest value; None where it is open or not said.
        high: largest value.
    """

    first: int
    last: int
    text: str
    name: str = ""
    kind: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def size(self) -> int:
        """How many entries it is of."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class DocTable:
    """Rows that stand together.

    Args:
        rows: in their order.
        key: of a dictionary of observations, the one that they are said to be of; ''.
        title: the line or heading before them.
        is_of_observation: whether the words around them say so.
        is_of_actions: whether they say so of the actions.
        is_near: whether they stand where the observation is spoken of.
        n_excluded: rows that are said to be left out of the observation.
    """

    rows: tuple[Row, ...]
    key: str = ""
    title: str = ""
    is_of_observation: bool = True
    is_of_actions: bool = False
    is_near: bool = True
    n_excluded: int = 0

    @property
    def n_entries(self) -> int:
        """How many entries its rows have."""
        return sum(row.size for row in self.rows)


@dataclass(frozen=True)
class DocPart:
    """A part of the observation that is said to be an array of MuJoCo's: ``cvel (78 elements)``."""

    name: str
    size: int


@dataclass(frozen=True)
class Docstring:
    """All that is claimed.

    Args:
        tables: those with numbered rows, in their order.
        parts: of the whole observation, in their order.
        info: keys that ``info`` is said to have.
        prose: the section on the observation, without tables.
        goal: the sentence that says what is to be done; ''.
    """

    tables: tuple[DocTable, ...] = ()
    parts: tuple[DocPart, ...] = ()
    info: tuple[str, ...] = ()
    prose: str = ""
    goal: str = ""


def mine_docstring(text: str, keys: Collection[str] = ()) -> Docstring:
    """Return what a docstring claims; nothing, if it is of another form.

    Args:
        text: the docstring.
        keys: of the observation, if that is a dictionary.
    """
    lines = text[:_MOST_CHARS].expandtabs(4).splitlines()
    sections = list(_split_sections(lines))
    tables = [table for section in sections for table in _find_tables(section, keys)]
    observed = [s for s in sections if s.is_of_observation]
    parts = [
        DocPart(found[1], int(found[2]))
        for section in observed
        for line in section.lines
        if (found := _PART.match(line))
    ]
    prose = " ".join(" ".join(s.prose.split()) for s in observed)
    return Docstring(
        tables=tuple(tables),
        parts=tuple(parts),
        info=tuple(_list_info_keys(sections)),
        prose=prose,
        goal=_find_goal(sections),
    )


# --- sections ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Section:
    title: str
    lines: tuple[str, ...]

    @property
    def is_of_observation(self) -> bool:
        words = split_words(self.title)
        return not set(words).isdisjoint(_OF_OBSERVATION) and "starting" not in words

    @property
    def prose(self) -> str:
        return "\n".join(line for line in self.lines if not line.strip().startswith("|"))


def _split_sections(lines: Sequence[str]) -> Iterator[_Section]:
    title, kept = "", list[str]()
    for i, line in enumerate(lines):
        after = lines[i + 1] if i + 1 < len(lines) else ""
        found = _HEADING.fullmatch(line)
        is_underlined = bool(line.strip() and _UNDERLINE.fullmatch(after) and "|" not in line)
        if (found or is_underlined) and not _LISTED.match(line):
            yield _Section(title, tuple(kept))
            named = next(filter(None, found.groups()), "") if found else line
            title, kept = named.strip(), []
        elif not _UNDERLINE.fullmatch(line):
            kept.append(line)
    yield _Section(title, tuple(kept))


def _list_info_keys(sections: Sequence[_Section]) -> Iterator[str]:
    """Yield keys of ``info`` that are promised, once each; a history speaks of what is gone."""
    seen = set[str]()
    for section in sections:
        if _HISTORY.search(section.title):
            return
        is_of_info = "info" in split_words(section.title)
        for sentence in re.split(r"(?<=[.;])\s|\n\s*\n", "\n".join(section.lines)):
            if not (is_of_info or re.search(r"\binfo\b", sentence)) or "make(" in sentence:
                continue
            for found in _INFO_KEY.finditer(sentence):
                key = found[1] or found[2]
                if key not in seen and key != "info":
                    seen.add(key)
                    yield key


def _find_goal(sections: Sequence[_Section]) -> str:
    for section in sections:
        for sentence in re.split(r"(?<=[.!])\s+(?=[A-Z])", " ".join(section.prose.split())):
            if re.search(r"\b(goal|task|objective|aim)\b[^.]{0,60}\b(is|are)\b", sentence, re.I):
                plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", sentence)
                return re.sub(r"[*`#]", "", plain).strip()[:400]
    return ""


# --- tables and lists ----------------------------------------------------------------------------


def _find_tables(section: _Section, keys: Collection[str]) -> Iterator[DocTable]:
    lines, i, before, key = section.lines, 0, "", ""
    while i < len(lines):
        block = _take_table(lines, i)
        rows: list[Row] = []
        n_excluded, is_ours = 0, section.is_of_observation
        if block:
            header, *body = map(_split_cells, block)
            rows, n_excluded = _read_rows(header, body)
            head = " ".join(header)
            is_ours = (is_ours or not section.title) and not re.search(r"\baction", head, re.I)
            is_ours = is_ours and not _OF_OTHERS.search(_last_sentence(before))
            i += len(block)
        else:
            listed = _take_list(lines, i)
            rows = [_make_listed(*found) for found in listed]
            of_state = re.search(r"\b(obs\w*|state)\b", before, re.I)
            is_ours = (is_ours or bool(of_state)) and not _OF_OTHERS.search(_last_sentence(before))
            i += len(listed)
        if rows:
            title, is_near = before.strip() or section.title, section.is_of_observation
            is_acted = bool(re.search(r"\bactions?\b", section.title, re.I)) and not is_ours
            yield DocTable(tuple(rows), key, title, is_ours, is_acted, is_near, n_excluded)
        if not block and not rows:
            if lines[i].strip():
                before = lines[i]
                named = [word for word in _KEY.findall(before) if word in keys]
                key = named[0] if named else key
            i += 1


def _last_sentence(line: str) -> str:
    """Return the end of a line, which speaks of what comes next."""
    return re.split(r"(?<=[.])\s", line.strip())[-1]


def _take_table(lines: Sequence[str], start: int) -> list[str]:
    """Return the lines of a table without its rule; nothing where none begins."""
    end = start
    while end < len(lines) and lines[end].strip().startswith("|") and end - start < _MOST_ROWS:
        end += 1
    if end - start < 3 or not re.fullmatch(r"[\s|:+-]+", lines[start + 1]):
        return []
    return [*lines[start : start + 1], *lines[start + 1 : end]]


def _split_cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [" ".join(cell.split()) for cell in cells]


def _read_rows(header: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[list[Row], int]:
    """Return the numbered rows, and how many are said to be left out."""
    columns = _find_columns(header)
    if "number" not in columns or "text" not in columns:
        return [], 0
    rows, n_excluded = list[Row](), 0
    for cells in body:
        said = {name: cells[i] if i < len(cells) else "" for name, i in columns.items()}
        found = _ENTRY.fullmatch(said["number"])
        n_excluded += "exclud" in said["number"].lower()
        if found is None:
            continue
        names = (said.get("name", ""), said.get("site", ""), said.get("body", ""))
        named = next((name for name in names if name.lower() not in _ABSENT), "")
        row = Row(
            first=int(found[1]),
            last=int(found[2] or found[1]),
            text=_strip_markup(said["text"]),
            name=named,
            kind=said.get("kind", "").lower(),
            unit=find_unit(said.get("unit", "")),
            low=_read_bound(said.get("low", "")),
            high=_read_bound(said.get("high", "")),
        )
        if row.size > 0:
            beside = " ".join(said.get(name, "") for name in ("text", "low", "high"))
            rows.append(row if row.unit else replace(row, unit=find_unit(beside)))
    return rows, n_excluded


def _find_columns(header: Sequence[str]) -> dict[str, int]:
    """Return which column of a table is what, by the words of its head."""
    found = dict[str, int]()
    for i, cell in enumerate(header):
        words = cell.lower()
        if re.fullmatch(r"(num\w*|index|idx|no\.?|#|i|dim\w*|entry)", words):
            found.setdefault("number", i)
        elif "unit" in words:
            found.setdefault("unit", i)
        elif re.search(r"\bmin\b|minimum|\blow", words):
            found.setdefault("low", i)
        elif re.search(r"\bmax\b|maximum|\bhigh", words):
            found.setdefault("high", i)
        elif "site" in words or "body" in words:
            found.setdefault("site" if "site" in words else "body", i)
        elif re.search(r"\bname\b.*\bxml\b|joint name", words):
            found.setdefault("name", i)
        elif re.search(r"\bjoint\b", words):
            found.setdefault("kind", i)
        elif "text" not in found:
            found["text"] = i
    return found


def _take_list(lines: Sequence[str], start: int) -> list[tuple[str, str | None, str]]:
    """Return the entries of a numbered list; nothing where none begins, or it is of one entry."""
    found, expected = [], None
    for line in lines[start:]:
        match = _LISTED.match(line)
        if match is None or (expected is not None and int(match[1]) != expected):
            break
        found.append((match[1], match[2], match[3]))
        expected = int(match[2] or match[1]) + 1
    return found if len(found) > 1 and found[0][0] in ("0", "1") else []


def _make_listed(first: str, last: str | None, text: str) -> Row:
    return Row(int(first), int(last or first), _strip_markup(text), unit=find_unit(text))


def _strip_markup(text: str) -> str:
    return re.sub(r"[*`$]|<[^>]*>", "", text).strip()


def find_unit(text: str) -> str:
    """Return the unit that a text names, as a card has it; '' if none."""
    for pattern, unit in _UNITS:
        if pattern.search(text):
            return unit
    return ""


def _read_bound(text: str) -> float | None:
    found = _NUMBER.search(text)
    if found is None or "inf" in text.lower() or ("pi" in text.lower() and "rad" not in text):
        return None
    return float(found[0].replace(" ", ""))


# --- a sentence that counts ----------------------------------------------------------------------


def read_sentence(prose: str, n_entries: int) -> tuple[Row, ...]:
    """Return rows of a sentence that lists all entries in order; nothing if it counts otherwise.

    Such as "the coordinates of the lander in x & y, its linear velocities in x & y, its angle".
    """
    for sentence in re.split(r"(?<=\.)\s", re.sub(r"[`*]", "", prose)):
        _, _, listed = sentence.partition(":")
        parts = [p for p in re.split(r",\s*(?:and\s+)?|\s+and\s+(?=\w+ booleans)", listed) if p]
        rows = list[Row]()
        for part in parts:
            rows += _read_item(part.strip(" ."), len(rows))
        if len(rows) == n_entries and len(parts) > 1:
            return tuple(rows)
    return ()


def _read_item(text: str, first: int) -> list[Row]:
    axes = re.search(r"\bin x\s*(?:&|and|,)\s*y(?:\s*(?:&|and|,)\s*z)?\b", text)
    number = next((n for word, n in _COUNTS.items() if re.match(rf"{word}\b", text)), 0)
    text = re.sub(r"^(?:its|the|and)\s+", "", text)
    if axes:
        names = "xyz" if "z" in axes[0] else "xy"
        bare = text.replace(axes[0], "").strip()
        return [Row(first + i, first + i, f"{bare}, {axis}") for i, axis in enumerate(names)]
    if number:
        bare = text.partition(" ")[2]
        return [Row(first + i, first + i, f"{bare}, number {i + 1}") for i in range(number)]
    return [Row(first, first, text)]
