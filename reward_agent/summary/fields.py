"""The range of each field over the evaluated episodes, and the time spent within the card's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode
from reward_agent.summary.columns import Column
from reward_agent.summary.events import find_airborne, list_contacts, name_contact
from reward_agent.summary.tables import format_number, format_share, render_table
from reward_agent.types import Finite, Record

_MAX_ROWS = 10


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
    """Return the share of time of each contact of the card."""
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
