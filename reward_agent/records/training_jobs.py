"""Jobs that run a reward program in its environment: the probe, trainings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from reward_agent.definitions.learner import LearnerSettings
from reward_agent.definitions.start import TrainingStart
from reward_agent.errors import DataError
from reward_agent.records.job import PROGRAM_CPU_S, PROGRAM_FILE, Job
from reward_agent.records.operations import TracedProgram
from reward_agent.types import (
    MOST_STAGES,
    FileRecord,
    Finite,
    OneLine,
    ProbeReport,
    Record,
    Sha256,
    TrainingResult,
)

# A reward program of ours that costs nothing and cannot fail.
IDLE_PROGRAM = """\
def compute_reward(state, action, next_state):
    nothing = 0.0 * np.sum(action, axis=-1)
    return nothing, {"nothing": nothing}
"""


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
    cpu_s = PROGRAM_CPU_S

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


class TraceResult(FileRecord):
    """A program as operations for a device, or why it is none. Untrusted."""

    program_sha256: Sha256
    program: TracedProgram | None = None
    refusal: OneLine = Field("", description="why it trains on a CPU")


class TraceJob(Job):
    """``reward.py`` as operations, which pay what it pays on the probe's steps.

    Whoever runs them verifies them first; see ``device.operations``.
    """

    result_type = TraceResult
    activity = "probe"
    starts_warm = False
    wall_s = None
    cpu_s = 6 * PROGRAM_CPU_S

    kind: Literal["trace"] = "trace"
    program_sha256: str
    seed: int = 0
    gamma: float = 0.99

    def check_result(self, result: TraceResult, folder: Path) -> None:
        """Refuse the operations of another program."""
        super().check_result(result, folder)
        traced = result.program
        if traced is not None and traced.program_sha256 != self.program_sha256:
            raise DataError(f"it traced {traced.program_sha256:.12}, not the job's program")


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

    def digest(self) -> str:
        """Return its identity: how long this machine may take for it is no part of that."""
        return super(TrainJob, self.model_copy(update={"most_s": None})).digest()

    def make_control(self) -> tuple[Job, dict[str, bytes]]:
        """Return the first slice of a training that pays nothing."""
        source = IDLE_PROGRAM.encode()
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
