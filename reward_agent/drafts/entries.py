"""What each entry of an observation is: the docstring's claims, held against what was found.

A claim that fails is said, and nothing of it is taken; of one that nothing can try, that is said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reward_agent.definitions.sources import quote_name
from reward_agent.drafts.columns import RATE, Array, ColumnFact, ColumnSignal, measure_rate
from reward_agent.drafts.docstring import Docstring, DocTable, Row, read_sentence
from reward_agent.drafts.words import split_words

Status = Literal["checked", "unchecked", "wrong", "unknown"]
_RATE_WORDS = frozenset(["velocity", "velocities", "speed", "speeds", "rate", "derivative"])
_PLACE_WORDS = frozenset(["position", "coordinate", "coordinates", "angle", "height", "distance"])
# Words that say how something is measured, not of what.
_EMPTY_WORDS = _RATE_WORDS | _PLACE_WORDS | frozenset([
    *("a", "an", "the", "of", "in", "on", "at", "to", "and", "is", "its", "it", "from", "along"),
    *("angular", "linear", "rotational", "rotation", "value", "axis", "direction", "current"),
    *("cos", "sin", "cosine", "sine", "number", "joint", "between", "with", "by", "hinge", "link"),
])  # fmt: skip
_COSINE, _SINE = re.compile(r"\bcos(?:ine)?\b", re.I), re.compile(r"\bsin(?:e)?\b", re.I)
_AXIS = re.compile(
    r"\b([wxyz])[- ]?(?:coordinate|position|value|orientation|axis|direction|component)\b"
    r"|\b(?:in|along) (?:the )?([xyz])\b|,\s*([xyz])$|-\s*([xyz])$"
)
_DT_SLACK = 0.15
_LEAST_TRIED, _SHIFTED = 3, 0.8


@dataclass(frozen=True)
class Leaf:
    """A part of the observation that is one array.

    Args:
        source: as a card names it: ``observation``, ``observation/desired_goal``.
        start: of its entries among all.
        size: how many.
        is_single: whether it is a number of its own, with no entries to count.
    """

    source: str
    start: int
    size: int
    is_single: bool = False

    @property
    def written(self) -> str:
        """The source as a card writes it."""
        return quote_name(self.source)

    @property
    def key(self) -> str:
        """Of the dictionary that it is in; '' if the observation is one array."""
        return self.source.partition("/")[2]


@dataclass(frozen=True)
class EnvEntry:
    """One number of an observation, with what is known and said of it.

    Args:
        leaf: the array that it is in.
        index: its number there.
        fact: what was found.
        row: what the docstring says; None if nothing.
        status: what came of that.
        unit: that it has; '' where it is not known.
        report: what a person should know: a claim that failed.
        signal: of the simulator's, the one that it is.
    """

    leaf: Leaf
    index: int
    fact: ColumnFact
    row: Row | None = None
    status: Status = "unknown"
    unit: str = ""
    report: str = ""
    signal: ColumnSignal | None = None

    @property
    def place(self) -> int:
        """Its number in the whole observation."""
        return self.leaf.start + self.index

    def name_other(self, number: int) -> str:
        """Return how words name an entry by its number in the whole observation."""
        own = number - self.leaf.start
        is_near = 0 <= own < self.leaf.size
        return f"entry {own}" if is_near else f"entry {number} of the whole observation"

    @property
    def text(self) -> str:
        """What the docstring calls it; '' where that is wrong, or nothing."""
        return self.row.text if self.row and self.status in ("checked", "unchecked") else ""

    @property
    def title(self) -> str:
        """How messages name it."""
        place = f" of {self.leaf.key}" if self.leaf.key else ""
        said = f" ({self.row.text!r})" if self.row else ""
        return f"entry {self.index}{place}{said}"


@dataclass(frozen=True)
class Found:
    """What claims are held against.

    Args:
        facts: of every entry of the observation.
        episodes: ``(T + 1, n)`` each.
        dt: s of a step; 0 where nobody knows.
        objects: names of all that the simulator has.
    """

    facts: Sequence[ColumnFact]
    episodes: Sequence[Array]
    dt: float
    objects: Collection[str]


def list_leaves(names: Mapping[str, tuple[int, int]], n: int) -> list[Leaf]:
    """Return the arrays of an observation, by the names of its columns."""
    kept = {
        name: (start, max(size, 1), size == 0)
        for name, (start, size) in names.items()
        if start < n and name.startswith("observation")
    }
    inner = [name for name in kept if not any(o.startswith(f"{name}/") for o in kept)]
    return sorted((Leaf(name, *kept[name]) for name in inner), key=lambda leaf: leaf.start)


def judge_entries(
    leaves: Sequence[Leaf], doc: Docstring, found: Found
) -> tuple[list[EnvEntry], list[str]]:
    """Return every entry, and what is to be said of the docstring's tables as a whole."""
    entries, said = list[EnvEntry](), list[str]()
    for leaf in leaves:
        rows, words = _choose_rows(leaf, leaves, doc)
        judged = _judge_leaf(leaf, rows, found)
        shift = _find_shift(leaf, rows, found, judged)
        if shift:
            words.append(
                f"the table is off by one: its rows fit the entries {abs(shift)} "
                f"{'after' if shift > 0 else 'before'} those that they number; none is taken"
            )
            judged = _judge_leaf(leaf, {}, found)
        entries += judged
        said += [f"{leaf.key}: {text}" if leaf.key else text for text in words]
    said += _note_kinds(doc, found.objects)
    return entries, said


