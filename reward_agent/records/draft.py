"""A drafted environment on its way between the processes: what it begins with, what it holds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reward_agent.definitions.card import Identifier, Servo
from reward_agent.definitions.meaning import TriedMeaning
from reward_agent.definitions.start import Keyframe
from reward_agent.definitions.tables import Line, Word
from reward_agent.types import Finite, OneLine, Record

# Begins the first line of a drafted card, before what it was drafted from.
DRAFTED = "# Drafted by reward-agent from "
_MOST_FILES, _MOST_CHARS, _MOST_LINES = 100, 256 * 1024, 500
# The files of an environment that are written by nobody but the draft.
DraftPath = Annotated[
    str,
    Field(pattern=r"^(?:env\.toml|tasks/[a-z][a-z0-9_]{0,99}/(?:task\.toml|[a-z_]{1,40}\.py))$"),
]
Lines = Annotated[tuple[OneLine, ...], Field(max_length=_MOST_LINES)]


class DraftOptions(Record):
    """What a draft begins with: known before the model has a meaning.

    The model that is drafted has the servos and the floor already.
    """

    name: Identifier = Field(description="of the environment")
    source: Line = Field(description="what the model came from, as the card's first comment says")
    title: Line = Field("", description="what the model calls itself; '' if nothing")
    home: Keyframe | None = Field(None, description="keyframe to start from; None: the draft's own")
    add_servos: dict[Word, Servo] = Field({}, description="by joint: the model has no actuators")
    add_floor: Finite | None = Field(None, description="m: the model has no floor")
    meaning: TriedMeaning | None = Field(
        None, description="what somebody said of the model's parts, each claim tried on it"
    )


class Draft(Record):
    """The files of a drafted environment, beside the model.

    Args:
        files: text by path in the environment's folder: ``env.toml`` and ``tasks/``.
        guesses: what was guessed, for a person to confirm.
        warnings: what will not go well as it is.
    """

    files: dict[DraftPath, Annotated[str, Field(max_length=_MOST_CHARS)]] = Field(
        max_length=_MOST_FILES
    )
    guesses: Lines = ()
    warnings: Lines = ()
