"""Records that cross the process border: a job's ``job.json`` and its ``result.json``.

A job is a folder. The parent writes ``job.json`` and the input files, the child
``python -m reward_agent.worker FOLDER`` reads them and writes ``result.json`` beside. The child
may write nowhere else. What a job that loads generated code writes is untrusted.

A kind of job is a class in ``JOBS``, which says all that the parent has to know of it, and the
module ``worker/<kind>.py``, which does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    Field,
    PlainValidator,
    SerializeAsAny,
    TypeAdapter,
)

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.definitions.meaning import ClaimTest, Meaning
from reward_agent.definitions.start import TrainingStart
from reward_agent.definitions.tables import Prose
from reward_agent.errors import DataError
from reward_agent.records.draft import Draft, DraftOptions, Lines
from reward_agent.records.exploration import Exploration
from reward_agent.records.gates import GateSummary
from reward_agent.records.trial import TrialRow
from reward_agent.types import (
    MOST_STAGES,
    MOST_TERMS,
    Activation,
    EpisodeName,
    Evaluation,
    FileName,
    FileRecord,
    FilmFormat,
    FilmName,
    FilmSize,
    Finding,
    Finite,
    OneLine,
    ProbeReport,
    Record,
    Sha256,
    Snapshot,
    Stages,
    TermName,
    TrainingResult,
    WorkOutcome,
)

# Told each new row of a job's progress.csv.
RowCallback = Callable[[dict[str, float]], None]

# Names of the files in a job's folder.
JOB_FILE = "job.json"
RESULT_FILE = "result.json"
ERROR_FILE = "error.json"
PROGRAM_FILE = "reward.py"
TRAJECTORIES_FILE = "trajectories.npz"
MEMORY_FILE = "memory.npz"
BEHAVIOURS_FILE = "behaviours.npz"
# States recorded at events of earlier episodes; states that the starts of a program were seen in.
STATES_FILE, STARTS_FILE = "states.npz", "starts.npz"
POLICY_FILE = "policy.safetensors"
PROGRESS_FILE = "progress.csv"
CHECKPOINT_FILE = "checkpoint.npz"
INITIAL_POLICY_FILE = "initial.safetensors"
VIDEO_FILE = "video.webp"
MP4_FILE = "video.mp4"
GIF_FILE = "video.gif"
STRIP_FILE = "strip.webp"
FOOTAGE_FILE = "footage.npz"
GIVEN_FILE = "given"
STATISTICS_FILE = "statistics.npz"
# What a robot does without a trained policy.
Behaviour = Literal[
    "start pose held", "limp", "random actions", "falling at once", "actuators at their ends"
]
ALL_BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
# Enough to see what a program pays for doing nothing: these take a second or two.
UNSKILLED = ALL_BEHAVIOURS[:4]
# Where they lie in the folder of a run, and the metric's word on them in their own.
BEHAVIOURS_DIR, SCORE_DIR = "behaviours", "score"
# Of a zip of Stable-Baselines3's, and of what is in it.
MAX_SB3_BYTES = 256 * 2**20


class Limits(Record):
    """Ceilings of one job. The parent enforces those that the kernel cannot."""

    wall_s: float = Field(3600.0, gt=0, description="the parent kills the process group")
    cpu_s: int | None = Field(None, ge=1, description="None: four times the wall clock")
    memory_mib: int = Field(4096, ge=64, description="private memory; the parent polls as well")
    file_mib: int = Field(512, ge=1, description="any one file")
    disk_mib: int = Field(1024, ge=1, description="what the job's folder may grow by")
    n_open_files: int = Field(256, ge=32)
    n_threads: int = Field(256, ge=16, description="the parent counts them")
    output_kib: int = Field(1024, ge=1, description="standard output and error: output.txt")
    result_mib: int = Field(16, ge=1, description="size of result.json that the parent reads")


# Where a job waits for its turn: a slot; or a lane of its own beside them, one job at a time, on
# the core that is left to the parent, for what takes seconds and would otherwise wait for hours.
Lane = Literal["slot", "short", "film"]
# Longer than a second or two means that something hangs.
_SHORT_S, _FILM_S = 120.0, 240.0
# Of processor time, so that what is refused does not depend on what else the machine does.
_PROGRAM_CPU_S = 10
# A reward program of ours that costs nothing and cannot fail.
_IDLE_PROGRAM = """\
def compute_reward(state, action, next_state):
    nothing = 0.0 * np.sum(action, axis=-1)
    return nothing, {"nothing": nothing}
