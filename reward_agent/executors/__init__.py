"""Where jobs run: ``map`` them into ``n_slots``, and ``close`` in the end.

    slots.SlotExecutor      the one executor: lanes, the journal of what is done, where time goes
      slots.LocalPlace      jobs in child processes of this machine
      remote.RemotePlace    jobs on the nodes of a cluster
        ray.RayNodes        those of a Ray cluster
        slurm.SlurmNodes    those of a Slurm cluster, over a disk in common
    parcel                  a job's folder as bytes, to a node and back
    node                    the node's side: a parcel in, the same sandbox, a parcel out

A stranger's nodes are an entry point of the group ``reward_agent.executors`` (see ``registry``).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from reward_agent.records.job import Job, Limits, RowCallback
    from reward_agent.sandbox.runner import JobExit

__all__ = ["JobRequest", "Place"]


@dataclass(frozen=True)
class JobRequest:
    """A job, the folder that it lives in, and the limits that it runs under.

    Args:
        job: what to do.
        job_dir: holds the job's input files.
        limits: those of a run; the clock becomes the job's own where its kind has one.
    """

    job: Job
    job_dir: Path
    limits: Limits

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", self.job.limit(self.limits))


class Place(Protocol):
    """Where one job runs; called by ``n_slots`` threads side by side.

    Attributes:
        n_slots: jobs that it can run side by side.
        is_remote: whether a job's folder has to travel there.
    """

    n_slots: int
    is_remote: bool

    def run(
        self, request: JobRequest, on_progress: RowCallback | None, cancel: threading.Event
    ) -> JobExit:
        """Run a job to its end; its folder then holds all that it left.

        A place that loses a job, with its node or otherwise, runs it again. A job that ``cancel``
        ended has the outcome ``cancelled``, or ``Interrupted`` is raised.
        """
        ...

    def close(self) -> None:
        """Let go of the place; no job runs there any more."""
        ...
