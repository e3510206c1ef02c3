"""The card's fields as columns of numbers, those first that tell most about the task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.evaluation.metrics import Episode
from reward_agent.summary.events import list_contacts

_AXES = ("x", "y", "z")
_MAX_VECTOR = 3
# Fields whose numbers a reader cannot picture: joints one by one, quaternions, the observation.
_OPAQUE_GROUPS = ("joints", "observation")
# A field that moves over less than this share of its range counts as constant.
_CONSTANT = 0.02
_DUPLICATE = 0.98


@dataclass(frozen=True)
class Column:
    """One scalar over time: a field, or an entry of a vector field.

    Args:
        name: as shown: ``torso_height`` or ``com_velocity.z``.
        field: the field of the card.
        index: entry of a vector field.
    """

    name: str
    field: StateField
    index: int | None = None

    def read(self, episode: Episode) -> NDArray[np.float64]:
        """Return the values over an episode, ``(T,)``."""
        values = episode.fields[self.field.name]
        return values if self.index is None else values[:, self.index]


def choose_columns(card: EnvCard, task_text: str, episodes: Sequence[Episode]) -> list[Column]:
    """Return what varies and is not told by an earlier column, the most telling first.

    Args:
        card: the environment.
        task_text: the task's words; fields named in them come first.
        episodes: those to be described.
    """
    words = set(re.findall(r"[a-z]+", task_text.lower()))
    ranked = sorted(_list_columns(card), key=lambda column: -_count_points(column, card, words))
    chosen: list[Column] = []
    kept: list[NDArray[np.float64]] = []
    for column in ranked:
        values = np.concatenate([column.read(episode) for episode in episodes])
        if np.ptp(values) < _CONSTANT * _get_span(card, column.field):
            continue
        centred = (values - values.mean()) / values.std()
        if any(abs(float(np.mean(centred * other))) > _DUPLICATE for other in kept):
            continue
        chosen.append(column)
        kept.append(centred)
    return chosen


def _get_span(card: EnvCard, field: StateField) -> float:
    """Return the width of the field's range, or of its healthy range where that is narrower."""
    spans = [field.range[1] - field.range[0]]
    for bounds in card.termination:
        if bounds.field == field.name and bounds.min is not None and bounds.max is not None:
            spans.append(bounds.max - bounds.min)
    return min(spans)


def _list_columns(card: EnvCard) -> list[Column]:
    contacts = {field.name for field in list_contacts(card)}
    columns = []
    for field in card.state:
        if field.name in contacts or "orientation" in field.name:
            continue
        if field.size is None:
            columns.append(Column(field.name, field))
        elif field.size <= _MAX_VECTOR and field.group not in _OPAQUE_GROUPS:
            columns += [Column(f"{field.name}.{_AXES[i]}", field, i) for i in range(field.size)]
    return columns


def _count_points(column: Column, card: EnvCard, words: set[str]) -> int:
    """Return how much a column is likely to tell."""
    named = bool(words & set(column.field.name.split("_")) - {"floor", "position"})
    is_first_group = column.field.group == card.state[0].group
    is_scalar = column.index is None
    ends_episodes = column.field.name in {bounds.field for bounds in card.termination}
    is_opaque = column.field.group in _OPAQUE_GROUPS
    return 2 * named + 2 * is_first_group + ends_episodes + is_scalar - 3 * is_opaque
