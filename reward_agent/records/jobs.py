"""Records that cross the process border: a job's ``job.json`` and its ``result.json``.

A job is a folder. The parent writes ``job.json`` and the input files, the child
``python -m reward_agent.worker FOLDER`` reads them and writes ``result.json`` beside. The child
may write nowhere else. What a job that loads generated code writes is untrusted.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reward_agent.definitions.card import EnvCard, PPOSettings
from reward_agent.types import (
    Evaluation,
    FileRecord,
    Outcome,
    ProbeReport,
    Sha256,
    Snapshot,
    TrainingResult,
    VideoQuality,
)

# Names of the files in a job's folder.
JOB_FILE = "job.json"
RESULT_FILE = "result.json"
ERROR_FILE = "error.json"
PROGRAM_FILE = "reward.py"
METRIC_FILE = "metric.py"
TRAJECTORIES_FILE = "trajectories.npz"
POLICY_FILE = "policy.safetensors"
PROGRESS_FILE = "progress.csv"
CHECKPOINT_FILE = "checkpoint.pt"
INITIAL_POLICY_FILE = "initial.safetensors"
VIDEO_FILE = "video.webp"
MP4_FILE = "video.mp4"
STRIP_FILE = "strip.webp"
FOOTAGE_FILE = "footage.npz"


class ProbeJob(FileRecord):
    """Dry run of ``reward.py``; ranks the stored episodes of ``trajectories.npz`` if present.

    Result: ``ProbeReport``.
    """

    kind: Literal["probe"] = "probe"
    card: EnvCard
    program_sha256: str
    seed: int = 0
    gamma: float = 0.99
    task_scores: tuple[float, ...] = Field(
        (), description="trusted score of each episode in trajectories.npz"
    )


class TrainJob(FileRecord):
    """Training of a policy under ``reward.py``, up to ``until_timesteps``.

    Writes ``policy_<steps>.safetensors`` at about ``n_points`` evenly spaced points of
    ``total_timesteps``, ``progress.csv`` and a checkpoint of its own from which a later job in the
    same folder with a larger ``until_timesteps`` goes on. Result: ``TrainingResult``.
    """

    kind: Literal["train"] = "train"
    card: EnvCard
    program_sha256: str
    seed: int
    total_timesteps: int
    until_timesteps: int
    n_points: int = 10
    ppo: PPOSettings
    initial_policy_sha256: Sha256 | None = Field(
        None, description="of initial.safetensors, the policy that the training begins with"
    )


class EvaluateJob(FileRecord):
    """Fresh episodes of each snapshot, scored by the trusted ``metric.py`` if there is one.

    Every snapshot gets ``n_curve_episodes``, the three best by task score twice as many again;
    the best of these (the last of all, without a metric) gets ``n_episodes`` on other seeds.
    Writes ``trajectories.npz`` of these, and in ``footage.npz`` what it takes to draw
    ``n_filmed`` of them. Result: ``EvaluateResult``.
    """

    kind: Literal["evaluate"] = "evaluate"
    card: EnvCard
    snapshots: tuple[Snapshot, ...]
    seed: int
    n_episodes: int = 16
    n_curve_episodes: int = 4
    has_metric: bool = True
    n_filmed: int = Field(0, ge=0, description="median first, then best, worst, upper quartile")
    caption: str = Field("", description="first lines on the pictures")


class FilmJob(FileRecord):
    """Draw the episodes of ``footage.npz``: a video of all, a strip of the first.

    Result: ``FilmResult``.
    """

    kind: Literal["film"] = "film"
    card: EnvCard
    video_quality: VideoQuality = "normal"
    renderer: str = Field("", description="OpenGL that is known to draw here; empty: try")


class FilmResult(FileRecord):
    """A film of an evaluation's episodes, or why there is none."""

    video_file: str | None = None
    mp4_file: str | None = Field(None, description="the same film, with the extra 'video'")
    renderer: str = Field("", description="OpenGL that drew: egl, osmesa, …; empty if none did")
    video_note: str = Field("", description="why there is no video, and which package to install")
    strip_file: str | None = Field(None, description="key moments of the filmed episode, a picture")
    rendering_s: float = Field(0.0, ge=0, description="time to find a renderer and to film")


class EvaluateResult(FilmResult):
    """Evaluation of every snapshot, in order, and of the best of them on seeds of its own."""

    curve: tuple[Evaluation, ...]
    best: Evaluation
    best_file: str


class ScoreJob(FileRecord):
    """A metric over the recorded ``trajectories.npz``; generated code unless a person wrote it.

    Result: ``ScoreResult``.
    """

    kind: Literal["score"] = "score"
    card: EnvCard
    metric_sha256: str
    is_trusted: bool = Field(False, description="a person's own metric may use all of Python")
    total_timesteps: int = 0
    seed: int = 0


class ScoreResult(FileRecord):
    """What a generated metric says of recorded episodes. Untrusted."""

    outcome: Outcome = Field(max_length=600, description="'scored' or 'failed: …'")
    evaluation: Evaluation | None = None


class RelabelJob(FileRecord):
    """The terms of ``reward.py`` over the recorded ``trajectories.npz``.

    Writes ``terms.npz``: for each term ``(n_steps,)`` over all episodes end to end. Result:
    ``RelabelResult``.
    """

    kind: Literal["relabel"] = "relabel"
    card: EnvCard
    program_sha256: str
    gamma: float = 0.99


class RelabelResult(FileRecord):
    """Pay of each term in each recorded episode. Untrusted."""

    outcome: Outcome = Field(max_length=600)
    generated_returns: tuple[float, ...] = ()
    term_pay: dict[str, tuple[float, ...]] = Field(default_factory=dict)


class RecordJob(FileRecord):
    """Episodes without a policy, recorded in ``trajectories.npz``. Result: ``RecordResult``."""

    kind: Literal["record"] = "record"
    card: EnvCard
    seed: int
    actions: Literal["zero", "random"]
    n_episodes: int = 4


class RecordResult(FileRecord):
    """Lengths of the recorded episodes, in control steps."""

    lengths: tuple[int, ...]


class CheckEnvJob(FileRecord):
    """Comparison of a card with its live model. Result: ``CheckEnvResult``."""

    kind: Literal["check_env"] = "check_env"
    card: EnvCard


class CheckEnvResult(FileRecord):
    """Findings on a card; none means that it describes the model."""

    findings: tuple[str, ...] = ()
    facts: dict[str, str] = Field(default_factory=dict)


Job = Annotated[
    ProbeJob | TrainJob | EvaluateJob | FilmJob | ScoreJob | RelabelJob | RecordJob | CheckEnvJob,
    Field(discriminator="kind"),
]
Result = (
    ProbeReport
    | TrainingResult
    | EvaluateResult
    | FilmResult
    | ScoreResult
    | RelabelResult
    | RecordResult
    | CheckEnvResult
)
