"""A kind of job that the package does not know, in one file: the job, and what does it."""

import socket
import sys
from pathlib import Path
from typing import ClassVar, Literal

from reward_agent.records import jobs
from reward_agent.types import FileRecord


class CountResult(FileRecord):
    n_letters: int
    has_network: bool


class CountJob(jobs.Job):
    """Count the letters of a word, after a look at the walls."""

    result_type: ClassVar = CountResult
    activity = "counting"
    lane = "short"

    kind: Literal["count"] = "count"
    word: str


def run(job: CountJob, job_dir: Path) -> CountResult:
    try:
        socket.socket().close()
    except OSError:
        return CountResult(n_letters=len(job.word), has_network=False)
    return CountResult(n_letters=len(job.word), has_network=True)


def register() -> None:
    """Do what lying in ``worker/`` and a row in ``JOBS`` do."""
    sys.modules["reward_agent.worker.count"] = sys.modules[__name__]
    jobs.JOBS += (CountJob,)


if __name__ == "__main__":
    register()
    from reward_agent.worker.dispatch import run_worker

    sys.exit(run_worker(Path(sys.argv[1])))
