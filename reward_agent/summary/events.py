"""The moments of an episode at which something happens: contacts, flights, extremes, ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import TRUNCATED

_BINARY_UNIT = "0/1"
_FEET = ("foot", "feet", "toe", "paw", "heel", "ankle")
# What a posture is told by, best first; an environment without any gives its first two scalars.
_HEIGHTS = ("com_height", "torso_height")
_TILTS = ("torso_pitch", "torso_up", "pole_angle", "target_distance")
# A range below this share of the card's is noise, not an extreme worth a word.
_NOTABLE = 0.05
# A bounce shorter than this is no flight.
_FLIGHT_S = 0.03


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Args:
        step: index of the first state at which it is so.
        label: what, in a few words.
        weight: how much it matters, 1 to 5.
    """

    step: int
    label: str
    weight: int


def find_events(
    card: EnvCard, episode: Episode, end: str, success_step: int | None = None
) -> list[Event]:
    """Return the events of an episode in the order of time.

    Args:
        card: the environment.
        episode: at least one state.
        end: why it ended.
        success_step: control step from which the metric calls it a success, if it does.
    """
    events = [*_find_falls(card, episode), *_find_flight(card, episode)]
    events += _find_extremes(card, episode)
    if success_step is not None:
        events.append(Event(success_step, "success from here on", 5))
    label = "time is up" if end == TRUNCATED else f"ends: {end}"
    events.append(Event(episode.n_steps, label, 2 if end == TRUNCATED else 5))
    return sorted(events, key=lambda event: event.step)


def list_contacts(card: EnvCard) -> list[StateField]:
    """Return the fields that say whether a part touches something."""
    return [f for f in card.state if f.unit == _BINARY_UNIT and f.size is None]


def is_foot(field: StateField) -> bool:
    """Return whether a contact is one that a robot is meant to have."""
    return any(word in field.name for word in _FEET)


def name_contact(field: StateField) -> str:
    """Return the part that touches: ``front_left_foot`` of ``front_left_foot_floor_contact``."""
    return field.name.removesuffix("_contact").removesuffix("_floor")


def find_airborne(card: EnvCard, episode: Episode) -> NDArray[np.bool_]:
    """Return ``(T,)``: nothing touches the floor; all False where no contact is measured."""
    touching = [episode.fields[field.name] > 0.5 for field in list_contacts(card)]
    if not touching:
        return np.zeros(episode.n_steps + 1, dtype=bool)
    airborne: NDArray[np.bool_] = ~np.any(touching, axis=0)
    return airborne


def find_posture_fields(card: EnvCard) -> list[StateField]:
    """Return the one or two fields that tell a posture: a height and a tilt."""
    scalars = {f.name: f for f in card.state if f.size is None and f.unit != _BINARY_UNIT}
    chosen = [
        next((scalars[name] for name in names if name in scalars), None)
        for names in (_HEIGHTS, _TILTS)
    ]
    found = [field for field in chosen if field is not None]
    return found or list(scalars.values())[:2]


def find_runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the start and the end (exclusive) of each stretch of True."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))


def _find_falls(card: EnvCard, episode: Episode) -> list[Event]:
    """Return when each part that is no foot first touches the floor, and is off it for good."""
    events = []
    for field in list_contacts(card):
        runs = find_runs(episode.fields[field.name] > 0.5)
        if is_foot(field) or not runs:
            continue
        part = name_contact(field)
        events.append(Event(int(runs[0][0]), f"{part} touches the floor", 4))
        last = int(runs[-1][1])
        if last <= episode.n_steps:
            events.append(Event(last, f"{part} off the floor for good", 3))
    return events


def _find_flight(card: EnvCard, episode: Episode) -> list[Event]:
    """Return take-off and landing of the longest flight that began on the floor."""
    runs = [run for run in find_runs(find_airborne(card, episode)) if run[0] > 0]
    if not runs:
        return []
    start, stop = max(runs, key=lambda run: run[1] - run[0])
    flight_s = (stop - start) * episode.control_dt
    if flight_s < _FLIGHT_S:
        return []
    events = [Event(int(start), f"takes off, flies {flight_s:.2f} s", 4)]
    if stop <= episode.n_steps:
        landed = [
            name_contact(field)
            for field in list_contacts(card)
            if episode.fields[field.name][stop] > 0.5
        ]
        events.append(Event(int(stop), f"lands on {', '.join(landed)}", 4))
    return events


def _find_extremes(card: EnvCard, episode: Episode) -> list[Event]:
    events = []
    for field in find_posture_fields(card):
        values = episode.fields[field.name]
        low, high = field.range
        if np.ptp(values) < _NOTABLE * (high - low):
            continue
        events.append(Event(int(np.argmax(values)), f"highest {field.name}", 3))
        events.append(Event(int(np.argmin(values)), f"lowest {field.name}", 3))
    # Where it starts or ends at its extreme it only rose or fell; those rows are shown anyway.
    return [event for event in events if 0 < event.step < episode.n_steps]
