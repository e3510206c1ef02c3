"""Changes of an episode: fields held at other values, or moved; the ways that a sentence says.

No robot did what comes of them: they show what a metric asks for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode, FloatArray
from reward_agent.evaluation.quantities import find_quantities

_SOME_SPEED, _SOME_TURN = 1.0, 1.0  # m/s, rad/s: where the sentence states none
FORWARD_POSITIONS = ("forward_position", "position", "com_position")
_HEIGHTS = ("height", "com_height", "foot_height", "hand_height", "object_height", "lowest_point")
_DISTANCES = ("target_distance", "object_target_distance")


@dataclass(frozen=True)
class Change:
    """One field, or a column of it, otherwise than at the start.

    Args:
        field: its name.
        column: of a vector; None for a scalar.
        value: what it is held at, or comes to.
        is_moved: whether it comes there at a steady rate over the whole episode.
    """

    field: str
    column: int | None
    value: float
    is_moved: bool = False

    def __str__(self) -> str:
        name = self.field if self.column is None else f"{self.field}[{self.column}]"
        return f"{name} {'goes to' if self.is_moved else '='} {self.value:.4g}"

    @property
    def place(self) -> tuple[str, int | None]:
        """What it changes."""
        return self.field, self.column


Changes = tuple[Change, ...]


def hold_state(episode: Episode, row: int, n_steps: int) -> Episode:
    """Return an episode that begins as another, and stays in one of its states."""
    fields = {
        name: np.concatenate([values[:1], np.repeat(values[row][None], n_steps, axis=0)])
        for name, values in episode.fields.items()
    }
    action = np.zeros((n_steps, episode.action.shape[1]))
    return Episode(fields, action, episode.control_dt)


def apply_changes(
    base: Episode, changes: Iterable[Change], during: slice | NDArray[np.bool_] | None = None
) -> Episode:
    """Return an episode with changed fields, all the time or during some states only."""
    fields: dict[str, FloatArray] = dict(base.fields)
    for change in changes:
        values = fields[change.field]
        if values is base.fields[change.field]:
            values = fields[change.field] = values.copy()
        column = values if change.column is None else values[:, change.column]
        if change.is_moved:
            column[:] = np.linspace(float(column[0]), change.value, len(column))
        else:
            column[slice(1, None) if during is None else during] = change.value
    return Episode(fields, base.action, base.control_dt, base.terminated)


def read_start(base: Episode, name: str, column: int | None) -> float:
    """Return where a field is when nothing changes it."""
    values = base.fields[name]
    return float(values[-1] if column is None else values[-1, column])


# --- ways: what a sentence says, and its opposite -------------------------------------------------

_LIMB = r"(?!\s*-?(?:foot|feet|leg|legs|arm|hand|hip|knee|ankle|thigh|shin|shoulder|elbow|side))"
_FLIP = r"(?:flips?|somersaults?|rolls?|tumbles?)"
TURNING = re.compile(rf"\b(?:turns?|spins?|rotat\w*|twirl\w*|pirouett\w*|\w*{_FLIP})\b", re.I)
_BACK_FLIP = re.compile(rf"\bback(?:wards?)?[ -]?{_FLIP}\b|\b{_FLIP} backwards?", re.I)
_FRONT_FLIP = re.compile(rf"\b(?:front|forwards?)[ -]?{_FLIP}\b|\b{_FLIP} forwards?", re.I)
_FORWARD = re.compile(r"\b(?:forwards?|ahead|onwards?)\b", re.I)
_BACKWARD = re.compile(r"\b(?:backwards?|in reverse|moonwalk\w*)\b", re.I)
_LEFT = re.compile(rf"\b(?:left(?:wards?)?|counter-?clockwise|anti-?clockwise)\b{_LIMB}", re.I)
_RIGHT = re.compile(rf"\b(?:right(?:wards?)?|(?<!counter)(?<!-)clockwise)\b{_LIMB}", re.I)
_RAISE = re.compile(r"\b(?:rais\w+|lift\w*|jump\w*|leap\w*|higher|upwards?|as high)\b", re.I)
_LOWER = re.compile(r"\b(?:low|lower\w*|crouch\w*|squat\w*|duck\w*|lie|lying|sit\w*|down)\b", re.I)
_NEAR = re.compile(r"\b(?:reach\w*|touch\w*|target|goal|bring|push|pull|pick|place)\b", re.I)


@dataclass(frozen=True)
class Way:
    """What a sentence says of a direction, as changes, and the opposite."""

    name: str
    opposite: str
    right: Changes
    wrong: Changes


def list_ways(card: EnvCard, sentence: str, base: Episode) -> Iterator[Way]:
    """Yield the directions that a sentence states, of those that the card measures."""
    duration = base.duration_s
    if _BACK_FLIP.search(sentence) or _FRONT_FLIP.search(sentence):
        pairs = ((_FRONT_FLIP, 1.0), (_BACK_FLIP, -1.0))
        yield from _make_way(
            card, base, sentence, pairs, "turns forward", "turns backward",
            {"pitch": 2 * math.pi},
            dict.fromkeys(("pitch_rate", "angular_velocity"), 2 * math.pi / duration),
            column=1,
        )  # fmt: skip
        return
    speed = next((q.value for q in find_quantities(sentence) if q.what == "speed"), _SOME_SPEED)
    yield from _make_way(
        card, base, sentence, ((_FORWARD, 1.0), (_BACKWARD, -1.0)), "goes forward", "goes backward",
        dict.fromkeys(FORWARD_POSITIONS, speed * duration),
        dict.fromkeys(("forward_velocity", "velocity", "com_velocity"), speed),
    )  # fmt: skip
    if TURNING.search(sentence):
        yield from _make_way(
            card, base, sentence, ((_LEFT, 1.0), (_RIGHT, -1.0)), "turns left", "turns right",
            {"heading": _SOME_TURN * duration},
            {"yaw_rate": _SOME_TURN, "angular_velocity": _SOME_TURN},
            column=2,
        )  # fmt: skip
    else:
        yield from _make_way(
            card, base, sentence, ((_LEFT, 1.0), (_RIGHT, -1.0)), "goes left", "goes right",
            dict.fromkeys(("position", "com_position"), speed * duration),
            dict.fromkeys(("sideways_velocity", "velocity", "com_velocity"), speed),
            column=1,
        )  # fmt: skip
    if _NEAR.search(sentence):
        yield from _make_near(card, base)
    yield from _make_heights(card, base, sentence)


def _make_way(
    card: EnvCard,
    base: Episode,
    sentence: str,
    pairs: Sequence[tuple[re.Pattern[str], float]],
    name: str,
    opposite: str,
    moved: dict[str, float],
    held: dict[str, float],
    column: int = 0,
) -> Iterator[Way]:
    said = [sign for pattern, sign in pairs if pattern.search(sentence)]
    if len(said) != 1:
        return
    changes: list[Change] = []
    for field in card.state:
        role = field.plays[0]
        if role not in moved and role not in held:
            continue
        at = None if field.size is None else column
        if role in moved:
            start = read_start(base, field.name, at)
            changes.append(Change(field.name, at, start + moved[role], is_moved=True))
        else:
            changes.append(Change(field.name, at, held[role]))
    if changes:
        ahead, back = tuple(changes), tuple(_mirror(change, base) for change in changes)
        if said[0] > 0:
            yield Way(name, opposite, ahead, back)
        else:
            yield Way(opposite, name, back, ahead)


def _mirror(change: Change, base: Episode) -> Change:
    start = read_start(base, change.field, change.column) if change.is_moved else 0.0
    return replace(change, value=2 * start - change.value)


def _make_near(card: EnvCard, base: Episode) -> Iterator[Way]:
    for field in card.state:
        if field.plays[0] in _DISTANCES:
            start = read_start(base, field.name, None)
            near, far = (Change(field.name, None, value) for value in (0.0, 2 * start + 0.1))
            yield Way(f"{field.name} at 0", f"{field.name} twice that", (near,), (far,))


def _make_heights(card: EnvCard, base: Episode, sentence: str) -> Iterator[Way]:
    pairs = ((_RAISE, 1.0), (_LOWER, -1.0))
    said = [sign for pattern, sign in pairs if pattern.search(sentence)]
    if len(said) != 1:
        return
    for field in card.state:
        words = field.plays[1].replace("_", " ")
        is_meant = field.plays[0] in ("height", "com_height", "object_height", "lowest_point")
        if field.plays[0] in _HEIGHTS and (is_meant or (words and words in sentence.lower())):
            start = read_start(base, field.name, None if field.size is None else 2)
            column = None if field.size is None else 2
            high, low = field.range[1], min(field.range[0], start)
            up = (Change(field.name, column, high),)
            down = (Change(field.name, column, low),)
            first, second = (up, down) if said[0] > 0 else (down, up)
            yield Way(str(first[0]), str(second[0]), first, second)