# --- tables --------------------------------------------------------------------------------------


def _choose_rows(
    leaf: Leaf, leaves: Sequence[Leaf], doc: Docstring
) -> tuple[dict[int, Row], list[str]]:
    """Return the row of each entry of an array, by the table that is of it, and what is said."""
    sizes = {other.key: other.size for other in leaves}
    # Of a key that it does not fit, a table may be of another.
    ours = [
        table
        for table in doc.tables
        if table.is_of_observation
        and (table.key == leaf.key or sizes.get(table.key) != table.n_entries)
    ]
    exact = [table for table in ours if table.n_entries == leaf.size]
    partial = [table for table in ours if table.n_entries < leaf.size]
    chosen = next(iter(exact or partial), None)
    said = list(_list_refused(leaf, leaves, doc, chosen))
    if chosen is None:
        rows = {row.first: row for row in read_sentence(doc.prose, leaf.size)}
        return (rows if len(leaves) == 1 else {}), said
    first = min(row.first for row in chosen.rows)
    by_number, n_twice = dict[int, Row](), 0
    for row in chosen.rows:
        for number in range(row.first - first, row.last - first + 1):
            n_twice += number in by_number
            by_number[number] = row
    if first:
        said.append(f"the table counts from {first}; entry 0 is taken for its first row")
    if n_twice:
        said.append(f"the table numbers {n_twice} entries twice; the last row of each is tried")
    gaps = [i for i in range(max(by_number)) if i not in by_number]
    if gaps:
        said.append(f"the table leaves out {len(gaps)} entries between its rows: {_show(gaps)}")
    if max(by_number) >= leaf.size:
        return {}, [
            *said,
            f"the table has rows up to {max(by_number) + first}, the observation {leaf.size} "
            "entries: none is taken",
        ]
    return by_number, said


def _list_refused(
    leaf: Leaf, leaves: Sequence[Leaf], doc: Docstring, chosen: DocTable | None
) -> Iterator[str]:
    """Say which tables near the observation's are of something else."""
    sizes = {other.size for other in leaves}
    for table in doc.tables:
        if table is chosen or not (table.is_near or table.is_of_observation):
            continue
        if leaf is not leaves[0] or (table.is_of_observation and table.n_entries in sizes):
            continue
        if len(leaves) > 1 and table.key in {other.key for other in leaves}:
            continue
        if chosen is None and table.is_of_observation:
            yield (
                f"a table of {table.n_entries} rows fits no part of the observation "
                f"({', '.join(str(other.size) for other in leaves)} entries): none is taken"
            )
        else:
            yield (
                f"a second table, of {table.n_entries} rows, is of something else "
                f"(“{table.title[:80]}”): none is taken"
            )


