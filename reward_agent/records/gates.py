"""What is counted of a gate: which of its conditions were shut, and what ended each hold."""

from __future__ import annotations

from pydantic import Field

from reward_agent.types import Finite, OneLine, Record


class ConditionCount(Record):
    """One condition of a gate: shares of the steps, and how many holds it ended."""

    text: OneLine
    shut: float = Field(ge=0, le=1)
    alone: float = Field(ge=0, le=1, description="shut, with all others open")
    ended: int = Field(ge=0, description="holds at whose end it was shut; several may be at once")
    ends: dict[OneLine, tuple[Finite, Finite]] = Field(
        {}, max_length=20, description="by field, the least and the most that it was then"
    )


class GateSummary(Record):
    """A gate of several conditions: a hold is a stretch of steps in which all are open."""

    name: OneLine
    open: float = Field(ge=0, le=1, description="share of the steps")
    n_holds: int = Field(ge=0)
    longest_s: float = Field(ge=0)
    conditions: tuple[ConditionCount, ...] = Field(max_length=20)
    ended_with_episode: int = Field(0, ge=0)
    of_episodes: bool = Field(False, description="whether the shares are of episodes")
