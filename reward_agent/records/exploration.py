"""What was met in the episodes of a training: how far they came, and how they moved there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reward_agent.types import Count, Finite, OneLine, Record

# What stands between a training and its task.
Lack = Literal["never seen", "not kept", "unsteady", "nothing"]


class PartSeen(Record):
    """How far the score, or a part of it, came in episodes of a training.

    Near is who comes within a tenth of the way from the beginning of the training to the furthest.
    """

    name: OneLine
    direction: Literal[-1, 0, 1] = Field(description="that goes with a higher score; 0: neither")
    furthest: Finite = Field(description="the largest one where no direction is known")
    opposite: Finite = Field(description="the other end of what was seen")
    n_near: Count
    near_steps: tuple[Count, Count] = Field(description="env steps of the first and the last near")
    at_first: Finite = Field(description="mean over the first tenth of the training")
    at_last: Finite = Field(description="mean over the last tenth")


class Motion(Record):
    """A flight of a robot with feet, or a stay of a tool near what it is to move."""

    kind: Literal["flight", "approach"]
    start_s: Finite
    duration_s: Finite
    values: dict[OneLine, Finite] = Field(default_factory=dict, max_length=12)
    end: OneLine = Field("", description="of a flight, what it lands on")


class Exploration(Record):
    """What a sample of a training's episodes came to by the metric, exploring as they did.

    The first of the parts is the score itself. Parts that never changed stand apart.
    """

    n_episodes: Count
    n_successes: Count
    success_steps: tuple[Count, Count] | None = Field(None, description="of the first and the last")
    parts: tuple[PartSeen, ...] = Field((), max_length=40)
    constant: dict[OneLine, Finite] = Field(default_factory=dict, max_length=40)
    motions: tuple[Motion, ...] = Field((), max_length=8, description="of the best scored one")
