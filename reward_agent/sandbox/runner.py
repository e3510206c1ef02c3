"""The parent's side of a job: start the child, watch it, end it, read its result."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError, JobError, SandboxError
from reward_agent.jobs import ERROR_FILE, JOB_FILE, PROGRESS_FILE, RESULT_FILE, Job, Result
from reward_agent.sandbox.environment import make_child_command, make_child_environment
from reward_agent.sandbox.files import measure_folder, read_capped, write_atomic
from reward_agent.sandbox.isolation import (
    EXIT_INTERNAL,
    EXIT_REFUSED,
    ISOLATION_FILE,
    Isolation,
    SealReport,
)
from reward_agent.sandbox.level import Level, SandboxMode, is_accepted
from reward_agent.sandbox.limits import Limits
from reward_agent.sandbox.progress import ProgressTail
from reward_agent.sandbox.results import TRUSTED_KINDS, read_result

OUTPUT_FILE = "output.txt"
_POLL_S = 0.1
_DISK_POLL_S = 1.0
_TAIL_BYTES = 4000

ProgressCallback = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class JobExit:
    """How a job ended.

    Args:
        outcome: ``ok``, ``timeout``, ``cancelled``, ``killed: memory|cpu|disk|file size``,
            ``crashed: …`` (the process died or raised) or ``invalid: …`` (its result is refused).
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
    read_paths: Sequence[Path] = (),
) -> JobExit:
    """Run one job in a child process of its own and wait for its end.

    Args:
        job: what to do; written to ``job.json``.
        job_dir: the only folder that the child may write; input files lie there already.
        limits: ceilings; the defaults suit a training.
        mode: the isolation that is accepted.
        on_progress: called in this thread with each new row of ``progress.csv``.
        cancel: ends the job when set.
        read_paths: files and folders that the child may read besides the installed packages.

    Raises:
        SandboxError: the mode asks for more isolation than this machine has.
        JobError: the child could not be started, or a job without generated code failed.
    """
    limits = limits or Limits()
    job_dir = job_dir.resolve()
    child = _Child(job, job_dir, limits, mode, read_paths)
    try:
        outcome = child.watch(on_progress, cancel)
    finally:
        child.end()
    if child.exit_code == EXIT_REFUSED and not is_accepted(child.report.level, mode):
        raise SandboxError(
            f"sandbox mode {mode!r} needs more isolation than {child.report.level!r}: "
            f"{child.report.detail}",
            "run `reward-agent doctor` for what is missing, or accept less with --sandbox any",
        )
    return _conclude(job, job_dir, limits, child, outcome)


class _Child:
    """The running process, with what the parent knows of it."""

    def __init__(
        self,
        job: Job,
        job_dir: Path,
        limits: Limits,
        mode: SandboxMode,
        read_paths: Sequence[Path],
    ) -> None:
        self._job_dir, self._limits = job_dir, limits
        self.report = SealReport(level="process", detail="the child ended before it was sealed")
        self.peak_rss_mib = 0.0
        self.exit_code: int | None = None
        self._pipe: int | None = None
        pipe_end: int | None = None
        if os.name == "posix":
            self._pipe, pipe_end = os.pipe()
        isolation = Isolation(
            mode=mode,
            limits=limits,
            read_paths=tuple(str(path) for path in read_paths),
            parent_pid=os.getpid(),
            report_descriptor=pipe_end,
        )
        try:
            _prepare_folder(job, job_dir, isolation)
            self._disk_before = measure_folder(job_dir)
            self.started = time.monotonic()
            with open(job_dir / OUTPUT_FILE, "wb") as output:
                self._process = subprocess.Popen(
                    make_child_command(job_dir),
                    env=make_child_environment(
                        job_dir, renders=bool(getattr(job, "render", False))
                    ),
                    cwd=job_dir,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=() if pipe_end is None else (pipe_end,),
                )
        except OSError as error:
            if self._pipe is not None:
                os.close(self._pipe)
            raise JobError(
                f"the child for {job_dir} could not be started: {error}",
                "free disk space or processes, then run it again",
            ) from None
        finally:
            if pipe_end is not None:
                os.close(pipe_end)

    def watch(self, on_progress: ProgressCallback | None, cancel: threading.Event | None) -> str:
        """Wait for the end, or for a reason to end it; return the outcome so far."""
        tail = ProgressTail(self._job_dir / PROGRESS_FILE)
        next_disk_poll = 0.0
        with _open_wake_up(self._process.pid) as wake_up:
            while True:
                has_ended = _wait(self._process, wake_up, _POLL_S)
                for row in tail.read_rows() if on_progress else ():
                    on_progress(row)  # type: ignore[misc]
                if has_ended:
                    return "ok"
                reason = self._find_reason_to_end(cancel)
                if not reason and time.monotonic() >= next_disk_poll:
                    reason = self._find_disk_reason()
                    next_disk_poll = time.monotonic() + _DISK_POLL_S
                if reason:
                    return reason

    def end(self) -> None:
        """Kill what is left of the process group, and read the report of the seal."""
        _kill_group(self._process)
        self.exit_code = self._process.wait()
        self.wall_s = time.monotonic() - self.started
        if self._pipe is not None:
            with os.fdopen(self._pipe, "rb") as pipe:
                os.set_blocking(pipe.fileno(), False)
                text = pipe.read(4096)
            with contextlib.suppress(ValueError):
                self.report = SealReport.model_validate_json(text or b"")

    def _find_reason_to_end(self, cancel: threading.Event | None) -> str | None:
        if cancel is not None and cancel.is_set():
            return "cancelled"
        if time.monotonic() - self.started > self._limits.wall_s:
            return "timeout"
        rss_mib = read_session_rss_mib(self._process.pid)
        self.peak_rss_mib = max(self.peak_rss_mib, rss_mib)
        return "killed: memory" if rss_mib > self._limits.memory_mib else None

    def _find_disk_reason(self) -> str | None:
        grown = measure_folder(self._job_dir) - self._disk_before
        return "killed: disk" if grown > self._limits.disk_mib * 2**20 else None


