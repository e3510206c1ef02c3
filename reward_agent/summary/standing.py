"""What a card's fields are at the start and while the start pose is held, and how long links are.

It is measured from a recording of this very robot, so no card need say it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode
from reward_agent.summary.fields import Column, list_contacts, make_column
from reward_agent.text import format_number

_MOST_FIELDS, _MOST_LINKS = 30, 24
# The end of the recording, over which a held pose has settled.
_SETTLED = 0.25
# Of a field's range.
_SAME = 0.005
_JOINTS = ("joint_angle", "joint_angles")


def describe_standing(card: EnvCard, held: Episode, links: Mapping[str, float]) -> str:
    """Say what was measured on the robot itself.

    Args:
        card: the environment with the task applied.
        held: an episode in which the start pose is held.
        links: lengths, m, by body.
    """
    values: dict[str, str] = {}
    for column in _list_columns(card):
        value = _tell(column, held)
        if column.index is None or value not in values.values():
            values[column.name] = value
    told = [f"{name} {value}" for name, value in values.items()][:_MOST_FIELDS]
    after = f", and after the arrow where {held.duration_s:.2g} s of holding that pose lead"
    lines = [f"At the start{'' if held.terminated else after}: {', '.join(told)}."]
    if links:
        lengths = [f"{name} {format_number(length)}" for name, length in links.items()]
        lines.append(f"Links, joint to joint or to the end, m: {', '.join(lengths[:_MOST_LINKS])}.")
    return "\n".join(lines)


def _list_columns(card: EnvCard) -> list[Column]:
    """Return positions, heights and angles; no rates, contacts or joints, and scalars first."""
    contacts = {field.name for field in list_contacts(card)}
    columns, entries = [], []
    for field in card.for_designer.state:
        is_rate = field.unit.endswith("/s")
        if is_rate or field.name in contacts or field.plays[0] in _JOINTS:
            continue
        if field.size is None:
            columns.append(make_column(field))
        elif field.size == 3 and field.unit == "m":
            entries.append(make_column(field, 2))
    return [*columns, *entries]


def _tell(column: Column, held: Episode) -> str:
    values = column.read(held)
    low, high = column.field.range
    settled = float(np.mean(values[-max(1, int(_SETTLED * len(values))) :]))
    start = format_number(round(float(values[0]), 3))
    is_same = held.terminated or abs(settled - values[0]) < _SAME * (high - low)
    return start if is_same else f"{start} → {format_number(round(settled, 3))}"