"""


class Job(FileRecord):
    """What a child is asked to do, and what is true of every job of its kind.

    Class attributes:
        result_type: what it hands back.
        loads_generated_code: whether its failure is the program's; that of another job is ours.
        folder: of the package; a module there, named as the kind, does it.
        lane: where it waits for its turn.
        activity: what its time is called in the ledger, where the result does not say more.
        is_purpose: whether that is what a run is for; if not, it is to stay small.
        starts_warm: whether a process that did what ``worker.dispatch.prepare`` does may be forked
            for it; not where that starts threads, or finds what is of one process.
        uses_graphics: whether it may use the graphics driver.
        wall_s: its wall clock; None: the run's setting.
        cpu_s: its processor time; None: as much as the wall clock allows.
        reach: the field that says how far it goes, if with a larger number it is the same job.
        extras: fields that ask for more than the job is for: with others it is the same.
    """

    result_type: ClassVar[type[FileRecord]]
    loads_generated_code: ClassVar[bool] = True
    folder: ClassVar[str] = "worker"
    lane: ClassVar[Lane] = "slot"
    activity: ClassVar[str]
    is_purpose: ClassVar[bool] = False
    starts_warm: ClassVar[bool] = True
    uses_graphics: ClassVar[bool] = False
    wall_s: ClassVar[float | None] = _SHORT_S
    cpu_s: ClassVar[int | None] = None
    reach: ClassVar[str | None] = None
    extras: ClassVar[tuple[str, ...]] = ()

    kind: str
    card: EnvCard
    inputs: dict[str, Sha256] = Field(
        {}, description="files that it is given: what they hold is part of which job it is"
    )

    @property
    def also_reads(self) -> tuple[Path, ...]:
        """Files that it may read beside the environment's folder and its own."""
        return ()

    @classmethod
    def limit(cls, limits: Limits) -> Limits:
        """Return the limits of a run with the clock of this kind of job."""
        clock = {"wall_s": cls.wall_s, "cpu_s": cls.cpu_s}
        return limits.model_copy(update=clock) if cls.wall_s is not None else limits

    @property
    def until(self) -> int | None:
        """How far it goes; None where that is part of which job it is."""
        return getattr(self, self.reach) if self.reach else None

    def go_on(self, until: int) -> Job:
        """Return the same job with another reach."""
        assert self.reach is not None
        return self.model_copy(update={self.reach: until})

    def make_control(self) -> tuple[Job, dict[str, bytes]]:
        """Return a job that fails where this one fails without its program's doing; its files."""
        return TryCardJob(card=self.card), {}

    def digest(self) -> str:
        """Return its identity: the digest of all that it asks for, but for how far, and extras.

        Where the environment lies is no part of it: a node of a cluster has it elsewhere.
        """
        excluded: dict[str, Any] = {"card": {"folder"}}
        excluded |= {name: True for name in (self.reach, *self.extras) if name}
        return hashlib.sha256(self.model_dump_json(exclude=excluded).encode()).hexdigest()

    def check_result(self, result: Any, folder: Path) -> None:
        """Refuse a result that answers another question than this job asks.

        Args:
            result: of its ``result_type``.
            folder: of the job.

        Raises:
            DataError: identity, seed or step count is not the job's.
        """
        for name in ("program_sha256", "seed"):
            expected, given = getattr(self, name, None), getattr(result, name, None)
            if expected is not None and given is not None and given != expected:
                raise DataError(f"it has {name} {given!r}, expected the job's {expected!r}")

    def list_times(self, result: Any) -> Mapping[str, float]:
        """Return where its seconds went by activity, those of earlier slices included."""
        return {}


class KnownEpisode(Record):
    """What is known of a recorded episode.

    Args:
        name: what the robot does in it, or whose policy; empty: it is ranked only.
        policy: id of the candidate whose policy it is.
    """

    name: OneLine = ""
    policy: OneLine = ""
    task_score: Finite | None = None
    success: bool = False