def _prepare_folder(job: Job, job_dir: Path, isolation: Isolation) -> None:
    """Write the job and the isolation; remove what an earlier job left as its answer."""
    job_dir.mkdir(parents=True, exist_ok=True)
    for name in (RESULT_FILE, ERROR_FILE, OUTPUT_FILE):
        (job_dir / name).unlink(missing_ok=True)
    write_atomic(job_dir / JOB_FILE, job.model_dump_json(indent=1).encode())
    write_atomic(job_dir / ISOLATION_FILE, isolation.model_dump_json().encode())


@contextlib.contextmanager
def _open_wake_up(pid: int):  # type: ignore[no-untyped-def]
    """Give a descriptor that becomes readable when the process ends, or None."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # a kernel before 5.3, or one that forbids it
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _wait(process: subprocess.Popen[bytes], wake_up: int | None, seconds: float) -> bool:
    """Wait a moment; return whether the process has ended."""
    if wake_up is not None:
        # Not select(): a parent with more than 1,024 open files would fail.
        poll = select.poll()
        poll.register(wake_up, select.POLLIN)
        poll.poll(seconds * 1000)
        return process.poll() is not None
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if os.name != "posix":
        process.kill()
        return
    # The group outlives its leader as long as it has a member, so this also ends what is left
    # behind by a child that has exited.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def read_session_rss_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 where the platform does not tell."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _conclude(job: Job, job_dir: Path, limits: Limits, child: _Child, outcome: str) -> JobExit:
    """Turn the exit of the child into an outcome, and read the result of an orderly one."""
    result = None
    output = _read_tail(job_dir / OUTPUT_FILE)
    if outcome == "ok":
        outcome = _name_exit(child.exit_code or 0, job_dir, output)
    if outcome == "ok":
        try:
            result = read_result(job, job_dir, limits.result_mib * 2**20)
        except DataError as error:
            outcome = f"invalid: {error.message}"
    if job.kind in TRUSTED_KINDS and outcome.startswith(("crashed", "invalid")):
        raise JobError(f"the {job.kind} job in {job_dir} {outcome}", f"see {job_dir / ERROR_FILE}")
    return JobExit(
        outcome=outcome,
        result=result,
        result_path=job_dir / RESULT_FILE if result is not None else None,
        wall_s=child.wall_s,
        peak_rss_mib=child.peak_rss_mib,
        level=child.report.level,
        stderr_tail=output,
    )


def _name_exit(code: int, job_dir: Path, output: str) -> str:
    """Return the outcome that an exit code stands for."""
    if code == 0:
        return "ok"
    if code == EXIT_INTERNAL:
        return f"crashed: {_read_error(job_dir)}"
    names = (
        {-signal.SIGXCPU: "killed: cpu", -signal.SIGXFSZ: "killed: file size"}
        if hasattr(signal, "SIGXCPU")
        else {}
    )
    if code in names:
        return names[code]
    if code < 0:
        return f"crashed: {signal.Signals(-code).name}"
    last = output.strip().splitlines()[-1:] or ["no output"]
    return f"crashed: exit code {code}, {last[0][:200]}"


def _read_error(job_dir: Path) -> str:
    try:
        text = read_capped(job_dir / ERROR_FILE, 2**20).decode("utf-8", "replace")
    except (FileNotFoundError, DataError):
        return "an internal error that left no record"
    return clean_text(text.strip())[-300:]


def _read_tail(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return clean_text(file.read(_TAIL_BYTES).decode("utf-8", "replace"))
    except OSError:
        return ""


def clean_text(text: str) -> str:
    """Return text of a child without control characters, which could steer a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)
