"""What a card's fields are at the start and while the start pose is held, and how long links are.

It is measured from a recording of this very robot, so no card need say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.evaluation.metrics import Episode
from reward_agent.simulation.state import FloatArray
from reward_agent.summary.fields import list_contacts
from reward_agent.text import format_number

_MOST_FIELDS, _MOST_LINKS = 30, 24
# The end of the recording, over which a held pose has settled.
_SETTLED = 0.25
# Of a field's range.
_SAME = 0.005
_JOINTS = ("joint_angle", "joint_angles")


def describe_standing(
    card: EnvCard, held: Episode, links: Mapping[str, float], others: Sequence[Episode] = ()
) -> str:
    """Say what was measured on the robot itself.

    Args:
        card: the environment with the task applied.
        held: an episode in which the start pose is held.
        links: lengths, m, by body.
        others: more episodes that start as all do; starts differ by chance.
    """
    starts = [held, *others]
    values = {field.name: _tell(field, held, starts) for field in _list_fields(card)}
    told = [f"{name} {value}" for name, value in values.items()][:_MOST_FIELDS]
    after = f", and after the arrow where {held.duration_s:.2g} s of holding that pose lead"
    several = f" (mean of {len(starts)}, ± their standard deviation)" if others else ""
    lines = [f"At the start{several}{'' if held.terminated else after}: {', '.join(told)}."]
    if links:
        lengths = [f"{name} {format_number(length)}" for name, length in links.items()]
        lines.append(f"Links, joint to joint or to the end, m: {', '.join(lengths[:_MOST_LINKS])}.")
    return "\n".join(lines)


def _list_fields(card: EnvCard) -> list[StateField]:
    """Return positions, heights and angles; no rates, contacts or joints, and scalars first."""
    contacts = {field.name for field in list_contacts(card)}
    fields = [
        field
        for field in card.for_designer.state
        if not field.unit.endswith("/s")
        and field.name not in contacts
        and field.plays[0] not in _JOINTS
        and (field.size is None or (field.size == 3 and field.unit == "m"))
    ]
    return sorted(fields, key=lambda field: field.size is not None)


def _tell(field: StateField, held: Episode, starts: Sequence[Episode]) -> str:
    """Return a value, of a vector three in brackets, and after an arrow what it settles at."""
    values = held.fields[field.name]
    low, high = field.range
    least = _SAME * (high - low)
    first = np.stack([np.asarray(episode.fields[field.name][0]) for episode in starts])
    mean, spread = first.mean(axis=0), first.std(axis=0)
    settled = np.mean(values[-max(1, int(_SETTLED * len(values))) :], axis=0)
    start = _format(mean, np.where(spread < least, 0.0, spread))
    is_same = held.terminated or bool(np.all(abs(settled - values[0]) < least))
    return start if is_same else f"{start} → {_format(settled)}"


def _format(value: FloatArray, spread: FloatArray | float = 0.0) -> str:
    pairs = np.broadcast_arrays(np.atleast_1d(value), np.atleast_1d(spread))
    numbers = [
        format_number(round(float(number), 3)) + (f" ± {format_number(float(off))}" if off else "")
        for number, off in zip(*pairs, strict=True)
    ]
    return numbers[0] if len(numbers) == 1 else f"({', '.join(numbers)})"