class ProbeJob(Job):
    """Probe of ``reward.py``, and what it pays for recorded episodes, where there are any.

    ``behaviours.npz`` holds scripted ones, ``trajectories.npz`` those of earlier policies, by which
    the program is ranked as well.
    """

    result_type = ProbeReport
    lane = "short"
    activity = "probe"
    cpu_s = _PROGRAM_CPU_S

    kind: Literal["probe"] = "probe"
    program_sha256: str
    seed: int = 0
    gamma: float = 0.99
    starts: tuple[TrainingStart, ...] = Field((), description="tried with the program")
    n_kept: int = Field(0, ge=0, le=64, description="states of each that are left in starts.npz")
    behaviours: tuple[KnownEpisode, ...] = Field((), description="episodes of behaviours.npz")
    stored: tuple[KnownEpisode, ...] = Field((), description="episodes of trajectories.npz")
    left_out: tuple[OneLine, ...] = ()
    target_score: Finite | None = Field(None, description="of the task; by which scores are told")


class TrainJob(Job):
    """Training of a policy under ``reward.py``, up to ``until_timesteps``.

    Writes ``policy_<steps>.safetensors`` at about ``n_points`` evenly spaced points of
    ``total_timesteps``, ``progress.csv`` and a checkpoint of its own from which a later job in the
    same folder with a larger ``until_timesteps`` goes on. Of a sample of its episodes the fields in
    ``recorded`` are left in ``episodes_<steps>.npz``, a file for each of these jobs.
    """

    result_type = TrainingResult
    activity = "child start"
    wall_s = None
    reach = "until_timesteps"
    extras = ("recorded",)

    kind: Literal["train"] = "train"
    program_sha256: str
    seed: int
    total_timesteps: int
    until_timesteps: int
    n_points: int = 10
    learner: LearnerSettings
    starts: tuple[TrainingStart, ...] = ()
    stage_steps: tuple[int, ...] = Field(
        (), max_length=MOST_STAGES, description="most of an episode while that stage is practised"
    )
    recorded: tuple[str, ...] = Field((), description="fields; none: no episode is recorded")
    most_s: float | None = Field(None, gt=0, description="wall time after which it ends early")
    initial_policy_sha256: Sha256 | None = Field(
        None, description="of initial.safetensors, the policy that the training begins with"
    )

    def make_control(self) -> tuple[Job, dict[str, bytes]]:
        """Return the first slice of a training that pays nothing."""
        source = _IDLE_PROGRAM.encode()
        job = TrainJob(
            card=self.card,
            program_sha256=hashlib.sha256(source).hexdigest(),
            seed=self.seed,
            total_timesteps=self.total_timesteps,
            until_timesteps=1,
            learner=self.learner,
        )
        return job, {PROGRAM_FILE: source}

    def check_result(self, result: TrainingResult, folder: Path) -> None:
        """Refuse steps and policies that the job cannot have made."""
        super().check_result(result, folder)
        # The last slice is never cut.
        most = self.until_timesteps + self.learner.slice_steps
        if result.total_timesteps > most:
            raise DataError(f"it has total_timesteps {result.total_timesteps}, at most {most}")
        for snapshot in result.snapshots:
            if snapshot.total_timesteps > result.total_timesteps:
                raise DataError(f"it has a snapshot at {snapshot.total_timesteps} steps")
            if not (folder / snapshot.file).is_file():
                raise DataError(f"it names {snapshot.file}, which is not there")

    def list_times(self, result: TrainingResult) -> Mapping[str, float]:
        """Return the parts of the training; the rest is the start of the child."""
        return result.timing.to_dict()


class ClimbJob(TrainJob):
    """Training of a policy under a metric itself: the cheapest way to its score, or to its success.

    ``program_sha256`` is that of ``metric.py``. What the episode so far scores is paid as it
    changes.
    """

    kind: Literal["climb"] = "climb"  # type: ignore[assignment]
    pays: Literal["score", "success"]
    scale: Finite = Field(gt=0, description="task score that is paid as 1")


class FilmStyle(Record):
    """What a film shows of episodes, and how it looks; that of a run has no words but the time."""

    size: FilmSize = Field("720p", description="height of the whole picture, which is 16:9")
    frames_per_s: float = Field(25.0, gt=0, le=60)
    formats: tuple[FilmFormat, ...] = ("webp", "mp4")
    slow: float = Field(1.0, ge=1, le=50, description="so many times slower than it was")
    is_whole: bool = Field(
        False, description="else of a long episode its beginning, its events and its end"
    )
    has_words: bool = Field(False, description="whose film it is, its pay and its score")


