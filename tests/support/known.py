"""Jobs that these tests have run: what one leaves is copied where the very same is asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock
from typing import Any

from reward_agent.records.job import CHECKPOINT_FILE, PROGRESS_FILE, Job, RowCallback
from reward_agent.records.store import RUN_FILE
from reward_agent.records.training_jobs import TrainJob
from reward_agent.sandbox.child import ProgressTail
from reward_agent.sandbox.environment import select_allowed
from reward_agent.sandbox.runner import JobExit, run_job
from reward_agent.sandbox.warm import WarmServer


class KnownJobs:
    """Runs a job for the first that asks.

    Of trainings that holds for those of a run, from their start: what a training is, how it goes on
    and that one seed gives one policy is tried where no run is (tests/learning, tests/worker).

    Args:
        folder: keeps the folders of jobs.
        lend: gives a process that forks children, where that fits.
    """

    def __init__(self, folder: Path, lend: Callable[[], WarmServer | None]) -> None:
        self._folder, self._lend = folder, lend
        self._exits: dict[str, JobExit] = {}
        self._lock = Lock()

    def run(self, job: Job, job_dir: Path, **options: Any) -> JobExit:
        """Run a job as ``run_job`` does, or copy what it left."""
        options["warm"] = options.get("warm") or self._lend()
        if isinstance(job, TrainJob) and not _begins_in_a_run(job_dir):
            return run_job(job, job_dir, **options)
        environment = sorted(select_allowed(os.environ).items())
        place = (job.model_dump_json(), options["limits"], options["mode"], environment)
        key = sha256(repr(place).encode()).hexdigest()
        if key in self._exits and _tell(self._folder / key, **options):
            shutil.copytree(self._folder / key, job_dir, symlinks=True, dirs_exist_ok=True)
            return self._exits[key]
        job_exit = run_job(job, job_dir, **options)
        with self._lock:
            # Of two at the same time, both are right; what may be copied already stays as it is.
            if job_exit.outcome.is_ok and key not in self._exits:
                shutil.copytree(job_dir, self._folder / key, symlinks=True)
                self._exits[key] = job_exit
        return job_exit


def _begins_in_a_run(job_dir: Path) -> bool:
    is_begun = (job_dir / CHECKPOINT_FILE).exists()
    return not is_begun and any((folder / RUN_FILE).is_file() for folder in job_dir.parents)


def _tell(
    known: Path, on_progress: RowCallback | None = None, cancel: Event | None = None, **_: Any
) -> bool:
    """Tell the progress of a job; return whether it is wanted to its end."""
    if on_progress is not None:
        for row in ProgressTail(known / PROGRESS_FILE, skips_known=False).read_rows():
            on_progress(row)
    return cancel is None or not cancel.is_set()
