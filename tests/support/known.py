"""Jobs that these tests have run: what one leaves is copied where the very same is asked for."""

from __future__ import annotations

import os
import shutil
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

from reward_agent.records.jobs import Job, TrainJob
from reward_agent.sandbox.environment import select_allowed
from reward_agent.sandbox.runner import JobExit, run_job


class KnownJobs:
    """Runs a job for the first that asks; trainings, which go on, are run for all.

    Args:
        folder: keeps the folders of jobs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exits: dict[str, JobExit] = {}
        self._lock = threading.Lock()

    def run(self, job: Job, job_dir: Path, **options: Any) -> JobExit:
        """Run a job as ``run_job`` does, or copy what it left."""
        if isinstance(job, TrainJob):
            return run_job(job, job_dir, **options)
        environment = sorted(select_allowed(os.environ).items())
        place = (job.model_dump_json(), options["limits"], options["mode"], environment)
        key = sha256(repr(place).encode()).hexdigest()
        if key in self._exits:
            shutil.copytree(self._folder / key, job_dir, symlinks=True, dirs_exist_ok=True)
            return self._exits[key]
        job_exit = run_job(job, job_dir, **options)
        with self._lock:
            # Of two at the same time, both are right; what may be copied already stays as it is.
            if job_exit.outcome.is_ok and key not in self._exits:
                shutil.copytree(job_dir, self._folder / key, symlinks=True)
                self._exits[key] = job_exit
        return job_exit
