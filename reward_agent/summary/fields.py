"""The card's fields over episodes: what varies, its range, and what touches the floor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.evaluation.metrics import Episode
from reward_agent.text import format_number, format_share, render_table
from reward_agent.types import Finite, Record

_MAX_ROWS = 10
# Contacts with the floor, of feet and of what is not meant to touch it.
_CONTACTS = ("foot_contact", "body_contact")


class FieldSummary(Record):
    """One field over all evaluated episodes."""

    name: str
    unit: str
    minimum: Finite
    mean: Finite
    maximum: Finite
    time_in_range: Finite


class ContactSummary(Record):
    """How much of the time each part touches the floor, and the robot flies, 0..1."""

    touching: dict[str, Finite] = Field(default_factory=dict)
    airborne: Finite | None = None


def summarise_fields(
    columns: Sequence[Column], episodes: Sequence[Episode]
) -> tuple[FieldSummary, ...]:
    """Return range and time in range of each column."""
    summaries = []
    for column in columns:
        values = np.concatenate([column.read(episode) for episode in episodes])
        low, high = column.field.range
        summaries.append(
            FieldSummary(
                name=column.name,
                unit=column.field.unit,
                minimum=float(values.min()),
                mean=float(values.mean()),
                maximum=float(values.max()),
                time_in_range=float(np.mean((values >= low) & (values <= high))),
            )
        )
    return tuple(summaries)


def summarise_contacts(card: EnvCard, episodes: Sequence[Episode]) -> ContactSummary:
    """Return the share of time of each contact with the floor."""
    fields = list_contacts(card)
    if not fields:
        return ContactSummary()
    touching = {
        name_contact(field): float(np.concatenate([e.fields[field.name] for e in episodes]).mean())
        for field in fields
    }
    airborne = np.concatenate([find_airborne(card, episode) for episode in episodes])
    return ContactSummary(touching=touching, airborne=float(airborne.mean()))


def render_fields(fields: Sequence[FieldSummary], contacts: ContactSummary) -> str:
    """Return the table of the first fields, and the contacts in a line."""
    rows = [
        [
            f"{field.name} {field.unit}",
            *map(format_number, (field.minimum, field.mean, field.maximum)),
            "" if field.time_in_range == 1 else f"in card's range {field.time_in_range:.0%}",
        ]
        for field in fields[:_MAX_ROWS]
    ]
    lines = [render_table(["field", "min", "mean", "max", ""], rows)] if rows else []
    if contacts.touching:
        times = [f"{name} {format_share(time)}" for name, time in contacts.touching.items() if time]
        never = [name for name, time in contacts.touching.items() if not time]
        lines.append(f"on the floor: {', '.join(times) or 'nothing'} of the time")
        lines[-1] += f"; in the air {format_share(contacts.airborne)}"
        lines[-1] += f"; never: {', '.join(never)}" if never else ""
    return "\n".join(lines)


_AXES = ("x", "y", "z")
_MAX_VECTOR = 3
# Roles whose numbers a reader cannot picture: joints one by one.
_OPAQUE = ("joint_angles", "joint_velocities", "joint_angle", "joint_velocity")
# A field that moves over less than this share of its range counts as constant.
_CONSTANT = 0.02
_DUPLICATE = 0.98
# Joints that a task names, and how many columns stand before them.
_MAX_JOINTS, _BEFORE_JOINTS = 2, 4


@dataclass(frozen=True)
class Column:
    """One scalar over time, a field or an entry of a vector field: ``com_velocity.z``."""

    name: str
    field: StateField
    index: int | None = None
    is_largest: bool = False

    def read(self, episode: Episode) -> NDArray[np.float64]:
        """Return the values over an episode, ``(T,)``; of many entries the largest size."""
        values = episode.fields[self.field.name]
        if self.is_largest:
            return np.asarray(np.abs(values).max(axis=1))
        return values if self.index is None else values[:, self.index]


def choose_columns(card: EnvCard, task_text: str, episodes: Sequence[Episode]) -> list[Column]:
    """Return what varies and is not told by an earlier column, the most telling first.

    Fields that the task's words name come first; of the joints that they name, those first that
    move most, so that a task of waving a leg shows the leg that waves.
    """
    subject = _Subject(task_text)
    ranked = sorted(
        [*_list_columns(card), *_list_largest(card, subject)],
        key=lambda column: -_count_points(column, card, subject),
    )
    ranked = _bring_forward(ranked, subject, card, episodes)
    chosen: list[Column] = []
    kept: list[NDArray[np.float64]] = []
    for column in ranked:
        values = np.concatenate([column.read(episode) for episode in episodes])
        if np.ptp(values) < _CONSTANT * _find_span(card, column.field):
            continue
        centred = (values - values.mean()) / values.std()
        if any(abs(float(np.mean(centred * other))) > _DUPLICATE for other in kept):
            continue
        chosen.append(column)
        kept.append(centred)
    return chosen


def _find_span(card: EnvCard, field: StateField) -> float:
    """Return the width of the field's range, or of its healthy range where that is narrower."""
    healthy = [(b.min, b.max) for b in card.termination if b.field == field.name]
    closed = [high - low for low, high in healthy if low is not None and high is not None]
    return min([field.range[1] - field.range[0], *closed])