def _note_kinds(doc: Docstring, objects: Collection[str]) -> Iterator[str]:
    """Say where the kind of a joint is also the name of one."""
    kinds = {row.kind for table in doc.tables if table.is_of_observation for row in table.rows}
    for kind in sorted(kinds & set(objects) - {""}):
        yield (
            f"{kind!r} in a column of the table is taken for a kind of joint; a joint has that name"
        )


def _find_shift(
    leaf: Leaf, rows: Mapping[int, Row], found: Found, judged: Sequence[EnvEntry]
) -> int:
    """Return by how much a whole table is off; 0 where its rows fit best as they are numbered."""

    def count(entries: Sequence[EnvEntry]) -> tuple[int, int]:
        wrong = sum(e.status == "wrong" for e in entries)
        return sum(e.status == "checked" and e.row is not None for e in entries), wrong

    n_right, n_wrong = count(judged)
    if n_wrong < _LEAST_TRIED or n_wrong < n_right:
        return 0
    for shift in (1, -1):
        moved = {i + shift: row for i, row in rows.items() if 0 <= i + shift < leaf.size}
        right, wrong = count(_judge_leaf(leaf, moved, found))
        if right >= _LEAST_TRIED and right >= _SHIFTED * (right + wrong):
            return shift
    return 0


def _judge_leaf(leaf: Leaf, rows: Mapping[int, Row], found: Found) -> list[EnvEntry]:
    entries = [
        EnvEntry(leaf, i, found.facts[leaf.start + i], rows.get(i)) for i in range(leaf.size)
    ]
    return [_judge(entry, entries, found) for entry in entries]


# --- one claim -----------------------------------------------------------------------------------


def _judge(entry: EnvEntry, entries: Sequence[EnvEntry], found: Found) -> EnvEntry:
    """Hold a row against what was found of its entry."""
    fact, row = entry.fact, entry.row
    plain = replace(entry, signal=fact.signal, unit=fact.signal.unit if fact.signal else "")
    if not fact.signal and (fact.is_flag or fact.trig):
        plain = replace(plain, unit="0/1" if fact.is_flag else "1")
    if row is None:
        return plain
    if fact.is_constant:
        return replace(plain, status="unchecked", unit=row.unit)
    if fact.signals:
        return _judge_by_signal(plain, row, found.objects)
    wrong = _find_unmoved(fact, row, found) or _find_beyond(fact, row)
    if wrong:
        return replace(plain, status="wrong", report=f"{entry.title}: {wrong}")
    return _judge_by_rate(plain, row, entries, found)


def _judge_by_signal(entry: EnvEntry, row: Row, objects: Collection[str]) -> EnvEntry:
    """Hold a row against what the simulator says that the entry is."""
    signals = entry.fact.signals
    named = list_named(row, objects)
    ours = [s for s in signals if named & set(s.names)] if named else list(signals)
    if not ours:
        names = " or ".join(repr(name) for name in sorted(named))
        return _refuse(entry, f"it is said to be of {names}, but is the {signals[0].label}")
    best = min(ours, key=lambda s: (bool(_find_difference(row, s)), s.unit != row.unit))
    entry = replace(entry, signal=best, unit=best.unit)
    difference = _find_difference(row, best)
    if difference:
        return _refuse(entry, f"{difference}, but it is the {best.label}")
    own = set(split_words(" ".join(best.names)))
    is_named = bool(named) or bool(_list_nouns(row.text) & own)
    entry = replace(entry, status="checked" if is_named or not objects else "unchecked")
    if row.unit and best.unit not in (row.unit, "1") and best.kind != "other":
        words = f"the docstring says {row.unit}, but it is the {best.label}, in {best.unit}"
        return replace(entry, report=f"{entry.title}: {words}")
    if best.kind in ("other", "force"):
        return replace(entry, unit=row.unit or best.unit)
    return entry


