"""Jobs that make or check what a person brings: environments, rewards, policies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from reward_agent.definitions.meaning import ClaimTest, Meaning
from reward_agent.definitions.tables import Prose
from reward_agent.records.draft import Draft, DraftOptions, Lines
from reward_agent.records.job import FILM_S, PROGRAM_CPU_S, Job
from reward_agent.types import (
    MOST_TERMS,
    Activation,
    FileName,
    FileRecord,
    Finding,
    Finite,
    OneLine,
    Record,
    TermName,
)


class ParityRow(Record):
    """What a person's reward and its translation pay for the same recorded steps."""

    steps: OneLine = Field(description="what the robot does in them")
    n_steps: int = Field(ge=1)
    original: Finite = Field(description="mean of a step, as the person's file pays it")
    ours: Finite = Field(description="mean of a step, as the program pays it")
    difference: float = Field(ge=0, description="largest of one step")


class TranslateResult(FileRecord):
    """A person's reward as a program of the reward language, or why it is none. Untrusted."""

    form: Literal["as it is", "arrays", "rows"] | None = Field(
        None, description="None: it was not taken, and the findings say why"
    )
    program: str | None = Field(None, max_length=40_000)
    entry: OneLine = Field("", description="what of the file was taken for the reward")
    terms: dict[OneLine, TermName] = Field(
        default_factory=dict, max_length=MOST_TERMS, description="the person's name: the program's"
    )
    parity: tuple[ParityRow, ...] = Field((), max_length=100)
    original: Literal["the file", "as read"] = Field(
        "as read", description="what the program is compared with: Python's run, or with nothing"
    )
    notes: tuple[OneLine, ...] = Field((), max_length=50, description="what was assumed, left out")
    findings: tuple[Finding, ...] = Field((), max_length=20)


class TranslateJob(Job):
    """The reward of the file ``given``, in whatever style, as a program.

    Tried on the recorded behaviours of ``behaviours.npz``, if they are there.
    """

    result_type = TranslateResult
    folder = "translation"
    lane = "short"
    activity = "checks"
    cpu_s = 4 * PROGRAM_CPU_S

    kind: Literal["translate"] = "translate"
    file_name: OneLine = ""
    seed: int = 0
    behaviours: tuple[OneLine, ...] = Field((), description="names of the recorded episodes")


class ReadSb3Result(FileRecord):
    """Whether a zip of Stable-Baselines3's became ``policy.safetensors``, or why not."""

    refusal: OneLine = ""
    remedy: OneLine = ""


class ReadSb3Job(Job):
    """What acts in the zip ``given`` as a policy file; nothing in it is unpickled.

    ``statistics.npz``, if it is there, says how its observations are normalised.
    """

    result_type = ReadSb3Result
    loads_generated_code = False
    folder = "learning"
    lane = "short"
    activity = "evaluation"
    starts_warm = False

    kind: Literal["read_sb3"] = "read_sb3"
    activation: Activation | None = Field(None, description="where the zip does not say")


class CheckEnvResult(FileRecord):
    """Findings on a card; none means that it describes the model."""

    findings: tuple[Finding, ...] = Field(
        (), description="with an error it is of no use to train; a warning may mislead who designs"
    )
    notes: tuple[str, ...] = Field((), description="what is worth a look, and may well be right")
    facts: dict[str, str] = Field(default_factory=dict)


class CheckEnvJob(Job):
    """Comparison of a card with its live model."""

    result_type = CheckEnvResult
    loads_generated_code = False
    lane = "short"
    activity = "check_env"
    starts_warm = False

    kind: Literal["check_env"] = "check_env"


class TryCardJob(Job):
    """The part of ``check_env`` that takes no second: does the card work, do fields mean that?"""

    result_type = CheckEnvResult
    loads_generated_code = False
    lane = "short"
    activity = "check_env"

    kind: Literal["try_card"] = "try_card"


class TryMeaningResult(FileRecord):
    """What a model holds, and what came of each claim about its meaning."""

    outline: Prose = Field(description="the model as text")
    verdicts: tuple[ClaimTest, ...] = Field((), max_length=500)


class TryMeaningJob(Job):
    """Trial of claims about what a card's model means, on the live model."""

    result_type = TryMeaningResult
    loads_generated_code = False
    folder = "drafts"
    lane = "short"
    activity = "check_env"
    starts_warm = False

    kind: Literal["try_meaning"] = "try_meaning"
    meaning: Meaning = Meaning()


class DraftResult(FileRecord):
    """A drafted environment, or why there is none."""

    refusal: OneLine = Field("", description="why there is none: MuJoCo's words, or ours")
    remedy: OneLine = ""
    draft: Draft | None = None
    said: Lines = Field((), description="what the model lacked, and what was done about it")
    facts: dict[str, OneLine] = Field(default_factory=dict, max_length=20)
    picture_file: FileName | None = None
    picture_note: OneLine = Field("", description="why there is no picture")
    may_be_elsewhere: bool = Field(
        False, description="whether another back end may have what this one refused"
    )


class DraftJob(Job):
    """A card and tasks for an environment, or for a model that a person brings, with its picture.

    The job's card is an empty one, in a folder that holds the copied model, or code, alone.
    """

    result_type = DraftResult
    loads_generated_code = False
    folder = "drafts"
    lane = "film"
    activity = "draft"
    starts_warm = False
    uses_graphics = True
    wall_s = FILM_S

    kind: Literal["draft"] = "draft"
    options: DraftOptions
    originals: tuple[str, ...] = Field(
        (), max_length=10_000, description="the model's own file and those that it reads, in place"
    )
    lacks_servos: bool | None = Field(
        None, description="whether to add servos; None: where the model has no actuators"
    )
    may_change: bool = Field(
        False, description="whether EnvPool may simulate in Gymnasium's place what it does the same"
    )

    @property
    def also_reads(self) -> tuple[Path, ...]:
        """The files beside which the copy is held."""
        return tuple(map(Path, self.originals))
