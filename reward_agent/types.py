"""The nouns of the program: closed records at the borders, plain dataclasses inside.

A ``Record`` crosses a file, process or language-model border: it is validated, unknown keys are
errors. Counts are ``n_…``, seconds ``…_s``; times are UTC ISO 8601.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from reward_agent.text import clean_text, hide_in_words

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# What names a file or a folder of a run: of one part, and of several below the run's directory.
Activation = Literal["tanh", "relu"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}$")]
RunPath = Annotated[str, Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*){0,15}$", max_length=500)]
FilmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,99}\.(webp|mp4|gif)$")]
FilmPath = Annotated[RunPath, Field(pattern=r"\.(webp|mp4)$")]
# What may hold words of generated code or of a failing library, and is shown in one line.
OneLine = Annotated[str, AfterValidator(lambda text: clean_text(text, 2000))]
# What a person says, as it is kept, shown and told to the Designer: without credentials.
Said = Annotated[str, Field(max_length=8000), AfterValidator(hide_in_words)]
# A program may return 32 terms; the framework adds the potential's.
MOST_TERMS = 33
# Of a program; DONE comes after the last.
MOST_STAGES, DONE = 8, "done"
# A program may list 8; what its own function draws is one more.
MOST_STARTS = 9
# Of a probe: scripted ones, each end of some actuators, policies.
MOST_BEHAVIOURS = 100
_MOST_REASON_CHARS = 600
Severity = Literal["error", "warning", "hint"]
VideoQuality = Literal["low", "normal", "high"]
FilmFormat = Literal["mp4", "webp", "gif"]
FilmSize = Literal["270p", "360p", "480p", "720p", "1080p"]
EpisodeName = Literal["median", "best", "worst", "upper quartile"]


def _check_term_name(name: str) -> str:
    """Refuse a name that no program may give: it is shown to people and to language models."""
    if not re.fullmatch(r"\w{1,64}", name, re.ASCII):
        raise ValueError(f"a term named {name!r:.80}, expected letters and digits")
    return name


TermName = Annotated[str, AfterValidator(_check_term_name)]


class Record(BaseModel):
    """A closed, immutable record."""

    # A process that needs one record does not build the validators of all.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class FileRecord(Record):
    """A record that is a file of its own."""

    schema_version: Literal[1] = 1


# --- programs and what is said of them ---------------------------------------------------------


@dataclass(frozen=True)
class RewardProgram:
    """Source text of a reward function; its identity is the sha256 of the text."""

    source: str

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the UTF-8 text; lone surrogates are replaced."""
        return hashlib.sha256(self.source.encode("utf-8", "replace")).hexdigest()

    @property
    def id(self) -> str:
        """First eight characters of the digest."""
        return self.sha256[:8]


class Finding(Record):
    """One remark on a program: an ``error`` refuses it, a ``warning`` or ``hint`` does not."""

    rule: str
    severity: Severity
    message: str
    remedy: str = ""
    line: int | None = None
    column: int | None = None


class ProgramReport(FileRecord):
    """Findings of an examination of one program."""

    program_sha256: Sha256
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that refuse it."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def is_accepted(self) -> bool:
        """Whether no finding is an error."""
        return not self.errors


class CheckReport(ProgramReport):
    """Findings of the static rules on one program."""


class TermScale(Record):
    """What one reward term did on the probe's states (reward per step)."""

    name: TermName
    mean: Finite
    std: Finite
    minimum: Finite
    maximum: Finite
    lowest: Finite | None = Field(
        None, description="in all states tried, each field anywhere in its range among them"
    )
    highest: Finite | None = None


class BehaviourPay(Record):
    """What a program pays for something that the robot may do, a mean over its episodes.

    Beside it stands what the trusted metric says of the same episodes, where there is one.
    """

    name: OneLine = Field(description="a scripted behaviour, or a policy of an earlier candidate")
    is_policy: bool = False
    n_episodes: Count
    n_ended: Count = Field(description="episodes that the card ended")
    length: Finite = Field(description="control steps of an episode")
    pay: Finite = Field(description="of an episode")
    terms: dict[TermName, Finite] = Field({}, max_length=MOST_TERMS)
    task_score: Finite | None = None
    success_rate: Finite | None = None

    @property
    def pay_per_step(self) -> float:
        """Pay of a step."""
        return self.pay / max(self.length, 1.0)


class RankedEpisodes(Record):
    """Over which stored episodes the rank agreement is; scores are the trusted metric's."""

    n_episodes: Count
    n_policies: Count
    lowest: Finite
    highest: Finite


class StartTrial(Record):
    """States that a program wants some episodes of its training to begin in, before it."""

    name: OneLine
    n_states: int = Field(ge=0, description="that were tried")
    unaided: float | None = Field(
        None, ge=0, le=1, description="share of them from which the task succeeds without a policy"
    )
    does: OneLine = Field("", description="what the robot does in these")

    @property
    def teaches_nothing(self) -> bool:
        """Whether the task succeeds from most of them without a policy."""
        return self.unaided is not None and self.unaided >= 0.5

    def __str__(self) -> str:
        if self.unaided is None:
            return f"{self.name}: not scored"
        return f"{self.name}: {self.unaided:.0%} already succeed ({self.does})"