class FilmResult(FileRecord):
    """A film of an evaluation's episodes, or why there is none."""

    video_file: FilmName | None = None
    mp4_file: FilmName | None = Field(None, description="the same film, with the extra 'video'")
    is_blind: bool = Field(False, description="nothing in it says whose it is or how it scored")
    renderer: str = Field("", description="OpenGL that drew: egl, osmesa, …; empty if none did")
    video_note: str = Field("", description="why there is no video, and which package to install")
    strip_file: FilmName | None = Field(
        None, description="key moments of the filmed episode, a picture"
    )
    rendering_s: float = Field(0.0, ge=0, description="time to find a renderer and to film")


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


class FilmJob(Job):
    """Draw episodes of one or more ``footage.npz`` side by side, and a strip of the first.

    A sheet is the strips of all, one above the other, and no video.
    """

    result_type = FilmResult
    loads_generated_code = False
    lane = "film"
    activity = "rendering"
    starts_warm = False
    uses_graphics = True
    wall_s = 4 * _FILM_S

    kind: Literal["film"] = "film"
    is_sheet: bool = False
    style: FilmStyle = FilmStyle()
    footage_files: tuple[FileName, ...] = Field((FOOTAGE_FILE,), min_length=1, max_length=4)
    episodes: tuple[EpisodeName | Behaviour, ...] = Field(("median",), min_length=1, max_length=4)
    renderer: str = Field("", description="OpenGL that is known to draw here; empty: try")


class FramesResult(FileRecord):
    """A sheet of numbered frames of one episode, for a model that sees, or why there is none."""

    sheet_file: Literal["frames.png"] | None = None
    times: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(
        (), max_length=64, description="seconds of each frame, the first is number 1"
    )
    episode_seed: int = 0
    renderer: str = ""
    note: str = Field("", description="why there is no sheet")


class FramesJob(Job):
    """Draw frames of an episode of ``footage.npz`` on one sheet, with a code in its corner.

    The metric's verdict, which a film shows, is not on it.
    """

    result_type = FramesResult
    loads_generated_code = False
    lane = "film"
    activity = "rendering"
    starts_warm = False
    uses_graphics = True
    wall_s = _FILM_S

    kind: Literal["frames"] = "frames"
    code: str = Field(pattern=r"^[0-9]{4}$")
    episode_seed: int | None = Field(None, description="of the episode; None: the first")
    n_frames: int = Field(16, ge=2, le=64)
    renderer: str = Field("", description="OpenGL that is known to draw here; empty: try")


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
    cpu_s = _PROGRAM_CPU_S

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
    cpu_s = 4 * _PROGRAM_CPU_S

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
    wall_s = _FILM_S

    kind: Literal["draft"] = "draft"
    options: DraftOptions
    originals: tuple[str, ...] = Field(
        (), max_length=10_000, description="the model's own file and those that it reads, in place"
    )
    lacks_servos: bool | None = Field(
        None, description="whether to add servos; None: where the model has no actuators"
    )

    @property
    def also_reads(self) -> tuple[Path, ...]:
        """The files beside which the copy is held."""
        return tuple(map(Path, self.originals))


JOBS: tuple[type[Job], ...] = (
    ProbeJob, TrainJob, ClimbJob, EvaluateJob, FilmJob, FramesJob, ScoreJob, TryMetricJob,
    ExploreJob, RelabelJob, RecordJob, TranslateJob, ReadSb3Job, CheckEnvJob, TryCardJob,
    TryMeaningJob, DraftJob,
)  # fmt: skip


def digest_files(files: Mapping[str, bytes]) -> dict[str, Sha256]:
    """Return the ``inputs`` of a job that is given these files."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}


def _find_and_validate(data: Any) -> Job:
    """Validate a job as the class in ``JOBS`` that its kind names."""
    if isinstance(data, Job):
        return data
    kinds = {get_args(job.model_fields["kind"].annotation)[0]: job for job in JOBS}
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in kinds:
        raise ValueError(f"kind is {kind!r:.40}, expected one of {', '.join(kinds)}")
    return kinds[kind].model_validate(data)


AnyJob = Annotated[SerializeAsAny[Job], PlainValidator(_find_and_validate)]
_ANY_JOB: TypeAdapter[Job] = TypeAdapter(AnyJob)


def parse_job(text: bytes) -> Job:
    """Return the job that a ``job.json`` holds.

    Raises:
        ValidationError: it holds none.
    """
    return _ANY_JOB.validate_json(text)
