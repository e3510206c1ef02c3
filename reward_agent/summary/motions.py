"""How a robot flies, and how a tool comes near a thing: a row each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode
from reward_agent.records.exploration import Motion
from reward_agent.summary.fields import (
    Column,
    find_airborne,
    find_column,
    find_runs,
    list_touching,
    make_column,
)
from reward_agent.text import format_number, render_table

# A bounce shorter than this is no flight, a stay no approach.
_LEAST_S = 0.03
_MOST_ROWS = 6
# Near is within this share of the way from the first distance to the least.
_NEAR = 0.1
_DISTANCES = ("object_distance", "fixture_distance", "target_distance")
# Of an approach: how it is where it is nearest, and how far what is moved comes from its start.
_AT_NEAREST, _MOVED = ("gripper_opening", "tool_contact"), ("object_height", "fixture_position")
# What a take-off decides, each by the first of the roles that a card has.
_CAUSES = (("pitch", "up"), ("pitch_rate",), ("com_velocity", "vertical_velocity"))
_MOMENTUM = "angular_momentum"
# Fields that these rows take.
MOTION_ROLES = frozenset({
    "foot_contact", "body_contact", "angular_velocity", "velocity", _MOMENTUM,
    *_DISTANCES, *_AT_NEAREST, *_MOVED, *(role for roles in _CAUSES for role in roles),
})  # fmt: skip


def list_motions(card: EnvCard, episode: Episode) -> tuple[Motion, ...]:
    """Return the longest flights of a robot with feet, else approaches of a tool, in order."""
    rows = list_flights(card, episode) or _list_approaches(card, episode)
    longest = sorted(rows, key=lambda row: -row.duration_s)[:_MOST_ROWS]
    return tuple(sorted(longest, key=lambda row: row.start_s))


def list_flights(card: EnvCard, episode: Episode) -> list[Motion]:
    """Return the flights of an episode that began on the floor."""
    dt, causes = episode.control_dt, list(_find_causes(card))
    flights = []
    for start, stop in find_runs(find_airborne(card, episode)):
        if start == 0 or (stop - start) * dt < _LEAST_S:
            continue
        values = {column.name: float(column.read(episode)[start]) for column in causes}
        for column in causes[:1]:
            values[f"{column.name}, landing"] = float(column.read(episode)[stop - 1])
        has_landed = stop <= episode.n_steps
        end = ", ".join(list_touching(card, episode, stop)) if has_landed else "in the air"
        flights.append(_make_motion("flight", start * dt, stop * dt, values, end))
    return flights


def render_motions(motions: Sequence[Motion]) -> str:
    """Return the table of motions of one kind."""
    is_flight = motions[0].kind == "flight"
    header = ["takes off s" if is_flight else "near from s", "for s", *motions[0].values]
    rows = [
        [
            f"{motion.start_s:.2f}",
            f"{motion.duration_s:.2f}",
            *map(format_number, motion.values.values()),
            motion.end,
        ]
        for motion in motions
    ]
    return render_table([*header, "lands on" if is_flight else ""], rows)


def _find_causes(card: EnvCard) -> list[Column]:
    """Return what a flight is told by: pitch, spin, vertical speed, then momentum."""
    found = [find_column(card, *roles) for roles in _CAUSES]
    momentum = card.find_role(_MOMENTUM)
    columns = [
        # Of a velocity as a vector, the vertical part.
        make_column(column.field, 2) if column.field.size and column.index is None else column
        for column in found
        if column is not None
    ]
    return columns + ([make_column(momentum, 1)] if momentum else [])


def _list_approaches(card: EnvCard, episode: Episode) -> list[Motion]:
    """Return each stay of the tool near what it is to move, or to reach."""
    column = find_column(card, *_DISTANCES)
    if column is None:
        return []
    distance, dt = column.read(episode), episode.control_dt
    least = float(distance.min())
    is_near = distance <= least + _NEAR * (float(distance[0]) - least)
    told = {role: find_column(card, role) for role in (*_AT_NEAREST, *_MOVED)}
    approaches = []
    for start, stop in find_runs(is_near):
        if start == 0 or (stop - start) * dt < _LEAST_S:
            continue
        at = start + int(np.argmin(distance[start:stop]))
        values = {f"nearest {column.name}": float(distance[at])}
        for role, measure in told.items():
            if measure is not None and role in _AT_NEAREST:
                values[measure.name] = float(measure.read(episode)[at])
            elif measure is not None:
                change = measure.read(episode)[start:stop] - measure.read(episode)[0]
                values[f"{measure.name} moved"] = float(change[np.argmax(np.abs(change))])
        approaches.append(_make_motion("approach", start * dt, stop * dt, values))
    return approaches


def _make_motion(
    kind: Literal["flight", "approach"],
    start_s: float,
    stop_s: float,
    values: dict[str, float],
    end: str = "",
) -> Motion:
    return Motion(kind=kind, start_s=start_s, duration_s=stop_s - start_s, values=values, end=end)
