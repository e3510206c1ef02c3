"""Jobs that look at episodes: record them, score them, pay their terms again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from reward_agent.definitions.tables import Prose
from reward_agent.errors import DataError
from reward_agent.records.exploration import Exploration
from reward_agent.records.film_jobs import FilmResult
from reward_agent.records.gates import GateSummary
from reward_agent.records.job import ALL_BEHAVIOURS, PROGRAM_CPU_S, Behaviour, Job
from reward_agent.records.trial import TrialRow
from reward_agent.types import (
    MOST_TERMS,
    Evaluation,
    FileName,
    FileRecord,
    Finite,
    OneLine,
    Sha256,
    Snapshot,
    Stages,
    TermName,
    WorkOutcome,
)


class EvaluateResult(FilmResult):
    """Evaluation of every snapshot, in order, and of the best of them on seeds of its own."""

    trajectories_sha256: Sha256 | None = Field(None, description="they may be gone since")
    curve: tuple[Evaluation, ...]
    best: Evaluation
    randomised: Evaluation | None = Field(
        None, description="of the best, with physics that differ as the card's [randomise] says"
    )
    best_file: FileName


class EvaluateJob(Job):
    """Fresh episodes of each snapshot, scored by the trusted ``metric.py`` if there is one.

    Every snapshot gets ``n_curve_episodes``, the three best by task score twice as many again
    unless their intervals are apart; the best of these (the last of all, without a metric) gets
    ``n_episodes`` on other seeds. Writes ``trajectories.npz`` of these if they are to be kept, and
    in ``footage.npz`` what it takes to draw ``n_filmed`` of them.
    """

    result_type = EvaluateResult
    loads_generated_code = False
    activity = "evaluation"
    is_purpose = True
    wall_s = None

    kind: Literal["evaluate"] = "evaluate"
    snapshots: tuple[Snapshot, ...]
    seed: int
    n_episodes: int = 16
    n_curve_episodes: int = 4
    has_metric: bool = True
    is_kept: bool = Field(True, description="else only the scores are asked for")
    metric_sha256: Sha256 | None = Field(
        None, description="of what scores the episodes: here, or, where it is generated, later"
    )
    n_filmed: int = Field(0, ge=0, description="median first, then best, worst, upper quartile")
    caption: str = Field("", description="first lines on the pictures")


class ScoreResult(FileRecord):
    """What a generated metric says of recorded episodes. Untrusted."""

    outcome: WorkOutcome
    evaluation: Evaluation | None = None


class ScoreJob(Job):
    """A metric over the recorded ``trajectories.npz``; generated code unless a person wrote it."""

    result_type = ScoreResult
    activity = "evaluation"
    is_purpose = True

    kind: Literal["score"] = "score"
    metric_sha256: str
    is_trusted: bool = Field(False, description="a person's own metric may use all of Python")
    total_timesteps: int = 0
    seed: int = 0

    def check_result(self, result: ScoreResult, folder: Path) -> None:
        """Refuse a score of other episodes."""
        if result.evaluation is not None:
            given = (result.evaluation.total_timesteps, result.evaluation.seed)
            if given != (self.total_timesteps, self.seed):
                raise DataError(f"it scores steps and seed {given}, which are not the job's")


class TryMetricResult(ScoreResult):
    """A metric over recorded behaviours, and over episodes made of its own numbers. Untrusted."""

    made: tuple[TrialRow, ...] = Field((), max_length=100)


class TryMetricJob(ScoreJob):
    """The trial of a metric before it ranks anything, over the recorded ``trajectories.npz``.

    The first episode is the start pose held; from its states others are made.
    """

    result_type = TryMetricResult

    kind: Literal["try_metric"] = "try_metric"  # type: ignore[assignment]
    sentence: Prose
    target_score: Finite | None = Field(None, description="what the metric calls done")


class ExploreResult(ScoreResult):
    """What a metric says of recorded episodes of a training. Untrusted."""

    exploration: Exploration | None = None


class ExploreJob(ScoreJob):
    """A metric over the ``recordings`` that a training left of its episodes."""

    result_type = ExploreResult

    kind: Literal["explore"] = "explore"  # type: ignore[assignment]
    recordings: tuple[FileName, ...]


# Of an episode that the card ended: what is paid for its end.
END_STEPS = 5


class RelabelResult(FileRecord):
    """Pay of each term in each recorded episode. Untrusted."""

    outcome: WorkOutcome
    generated_returns: tuple[float, ...] = ()
    term_pay: dict[TermName, tuple[float, ...]] = Field(default_factory=dict, max_length=MOST_TERMS)
    term_steps: dict[TermName, tuple[float, float, float]] = Field(
        default_factory=dict,
        max_length=MOST_TERMS,
        description="least, mean and largest pay of a step in these episodes",
    )
    term_ends: dict[TermName, Finite] = Field(
        default_factory=dict,
        max_length=MOST_TERMS,
        description="mean pay of a step among the last five of episodes that the card ended",
    )
    gates: tuple[GateSummary, ...] = Field((), max_length=20)
    conditions: tuple[GateSummary, ...] = Field(
        (), max_length=20, description="the same of the metric"
    )
    stages: Stages = ()


class RelabelJob(Job):
    """The terms of ``reward.py``, and what ``metric.py`` asks, over ``trajectories.npz``.

    Writes ``terms.npz``: for each term ``(n_steps,)`` over all episodes end to end; and
    ``memory.npz``, the same of what the program remembers, one number a simulation.
    """

    result_type = RelabelResult
    lane = "short"
    activity = "relabel"
    cpu_s = PROGRAM_CPU_S

    kind: Literal["relabel"] = "relabel"
    program_sha256: str
    metric_sha256: Sha256 | None = Field(None, description="of metric.py, where there is one")
    is_trusted: bool = Field(False, description="whether a person wrote that")
    gamma: float = 0.99


class RecordResult(FileRecord):
    """What the robot does in each recorded episode, and for how many control steps."""

    behaviours: tuple[OneLine, ...]
    lengths: tuple[int, ...]
    left_out: tuple[OneLine, ...] = Field((), description="what cannot be done here, and why")
    links: dict[OneLine, float] = Field(
        default_factory=dict, description="length of each link, m, joint to joint or to its end"
    )
    keyframes: tuple[OneLine, ...] = Field((), description="of the model, by name")


class RecordJob(Job):
    """Episodes without a policy, recorded in ``trajectories.npz``."""

    result_type = RecordResult
    loads_generated_code = False
    activity = "evaluation"
    is_purpose = True
    wall_s = None

    kind: Literal["record"] = "record"
    seed: int
    begins_elsewhere: bool = Field(False, description="in the states of starts.npz, one of each")
    behaviours: tuple[Behaviour, ...] = ALL_BEHAVIOURS
    n_episodes: int = Field(2, description="of each; each actuator is at each of its ends once")
