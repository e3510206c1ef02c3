"""What the entries of an observation are, as far as watching and moving the simulation shows.

Nothing here knows what simulates: it is given numbers of episodes, and, where the simulated state
can be set, numbers of states that were scattered with what the simulator says of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Of the values: how nearly two are the same.
_SAME = 1e-5
# Correlation from which a difference is the rate's doing, and below which it is not.
RATE, _NO_RATE = 0.98, 0.9
_LEAST_STEPS, _MOST_RATED = 20, 160
_MOST_PLACES = 120  # that are looked at from each other


@dataclass(frozen=True)
class ColumnSignal:
    """Something that the simulator itself tells.

    Args:
        label: what it is: "angle of joint 'rooty'".
        names: of the simulated things that it is of.
        unit: as a card has it.
        kind: position, rate, sine, cosine, place, rotation, difference or force.
        axis: x, y, z, or w of a quaternion, where it is of one; '' else.
        sign: of a hinge: 1 where it turns about an axis, -1 against it; 0 where neither.
    """

    label: str
    names: tuple[str, ...]
    unit: str
    kind: str
    axis: str = ""
    sign: int = 0


@dataclass(frozen=True)
class Scattered:
    """States that no motion need lead to.

    Args:
        columns: ``(M, n)``: the observation of each; nan where that cannot be had.
        values: ``(M, n_signals)``.
        signals: what they are.
        moved: ``(n_parts, n)``: whether an entry moved when one part of the state was.
        parts: the names of what was moved, with 'position' or 'rate' in front.
    """

    columns: Array
    values: Array
    signals: tuple[ColumnSignal, ...]
    moved: NDArray[np.bool_]
    parts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ColumnFact:
    """What is known of an entry.

    Args:
        low: smallest value seen.
        high: largest.
        is_constant: whether it never moved.
        is_flag: whether it was only ever 0 or 1, and both.
        is_whole: whether it was only ever a whole number.
        signals: of the simulator's, those that it is the same as.
        movers: what moves it; None where nothing could be moved.
        rate_of: the entry that it is the rate of, of the angle whose sine or cosine that is;
            None where it is of none.
        rate_of_trig: cosine or sine, where it is the rate of the angle whose that entry is.
        rate_dt: by which the rate is multiplied to make that entry's step.
        rates: entries that are the rate of this one.
        turn: of two entries that are cosine and sine of an angle, the other; None where there is
            none.
        trig: cosine or sine, as the angle's rate tells; '' where nothing tells.
    """

    low: float
    high: float
    is_constant: bool
    is_flag: bool
    is_whole: bool
    signals: tuple[ColumnSignal, ...] = ()
    movers: frozenset[tuple[str, ...]] | None = None
    rate_of: int | None = None
    rate_of_trig: str = ""
    rate_dt: float = 0.0
    rates: tuple[int, ...] = ()
    turn: int | None = None
    trig: str = ""

    @property
    def signal(self) -> ColumnSignal | None:
        """What it is; None where nothing is the same as it."""
        return self.signals[0] if self.signals else None


def find_facts(
    episodes: Sequence[Array], scattered: Scattered | None, sampled: Scattered | None = None
) -> list[ColumnFact]:
    """Return what is known of each entry.

    Args:
        episodes: ``(T + 1, n)`` each: the observations of one.
        scattered: where the state can be set.
        sampled: states of episodes, with the simulator's signals; nothing was moved.
    """
    seen = np.concatenate(episodes)
    n = seen.shape[1]
    turns = find_turns(seen)
    partners = find_rates([add_angles(episode, turns) for episode in episodes])
    trigs = dict[int, str]()
    for p, _, _ in partners.values():
        if p >= n:  # of an angle: the first is its cosine, or of the same angle turned, its sine
            (one, other), is_turned = turns[(p - n) // 2], (p - n) % 2
            trigs |= {one: ("cosine", "sine")[is_turned], other: ("sine", "cosine")[is_turned]}
    partners = {v: (_find_sine(p, n, turns), s, f) for v, (p, s, f) in partners.items() if v < n}
    twins = {i: k for pair in turns for i, k in (pair, pair[::-1])}
    equal = match_signals(scattered) if scattered else [()] * n
    if sampled is not None:  # what could not be set was at least watched
        equal = [one or other for one, other in zip(equal, match_signals(sampled), strict=True)]
    facts = []
    for i in range(n):
        values = seen[:, i]
        all_values = values
        if scattered is not None:
            all_values = np.concatenate([values, scattered.columns[:, i]])
            all_values = all_values[np.isfinite(all_values)]
        kinds = np.unique(values) if len(values) else np.zeros(1)
        partner = partners.get(i)
        facts.append(
            ColumnFact(
                low=float(values.min()),
                high=float(values.max()),
                is_constant=bool(np.ptp(all_values) <= _SAME * max(1.0, abs(values[0]))),
                is_flag=len(kinds) == 2 and set(kinds.tolist()) == {0.0, 1.0},
                is_whole=bool((values == np.round(values)).all()),
                signals=equal[i],
                movers=_find_movers(scattered, i),
                rate_of=partner[0] if partner else None,
                rate_of_trig=trigs.get(partner[0], "") if partner else "",
                rate_dt=partner[1] if partner else 0.0,
                rates=tuple(j for j, found in partners.items() if found[0] == i),
                turn=twins.get(i),
                trig=trigs.get(i, ""),
            )
        )
    return facts


def match_signals(scattered: Scattered) -> list[tuple[ColumnSignal, ...]]:
    """Return for each entry the signals that were the same as it in every state."""
    columns, values = scattered.columns, scattered.values
    moves = np.ptp(values, axis=0) > _SAME
    numbers = np.flatnonzero(moves & np.isfinite(values).all(axis=0))
    found: list[tuple[ColumnSignal, ...]] = []
    for i in range(columns.shape[1]):
        column = columns[:, i]
        if not np.isfinite(column).all() or np.ptp(column) <= _SAME:
            found.append(())
            continue
        differences = np.abs(values[:, numbers] - column[:, None]).max(axis=0)
        same = numbers[differences <= _SAME * max(1.0, float(np.abs(column).max()))]
        equal = tuple(scattered.signals[j] for j in same)
        found.append(equal or tuple(_list_differences(scattered, column)))
    return found


def _list_differences(scattered: Scattered, column: Array) -> Iterator[ColumnSignal]:
    """Yield what an entry is that tells where one thing is, seen from another, or how far."""
    signals = scattered.signals
    starts = [j for j, s in enumerate(signals) if s.kind == "place" and s.axis == "x"]
    starts = [j for j in starts if not signals[j].label.startswith("place of geom")][:_MOST_PLACES]
    if not starts:
        return
    places = np.stack([scattered.values[:, j : j + 3] for j in starts], axis=1)  # (M, P, 3)
    slack = _SAME * max(1.0, float(np.abs(column).max()))
    for i, j in enumerate(starts):
        apart = places[:, [i]] - places  # (M, P, 3)
        for k, axis in np.argwhere(np.abs(apart - column[:, None, None]).max(axis=0) <= slack):
            yield _tell_apart(signals[j], signals[starts[k]], "difference", "xyz"[axis])
        distances = np.linalg.norm(apart[:, i + 1 :], axis=-1)
        for k in np.flatnonzero(np.abs(distances - column[:, None]).max(axis=0) <= slack):
            yield _tell_apart(signals[j], signals[starts[i + 1 + k]], "distance", "")


def _tell_apart(one: ColumnSignal, other: ColumnSignal, kind: str, axis: str) -> ColumnSignal:
    what, seen = (signal.label.removesuffix(", x") for signal in (one, other))
    seen = seen.removeprefix("place of ")
    label = f"{what}, seen from {seen}, {axis}" if axis else f"distance of {what[9:]} from {seen}"
    return ColumnSignal(label, (*one.names, *other.names), "m", kind, axis)


def _find_movers(scattered: Scattered | None, i: int) -> frozenset[tuple[str, ...]] | None:
    if scattered is None or not np.isfinite(scattered.columns[:, i]).all():
        return None
    return frozenset(
        part for part, row in zip(scattered.parts, scattered.moved, strict=True) if row[i]
    )


def find_turns(seen: Array) -> list[tuple[int, int]]:
    """Return pairs of entries whose squares add up to 1: cosine and sine of an angle, or reverse.

    Nearest pairs come first, and an entry is of one alone.
    """
    small = [i for i in range(min(seen.shape[1], _MOST_RATED)) if np.abs(seen[:, i]).max() <= 1.001]
    small = [i for i in small if np.ptp(seen[:, i]) > 1e-6]
    pairs = sorted((j - i, i, j) for i in small for j in small if i < j)
    found: list[tuple[int, int]] = []
    for _, i, j in pairs:
        if any(k in (i, j) for pair in found for k in pair):
            continue
        if np.abs(seen[:, i] ** 2 + seen[:, j] ** 2 - 1).max() < 1e-4:
            found.append((i, j))
    return found


def add_angles(episode: Array, turns: Sequence[tuple[int, int]]) -> Array:
    """Return an episode with the angle of each pair, and the same turned, as further columns."""
    angles = [
        np.unwrap(np.arctan2(episode[:, b], episode[:, a]))
        for i, j in turns
        for a, b in ((i, j), (j, i))
    ]
    return np.column_stack([episode, *angles])


def _find_sine(p: int, n: int, turns: Sequence[tuple[int, int]]) -> int:
    """Return the entry of the observation that stands for what a rate is of."""
    return p if p < n else turns[(p - n) // 2][0]


# --- rates ---------------------------------------------------------------------------------------


def find_rates(episodes: Sequence[Array]) -> dict[int, tuple[int, float, float]]:
    """Return entries that are the rate of another, with that one, the time step and the fit.

    A rate is what an entry's steps follow: before the step, after it, or half-way, as integrators
    do. Steps much longer than the others are no steps: angles wrap, episodes begin anew.
    """
    steps = np.concatenate([np.diff(episode, axis=0) for episode in episodes])
    before = np.concatenate([episode[:-1] for episode in episodes])
    after = np.concatenate([episode[1:] for episode in episodes])
    if len(steps) < _LEAST_STEPS:
        return {}
    live = np.flatnonzero((steps.std(axis=0) > 1e-9) & (np.abs(after).max(axis=0) < 1e6))
    live = live[:_MOST_RATED]
    found: dict[int, tuple[int, float, float]] = {}
    for p in live:
        step = steps[:, p]
        usual = np.median(np.abs(step))
        kept = np.abs(step) <= 12 * max(float(usual), 1e-9)
        if kept.sum() < _LEAST_STEPS or float(step[kept].std()) < 1e-12:
            continue
        for v, (fit, slope) in _fit_rates(step[kept], before[kept], after[kept], live).items():
            if v != p and fit > RATE and slope > 0 and fit > found.get(v, (0, 0.0, 0.0))[2]:
                found[v] = (int(p), slope, fit)
    return _drop_loops(found)


def _fit_rates(
    step: Array, before: Array, after: Array, live: NDArray[np.intp]
) -> dict[int, tuple[float, float]]:
    """Return for each entry how well the step follows it, through nought, and its factor."""
    best: dict[int, tuple[float, float]] = {}
    for rate in (before[:, live], after[:, live], 0.5 * (before + after)[:, live]):
        norms = np.sqrt((rate**2).sum(axis=0)) * np.sqrt((step**2).sum())
        dots = rate.T @ step
        spread = rate.std(axis=0) > 1e-12
        cosines = np.where(spread, dots / np.maximum(norms, 1e-300), 0.0)
        slopes = dots / np.maximum((rate**2).sum(axis=0), 1e-300)
        for k, v in enumerate(live):
            if cosines[k] > best.get(int(v), (0.0, 0.0))[0]:
                best[int(v)] = (float(cosines[k]), float(slopes[k]))
    return best


def _drop_loops(found: dict[int, tuple[int, float, float]]) -> dict[int, tuple[int, float, float]]:
    """Leave out the worse of two that are each the other's rate, as what grows by itself is."""
    return {
        v: row
        for v, row in found.items()
        if row[0] not in found or found[row[0]][0] != v or found[row[0]][2] < row[2]
    }


def measure_rate(episodes: Sequence[Array], position: int, rate: int) -> float:
    """Return how well the steps of one entry follow another; 0 where nothing can be said."""
    steps = np.concatenate([np.diff(episode[:, position]) for episode in episodes])
    before = np.concatenate([episode[:-1, rate] for episode in episodes])
    after = np.concatenate([episode[1:, rate] for episode in episodes])
    kept = np.abs(steps) <= 12 * max(float(np.median(np.abs(steps))), 1e-9)
    if kept.sum() < _LEAST_STEPS or float(np.std(steps[kept])) < 1e-12:
        return 0.0
    both = np.stack([before, after], axis=1)[kept]
    fits = _fit_rates(steps[kept], both[:, [0, 1]], both[:, [1, 0]], np.array([0, 1]))
    return max((fit for fit, _ in fits.values()), default=0.0)