def _refuse(entry: EnvEntry, words: str) -> EnvEntry:
    return replace(entry, status="wrong", report=f"{entry.title}: {words}")


def list_named(row: Row, objects: Collection[str]) -> set[str]:
    """Return the simulated things that a row names: ``cos(joint0)``, ``object (obj_slidex)``."""
    if row.name in objects:
        return {row.name}
    return set(re.findall(r"[\w.:-]+", row.name)) & set(objects)


def _find_difference(row: Row, signal: ColumnSignal) -> str:
    """Return what a row's words say that a signal is not; '' if nothing."""
    words = set(split_words(row.text))
    is_rate = bool(words & _RATE_WORDS)
    for pattern, kind in ((_COSINE, "cosine"), (_SINE, "sine")):
        if pattern.search(row.text) and signal.kind in ("position", "rate", "sine", "cosine"):
            if signal.kind != kind:
                return f"it is said to be a {kind}"
            return ""
    is_other = is_rate != (signal.kind == "rate") and (is_rate or bool(words & _PLACE_WORDS))
    if is_other and signal.kind in ("position", "rate", "place"):
        return f"it is said to be a {'rate' if is_rate else 'position or an angle'}"
    if signal.kind in ("sine", "cosine"):
        return "it is said to be no sine and no cosine" if words & _PLACE_WORDS else ""
    axis = find_axis(row.text)
    is_along = signal.unit in ("m", "m/s") or signal.kind == "rotation"
    if axis and signal.axis and is_along and axis != signal.axis:
        return f"it is said to be along {axis}"
    return ""


def find_axis(text: str) -> str:
    """Return the axis that a text speaks of; '' if of none."""
    found = _AXIS.search(text.lower())
    return next(filter(None, found.groups()), "") if found else ""


def _find_unmoved(fact: ColumnFact, row: Row, found: Found) -> str:
    """Return why a row cannot be right, if nothing that it names moves its entry; '' if it does.

    A site is moved by every joint that it hangs on, and has none of its own.
    """
    movable = {name for other in found.facts for mover in other.movers or () for name in mover[1:]}
    named = list_named(row, found.objects) & movable
    if fact.movers is None or not named:
        return ""
    parts = {name for mover in fact.movers for name in mover[1:]}
    known = {name for name in named if name in parts}
    is_movable = fact.movers and not known and all("#" not in name for name in parts)
    if not is_movable:
        return ""
    return (
        f"it is said to be of {' or '.join(map(repr, sorted(named)))}, but what moves it is "
        f"{', '.join(sorted(parts)[:4])}"
    )


def _find_beyond(fact: ColumnFact, row: Row) -> str:
    """Return the range that was left, if one is said; '' if none was."""
    low = row.low if row.low is not None else fact.low
    high = row.high if row.high is not None else fact.high
    slack = 1e-3 * max(1.0, high - low)
    if fact.low >= low - slack and fact.high <= high + slack:
        return ""
    seen = f"{fact.low:.4g} to {fact.high:.4g}"
    return f"the docstring says {low:g} to {high:g}, it was seen from {seen}"


