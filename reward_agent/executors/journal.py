"""Which jobs are done: ``exit.json`` in a job's folder, written by the parent.

A job is known by what it asks for and what it is given, so a run that is taken up again repeats
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from reward_agent.errors import DataError
from reward_agent.records.disk import read_record, write_record
from reward_agent.records.job import Job, Limits
from reward_agent.sandbox.runner import JobExit, read_result
from reward_agent.types import Sha256

EXIT_FILE = "exit.json"


class ExitRecord(JobExit):
    """How a job ended, and which job it was."""

    schema_version: Literal[1] = 1
    job_sha256: Sha256
    until_timesteps: int | None = None
    limits: Limits | None = Field(None, description="that it ran under")


def write_exit(job: Job, job_dir: Path, job_exit: JobExit, limits: Limits) -> ExitRecord:
    """Record the end of a job."""
    record = describe_exit(job, job_exit, limits)
    write_record(job_dir / EXIT_FILE, record)
    return record


def describe_exit(job: Job, job_exit: JobExit, limits: Limits) -> ExitRecord:
    """Return the record of a job's end."""
    known = {name: getattr(job_exit, name) for name in JobExit.model_fields}
    return ExitRecord(job_sha256=job.digest(), until_timesteps=job.until, limits=limits, **known)


def read_exit(job: Job, job_dir: Path, limits: Limits) -> ExitRecord | None:
    """Return how this very job ended, or None if it has to be run."""
    if not (job_dir / EXIT_FILE).is_file():
        return None
    try:
        record = read_record(job_dir / EXIT_FILE, ExitRecord)
        if not _is_same(job, record) or not _stands(job, record, limits):
            return None
        if record.until_timesteps is not None:
            # It may have gone further than is asked for now; the result is of its last slice.
            job = job.go_on(record.until_timesteps)
        is_ok = record.outcome.is_ok
        result = read_result(job, job_dir, limits.result_mib * 2**20) if is_ok else None
    except DataError:
        return None
    return record.model_copy(update={"result": result})


def read_earlier_times(job: Job, job_dir: Path, limits: Limits) -> Mapping[str, float]:
    """Return where the time of a job went before this slice of it."""
    known = read_exit(job.go_on(0), job_dir, limits) if job.until is not None else None
    return {} if known is None or known.result is None else job.list_times(known.result)


def _is_same(job: Job, record: ExitRecord) -> bool:
    if record.job_sha256 != job.digest():
        return False
    is_short = (record.until_timesteps or 0) < (job.until or 0)
    return not (is_short and record.outcome.is_ok)


def _stands(job: Job, record: ExitRecord, limits: Limits) -> bool:
    """Return whether a bad end says something of the job's program, and would come again."""
    if record.outcome.is_ok:
        return True
    then = record.limits
    is_raised = then is None or limits.wall_s > then.wall_s or limits.memory_mib > then.memory_mib
    is_limit = record.outcome.kind in ("timeout", "killed")
    return job.loads_generated_code and not (is_limit and is_raised)
