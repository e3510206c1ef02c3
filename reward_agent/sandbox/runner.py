"""The parent's side of a job: run it in a child process, and turn its end into an outcome.

What the child hands back is read as an untrusted reply: sized, parsed, validated, in range.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from reward_agent.definitions.card import CARD_FILE, find_env_dir
from reward_agent.errors import DataError, EnvironmentFailure, JobError, UsageError
from reward_agent.files import make_folder, read_capped, read_tail
from reward_agent.records.job import ERROR_FILE, RESULT_FILE, Job, Limits, RowCallback
from reward_agent.records.outcomes import (
    CANCELLED,
    KILLED_FROM_OUTSIDE,
    OK,
    TIMEOUT,
    JobOutcome,
    name_kill,
)
from reward_agent.sandbox.child import OUTPUT_FILE, Child, make_start_error
from reward_agent.sandbox.isolation import (
    EXIT_ENVIRONMENT,
    EXIT_INTERNAL,
    EXIT_REFUSED,
    Level,
    SandboxMode,
    describe_refusal,
)
from reward_agent.sandbox.warm import WarmServer
from reward_agent.text import clean_text, show_hidden
from reward_agent.types import FileRecord, Record

_TAIL_BYTES = 4000
_FULL_BYTES = 64 * 1024
_SIGNAL_OUTCOMES = {
    "SIGKILL": KILLED_FROM_OUTSIDE,
    "SIGXCPU": name_kill("cpu"),
    "SIGPROF": name_kill("time of a call"),  # of generated code: see rewards/bounds.py
    "SIGXFSZ": name_kill("file size"),
    "SIGSYS": name_kill("forbidden system call"),
}
# What ends an interpreter that a program leads too deep, by iterators of iterators, say.
_DEEP = "are tuples or iterators nested thousands deep?"
_CRASHES = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"})
# Limits too tight, or a machine too busy.
_SCARCE = "raise --memory-mib"
_BUSY = "raise --training-timeout-s, or do less else on this machine"
_REMEDIES = {TIMEOUT: _BUSY, name_kill("cpu"): _BUSY, name_kill("memory"): _SCARCE}
# As Python, the loader of libraries and C++ say it.
_OUT_OF_MEMORY = re.compile(r"MemoryError|cannot map|map segment|Cannot allocate|bad_alloc")
_NO_RECORD, _MOST_ERROR_CHARS = "an internal error that left no record", 1000
_MISSING = re.compile(r"No module named '(\w+)")
# No honest number of a result comes near; a sum over results must not overflow either.
_LARGEST = 1e15


class JobExit(Record):
    """How a job ended."""

    outcome: JobOutcome
    result: FileRecord | None = Field(
        None, exclude=True, description="validated; there if and only if the outcome is ok"
    )
    wall_s: float = Field(description="from start to end")
    peak_rss_mib: float = Field(description="the most resident memory seen")
    level: Level = Field(description="reported before anything generated was loaded")
    stderr_tail: str = Field(description="end of its output, control characters written out")


def run_job(
    job: Job,
    job_dir: Path,
    *,
    limits: Limits | None = None,
    mode: SandboxMode = "default",
    on_progress: RowCallback | None = None,
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
        EnvironmentFailure: a person's environment failed, or its process ended.
        JobError: the child could not be started, ended before it was sealed, or a job without
            generated code failed.
        UsageError: the folder of the card is not an environment's alone.
        DataError: a link leads to the job's folder.
    """
    limits = limits or Limits()
    _check_env_dir(job)
    job_dir = _open_folder(job_dir)
    child = Child(job, job_dir, limits, mode, warm)
    try:
        outcome = child.watch(on_progress, cancel)
    finally:
        child.end()
    output = _read_tail(job_dir / OUTPUT_FILE)
    outcome = _explain_end(job, job_dir, child, outcome, output)
    result = None
    if outcome.is_ok:
        try:
            result = read_result(job, job_dir, limits.result_mib * 2**20)
        except DataError as error:
            outcome = JobOutcome(kind="invalid", detail=error.message)
    if not job.loads_generated_code and outcome.kind in ("crashed", "invalid"):
        raise JobError(f"the {job.kind} job in {job_dir} {outcome}", f"see {job_dir / ERROR_FILE}")
    return JobExit(
        outcome=outcome,
        result=result,
        wall_s=child.wall_s,
        peak_rss_mib=child.peak_rss_mib,
        level=child.report.level,
        stderr_tail=output,
    )


def _check_env_dir(job: Job) -> None:
    """Refuse what is more than an environment's folder: a job can read all of it but its tasks.

    Raises:
        UsageError: it has no card, or a home lies in it.
    """
    folder = find_env_dir(job.card).resolve()
    home = Path(os.path.expanduser("~")).resolve()
    if folder.is_dir() and (home.is_relative_to(folder) or not (folder / CARD_FILE).is_file()):
        raise UsageError(
            f"{folder} is not the folder of an environment alone, and jobs could read all of it",
            f"name a folder that holds {CARD_FILE}, its model and its tasks, and nothing else",
        )


