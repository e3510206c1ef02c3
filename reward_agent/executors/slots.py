"""Jobs in slots: so many side by side, none repeated that has ended, and where the time went."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TYPE_CHECKING

from reward_agent.errors import Interrupted
from reward_agent.executors import JobRequest, Place
from reward_agent.executors.journal import read_earlier_timing, read_exit, write_exit
from reward_agent.records.jobs import TrainJob
from reward_agent.records.timing import TimeLedger
from reward_agent.sandbox.runner import KILLED_FROM_OUTSIDE, JobExit
from reward_agent.types import TimeUse, TrainingResult

if TYPE_CHECKING:
    from reward_agent.records.jobs import Job

ProgressCallback = Callable[[JobRequest, dict[str, float]], None]

# What a job's time is called where the job does not tell; a training's rest is its start.
_ACTIVITIES = {
    "train": "child start",
    "evaluate": "evaluation",
    "film": "rendering",
    "score": "evaluation",
    "record": "evaluation",
}
# Jobs of a second or less that a candidate waits for. They and films have a lane of their own each
# beside the slots and never travel, since the core that is left to the parent is idle while
# trainings run.
_SHORT_KINDS = frozenset({"probe", "relabel", "check_env"})

_N_STARTS = 3


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
        self._pool = ThreadPoolExecutor(self.n_slots, thread_name_prefix="job")
        self._short_pool = ThreadPoolExecutor(1, thread_name_prefix="short job")
        self._film_pool = ThreadPoolExecutor(1, thread_name_prefix="film")
        self._cancel = threading.Event()

    def map(
        self, requests: Sequence[JobRequest], on_progress: ProgressCallback | None = None
    ) -> list[JobExit]:
        """Run the jobs and return how each ended, in the order of the requests.

        Raises:
            Interrupted: the executor was closed meanwhile; no process is left behind.
        """
        try:
            futures = [
                self._find_lane(request.job).submit(self._run, request, on_progress)
                for request in requests
            ]
            return [future.result() for future in futures]
        except (CancelledError, RuntimeError) as error:
            if self._cancel.is_set():  # closed by another thread: nothing more is taken on
                raise Interrupted("the run was stopped") from error
            raise

    def close(self) -> None:
        """Stop what runs and wait for its end."""
        self._cancel.set()
        for pool in (self._pool, self._short_pool, self._film_pool):
            pool.shutdown(wait=True, cancel_futures=True)
        self._place.close()
        if self._home is not self._place:
            self._home.close()

    def _find_lane(self, job: Job) -> ThreadPoolExecutor:
        if job.kind in _SHORT_KINDS:
            return self._short_pool
        return self._film_pool if job.kind == "film" else self._pool

    def _run(self, request: JobRequest, on_progress: ProgressCallback | None) -> JobExit:
        known = read_exit(request.job, request.job_dir, request.limits)
        if known is not None:
            return known
        if self._cancel.is_set():
            raise Interrupted("the run was stopped")
        job = request.job
        activity = _ACTIVITIES.get(job.kind, job.kind)
        in_slot = self._find_lane(job) is self._pool
        earlier = TimeUse()
        if isinstance(job, TrainJob):
            earlier = read_earlier_timing(job, request.job_dir, request.limits)
        with self._ledger.spend(activity, in_slot=in_slot) as parts:
            started = time.monotonic()
            place = self._place if in_slot else self._home
            job_exit = self._run_there(place, request, on_progress)
            parts.update(_split_time(job_exit, earlier))
            if place.is_remote:
                parts["cluster"] = max(time.monotonic() - started - job_exit.wall_s, 0.0)
        return job_exit

    def _run_there(
        self, place: Place, request: JobRequest, on_progress: ProgressCallback | None
    ) -> JobExit:
        """Run a job and note in its folder how it ended."""
        report = None if on_progress is None else lambda row: on_progress(request, row)
        job_exit = _run_again_if_killed(lambda: place.run(request, report, self._cancel))
        if job_exit.outcome == "cancelled":
            raise Interrupted("the run was stopped")
        write_exit(request.job, request.job_dir, job_exit)
        return job_exit


def _run_again_if_killed(run: Callable[[], JobExit]) -> JobExit:
    """Run a job once more when something outside ended it: that says nothing of its program."""
    for _ in range(_N_STARTS - 1):
        job_exit = run()
        if job_exit.outcome != KILLED_FROM_OUTSIDE:
            return job_exit
    return run()


def _split_time(job_exit: JobExit, earlier: TimeUse) -> dict[str, float]:
    """Return what the job says of its time, by activity; a training tells of earlier slices too."""
    result = job_exit.result
    if isinstance(result, TrainingResult):
        before = earlier.to_dict()
        use = result.timing.to_dict()
        return {name: max(use[name] - before[name], 0.0) for name in use}
    return {}