def _list_columns(card: EnvCard) -> list[Column]:
    contacts = {field.name for field in list_contacts(card)}
    columns = []
    for field in card.state:
        if field.name in contacts:
            continue
        if field.size is None:
            columns.append(make_column(field))
        elif field.size <= _MAX_VECTOR and field.plays[0] not in _OPAQUE:
            columns += [make_column(field, i) for i in range(field.size)]
    return columns


def make_column(field: StateField, index: int | None = None) -> Column:
    """Return a field, or an entry of it, with its name."""
    return Column(field.name if index is None else f"{field.name}.{_AXES[index]}", field, index)


def find_column(card: EnvCard, *roles: str) -> Column | None:
    """Return what measures the first of the roles that the card has, fields before entries."""
    whole = next((field for role in roles if (field := card.find_role(role))), None)
    if whole is not None:
        return make_column(whole)
    entry = next((found for role in roles if (found := card.find_quantity(role))), None)
    return make_column(*entry) if entry else None


class _Subject:
    """What a task is about, by its words."""

    def __init__(self, text: str) -> None:
        found = re.findall(r"[a-z]+", text.lower())
        self._words = {*found, *(word.removesuffix("s") for word in found)}
        self._text = text

    def names(self, field: StateField) -> bool:
        """Return whether the task's words name a field."""
        return bool(self._words & set(field.name.split("_")) - {"floor", "position"})

    def limits(self, field: StateField) -> bool:
        """Return whether a number of the task's is of the joints, in a field's unit."""
        unit = re.escape(field.unit)
        return "joint" in self._words and bool(re.search(rf"\d {unit}(?![/\w])", self._text))


def _list_largest(card: EnvCard, subject: _Subject) -> list[Column]:
    """Return the largest entry of each vector of joints that a number of the task's is of."""
    vectors = [f for f in card.state if f.size is not None and f.plays[0] in _OPAQUE]
    limited = [field for field in vectors if subject.limits(field)]
    return [Column(f"largest |{field.name}|", field, is_largest=True) for field in limited]


def _bring_forward(
    ranked: list[Column], subject: _Subject, card: EnvCard, episodes: Sequence[Episode]
) -> list[Column]:
    """Return the columns with what the task says of joints behind the first few."""
    named = [c for c in ranked if c.field.plays[0] in _OPAQUE and subject.names(c.field)]
    named.sort(key=lambda column: -_measure_motion(column, card, episodes))
    subjects = [column for column in ranked if column.is_largest]
    subjects += [column for column in named if not column.is_largest][:_MAX_JOINTS]
    others = [column for column in ranked if column not in subjects]
    return [*others[:_BEFORE_JOINTS], *subjects, *others[_BEFORE_JOINTS:]]


def _measure_motion(column: Column, card: EnvCard, episodes: Sequence[Episode]) -> float:
    values = np.concatenate([column.read(episode) for episode in episodes])
    return float(values.std()) / _find_span(card, column.field)


def _count_points(column: Column, card: EnvCard, subject: _Subject) -> int:
    """Return how much a column is likely to tell."""
    named = subject.names(column.field)
    is_first_group = column.field.group == card.state[0].group
    is_scalar = column.index is None
    ends_episodes = column.field.name in {bounds.field for bounds in card.termination}
    is_opaque = column.field.plays[0] in _OPAQUE
    return 2 * named + 2 * is_first_group + ends_episodes + is_scalar - 3 * is_opaque


def list_contacts(card: EnvCard) -> list[StateField]:
    """Return the fields that say whether a part touches the floor."""
    return [field for field in card.state if field.plays[0] in _CONTACTS]


def name_contact(field: StateField) -> str:
    """Return the part that touches: ``front_left_foot``."""
    return field.plays[1] or field.name


def find_airborne(card: EnvCard, episode: Episode) -> NDArray[np.bool_]:
    """Return ``(T,)``: nothing touches the floor; all False where no contact is measured."""
    touching = [episode.fields[field.name] > 0.5 for field in list_contacts(card)]
    if not touching:
        return np.zeros(episode.n_steps + 1, dtype=bool)
    return np.asarray(~np.any(touching, axis=0))


def list_touching(card: EnvCard, episode: Episode, step: int) -> list[str]:
    """Return the parts that touch the floor in a state."""
    touching = [f for f in list_contacts(card) if episode.fields[f.name][step] > 0.5]
    return [name_contact(field) for field in touching]


def find_runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the start and the end (exclusive) of each stretch of True."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))