def _open_folder(job_dir: Path) -> Path:
    """Return the folder of a job as it really is, made where it is not there.

    Raises:
        DataError: it is a link, or one in a run leads there: a child may change its folder.
        JobError: it cannot be made.
    """
    try:
        make_folder(job_dir)
    except OSError as error:
        raise make_start_error(job_dir, error) from None
    if job_dir.is_symlink():
        raise DataError(f"the folder of a job, {job_dir}, is a link", "remove it")
    return job_dir.resolve()


def _explain_end(
    job: Job, job_dir: Path, child: Child, outcome: JobOutcome, output: str
) -> JobOutcome:
    """Return the outcome with what the exit code says.

    Raises:
        SandboxError, JobError: it ended before it loaded anything generated: that is ours.
    """
    if not (outcome.is_ok and child.exit_code == 0) and _is_disk_full(job_dir):
        raise JobError(
            f"the disk is full: the {job.kind} job in {job_dir} could not go on",
            "free disk space, then run it again",
        )
    if outcome.is_ok and child.exit_code == EXIT_REFUSED and not child.report.is_accepted:
        raise describe_refusal(child.report, child.mode)
    if outcome.is_ok and child.exit_code == EXIT_ENVIRONMENT:
        told = _read_error_record(job_dir)
        raise EnvironmentFailure(told["message"], told["remedy"])
    if outcome.is_ok:
        outcome = _name_exit(child.exit_code, job_dir, output, job.loads_generated_code)
    is_early = os.name == "posix" and not child.has_reported
    if is_early and outcome not in (CANCELLED, KILLED_FROM_OUTSIDE):
        what = f"the {job.kind} job did not get as far as its program: {outcome}"
        raise describe_failure(what, job_dir, outcome)
    return outcome


def _is_disk_full(folder: Path) -> bool:
    # A child that cannot write even its result leaves no better trace.
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < _FULL_BYTES
    return False


def describe_failure(what: str, job_dir: Path, outcome: JobOutcome) -> JobError:
    """Return the error for an end that is ours, with the limit to raise where one made it."""
    remedy = _REMEDIES.get(outcome, f"see {job_dir / OUTPUT_FILE}, then run it again")
    missing = _MISSING.search(outcome.detail)
    if missing is not None:
        remedy = f"install it where reward-agent is: {sys.executable} -m pip install {missing[1]}"
    elif _OUT_OF_MEMORY.search(outcome.detail):
        remedy = _SCARCE
    return JobError(what, remedy)


def _name_exit(code: int, job_dir: Path, output: str, is_generated: bool) -> JobOutcome:
    if code == 0:
        return OK
    if code == EXIT_INTERNAL:
        return JobOutcome(kind="crashed", detail=_read_error(job_dir))
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            is_crash = is_generated and name in _CRASHES
            detail = f"the program crashed the interpreter ({name}): {_DEEP}" if is_crash else name
            return _SIGNAL_OUTCOMES.get(name, JobOutcome(kind="crashed", detail=detail))
    last_line = output.strip().splitlines()[-1:] or ["no output"]
    return JobOutcome(kind="crashed", detail=f"exit code {code}, {last_line[0][:200]}")


def _read_error(job_dir: Path) -> str:
    """Return the last line of the traceback in ``error.json``."""
    told = _read_error_record(job_dir)
    return clean_text(f"{told['error']}: {told['message']}", 300) if told["error"] else _NO_RECORD


def _read_error_record(job_dir: Path) -> dict[str, str]:
    """Return what ``error.json`` says, which a child wrote: ``error``, ``message``, ``remedy``."""
    try:
        record = json.loads(read_capped(job_dir / ERROR_FILE, 2**20))
        return {
            name: clean_text(str(record.get(name, "")), _MOST_ERROR_CHARS)
            for name in ("error", "message", "remedy")
        }
    except (OSError, DataError, ValueError, AttributeError, RecursionError):
        return {"error": "", "message": _NO_RECORD, "remedy": ""}


def _read_tail(path: Path) -> str:
    try:
        text = read_tail(path, _TAIL_BYTES)
    except (OSError, DataError):
        return ""
    return show_hidden(text.decode("utf-8", "replace"))


def read_result(job: Job, job_dir: Path, max_bytes: int) -> FileRecord:
    """Read and validate the ``result.json`` of a job.

    Raises:
        DataError: it is missing, too large, not of its form, of another job, or out of range.
    """
    path = job_dir / RESULT_FILE
    try:
        text = read_capped(path, max_bytes)
    except FileNotFoundError:
        raise DataError(f"{path} is missing", "the child ended without a result") from None
    try:
        data = json.loads(text)
        _check_range(data)
        result = job.result_type.model_validate_json(text)
        job.check_result(result, job_dir)
    except (ValidationError, ValueError, RecursionError, DataError) as error:
        raise DataError(f"{path} is not valid: {_first_line(error)}") from None
    return result


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)[:200]


def _check_range(data: Any) -> None:
    """Refuse numbers that no computation of ours makes.

    Raises:
        DataError: a number is not finite or larger than 1e15 in size.
    """
    pending = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        # NaN fails the comparison; an integer of 400 digits does not fit a float.
        elif isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
            raise DataError(f"it holds {value!r:.40}, expected a number up to {_LARGEST:g}")
