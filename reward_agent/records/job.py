"""What is true of every job: a folder with ``job.json``, and what its kind has to say of itself.

A job is a folder. The parent writes ``job.json`` and the input files, the child
``python -m reward_agent.worker FOLDER`` reads them and writes ``result.json`` beside. The child
may write nowhere else. What a job that loads generated code writes is untrusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.types import FileRecord, Record, Sha256

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
SHORT_S, FILM_S = 120.0, 240.0
# Of processor time, so that what is refused does not depend on what else the machine does.
PROGRAM_CPU_S = 10


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
    wall_s: ClassVar[float | None] = SHORT_S
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
        from reward_agent.records.drafting_jobs import TryCardJob

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
