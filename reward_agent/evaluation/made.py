"""Made episodes: what no robot did, to see what a metric asks for, by data alone.

From the start state, fields that the metric reads are held at other values or moved there, one
after the other, in whichever way the score rises most, until the metric says success. That shows
whether anything within the fields' ranges succeeds, or only what lies beyond them; whether one good
instant is enough where the sentence asks for seconds; and whether the opposite of what the sentence
says scores better.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

import numpy as np

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.errors import DataError
from reward_agent.evaluation.changes import (
    FORWARD_POSITIONS,
    TURNING,
    Change,
    Changes,
    apply_changes,
    hold_state,
    list_ways,
    read_start,
)
from reward_agent.evaluation.metrics import Episode, MetricFunction, find_metric_fields
from reward_agent.evaluation.quantities import find_counts, find_durations
from reward_agent.records.trial import RowKind, TrialRow
from reward_agent.text import parse_python
from reward_agent.types import Score

# Of a search: how often a metric is asked, and how many fields are moved.
MOST_TRIALS, _MOST_CHANGES = 2000, 8
_MOST_COLUMNS, _MOST_VALUES = 60, 64
_MOST_COMBINED, _MOST_FELT = 10, 8
_PARTS = (0.25, 0.5, 0.75)
# Within which a threshold is passed.
_MARGIN = 0.03
# How far beyond its range a field may well go: a range says what is usual.
_USUAL: dict[str, float] = {"1": 1.0, "0/1": 1.0, "m": 1.5, "rad": 2.0}
_USUAL_ELSE = 3.0
# What an angle is held at, beside the metric's own numbers.
_ANGLES = tuple(math.pi / part for part in (6, 4, 3, 2, 1, 0.5))
_SHORT_OF = 0.25  # of the time that is asked for
# How long what comes and goes is there, s, and how long an episode of it ends at rest.
_PULSES_S, _REST_S = (0.3, 0.15, 1.0), 1.5
_MOST_PULSES = 50  # changes that are tried so


@dataclass(frozen=True)
class _Tried:
    """Changes, and what the metric says of them."""

    changes: Changes
    score: Score

    @property
    def rank(self) -> tuple[bool, float]:
        """Order of what is worth more."""
        return self.score.success, round(self.score.task_score, 9)


class MetricSearch:
    """Looks for what a metric calls a success.

    Args:
        card: the environment.
        source: of the metric.
        metric: the same, compiled.
        start: an episode whose first state all others begin with.
        sentence: what was asked for.
        target_score: what the metric calls done, where it says so.
    """

    def __init__(
        self,
        card: EnvCard,
        source: str,
        metric: MetricFunction,
        start: Episode,
        sentence: str,
        target_score: float | None = None,
    ) -> None:
        self._card, self._metric, self._sentence = card, metric, sentence
        self._least = -math.inf if target_score is None else target_score
        names = find_metric_fields(source, card)
        self._fields = [
            field for field in card.state if field.name in (names or ()) or names is None
        ]
        # As it comes to rest, where it does not fall; as it starts, and there without a contact.
        rows = (0,) if start.terminated else (-1, 0)
        held = [hold_state(start, row, card.max_episode_steps) for row in rows]
        self._bases = (*held, self._lift_off(held[-1]))
        self._base = held[0]
        self._literals = sorted(_list_literals(source))
        self._n_left = 0
        self._pulsed: Changes = ()
        self._columns: list[tuple[StateField, int | None]] = []
        self._is_angle_free = bool(TURNING.search(sentence))

    def run(self) -> tuple[TrialRow, ...]:
        """Return the rows of what was made."""
        best = self._search_all(is_bounded=True)
        if not best.score.success and find_counts(self._sentence):
            pulsed = self._search_pulses(best)
            if pulsed is not None:
                return (pulsed, *self._try_flicker(), *self._try_ways(best))
        rows = [self._make_row("made", best)]
        if best.score.success:
            rows += self._try_instants(best)
        else:
            beyond = self._search_all(is_bounded=False)
            if beyond.score.success:
                rows.append(self._make_row("beyond", beyond))
        return (*rows, *self._try_ways(best))

    def _make_row(self, kind: RowKind, tried: _Tried, name: str = "") -> TrialRow:
        name = name or ", ".join(map(str, tried.changes)) or "the start state, held"
        return TrialRow(
            behaviour=name[:280],
            kind=kind,
            task_score=tried.score.task_score,
            success_rate=float(tried.score.success),
            parts=dict(islice(tried.score.parts.items(), 50)),
            length_s=self._base.duration_s,
        )

    # --- the search ---

    def _search_all(self, *, is_bounded: bool) -> _Tried:
        """Search from each state until one leads to a success; the best of all else."""
        found: list[tuple[_Tried, Episode]] = []
        for base in self._bases:
            self._base = base
            found.append((self._search(is_bounded=is_bounded), base))
            if self._is_done(found[-1][0]):
                break
        best, self._base = max(found, key=lambda pair: pair[0].rank)
        return best

    def _lift_off(self, base: Episode) -> Episode:
        contacts = [field for field in self._fields if field.unit == "0/1" and field.size is None]
        return apply_changes(base, [Change(field.name, None, 0.0) for field in contacts])

    def _search(self, *, is_bounded: bool) -> _Tried:
        """Climb by the score; where it is flat, from what moves several parts at once."""
        self._n_left = MOST_TRIALS
        self._columns = self._find_columns(is_bounded=is_bounded)
        start = self._try(()) or _Tried((), Score(0.0, False, {}))
        single = [
            tried
            for change in self._list_changes(is_bounded=is_bounded)
            if (tried := self._try((change,))) is not None
        ]
        best = max((start, *single), key=lambda tried: tried.rank)
        for changes in _combine(start, single):
            if self._is_done(best) or self._n_left <= 0:
                break
            tried = self._try(changes)
            if tried is not None and tried.rank > best.rank:
                best = tried
        return self._simplify(self._climb(best, is_bounded=is_bounded))

    def _climb(self, best: _Tried, *, is_bounded: bool) -> _Tried:
        self._n_left = MOST_TRIALS
        for _ in range(_MOST_CHANGES):
            found = best
            for change in self._list_changes(is_bounded=is_bounded):
                if self._n_left <= 0 or self._is_done(found):
                    break
                others = tuple(item for item in best.changes if item.place != change.place)
                tried = self._try((*others, change))
                if tried is not None and tried.rank > found.rank:
                    found = tried
            if found is best:
                break
            best = found
        return best

    def _simplify(self, tried: _Tried) -> _Tried:
        """Return it without the changes that a success does not need."""
        if not tried.score.success:
            return tried
        is_done = self._is_done(tried)
        for change in tried.changes:
            fewer = self._try(tuple(item for item in tried.changes if item != change))
            if fewer is not None and fewer.score.success and self._is_done(fewer) >= is_done:
                tried = fewer
        return tried

    def _is_done(self, tried: _Tried) -> bool:
        """Whether nothing more is to be looked for: a success that scores what counts as done."""
        return tried.score.success and tried.score.task_score >= self._least

    def _try(self, changes: Changes) -> _Tried | None:
        self._n_left -= 1
        return self._ask(changes, apply_changes(self._base, changes))

    def _ask(self, changes: Changes, episode: Episode) -> _Tried | None:
        try:
            return _Tried(changes, self._metric(episode))
        except DataError:
            return None

    def _list_changes(self, *, is_bounded: bool) -> Iterator[Change]:
        for field, column in self._columns:
            start = read_start(self._base, field.name, column)
            for value in self._list_values(field, start, is_bounded=is_bounded):
                yield Change(field.name, column, value)
                if field.unit not in ("0/1", "1"):
                    yield Change(field.name, column, value, is_moved=True)

    def _find_columns(self, *, is_bounded: bool) -> list[tuple[StateField, int | None]]:
        """Return the columns of which the metric says something else when they change alone."""
        found: list[tuple[StateField, int | None]] = []
        for field in self._fields:
            columns = [None] if field.size is None else list(range(field.size))
            found += [(field, column) for column in columns]
        found = found[:_MOST_COLUMNS]
        start = self._ask((), self._base)
        far = () if is_bounded else self._literals[-_MOST_FELT:]
        return [item for item in found if self._is_felt(*item, far, start)] or found

    def _is_felt(
        self, field: StateField, column: int | None, far: Sequence[float], start: _Tried | None
    ) -> bool:
        for value in (*field.range, *(sign * number for number in far for sign in (1, -1))):
            for is_moved in (False, True):
                change = (Change(field.name, column, value, is_moved),)
                tried = self._ask(change, apply_changes(self._base, change))
                if tried is not None and (start is None or tried.score != start.score):
                    return True
        return False

    def _list_values(self, field: StateField, start: float, *, is_bounded: bool) -> list[float]:
        """Return what a field may be held at: its ends, and about the metric's own numbers."""
        low, high = self._find_ends(field)
        if field.unit == "0/1":
            return [value for value in (0.0, 1.0) if value != start]
        near = [*field.range, 0.0, *(start + share * (field.range[1] - start) for share in _PARTS)]
        near += [start + share * (field.range[0] - start) for share in _PARTS]
        for number in (*self._literals, *(_ANGLES if field.unit == "rad" else ())):
            for size in (number, -number):
                near += [size, size * (1 - _MARGIN), size * (1 + _MARGIN)]
                near += [start + size * (1 + _MARGIN)]
        kept = sorted({round(v, 9) for v in near if not is_bounded or low <= v <= high})
        # Evenly over all that are there.
        places = np.unique(np.linspace(0, len(kept) - 1, _MOST_VALUES).round().astype(int))
        return sorted((kept[i] for i in places), key=lambda value: abs(value - start))

    def _find_ends(self, field: StateField) -> tuple[float, float]:
        """Return between which values a field may well be."""
        low, high = field.range
        role = field.plays[0]
        if role in FORWARD_POSITIONS:
            furthest = 3 * self._find_top_speed() * self._base.duration_s
            return min(low, -furthest), max(high, furthest)
        if field.unit == "rad" and self._is_angle_free:
            return min(low, -60.0), max(high, 60.0)
        factor = _USUAL.get(field.unit, _USUAL_ELSE)
        middle, half = (low + high) / 2, (high - low) / 2
        least = 0.0 if role.endswith("_distance") else -math.inf
        return max(middle - factor * half, least), middle + factor * half

    def _find_top_speed(self) -> float:
        return max(
            (field.range[1] for field in self._card.state if field.plays[0] == "forward_velocity"),
            default=5.0,
        )

    # --- what is done again and again ---

    def _search_pulses(self, best: _Tried) -> TrialRow | None:
        """Look for a success in what comes and goes, as hops and waves do; None without one."""
        for base in self._bases:
            self._base = base
            for on_s in _PULSES_S:
                row = self._try_pulses(max(1, round(on_s / base.control_dt)), best.changes)
                if row is not None:
                    return row
        return None

    def _try_pulses(
        self, n_steps: int, first: Changes, count: int | None = None
    ) -> TrialRow | None:
        """Hold changes for some steps, and let go for as many; the first success is it."""
        states = np.arange(self._base.n_steps + 1)
        is_on = states // n_steps % 2 == 1
        # What ends well ends as it began.
        last = self._base.n_steps - round(_REST_S / self._base.control_dt)
        is_on &= states < (last if count is None else 2 * n_steps * count + n_steps)
        held = [(change,) for change in self._list_changes(is_bounded=True) if not change.is_moved]
        for changes in (first, *held[:: len(held) // _MOST_PULSES + 1]):
            tried = self._ask(changes, apply_changes(self._base, changes, is_on))
            if changes and tried is not None and tried.score.success:
                self._pulsed = changes
                on_s = n_steps * self._base.control_dt
                told = ", ".join(map(str, changes))
                kind: RowKind = "made" if count is None else "instant"
                return self._make_row(kind, tried, f"again and again for {on_s:.3g} s: {told}")
        return None

    def _try_flicker(self) -> Iterator[TrialRow]:
        """Try what comes and goes with every step, as often as the sentence says."""
        counts = find_counts(self._sentence)
        row = self._try_pulses(1, self._pulsed, int(max(counts)))
        if row is not None:
            yield row

    # --- what is made of what was found ---

    def _try_instants(self, best: _Tried) -> Iterable[TrialRow]:
        """Try the found success for too short a time, where the sentence states one."""
        durations = find_durations(self._sentence)
        if not durations or not best.changes:
            return
        dt, total = self._base.control_dt, self._base.n_steps + 1
        most = max(1, int(_SHORT_OF * max(durations) / dt))
        windows = [
            slice(first, first + n_steps)
            for n_steps in sorted({1, most})
            for first in (total // 2, total - n_steps)
        ]
        moved = tuple(change for change in best.changes if change.is_moved)
        held = tuple(change for change in best.changes if not change.is_moved)
        everything = tuple(replace(change, is_moved=False) for change in best.changes)
        for kept, during in ((moved, held), ((), everything)):
            base = apply_changes(self._base, kept)
            for window in windows if during else ():
                tried = self._ask(during, apply_changes(base, during, window))
                if tried is not None and tried.score.success:
                    time_s = (window.stop - window.start) * dt
                    name = f"for {time_s:.3g} s only: {', '.join(map(str, during))}"
                    yield self._make_row("instant", tried, name)
                    return

    def _try_ways(self, best: _Tried) -> Iterable[TrialRow]:
        """Try what the sentence says, and the opposite of it."""
        for way in list_ways(self._card, self._sentence, self._base):
            others = tuple(
                item for item in best.changes if item.place not in {c.place for c in way.right}
            )
            for changes in ((), others):
                right = self._ask(way.right, apply_changes(self._base, (*changes, *way.right)))
                wrong = self._ask(way.wrong, apply_changes(self._base, (*changes, *way.wrong)))
                if right is None or wrong is None or right.rank == wrong.rank:
                    continue
                yield self._make_row("right way", right, way.name)
                yield self._make_row("wrong way", wrong, way.opposite)
                break


def _combine(start: _Tried, single: Sequence[_Tried]) -> Iterator[Changes]:
    """Yield sets of the changes that alone move each part furthest up, or down; small sets first.

    Where a score multiplies what it asks for, each alone leaves it at nothing.
    """
    extremes: dict[tuple[str, int | None], Change] = {}
    for sign in (1, -1):
        for name, value in start.score.parts.items():
            found = max(
                single, key=lambda tried: sign * tried.score.parts.get(name, value), default=start
            )
            if sign * (found.score.parts.get(name, value) - value) > 0:
                change = found.changes[0]
                extremes.setdefault(change.place, change)
        changes = list(extremes.values())[:_MOST_COMBINED]
        for size in range(2, min(len(changes), _MOST_CHANGES) + 1):
            yield from combinations(changes, size)


def _list_literals(source: str) -> set[float]:
    """Return the numbers that a metric is written with."""
    try:
        tree = parse_python(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    values = {
        abs(float(node.value))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    }
    return {value for value in values if 1e-3 <= value <= 1e5}