class ProbeReport(ProgramReport):
    """Findings of the probe on real states, in the sandbox."""

    terms: tuple[TermScale, ...] = Field((), max_length=MOST_TERMS)
    call_us: float | None = Field(None, description="microseconds a call at 64 simulations")
    is_additive: bool | None = Field(None, description="whether the terms add up to the reward")
    behaviours: tuple[BehaviourPay, ...] = Field(
        (), max_length=MOST_BEHAVIOURS, description="what cheap policies earn, and earlier ones"
    )
    best_step: Finite | None = Field(None, description="best paid step of all states tried")
    best_kept_up: Finite | None = Field(
        None, description="best pay of a step that any state tried goes on to pay"
    )
    left_out: tuple[OneLine, ...] = Field(
        (), max_length=MOST_BEHAVIOURS, description="behaviours that cannot be done here, and why"
    )
    rank_agreement: float | None = Field(
        None, ge=-1, le=1, description="Spearman's rho of return and task score, stored episodes"
    )
    ranked: RankedEpisodes | None = None
    starts: tuple[StartTrial, ...] = Field((), max_length=MOST_STARTS)
    values_sha256: Sha256 | None = Field(
        None,
        description="digest of the rewards of the probe's steps; None if they are all the same",
    )


class Risk(Record):
    """One concern of the Critic, with its place."""

    kind: str
    line: int | None = None
    evidence: str
    remedy: str


class Critique(FileRecord):
    """A language model's review of one program. It never enters a score."""

    verdict: Literal["accept", "revise"]
    summary: str
    risks: tuple[Risk, ...] = ()


class Analysis(FileRecord):
    """A language model's diagnosis of one training. It never enters a score."""

    failure_mode: str
    evidence: tuple[str, ...]
    next_change: str = Field("none", description="of the program; 'none' where it needs none")
    keep: bool

    @property
    def asks_for_nothing(self) -> bool:
        """Whether no change is asked for: ``none``, with or without words behind it."""
        return re.match(r"\W*(none|nothing|no change)\b", self.next_change, re.I) is not None


# --- trainings and what their policies do ------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """A trusted metric's verdict on one episode.

    Args:
        task_score: how well the episode does the task, in the unit of the task; more is better.
        success: whether it does it, strictly.
        parts: the named numbers that explain the verdict.
    """

    task_score: float
    success: bool
    parts: dict[str, float] = field(default_factory=dict)


class TermPoint(Record):
    """One reward term over a stretch of training (a tenth of it)."""

    total_timesteps: int
    minimum: Finite
    mean: Finite
    maximum: Finite
    pay_per_episode: Finite
    share_of_return: Finite = Field(description="|pay| of the term / sum of |pay| of all, 0..1")


class TermCurve(Record):
    """One reward term over the whole training."""

    name: TermName
    points: tuple[TermPoint, ...]


class StageCount(Record):
    """How many of some episodes came to a stage of a program, and what an episode is paid in it."""

    name: TermName
    n_episodes: Count = Field(description="that began before it; of the first stage, all")
    n_reached: Count = Field(description="of these")
    pay: Finite = Field(description="mean over all episodes")

    @property
    def share(self) -> float | None:
        """Share of the episodes that came to it; None if all began there or later."""
        return self.n_reached / self.n_episodes if self.n_episodes else None


# Of one program, in order.
Stages = Annotated[tuple[StageCount, ...], Field(max_length=MOST_STAGES + 1)]


class TrainingPoint(Record):
    """The training's own view of itself at one of about ten points."""

    total_timesteps: int
    generated_return: Finite | None = Field(None, description="mean over episodes that ended")
    episode_length: Finite | None = Field(None, description="mean, in control steps")
    stages: Stages = ()


class Snapshot(Record):
    """A policy saved on the way."""

    total_timesteps: int = Field(ge=0)
    file: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.safetensors$")


class TimeUse(Record):
    """Where the wall time of a training went, its earlier jobs included; two of them add up."""

    physics_s: Seconds = Field(0.0, description="MuJoCo's steps")
    state_s: Seconds = Field(0.0, description="reading the state; ends and starts of episodes")
    reward_s: Seconds = Field(0.0, description="the generated reward and the log of its terms")
    policy_s: Seconds = Field(0.0, description="actions, values, normalisation, advantages")
    update_s: Seconds = Field(0.0, description="gradients and the optimiser")
    other_s: Seconds = Field(0.0, description="set-up, snapshots, progress, checkpoints")

    @property
    def total_s(self) -> float:
        """The whole wall time."""
        return sum(self.to_dict().values())

    def __add__(self, other: TimeUse) -> TimeUse:
        """Add two uses."""
        mine, theirs = self.to_dict(), other.to_dict()
        return TimeUse(**{f"{name}_s": mine[name] + theirs[name] for name in mine})

    def to_dict(self) -> dict[str, float]:
        """Return the seconds by activity, without their suffix."""
        return {name.removesuffix("_s"): value for name, value in self}


