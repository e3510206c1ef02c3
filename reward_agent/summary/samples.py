"""An episode in a few rows: dense around its events, sparse elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from pydantic import Field

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode
from reward_agent.summary.columns import Column
from reward_agent.summary.events import Event, find_events, list_contacts, name_contact
from reward_agent.summary.tables import format_number, render_table
from reward_agent.types import EpisodeScore, Finite, Record

_N_SPARSE = 3
# The rows beside a weighty event show how it came about.
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
    """Return an episode in at most ``n_rows`` rows.

    Args:
        card: the environment.
        episode: what was recorded.
        score: what the metric says of it.
        columns: what to show.
        role: ``median``, ``best`` or ``worst``.
        index: number of the episode.
        n_rows: how many rows at most, at least 2.
    """
    steps = choose_steps(card, episode, score, n_rows)
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
    card: EnvCard, episode: Episode, score: EpisodeScore, n_rows: int
) -> dict[int, str]:
    """Return the rows to show, in order, each with what happens there.

    The start, the end and the weightiest events come first, then the rows just beside these, then
    some in the longest stretches between.
    """
    events = find_events(card, episode, score.end, score.success_step)
    by_weight = sorted(events, key=lambda event: -event.weight)
    beside = max(1, round(_BESIDE_S / episode.control_dt))
    candidates = [Event(0, "start", 5), *by_weight]
    n_events = max(2, n_rows // 2)
    chosen: dict[int, list[str]] = {}
    for event in candidates:
        step = min(event.step, episode.n_steps)
        if step in chosen or len(chosen) < n_events:
            chosen.setdefault(step, []).append(event.label)
    for step in _list_steps_beside(episode, candidates, beside):
        if len(chosen) < n_rows - _N_SPARSE and _is_apart(step, chosen, beside):
            chosen[step] = []
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


def _list_steps_beside(episode: Episode, events: Sequence[Event], beside: int) -> list[int]:
    """Return the steps just before and after weighty events."""
    return [
        step
        for event in events
        if event.weight >= _WEIGHTY and 0 < event.step < episode.n_steps
        for step in (event.step - beside, event.step + beside)
        if 0 < step < episode.n_steps
    ]


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
    touching = [
        name_contact(field)
        for field in list_contacts(card)
        if episode.fields[field.name][step] > 0.5
    ]
    return SampledState(
        step=step,
        time_s=step * episode.control_dt,
        event=label,
        values=tuple(float(column.read(episode)[step]) for column in columns),
        touching=tuple(touching),
    )