def _judge_by_rate(
    entry: EnvEntry, row: Row, entries: Sequence[EnvEntry], found: Found
) -> EnvEntry:
    """Hold a row against which entries are rates of which: all that watching can tell."""
    fact, words = entry.fact, set(split_words(row.text))
    start = entry.leaf.start
    for pattern, kind in ((_COSINE, "cosine"), (_SINE, "sine")):
        if pattern.search(row.text):
            if fact.trig and fact.trig != kind:
                return _refuse(entry, f"it is said to be a {kind}, but it is the {fact.trig}")
            is_one = fact.trig == kind or fact.turn is not None
            return replace(entry, status="checked" if is_one else "unchecked", unit="1")
    if fact.is_flag and row.unit in ("", "1", "0/1"):
        return replace(entry, status="unchecked")
    partner = next(
        (e for e in entries if fact.rate_of is not None and e.index + start == fact.rate_of), None
    )
    if words & _RATE_WORDS:
        return _judge_rate(entry, row, partner, entries, found)
    is_of_place = partner and partner.row and not _speaks_of_rate(partner.row)
    if partner and is_of_place and words & _PLACE_WORDS:
        return _refuse(entry, f"it is no position but the rate of {partner.title}")
    is_seen = any(
        other.row and _speaks_of_rate(other.row) and _share(other.row, row)
        for other in entries
        if other.index + start in fact.rates
    )
    return replace(entry, status="checked" if is_seen else "unchecked", unit=row.unit)


def _judge_rate(
    entry: EnvEntry,
    row: Row,
    partner: EnvEntry | None,
    entries: Sequence[EnvEntry],
    found: Found,
) -> EnvEntry:
    """Hold a row that speaks of a rate against what it is the rate of."""
    if partner is None or partner.row is None:
        return _look_for_position(entry, row, entries, found)
    if not _share(row, partner.row):
        return _refuse(entry, f"it is the rate of {partner.title}, which is of something else")
    unit = partner.row.unit
    expected = f"{unit}/s" if unit not in ("", "1") and "/" not in unit else ""
    if partner.fact.turn is not None:  # the angle was computed, in rad
        unit, expected = "rad", "rad/s"
    fits = abs(entry.fact.rate_dt / found.dt - 1) < _DT_SLACK if found.dt else True
    if not fits:
        words = (
            f"it is the rate of {partner.title} by another clock: times {entry.fact.rate_dt:.3g}, "
            f"not the step's {found.dt:g} s, it is what that moves in a step; no unit is taken"
        )
        report = f"{entry.title}: {words}" if row.unit else ""
        return replace(entry, status="checked", unit="1", report=report)
    if row.unit and expected and row.unit != expected:
        words = f"the docstring says {row.unit}, but it is the rate of {partner.title}, in {unit}"
        known = expected if partner.fact.turn is not None else ""
        return replace(entry, status="checked", unit=known, report=f"{entry.title}: {words}")
    return replace(entry, status="checked", unit=row.unit or expected)


def _look_for_position(
    entry: EnvEntry, row: Row, entries: Sequence[EnvEntry], found: Found
) -> EnvEntry:
    """Try a rate on the entries that are said to be the position of the same."""
    nouns, start = _list_nouns(row.text), entry.leaf.start
    for other in entries:
        if other.row is None or other is entry or not nouns:
            continue
        is_place = set(split_words(other.row.text)) & _PLACE_WORDS
        if not is_place or _speaks_of_rate(other.row):
            continue
        if nouns == _list_nouns(other.row.text) and not other.fact.is_constant:
            fit = measure_rate(found.episodes, start + other.index, start + entry.index)
            if fit < RATE / 2:
                return _refuse(entry, f"it is not the rate of {other.title}")
    return replace(entry, status="unchecked", unit=row.unit)


def _speaks_of_rate(row: Row) -> bool:
    return not _RATE_WORDS.isdisjoint(split_words(row.text))


def _share(row: Row, other: Row) -> bool:
    """Return whether two rows may be of the same thing, along the same axis."""
    mine, theirs = _list_nouns(row.text), _list_nouns(other.text)
    axes = (mine & set("xyz"), theirs & set("xyz"))
    if all(axes) and not axes[0] & axes[1]:
        return False
    mine, theirs = mine - set("xyz"), theirs - set("xyz")
    return not mine or not theirs or bool(mine & theirs)


def _list_nouns(text: str) -> set[str]:
    return set(split_words(re.sub(r"\([^)]*\)", "", text))) - _EMPTY_WORDS


def _show(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return f"{shown}, …" if len(numbers) > 8 else shown
