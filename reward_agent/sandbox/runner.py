"""The parent's side of a job: run it in a child process, and turn its end into an outcome."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError, JobError
from reward_agent.files import clean_lines, read_capped, read_tail
from reward_agent.records.jobs import ERROR_FILE, RESULT_FILE, Job, Result
from reward_agent.records.limits import Limits
from reward_agent.sandbox.child import OUTPUT_FILE, Child, ProgressCallback
from reward_agent.sandbox.isolation import EXIT_INTERNAL, EXIT_REFUSED, describe_refusal
from reward_agent.sandbox.level import Level, SandboxMode
from reward_agent.sandbox.results import TRUSTED_KINDS, read_result
from reward_agent.sandbox.warm import WarmServer
from reward_agent.text import clean_text

_TAIL_BYTES = 4000
_FULL_BYTES = 64 * 1024
# Not for a limit of ours: the system was short of memory, or somebody ended it.
KILLED_FROM_OUTSIDE = "killed: from outside"
_SIGNAL_OUTCOMES = {
    "SIGKILL": KILLED_FROM_OUTSIDE,
    "SIGXCPU": "killed: cpu",
    "SIGXFSZ": "killed: file size",
    "SIGSYS": "killed: forbidden system call",
}
# What ends a child that only imports its libraries: limits too tight, or a machine too busy.
_FALSE_START_REMEDIES = {
    "timeout": "raise --training-timeout-s, or do less else on this machine",
    "killed: memory": "raise --memory-mib",
}


@dataclass(frozen=True)
class JobExit:
    """How a job ended.

    Args:
        outcome: ``ok``, ``timeout``, ``cancelled``, ``killed: …`` (memory, cpu, disk, output,
            threads, file size, forbidden system call), ``crashed: …`` (the process died or
            raised) or ``invalid: …`` (its result is refused).
        result: the validated result; there if and only if the outcome is ``ok``.
        result_path: its file, or None.
        wall_s: seconds from start to end.
        peak_rss_mib: the most resident memory seen.
        level: the isolation that the child reported before it loaded anything generated.
        stderr_tail: the end of what it wrote to its output, control characters removed.
    """

    outcome: str
    result: Result | None
    result_path: Path | None
    wall_s: float
    peak_rss_mib: float
    level: Level
    stderr_tail: str


def run_job(
    job: Job,
    job_dir: Path,
    *,
    limits: Limits | None = None,
    mode: SandboxMode = "default",
    on_progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    warm: WarmServer | None = None,
) -> JobExit:
    """Run one job in a child process of its own and wait for its end.

    The thread that calls must live until then: Linux ends a child with the thread that started it.

    Args:
        job: what to do; written to ``job.json``.
        job_dir: the only folder that the child may change; input files lie there already.
        limits: ceilings; the defaults suit a training.
        mode: the isolation that is accepted.
        on_progress: called in this thread with each new row of ``progress.csv``.
        cancel: ends the job when set.
        warm: starts the child in milliseconds; None for a fresh interpreter.

    Raises:
        SandboxError: the mode asks for more isolation than this machine has, or a probe of the
            sealed child found a hole.
        JobError: the child could not be started, ended before it was sealed, or a job without
            generated code failed.
    """
    limits = limits or Limits()
    job_dir = job_dir.resolve()
    child = Child(job, job_dir, limits, mode, warm)
    try:
        outcome = child.watch(on_progress, cancel)
    finally:
        child.end()
    if (outcome != "ok" or child.exit_code != 0) and _is_disk_full(job_dir):
        raise JobError(
            f"the disk is full: the {job.kind} job in {job_dir} could not go on",
            "free disk space, then run it again",
        )
    if outcome == "ok" and child.exit_code == EXIT_REFUSED and not child.report.is_accepted:
        raise describe_refusal(child.report, mode)
    if outcome == "ok":
        outcome = _name_exit(child.exit_code, job_dir, _read_tail(job_dir / OUTPUT_FILE))
    is_early = os.name == "posix" and not child.has_reported
    if is_early and outcome not in ("cancelled", KILLED_FROM_OUTSIDE):
        raise _describe_false_start(job, job_dir, outcome)
    return _conclude(job, job_dir, limits, child, outcome)


def _conclude(job: Job, job_dir: Path, limits: Limits, child: Child, outcome: str) -> JobExit:
    """Read the result of an orderly end.

    Raises:
        JobError: a job without generated code failed: that is ours.
    """
    result = None
    if outcome == "ok":
        try:
            result = read_result(job, job_dir, limits.result_mib * 2**20)
        except DataError as error:
            outcome = f"invalid: {error.message}"
    if job.kind in TRUSTED_KINDS and outcome.startswith(("crashed", "invalid")):
        raise JobError(f"the {job.kind} job in {job_dir} {outcome}", f"see {job_dir / ERROR_FILE}")
    return JobExit(
        outcome=clean_text(outcome),
        result=result,
        result_path=job_dir / RESULT_FILE if result is not None else None,
        wall_s=child.wall_s,
        peak_rss_mib=child.peak_rss_mib,
        level=child.report.level,
        stderr_tail=_read_tail(job_dir / OUTPUT_FILE),
    )


def _is_disk_full(folder: Path) -> bool:
    # A child that cannot write even its result leaves no better trace.
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < _FULL_BYTES
    return False


def _describe_false_start(job: Job, job_dir: Path, outcome: str) -> JobError:
    """Return the error for a child that ended before it could load anything generated."""
    remedy = _FALSE_START_REMEDIES.get(outcome, f"see {job_dir / OUTPUT_FILE}, then run it again")
    return JobError(f"the {job.kind} job did not get as far as its program: {outcome}", remedy)


def _name_exit(code: int, job_dir: Path, output: str) -> str:
    """Return the outcome that an exit code stands for."""
    if code == 0:
        return "ok"
    if code == EXIT_INTERNAL:
        return f"crashed: {_read_error(job_dir)}"
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return _SIGNAL_OUTCOMES.get(name, f"crashed: {name}")
    last_line = output.strip().splitlines()[-1:] or ["no output"]
    return f"crashed: exit code {code}, {last_line[0][:200]}"


def _read_error(job_dir: Path) -> str:
    """Return the last line of the traceback in ``error.json``."""
    try:
        record = json.loads(read_capped(job_dir / ERROR_FILE, 2**20))
        return clean_lines(f"{record['error']}: {record['message']}")[:300]
    except (OSError, DataError, ValueError, TypeError, KeyError, RecursionError):
        return "an internal error that left no record"


def _read_tail(path: Path) -> str:
    try:
        text = read_tail(path, _TAIL_BYTES)
    except (OSError, DataError):
        return ""
    return clean_lines(text.decode("utf-8", "replace"))
