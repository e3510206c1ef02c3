"""Jobs in slots: so many side by side, none repeated that has ended, and where the time went.

``LocalPlace`` is this machine; ``executors.remote`` has the nodes of a cluster.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from reward_agent.errors import DataError, Interrupted
from reward_agent.executors import JobRequest, Place
from reward_agent.executors.journal import read_earlier_times, read_exit, write_exit
from reward_agent.records.disk import read_optional
from reward_agent.records.job import JOB_FILE, Job, Lane, RowCallback
from reward_agent.records.outcomes import CANCELLED, KILLED_FROM_OUTSIDE
from reward_agent.records.timing import TimeLedger
from reward_agent.sandbox.runner import JobExit, run_job
from reward_agent.sandbox.warm import make_warm_server
from reward_agent.threads import collect

if TYPE_CHECKING:
    from reward_agent.sandbox.isolation import SandboxMode

ProgressCallback = Callable[[JobRequest, dict[str, float]], None]

_N_STARTS = 3
# A folder may be a stranger's; no training is given more than some budgets, of eight slices each.
_MOST_AHEAD = 100


def count_slots(n_slots: int) -> int:
    """Return how many trainings run side by side; 0 stands for the number of cores minus one."""
    return n_slots or max(1, (os.cpu_count() or 2) - 1)


class LocalPlace:
    """Child processes of this machine.

    Args:
        n_slots: jobs side by side; 0 stands for the number of cores minus one.
        mode: how strictly generated code is isolated.
        is_warm: whether many jobs are to come, so that a process with everything imported pays.
            The thread that makes the place must then outlive it.
    """

    is_remote = False

    def __init__(self, n_slots: int, mode: SandboxMode, *, is_warm: bool = False) -> None:
        self.n_slots = count_slots(n_slots)
        self._mode = mode
        self._warm = make_warm_server() if is_warm else None

    def run(
        self, request: JobRequest, on_progress: RowCallback | None, cancel: threading.Event
    ) -> JobExit:
        """Run a job in a child of its own."""
        return run_job(
            request.job,
            request.job_dir,
            limits=request.limits,
            mode=self._mode,
            on_progress=on_progress,
            cancel=cancel,
            warm=self._warm,
        )

    def close(self) -> None:
        """End the process that starts the children."""
        if self._warm is not None:
            self._warm.close()


class SlotExecutor:
    """Runs as many jobs side by side as its place can; a finished job is never run again.

    Args:
        place: where trainings and evaluations run.
        ledger: notes what the slots did.
        home: where short jobs and films run; the same place by default.
    """

    def __init__(
        self, place: Place, ledger: TimeLedger | None = None, home: Place | None = None
    ) -> None:
        self.n_slots = place.n_slots
        self._place, self._home = place, home or place
        self._ledger = ledger or TimeLedger(self.n_slots)
        # What is not for a slot never travels.
        widths = dict.fromkeys(get_args(Lane), 1) | {"slot": self.n_slots}
        self._lanes: dict[Lane, ThreadPoolExecutor] = {
            lane: ThreadPoolExecutor(width, f"{lane} job") for lane, width in widths.items()
        }
        self._cancel = threading.Event()

    def takes_more(self, request: JobRequest) -> bool:
        """Whether more trainings of this kind, beside it, cost next to nothing."""
        ask = getattr(self._place, "takes_more", None)
        return ask is not None and bool(ask(request, self._cancel))

    def map(
        self, requests: Sequence[JobRequest], on_progress: ProgressCallback | None = None
    ) -> list[JobExit]:
        """Run the jobs and return how each ended, in the order of the requests.

        Raises:
            Interrupted: the executor was closed meanwhile; no process is left behind.
        """
        try:
            futures = [
                self._lanes[request.job.lane].submit(self._run, request, on_progress)
                for request in requests
            ]
            return collect(futures)
        except (CancelledError, RuntimeError) as error:
            if self._cancel.is_set():  # closed by another thread: nothing more is taken on
                raise Interrupted("the run was stopped") from error
            raise

    def close(self) -> None:
        """Stop what runs and wait for its end."""
        self._cancel.set()
        for pool in self._lanes.values():
            pool.shutdown(wait=True, cancel_futures=True)
        self._place.close()
        if self._home is not self._place:
            self._home.close()

    def _run(self, request: JobRequest, on_progress: ProgressCallback | None) -> JobExit:
        known = read_exit(request.job, request.job_dir, request.limits)
        if known is not None:
            return known
        if self._cancel.is_set():
            raise Interrupted("the run was stopped")
        job = reach_as_begun(request.job, request.job_dir)
        request = replace(request, job=job)
        in_slot = job.lane == "slot"
        earlier = read_earlier_times(job, request.job_dir, request.limits)
        with self._ledger.spend(job.activity, in_slot=in_slot) as parts:
            started = time.monotonic()
            place = self._place if in_slot else self._home
            job_exit = self._run_there(place, request, on_progress)
            # It tells of earlier slices too.
            told = {} if job_exit.result is None else job.list_times(job_exit.result)
            parts.update({name: max(told[name] - earlier.get(name, 0.0), 0.0) for name in told})
            if place.is_remote:
                parts["cluster"] = max(time.monotonic() - started - job_exit.wall_s, 0.0)
        return job_exit

    def _run_there(
        self, place: Place, request: JobRequest, on_progress: ProgressCallback | None
    ) -> JobExit:
        """Run a job and note in its folder how it ended."""
        report = None if on_progress is None else lambda row: on_progress(request, row)
        for _ in range(_N_STARTS):
            job_exit = place.run(request, report, self._cancel)
            # What something outside ended says nothing of its program.
            if job_exit.outcome != KILLED_FROM_OUTSIDE:
                break
        if job_exit.outcome == CANCELLED:
            raise Interrupted("the run was stopped")
        return write_exit(request.job, request.job_dir, job_exit, request.limits)


def reach_as_begun(job: Job, job_dir: Path) -> Job:
    """Return the job as far as it was begun in its folder, where that is further.

    One that was cut off in a later slice has a checkpoint beyond the slice that is asked for.
    """
    if job.until is None:
        return job
    begun = None
    with suppress(DataError):  # it is written anew
        begun = read_optional(job_dir / JOB_FILE, type(job))
    if begun is None or begun.until is None:
        return job
    is_further = job.until < begun.until <= _MOST_AHEAD * job.until
    return job.go_on(begun.until) if is_further and begun.digest() == job.digest() else job
