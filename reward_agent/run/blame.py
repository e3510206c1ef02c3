"""Whose fault it is that a job has no result: its program's, or that of what surrounds it.

A child that loads generated code is not asked: what it says is a program's word. The same work is
done again with a program of ours that costs nothing (``Job.make_control``). Where that fails too,
the card, the environment's folder, the disk, a limit or the installation is at fault: then the run
ends before the next call of a model, and no program is blamed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from reward_agent.definitions.card import CARD_FILE, EnvCard, find_env_dir
from reward_agent.errors import DataError, JobError
from reward_agent.executors import JobRequest
from reward_agent.executors.journal import EXIT_FILE
from reward_agent.executors.slots import SlotExecutor
from reward_agent.files import make_folder, remove, write_atomic
from reward_agent.records.disk import read_record, write_record
from reward_agent.records.drafting_jobs import CheckEnvResult
from reward_agent.records.job import PROGRESS_FILE
from reward_agent.records.outcomes import KILLED_FROM_OUTSIDE, TIMEOUT
from reward_agent.records.training_jobs import TrainJob
from reward_agent.sandbox.child import ProgressTail
from reward_agent.sandbox.runner import JobExit, describe_failure
from reward_agent.simulation.backends import find_backend
from reward_agent.types import FileRecord, TrainingResult

# Of memory, beside twice what the control took: a program that took more brought it about itself.
_FREE_MIB = 512.0
# A program that makes so much of the steps that the control makes is not slow.
_ABOUT_AS_FAST = 0.5
ENVIRONMENT_FILE = "environment.json"
# What a model is made of, and with another back end than MuJoCo what it is written in, too.
_MODEL_KINDS = frozenset({
    ".bin", ".dae", ".glb", ".gltf", ".ktx", ".mjb", ".mjz", ".msh", ".obj", ".ply", ".png", ".skn",
    ".stl", ".urdf", ".usd", ".usda", ".usdc", ".xml",
})  # fmt: skip
_CODE_KINDS = frozenset({".py", ".json", ".yaml", ".yml", ".npz", ".npy"})
# Of what lies in an environment's folder, what no job of a run reads.
_UNREAD = frozenset({CARD_FILE, "tasks", "model.png"})
_NO_PART = frozenset({"run.json", "sweep.json", "pyvenv.cfg"})
_MOST_WATCHED = 5_000
_PUT_BACK = "put it back as it was, or start a new run: scores would not compare"


def find_blame(executor: SlotExecutor, request: JobRequest, job_exit: JobExit) -> None:
    """Do nothing where the program of a job is to blame for its end, or nobody can say.

    Raises:
        JobError: what surrounds it is; the job is forgotten, so that a run that is taken up runs it
            again.
    """
    if job_exit.result is not None or not request.job.loads_generated_code:
        return
    try:
        control = _run_control(executor, request)
        _compare(request, job_exit, control)
    except JobError:
        remove(request.job_dir / EXIT_FILE)
        raise


def _run_control(executor: SlotExecutor, request: JobRequest) -> JobExit:
    """Return how the same work ends without the program.

    Raises:
        JobError: it fails as well.
    """
    job, files = request.job.make_control()
    folder = request.job_dir.with_name(f"control_{request.job_dir.name}")
    remove(folder)
    make_folder(folder)
    for name, content in files.items():
        write_atomic(folder / name, content)
    [control] = executor.map([JobRequest(job, folder, request.limits)])
    failure = "" if control.outcome.is_ok else str(control.outcome)
    result = control.result
    if isinstance(result, CheckEnvResult):
        failure = next((f.message for f in result.findings if f.severity == "error"), failure)
    if isinstance(result, TrainingResult) and result.outcome.has_failed:
        failure = result.outcome.reason
    if failure:
        what = f"no program is at fault: a {job.kind} job without one fails as well: {failure}"
        raise describe_failure(what, folder, control.outcome)
    remove(folder)
    return control


def _compare(request: JobRequest, job_exit: JobExit, control: JobExit) -> None:
    """Compare a job's end by a limit, or from outside, with its control, which came to its end.

    Raises:
        JobError: the program is not to blame.
    """
    job = request.job
    if job_exit.outcome == KILLED_FROM_OUTSIDE:
        if job_exit.peak_rss_mib <= 2 * control.peak_rss_mib + _FREE_MIB:
            raise JobError(
                f"the {job.kind} job was killed from outside each time it was started, with "
                f"{job_exit.peak_rss_mib:.0f} MiB in use: the machine is short of memory, or "
                "somebody ended it",
                "free memory, or run fewer jobs side by side with --slots",
            )
    elif job_exit.outcome == TIMEOUT and isinstance(job, TrainJob):
        _compare_speed(job, request, control)


def _compare_speed(job: TrainJob, request: JobRequest, control: JobExit) -> None:
    assert isinstance(control.result, TrainingResult)
    possible, limit_s = control.result.steps_per_s, request.limits.wall_s
    until = job.until_timesteps
    rows = ProgressTail(request.job_dir / PROGRESS_FILE, skips_known=False).read_rows()
    rate = rows[-1].get("steps_per_s", 0.0) if rows else 0.0
    is_ours = rate >= _ABOUT_AS_FAST * possible if rows else possible * limit_s < until
    if is_ours:
        raise JobError(
            f"a training is ended after {limit_s:g} s, and {until:,} steps take about "
            f"{until / possible:,.0f} s here with a program that costs nothing",
            "raise --training-timeout-s, or train for fewer --steps",
        )


# --- the environment's folder -----------------------------------------------------------------


class EnvFiles(FileRecord):
    """``environment.json``: the digests of what a run's jobs read of its environment's folder."""

    files: dict[str, str] = Field(description="SHA-256 of the content, by path in the folder")


@dataclass(frozen=True)
class Surroundings:
    """What a run's jobs read of an environment's folder, as it was when the run began.

    Args:
        folder: of the environment.
        files: by path in it: size, time of change, digest of the content.
    """

    folder: Path
    files: Mapping[str, tuple[int, int, str]]

    @classmethod
    def survey(cls, card: EnvCard) -> Surroundings:
        """Look at the folder of a card; one that comes with the program does not change."""
        folder = find_env_dir(card)
        if card.folder is None:
            return cls(folder, {})
        kinds = _MODEL_KINDS if find_backend(card).is_mujoco else _MODEL_KINDS | _CODE_KINDS
        return cls(folder, {name: _look(folder / name) for name in _list_read(folder, kinds)})

    def check(self) -> None:
        """See that all is as it was, before anything is spent on it.

        Raises:
            DataError: a file is gone or another; programs could not be compared any more.
        """
        for name, known in self.files.items():
            path = self.folder / name
            try:
                status = path.stat()
                if (status.st_size, status.st_mtime_ns) == known[:2] or _look(path)[2] == known[2]:
                    continue
                what = f"{path} was changed while the run was under way"
            except OSError as error:
                what = f"{path}, which the run needs, cannot be read any more: {error.strerror}"
            raise DataError(what, _PUT_BACK)

    def check_against(self, run_dir: Path) -> None:
        """See that all is as it was when the run began; note it where it begins.

        Raises:
            DataError: a file is gone or another.
        """
        path = run_dir / ENVIRONMENT_FILE
        if not path.is_file():
            digests = {name: look[2] for name, look in self.files.items()}
            write_record(path, EnvFiles(files=digests))
            return
        for name, digest in read_record(path, EnvFiles).files.items():
            shown = self.folder / name
            if name not in self.files:
                raise DataError(f"{shown}, with which the run began, is not there", _PUT_BACK)
            if self.files[name][2] != digest:
                raise DataError(f"{shown} is another than when the run began", _PUT_BACK)


def _list_read(folder: Path, kinds: Collection[str]) -> list[str]:
    """Return the files of an environment that its jobs may read, but for its card and its tasks."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        here = Path(place).relative_to(folder)
        if _NO_PART & set(files):  # a run that lies there, or somebody's Python
            folders.clear()
            continue
        kept = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in kept if str(here / name) not in _UNREAD]
        paths = [here / name for name in sorted(files) if not name.startswith(".")]
        read = [path for path in paths if path.suffix.lower() in kinds]
        names += [str(path) for path in read if str(path) not in _UNREAD]
    return names[:_MOST_WATCHED]


def _look(path: Path) -> tuple[int, int, str]:
    status = path.stat()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return status.st_size, status.st_mtime_ns, digest
