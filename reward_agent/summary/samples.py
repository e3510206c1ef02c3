"""An episode in a few rows: dense around its moments, sparse elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import TRUNCATED
from reward_agent.summary.fields import (
    Column,
    find_column,
    find_runs,
    list_contacts,
    list_touching,
    make_column,
    name_contact,
)
from reward_agent.summary.motions import list_flights
from reward_agent.text import format_number, render_table
from reward_agent.types import EpisodeScore, Finite, Record

_N_SPARSE = 3
# Rows of a cycle, and how alike what repeats is to itself.
_N_CYCLE = 8
_REPEATS = 0.6
# The rows beside a weighty moment show how it came about.
_BESIDE_S = 0.05
_WEIGHTY = 4
# Of the card's range; a robot at rest needs one row.
_SAME = 1e-3


class SampledState(Record):
    """One row: what happens there, the values of the columns, the parts on the floor."""

    step: int
    time_s: Finite
    event: str = ""
    values: tuple[Finite, ...]
    touching: tuple[str, ...] = ()


class EpisodeSample(Record):
    """One evaluated episode."""

    role: str
    index: int
    task_score: Finite | None
    success: bool
    parts: dict[str, Finite] = Field(default_factory=dict)
    length: int
    end: str
    columns: tuple[str, ...]
    states: tuple[SampledState, ...]


def sample_episode(
    card: EnvCard,
    episode: Episode,
    score: EpisodeScore,
    columns: Sequence[Column],
    role: str,
    index: int,
    n_rows: int,
) -> EpisodeSample:
    """Return an episode in at most ``n_rows`` rows, at least 2.

    Its role is ``median``, ``best`` or ``worst``; it is number ``index``.
    """
    steps = choose_steps(card, episode, score, n_rows, columns)
    return EpisodeSample(
        role=role,
        index=index,
        task_score=score.task_score,
        success=score.success,
        parts=score.parts,
        length=score.length,
        end=score.end,
        columns=tuple(f"{column.name} {column.field.unit}" for column in columns),
        states=_drop_repeats(
            [_sample_state(card, episode, columns, step, label) for step, label in steps.items()],
            columns,
        ),
    )


def choose_steps(
    card: EnvCard,
    episode: Episode,
    score: EpisodeScore,
    n_rows: int,
    columns: Sequence[Column] = (),
) -> dict[int, str]:
    """Return the rows to show, in order, each with what happens there.

    The start, the end and the weightiest moments come first, then the rows just beside these, then
    a cycle of what repeats, at a steady rate beyond ``n_rows``, then some in the longest stretches
    between.
    """
    cycle = find_cycle(card, episode, columns)
    moments = find_moments(card, episode, score.end, score.success_step, score.success_start)
    by_weight = sorted(moments, key=lambda moment: -moment.weight)
    beside = max(1, round(_BESIDE_S / episode.control_dt))
    candidates = [Moment(0, "start", 5), *by_weight]
    n_moments = max(2, n_rows // 2)
    chosen: dict[int, list[str]] = {}
    for moment in candidates:
        step = min(moment.step, episode.n_steps)
        if step in chosen or len(chosen) < n_moments:
            chosen.setdefault(step, []).append(moment.label)
    inner = range(1, episode.n_steps)
    weighty = [m.step for m in candidates if m.weight >= _WEIGHTY and m.step in inner]
    for step in [near for moment in weighty for near in (moment - beside, moment + beside)]:
        is_free = step in inner and _is_apart(step, chosen, beside)
        if is_free and len(chosen) < n_rows - _N_SPARSE:
            chosen[step] = []
    for step in cycle if n_rows > _N_CYCLE else ():
        if step in chosen or _is_apart(step, chosen, 1):
            chosen.setdefault(step, []).extend(["steady rows of what repeats"] * (step == cycle[0]))
    for _ in range(min(_N_SPARSE, n_rows - len(chosen))):
        middle = _find_widest_gap({*chosen, 0, episode.n_steps})
        if _is_apart(middle, chosen, beside):
            chosen[middle] = []
    return {step: "; ".join(labels) for step, labels in sorted(chosen.items())}


def render_sample(sample: EpisodeSample) -> str:
    """Return a headline and the table of an episode."""
    parts = ", ".join(f"{name} {format_number(value)}" for name, value in sample.parts.items())
    verdict = "success" if sample.success else "no success"
    headline = (
        f"{sample.role} episode: task_score {format_number(sample.task_score)} ({verdict}), "
        f"{sample.length} steps, end: {sample.end}" + (f"; {parts}" if parts else "")
    )
    has_contacts = any(state.touching for state in sample.states)
    header = ["time s", *sample.columns, *(["on floor"] if has_contacts else []), "event"]
    rows = [
        [
            f"{state.time_s:.2f}",
            *map(format_number, state.values),
            *([",".join(state.touching) or "air"] if has_contacts else []),
            state.event,
        ]
        for state in sample.states
    ]
    return f"{headline}\n{render_table(header, rows)}"


def _drop_repeats(
    states: Sequence[SampledState], columns: Sequence[Column]
) -> tuple[SampledState, ...]:
    """Leave out rows without an event that look like the row before."""
    spans = [column.field.range[1] - column.field.range[0] for column in columns]
    kept = list(states[:1])
    for state in states[1:]:
        changes = [
            abs(value - before) / span
            for value, before, span in zip(state.values, kept[-1].values, spans, strict=True)
        ]
        if state.event or max(changes, default=0.0) > _SAME:
            kept.append(state)
    return tuple(kept)


def _is_apart(step: int, chosen: Collection[int], beside: int) -> bool:
    return all(abs(step - other) >= beside for other in chosen)


def _find_widest_gap(chosen: Collection[int]) -> int:
    """Return the middle of the longest stretch without a row."""
    steps = np.sort(list(chosen))
    if len(steps) < 2:
        return 0
    widest = int(np.argmax(np.diff(steps)))
    return int(steps[widest] + steps[widest + 1]) // 2


def _sample_state(
    card: EnvCard, episode: Episode, columns: Sequence[Column], step: int, label: str
) -> SampledState:
    return SampledState(
        step=step,
        time_s=step * episode.control_dt,
        event=label,
        values=tuple(float(column.read(episode)[step]) for column in columns),
        touching=tuple(list_touching(card, episode, step)),
    )


# What a posture is told by, best first; an environment without any gives its first two scalars.
_HEIGHTS = ("com_height", "height", "object_height", "fixture_position")
_TILTS = ("pitch", "pole_angle", "up", "object_target_distance", "target_distance")
# A range below this share of the card's is noise, not an extreme worth a word.
_NOTABLE = 0.05


@dataclass(frozen=True)
class Moment:
    """Something that happened, from the state ``step`` on; it matters 1 to 5.

    ``event`` is its name where it has one in any episode.
    """

    step: int
    label: str
    weight: int
    event: str = ""


def find_cycle(card: EnvCard, episode: Episode, columns: Sequence[Column] = ()) -> tuple[int, ...]:
    """Return the steps of one cycle at a steady rate; none where nothing repeats.

    The cycle is that of the posture over the second half, by the first peak of its correlation
    with itself, and it is shown where that half begins. Where the posture repeats nothing, a leg
    that waves, say, it is that of the first of the other columns that does.
    """
    first = episode.n_steps // 2
    for column in (*reversed(find_posture(card)), *columns):
        values = column.read(episode)[first:]
        low, high = column.field.range
        period = _find_period(values) if np.ptp(values) > _NOTABLE * (high - low) else 0
        if period >= _N_CYCLE / 2:
            steps = np.linspace(first, first + period, _N_CYCLE + 1).astype(int)
            return tuple(dict.fromkeys(int(step) for step in steps))
    return ()


def _find_period(values: NDArray[np.float64]) -> int:
    """Return after how many rows values repeat, at least three times; 0 where they do not."""
    centred = values - values.mean()
    n_most = len(values) // 3
    if n_most < 2 or not centred.any():
        return 0
    alike = np.array(
        [
            centred[lag:]
            @ centred[:-lag]
            / np.sqrt((centred[lag:] @ centred[lag:]) * (centred[:-lag] @ centred[:-lag]) + 1e-12)
            for lag in range(1, n_most + 1)
        ]
    )
    below = np.flatnonzero(alike < 0.0)
    if not len(below):
        return 0
    peak = int(below[0] + np.argmax(alike[below[0] :]))
    if alike[peak] < _REPEATS:
        return 0
    # The first that is nearly as good: a multiple of the period is as alike.
    good = below[0] + np.flatnonzero(alike[below[0] :] >= 0.9 * alike[peak])
    lag = int(good[0])
    while lag + 1 < n_most and alike[lag + 1] > alike[lag]:
        lag += 1
    return lag + 1 if alike[lag] >= _REPEATS else 0


def find_moments(
    card: EnvCard,
    episode: Episode,
    end: str,
    success_step: int | None = None,
    success_start: int | None = None,
) -> list[Moment]:
    """Return the moments of an episode, why it ended among them, in the order of time."""
    moments = [*_find_falls(card, episode), *_find_flight(card, episode)]
    moments += _find_extremes(card, episode)
    if success_step is not None:
        begins = success_start is not None and success_start < success_step
        moments.append(Moment(success_step, "success from here on", 3 if begins else 5, "success"))
        if begins and success_start is not None:
            moments.append(Moment(success_start, "what makes it a success begins", 5))
    label = "time is up" if end == TRUNCATED else f"ends: {end}"
    moments.append(Moment(episode.n_steps, label, 2 if end == TRUNCATED else 5))
    return sorted(moments, key=lambda moment: moment.step)


def find_posture(card: EnvCard) -> list[Column]:
    """Return the one or two measures that tell a posture: a height and a tilt."""
    found = [column for roles in (_HEIGHTS, _TILTS) if (column := find_column(card, *roles))]
    contacts = list_contacts(card)
    scalars = [field for field in card.state if field.size is None and field not in contacts]
    return found or [make_column(field) for field in scalars[:2]]


def _find_falls(card: EnvCard, episode: Episode) -> list[Moment]:
    """Return when each part that is no foot first touches the floor, and is off it for good."""
    moments = []
    for field in list_contacts(card):
        runs = find_runs(episode.fields[field.name] > 0.5)
        if field.plays[0] != "body_contact" or not runs:
            continue
        part = name_contact(field)
        label = f"{part} touches the floor"
        moments.append(Moment(int(runs[0][0]), label, 4, label))
        last = int(runs[-1][1])
        if last <= episode.n_steps:
            moments.append(Moment(last, f"{part} off the floor for good", 3))
    return moments


def _find_flight(card: EnvCard, episode: Episode) -> list[Moment]:
    """Return take-off and landing of the longest flight that began on the floor."""
    flights = list_flights(card, episode)
    if not flights:
        return []
    flight, dt = max(flights, key=lambda flight: flight.duration_s), episode.control_dt
    start, stop = round(flight.start_s / dt), round((flight.start_s + flight.duration_s) / dt)
    moments = [Moment(start, f"takes off, flies {flight.duration_s:.2f} s", 4, "take-off")]
    if stop <= episode.n_steps:
        moments.append(Moment(stop, f"lands on {flight.end}", 4, "landing"))
    return moments


def _find_extremes(card: EnvCard, episode: Episode) -> list[Moment]:
    moments = []
    for column in find_posture(card):
        values = column.read(episode)
        low, high = column.field.range
        if np.ptp(values) < _NOTABLE * (high - low):
            continue
        ends = ("highest", int(np.argmax(values))), ("lowest", int(np.argmin(values)))
        named = ((f"{end} {column.name}", at) for end, at in ends)
        moments += [Moment(at, name, 3, name) for name, at in named]
    # Where it starts or ends at its extreme it only rose or fell; those rows are shown anyway.
    return [moment for moment in moments if 0 < moment.step < episode.n_steps]
