"""Jobs in child processes of this machine, a fixed number at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from reward_agent.errors import Interrupted
from reward_agent.executors import JobRequest
from reward_agent.executors.journal import read_exit, write_exit
from reward_agent.sandbox.runner import run_job

if TYPE_CHECKING:
    from reward_agent.sandbox.level import SandboxMode
    from reward_agent.sandbox.runner import JobExit

ProgressCallback = Callable[[JobRequest, dict[str, float]], None]


class LocalExecutor:
    """Runs up to ``n_slots`` jobs side by side; a finished job is never run again.

    Args:
        n_slots: jobs side by side; 0 stands for the number of cores minus one.
        mode: how strictly generated code is isolated.
    """

    def __init__(self, n_slots: int, mode: SandboxMode) -> None:
        self.n_slots = n_slots or max(1, (os.cpu_count() or 2) - 1)
        self._mode = mode
        self._pool = ThreadPoolExecutor(self.n_slots, thread_name_prefix="job")
        self._cancel = threading.Event()

    def map(
        self, requests: Sequence[JobRequest], on_progress: ProgressCallback | None = None
    ) -> list[JobExit]:
        """Run the jobs and return how each ended, in the order of the requests.

        Raises:
            Interrupted: the executor was closed meanwhile; no process is left behind.
        """
        futures = [self._pool.submit(self._run, request, on_progress) for request in requests]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Stop what runs and wait for its end."""
        self._cancel.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, request: JobRequest, on_progress: ProgressCallback | None) -> JobExit:
        known = read_exit(request.job, request.job_dir, request.limits)
        if known is not None:
            return known
        if self._cancel.is_set():
            raise Interrupted("the run was stopped")
        report = None if on_progress is None else lambda row: on_progress(request, row)
        job_exit = run_job(
            request.job,
            request.job_dir,
            limits=request.limits,
            mode=self._mode,
            on_progress=report,
            cancel=self._cancel,
        )
        if job_exit.outcome == "cancelled":
            raise Interrupted("the run was stopped")
        write_exit(request.job, request.job_dir, job_exit)
        return job_exit