class WorkOutcome(Record):
    """How the work of a job went, as the child says."""

    kind: Literal["finished", "paused", "cut", "failed"]
    reason: Annotated[OneLine, Field(max_length=_MOST_REASON_CHARS)] = Field(
        "", description="why it failed, or was cut short by its clock"
    )

    @property
    def has_failed(self) -> bool:
        """Whether the generated code is at fault."""
        return self.kind == "failed"

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}" if self.reason else self.kind

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, data: Any) -> Any:
        """Read how runs of earlier versions say it."""
        if not isinstance(data, str):
            return data
        word, _, reason = data.partition(": ")
        return {"kind": _EARLIER_WORDS.get(word, word), "reason": reason}


_EARLIER_WORDS = {"scored": "finished", "relabelled": "finished"}
FINISHED = WorkOutcome(kind="finished")


def name_failure(reason: str) -> WorkOutcome:
    """Return the outcome of work that generated code made impossible."""
    return WorkOutcome(kind="failed", reason=clean_text(reason, _MOST_REASON_CHARS))


class StartUse(Record):
    """What became of states that some episodes of a training began in."""

    name: OneLine
    earns: Finite | None = Field(None, description="return that is a success; None: by time alone")
    n_episodes: int = Field(ge=0, description="that ended")
    n_earned: int = Field(ge=0, description="of these, paid as much")
    earned: float = Field(0.0, ge=0, le=1, description="how much of it they have earned away")
    mean_return: Finite = 0.0

    def __str__(self) -> str:
        told = f"{self.n_episodes} episodes, paid {self.mean_return:.3g} on average"
        if self.earns is None:
            return f"{self.name}: {told}"
        share = self.n_earned / max(self.n_episodes, 1)
        return f"{self.name}: {told}, {share:.0%} at least {self.earns:g}; {self.earned:.0%} earned"


class TrainingResult(FileRecord):
    """What a training child reports. Untrusted: validated like a model's reply."""

    outcome: WorkOutcome
    seed: int
    total_timesteps: int = Field(ge=0)
    wall_s: Seconds
    steps_per_s: float = Field(ge=0)
    snapshots: tuple[Snapshot, ...] = ()
    recordings: tuple[FileName, ...] = Field((), max_length=100, description="of some episodes")
    points: tuple[TrainingPoint, ...] = ()
    terms: tuple[TermCurve, ...] = Field((), max_length=MOST_TERMS)
    starts: tuple[StartUse, ...] = Field((), max_length=MOST_STARTS)
    timing: TimeUse = TimeUse()


def rank_value(task_score: float | None) -> float:
    """Return what to rank a task score by: what has none comes last, below any negative score."""
    return float("-inf") if task_score is None else task_score


class EpisodeScore(Record):
    """One fresh episode of a policy under the trusted metric."""

    task_score: Finite | None
    success: bool
    parts: dict[str, Finite] = {}
    length: int
    end: str = Field(description="'truncated', or the field whose range ended the episode")
    success_step: int | None = Field(None, description="control step from which it is a success")
    success_start: int | None = Field(
        None, description="where that begins which is one by then: a hold, before it has lasted"
    )


class Evaluation(FileRecord):
    """Trusted score of fresh episodes of one policy; ``None`` where there is no metric."""

    total_timesteps: int
    seed: int
    n_episodes: int
    task_score: Finite | None
    task_score_interval: tuple[Finite, Finite] | None = None
    success_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    success_interval: tuple[Finite, Finite] | None = None
    parts: dict[str, Finite] = {}
    episode_length: Finite
    episodes: tuple[EpisodeScore, ...] = ()


# --- the run ----------------------------------------------------------------------------------


class Usage(Record):
    """Tokens of one or more language-model calls."""

    n_calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_input_tokens: Count = 0
    reasoning_tokens: Count = 0
    usd: Finite | None = Field(None, ge=0)
    is_estimated: bool = Field(False, description="whether some tokens are a guess, counted high")

    @property
    def fresh_input_tokens(self) -> int:
        """Input that was not read from the provider's prompt cache."""
        return self.input_tokens - self.cached_input_tokens

    def __add__(self, other: Usage) -> Usage:
        """Add two usages; money is None only if neither has a price."""
        has_price = self.usd is not None or other.usd is not None
        return Usage(
            n_calls=self.n_calls + other.n_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            usd=(self.usd or 0.0) + (other.usd or 0.0) if has_price else None,
            is_estimated=self.is_estimated or other.is_estimated,
        )
