"""How an episode starts and what it draws: pose, noise, targets and commands, physics.

Nothing here imports MuJoCo: a back end reads it.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reward_agent.definitions.roles import Place
from reward_agent.definitions.tables import Limits, Word
from reward_agent.types import Finite, Record

Point = tuple[Finite, Finite, Finite]
Positive = Annotated[Finite, Field(gt=0)]
# Scales that leave a model a model.
Scale = Annotated[tuple[Positive, Positive], Field(description="least and greatest factor")]
Keyframe = Annotated[Word | Annotated[int, Field(ge=0)], Field(description="its name or number")]

# What a start of a training may be of: a function of the program, or what a colon names.
DRAWN, KEYFRAME, EVENT = "starts", "keyframe:", "event:"


class HomePose(Record):
    """The pose that an episode starts from, and that ``around_home`` actions are about.

    A keyframe of the model, else its reference pose; then single joints in place of what it says.
    """

    keyframe: Keyframe | None = None
    joints: dict[Word, Finite | tuple[Finite, ...]] = Field(
        {}, max_length=500, description="rad or m; a free joint by x, y, z and a quaternion"
    )
    controls: Literal["pose", "keyframe", "zero"] = Field(
        "pose",
        description="what holds it: 'pose': position actuators are told where their joints are, "
        "others 0; 'keyframe': the controls that the keyframe has",
    )


class TrainingStart(Record):
    """States that a falling share of a training's episodes begins in, in place of the card's.

    They are the card's own, or those that ``origin`` names: what the program's function ``starts``
    draws, a keyframe of the model, or states recorded at an event of the run's best episodes.
    Fields are then drawn uniformly, each between its two numbers.

    The share falls with time; with ``earns`` it falls, and a recorded start moves back along its
    episode, as episodes from there are paid that much.
    """

    share: Finite = Field(ge=0, le=1, description="of the episodes, at the beginning")
    until: Finite = Field(gt=0, le=1, description="share of the training by which none is left")
    origin: str = Field("", pattern=rf"^({DRAWN}|({KEYFRAME}|{EVENT})[^\x00-\x1f]{{1,80}})?$")
    earns: Finite | None = Field(None, description="return of an episode that is a success")
    fields: dict[Word, tuple[tuple[Finite, Finite], ...]] = Field(
        {}, max_length=40, description="least and most, by entry"
    )

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not self.origin and not self.fields:
            raise ValueError("it names no state")
        return self

    @property
    def event(self) -> str:
        """The event at which its states were recorded; '' for other starts."""
        return self.origin.removeprefix(EVENT) if self.origin.startswith(EVENT) else ""

    def __str__(self) -> str:
        return ", ".join(filter(None, [self.origin, *self.fields]))

    def find_level(self, progress: float, earned: float) -> float:
        """Return what is left of it at a point of the training, 1 to 0.

        Args:
            progress: how far the training is, 0 to 1.
            earned: how much of it episodes have earned away, 0 to 1.
        """
        if self.earns is None:
            return max(0.0, 1.0 - progress / self.until)
        return 1.0 - earned if progress < self.until else 0.0


class GoalDisc(Record):
    """A goal drawn anew at each reset: two slide joints, uniform in a disc, at rest.

    Points of the square around the disc are drawn until one lies within, as Gymnasium's Reacher
    does.
    """

    joints: tuple[Word, Word]
    radius: Finite = Field(gt=0, description="m")


class ResetNoise(Record):
    """Noise around the start, in Gymnasium's draws and their order."""

    keyframe: Keyframe | None = Field(None, description="to start from; None: the home pose")
    keyframes: tuple[Keyframe, ...] = Field(
        (), max_length=100, description="one of these is drawn for each episode"
    )
    qpos_uniform: Finite = Field(0.0, ge=0, description="half width")
    qvel_uniform: Finite = Field(0.0, ge=0, description="half width")
    qvel_normal: Finite = Field(0.0, ge=0, description="standard deviation")
    joints: dict[Word, Annotated[Finite, Field(ge=0)]] = Field(
        {},
        max_length=500,
        description="half width by joint, rad or m, in place of qpos_uniform; a free joint is "
        "moved by it along and turned by it about each axis",
    )
    goal: GoalDisc | None = None

    @model_validator(mode="after")
    def _check_keyframes(self) -> Self:
        if self.keyframe is not None and self.keyframes:
            raise ValueError("give keyframe or keyframes, not both")
        return self


class Draw(Record):
    """What is drawn anew for each episode: a place for something, or a command.

    A place is that of a mocap body, of a body with a free joint, or of a site, a geom or another
    body that hangs on the world, given by ``what``; of nothing in the model without it. The source
    ``draw:NAME`` is where it was put, ``(N, 3)`` m. A command is a number; the source
    ``draw:NAME`` is ``(N,)``.
    """

    what: Place | None = None
    shape: Literal["box", "disc", "annulus", "sphere"] = Field(
        "box", description="disc and annulus lie flat"
    )
    center: Point = Field((0.0, 0.0, 0.0), description="m, in the world")
    size: Point | Positive = Field(0.1, description="m: half sizes of a box, or a radius")
    inner: Finite = Field(0.0, ge=0, description="m: radius about the centre that is left out")
    turn: bool = Field(False, description="also turn it about the vertical, uniformly")
    apart_from: dict[Place, Positive] = Field(
        {},
        max_length=20,
        description="least distance, m, to something at the start; to what is drawn, too, if its "
        "table comes first",
    )
    command: Limits | None = Field(None, description="least and greatest number")
    every_s: Positive | None = Field(None, description="draw the command anew each so many seconds")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.what is not None and self.command is not None:
            raise ValueError("give what = 'site:NAME' (a place) or command = [low, high], not both")
        if self.every_s is not None and self.command is None:
            raise ValueError("every_s is for a command")
        return self

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if self.shape != "box" and isinstance(self.size, tuple):
            raise ValueError(f"size of a {self.shape} is its radius, one number")
        if isinstance(self.size, tuple) and min(self.size) < 0:
            raise ValueError("half sizes of a box are not negative")
        reach = math.hypot(*self.half_sizes) if self.shape == "box" else self.half_sizes[0]
        if self.inner >= reach and self.command is None:
            raise ValueError(f"inner {self.inner:g} leaves nothing of the {self.shape}")
        return self

    @property
    def half_sizes(self) -> Point:
        """Half sizes of a box; a radius thrice."""
        return self.size if isinstance(self.size, tuple) else (self.size, self.size, self.size)


class Randomise(Record):
    """Physics drawn anew for each episode: factors on the model's own numbers, and pushes."""

    mass: Scale | None = Field(None, description="of every body that moves, with its inertia")
    friction: Scale | None = Field(None, description="of every geom")
    gain: Scale | None = Field(None, description="of every actuator")
    damping: Scale | None = Field(None, description="of every joint")
    push_m_per_s: Finite = Field(0.0, ge=0, description="greatest change of the root's velocity")
    push_every_s: Positive = 4.0

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for name in ("mass", "friction", "gain", "damping"):
            scale = getattr(self, name)
            if scale is not None and scale[0] > scale[1]:
                raise ValueError(f"{name}: {scale[0]:g} is above {scale[1]:g}")
        return self
