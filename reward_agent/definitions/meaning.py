"""What a robot's parts and numbers mean: the closed form that a language model fills.

Whatever stands in it is a claim of a stranger's: words and numbers in bounds, names of the model's
own, and nothing of it is ever code. ``drafts.try_meaning`` tries each on the live model; what holds
goes into the card.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from reward_agent.definitions.roles import Axis, Place
from reward_agent.definitions.tables import Line, Word
from reward_agent.types import Finite, OneLine, Record

_MOST_PARTS, _MOST_JOINTS, _MOST_MEASURES = 24, 40, 30
# A number that is written as a word is none.
Number = Annotated[Finite, Field(strict=True, ge=-1e6, le=1e6)]
ShortLine = Annotated[Line, Field(min_length=1, max_length=240)]
LimbName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
# By its name, or, where it has none, by its number.
NameOrNumber = Word | Annotated[int, Field(strict=True, ge=0)]
Way = Literal["up", "down", "forward", "backward", "left", "right"]
MeasureKind = Literal["distance", "height", "angle", "speed", "turning_rate", "force", "other"]
TaskKind = Literal[
    "hold_pose", "travel", "turn", "reach", "place", "lift", "move_fixture", "stand_on", "jump"
]


class LimbClaim(Record):
    """What a part is called: ``front_left_foot``; left and right are the robot's own."""

    place: Place
    limb: LimbName


class JointSense(Record):
    """Which way a part goes when a joint's number rises, seen from the robot."""

    joint: Word
    moves: Place = Field(description="the part that is looked at, such as the foot of the leg")
    positive: Way


class MeasureClaim(Record):
    """What a sensor, a tendon or the distance of two places measures.

    ``source`` is ``sensor:NAME``, ``tendon:NAME``, or ``distance(PLACE, PLACE)``.
    """

    source: Word
    quantity: MeasureKind
    unit: Literal["m", "rad", "m/s", "rad/s", "N", "N m", "m/s^2", "1"]
    doc: ShortLine


class Gripper(Record):
    """Two fingers and the actuator that opens them."""

    fingers: tuple[Place, ...] = Field(min_length=2, max_length=2)
    actuator: NameOrNumber
    opens: Literal["low", "high"] = Field(description="at which end of its control they are open")


class TaskIdea(Record):
    """One of the generic kinds of task, with its number.

    The number is m/s for travel, rad/s for turn, m for reach, place, lift and jump, the joint's
    own unit for move_fixture, and none for hold_pose and stand_on.
    """

    kind: TaskKind
    number: Number | None = None
    feet: tuple[Place, ...] = Field((), max_length=_MOST_PARTS, description="of stand_on")
    description: ShortLine


class Meaning(Record):
    """What a model's parts and numbers mean, as far as somebody says."""

    description: ShortLine | None = None
    start: NameOrNumber | None = Field(None, description="keyframe; None: the reference pose")
    torso: Place | None = None
    up: Axis | None = Field(None, description="of the torso's own frame, at the start")
    forward: Axis | None = Field(None, description="of the torso's own frame, at the start")
    feet: tuple[Place, ...] = Field((), max_length=_MOST_PARTS)
    hands: tuple[Place, ...] = Field((), max_length=_MOST_PARTS)
    tool: Place | None = None
    object: Place | None = None
    target: Place | None = None
    fixture: Place | None = None
    limbs: tuple[LimbClaim, ...] = Field((), max_length=_MOST_PARTS)
    joints: tuple[JointSense, ...] = Field((), max_length=_MOST_JOINTS)
    measures: tuple[MeasureClaim, ...] = Field((), max_length=_MOST_MEASURES)
    gripper: Gripper | None = None
    tasks: tuple[TaskIdea, ...] = Field((), max_length=3)

    def list_claims(self) -> Iterator[tuple[str, int | None]]:
        """Yield each claim that is made: its key, and its number where a key holds several."""
        for name in Meaning.model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple):
                yield from ((name, number) for number in range(len(value)))
            elif value is not None:
                yield name, None

    def name_claim(self, key: str, number: int | None) -> str:
        """Name a claim for people: ``joint FL_calf_joint``."""
        if number is None:
            return f"{key} {value}" if isinstance(value := getattr(self, key), str | int) else key
        item = getattr(self, key)[number]
        if isinstance(item, LimbClaim):
            return f"limb {item.place} {item.limb}"
        if isinstance(item, JointSense):
            return f"joint {item.joint} positive {item.positive}"
        if isinstance(item, MeasureClaim):
            return f"measure {item.source}"
        if isinstance(item, TaskIdea):
            return f"task {item.kind}"
        return f"{ {'feet': 'foot', 'hands': 'hand'}[key] } {item}"

    def keep(self, kept: set[tuple[str, int | None]]) -> Meaning:
        """Return the form with these claims alone."""
        values: dict[str, object] = {}
        for name in Meaning.model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple):
                values[name] = tuple(v for i, v in enumerate(value) if (name, i) in kept)
            else:
                values[name] = value if (name, None) in kept else None
        return self.model_copy(update=values)


class ClaimTest(Record):
    """What came of the test of one claim.

    Args:
        key: of the form.
        number: which, where a key holds several.
        test: name of the test.
        holds: None: nothing on the model can tell.
        said: what was done and measured, in one line.
    """

    key: OneLine
    number: int | None = None
    test: OneLine
    holds: bool | None
    said: OneLine


@dataclass(frozen=True)
class Held:
    """A claim that was not refused.

    Args:
        value: as the form has it.
        said: what was done and measured; '' where nothing on the model can tell.
    """

    value: Any
    said: str


class TriedMeaning(Record):
    """A form with what came of each claim in it."""

    claimed: Meaning
    verdicts: tuple[ClaimTest, ...] = Field(max_length=500)

    @property
    def meaning(self) -> Meaning:
        """The form without what is refused."""
        kept = {(v.key, v.number) for v in self.verdicts if v.holds is not False}
        return self.claimed.keep(kept)

    @property
    def refused(self) -> tuple[str, ...]:
        """What is refused, each in one line."""
        return tuple(self.tell(verdict) for verdict in self.verdicts if verdict.holds is False)

    @property
    def n_held(self) -> int:
        """How many claims were tried and hold."""
        return sum(verdict.holds is True for verdict in self.verdicts)

    def list_held(self, key: str) -> list[Held]:
        """Return the claims of a key that were not refused, in order; one or none for most."""
        found = []
        for verdict in self.verdicts:
            if verdict.key == key and verdict.holds is not False:
                value = getattr(self.claimed, key)
                value = value if verdict.number is None else value[verdict.number]
                found.append(Held(value, verdict.said if verdict.holds else ""))
        return found

    def render(self) -> tuple[str, ...]:
        """Return what came of each claim, each in one line."""
        signs = {True: "holds", None: "untested", False: "refused"}
        return tuple(f"{signs[test.holds]:<9} {self.tell(test)}" for test in self.verdicts)

    def tell(self, verdict: ClaimTest) -> str:
        """Say in one line what came of a claim."""
        name = self.claimed.name_claim(verdict.key, verdict.number)
        return f"{name}: {verdict.said} ({verdict.test})"


NOTHING_SAID = TriedMeaning(claimed=Meaning(), verdicts=())
