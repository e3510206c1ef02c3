"""One running child process, from its start to its end: what it takes, and what it tells."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reward_agent.errors import DataError, JobError
from reward_agent.files import open_plain, read_tail, remove, write_atomic
from reward_agent.records.job import (
    ERROR_FILE,
    JOB_FILE,
    PROGRESS_FILE,
    RESULT_FILE,
    Job,
    Limits,
    RowCallback,
)
from reward_agent.records.outcomes import CANCELLED, OK, TIMEOUT, JobOutcome, name_kill
from reward_agent.sandbox.environment import make_child_command, make_child_environment
from reward_agent.sandbox.isolation import ISOLATION_FILE, Isolation, SandboxMode, SealReport
from reward_agent.sandbox.warm import WarmProcess, WarmServer

OUTPUT_FILE = "output.txt"
_POLL_S = 0.1
_DISK_POLL_S = 1.0
_MIB = 2**20
_BLOCK = 512
# An empty file takes an inode: a million of them fills a disk as well.
_LEAST_PER_ENTRY = 4096
# A row of 32 terms takes about 1 KiB. More than this between two polls is not ours.
_MAX_POLL_BYTES = 1 << 20
_MAX_COLUMNS = 256
# Names are shown to people: no control characters.
_COLUMN = re.compile(r"[\w/]{1,80}", re.ASCII)


class Child:
    """A child process and what its parent knows of it.

    Args:
        job: what it has to do.
        job_dir: the only folder that it may change.
        limits: ceilings; the wall clock, resident memory and disk are watched here.
        mode: the isolation that is accepted.
        warm: starts the process in milliseconds; None for one that has to import everything.

    Raises:
        JobError: it could not be started.
    """

    def __init__(
        self,
        job: Job,
        job_dir: Path,
        limits: Limits,
        mode: SandboxMode,
        warm: WarmServer | None = None,
    ) -> None:
        self._job_dir, self._limits, self.mode = job_dir, limits, mode
        self.report = SealReport(
            level="process", is_accepted=False, detail="it ended before it was sealed"
        )
        # Until then nothing generated was loaded: what fails before is not a program's fault.
        self.has_reported = False
        self.peak_rss_mib = 0.0
        self.exit_code = 0
        self.wall_s = 0.0
        isolation = Isolation(mode=mode, limits=limits)
        try:
            self._process, self._pipe = _start(job, job_dir, isolation, warm)
        except OSError as error:
            raise make_start_error(job_dir, error) from None
        self._started = time.monotonic()
        self._disk_before = measure_folder(job_dir)
        self._next_disk_poll = self._started

    def watch(self, on_progress: RowCallback | None, cancel: threading.Event | None) -> JobOutcome:
        """Wait for its end, or for a reason to end it; return the outcome so far."""
        tail = ProgressTail(self._job_dir / PROGRESS_FILE)
        with _open_wake_up(self._process.pid) as wake_up:
            while True:
                has_ended = self._wait(wake_up)
                if on_progress:
                    for row in tail.read_rows():
                        on_progress(row)
                reason = None if has_ended else self._find_reason_to_end(cancel)
                if has_ended or reason:
                    return reason or (name_kill("output") if self._has_flooded_output() else OK)

    def end(self) -> None:
        """Kill what is left of the process group, and read the report of the seal."""
        # A group outlives its leader while it has a member: this ends what a child left behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
        # A fork has no group of its own in its first moment.
        self._process.kill()
        self.exit_code = self._process.wait()
        self.wall_s = time.monotonic() - self._started
        if self._has_flooded_output():
            _shorten(self._job_dir / OUTPUT_FILE, self._limits.output_kib * 1024)
        with self._pipe, contextlib.suppress(ValueError):
            if os.name == "posix":  # who left the group may hold the other end
                os.set_blocking(self._pipe.fileno(), False)
            self.report = SealReport.model_validate_json(self._pipe.read(4096) or b"")
            self.has_reported = True

    def _wait(self, wake_up: int | None) -> bool:
        """Wait a moment; return whether the process has ended, without reaping it on Linux."""
        if wake_up is not None:
            # Not select(): it fails in a parent with more than 1,024 open files.
            poll = select.poll()
            poll.register(wake_up, select.POLLIN)
            return bool(poll.poll(_POLL_S * 1000))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_POLL_S)
        return self._process.returncode is not None

    def _find_reason_to_end(self, cancel: threading.Event | None) -> JobOutcome | None:
        if cancel is not None and cancel.is_set():
            return CANCELLED
        now = time.monotonic()
        if now - self._started > self._limits.wall_s:
            return TIMEOUT
        use = read_process(self._process.pid)
        self.peak_rss_mib = max(self.peak_rss_mib, use.peak_memory_mib)
        if use.memory_mib > self._limits.memory_mib:
            return name_kill("memory")
        if use.n_threads > self._limits.n_threads:
            return name_kill("threads")
        if self._has_flooded_output():
            return name_kill("output")
        if now >= self._next_disk_poll:
            self._next_disk_poll = now + _DISK_POLL_S
            return self._find_disk_reason()
        return None

    def _has_flooded_output(self) -> bool:
        try:
            size = (self._job_dir / OUTPUT_FILE).lstat().st_size
        except OSError:
            return False
        return size > self._limits.output_kib * 1024

    def _find_disk_reason(self) -> JobOutcome | None:
        bound = self._disk_before + self._limits.disk_mib * _MIB
        used = measure_folder(self._job_dir, bound) + measure_nameless_files(self._process.pid)
        return name_kill("disk") if used > bound else None


def make_start_error(job_dir: Path, error: OSError) -> JobError:
    """Return what is said of a child that could not be started."""
    return JobError(
        f"the child for {job_dir} could not be started: {error}",
        "free disk space or processes, then run it again",
    )


def _start(
    job: Job, job_dir: Path, isolation: Isolation, warm: WarmServer | None
) -> tuple[subprocess.Popen[bytes] | WarmProcess, BinaryIO]:
    """Write the job, remove an earlier one's answer, start the process; return its report too."""
    for name in (JOB_FILE, ISOLATION_FILE, RESULT_FILE, ERROR_FILE, OUTPUT_FILE):
        remove(job_dir / name)
    write_atomic(job_dir / JOB_FILE, job.model_dump_json(indent=1).encode())
    write_atomic(job_dir / ISOLATION_FILE, isolation.model_dump_json(indent=1).encode())
    reading, writing = os.pipe()
    try:
        with open(job_dir / OUTPUT_FILE, "wb") as output:
            return _launch(job, job_dir, output, writing, warm), os.fdopen(reading, "rb")
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)


def _launch(
    job: Job, job_dir: Path, output: BinaryIO, report: int, warm: WarmServer | None
) -> subprocess.Popen[bytes] | WarmProcess:
    if warm is not None and warm.can_start(job):
        with contextlib.suppress(OSError):  # the server is gone: start as without it
            return warm.start(job_dir, output.fileno(), report)
    return subprocess.Popen(
        make_child_command(job_dir),
        env=make_child_environment(job_dir, renders=job.uses_graphics),
        cwd=job_dir,
        stdin=report,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _shorten(path: Path, n_bytes: int) -> None:
    """Keep the end of a file only."""
    with contextlib.suppress(OSError, DataError):
        write_atomic(path, read_tail(path, n_bytes))


@contextlib.contextmanager
def _open_wake_up(pid: int) -> Iterator[int | None]:
    """Give a descriptor that becomes readable when the process ends, or None."""
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, AttributeError):  # a kernel before 5.3, or not Linux
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class ProcessUse:
    """Resident memory in MiB and threads of a process; zero where the platform does not tell."""

    memory_mib: float = 0.0
    peak_memory_mib: float = 0.0
    n_threads: int = 0


def read_process(pid: int) -> ProcessUse:
    """Read what a process uses from ``/proc``."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ProcessUse()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    memory, peak, n_threads = (
        int(facts.get(name, "0").split()[0]) for name in ("VmRSS", "VmHWM", "Threads")
    )
    return ProcessUse(memory / 1024, peak / 1024, n_threads)


def measure_folder(folder: Path, stop_at: float = float("inf")) -> int:
    """Return the bytes that a folder takes on disk, links not followed, up to about a bound."""
    total = 0
    pending = [folder]
    while pending and total <= stop_at:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += _measure(entry.stat(follow_symlinks=False))
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    if total > stop_at:
                        break
        except OSError:
            # The child removes files while they are counted.
            continue
    return total


def measure_nameless_files(pid: int) -> int:
    """Return the bytes of files that a process holds open after removing their names."""
    total = 0
    try:
        entries = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return 0
    for entry in entries:
        path = f"/proc/{pid}/fd/{entry}"
        try:
            if os.readlink(path).endswith(" (deleted)"):
                total += _measure(os.stat(path))
        except OSError:
            continue
    return total


def _measure(status: os.stat_result) -> int:
    # Windows has no st_blocks.
    return max(getattr(status, "st_blocks", status.st_size // _BLOCK) * _BLOCK, _LEAST_PER_ENTRY)


class ProgressTail:
    """Reads a CSV file of numbers as it grows. The rows are untrusted.

    Args:
        path: the file, which need not exist yet.
        skips_known: whether rows that it has already are passed over.
    """

    def __init__(self, path: Path, *, skips_known: bool = True) -> None:
        self._path = path
        self._offset = 0
        self._header: list[str] = []
        if skips_known:
            self.read_rows()

    def read_rows(self) -> list[dict[str, float]]:
        """Return the rows written since the last call; what is not a finite number is left out."""
        try:
            descriptor = open_plain(self._path, is_alone=True)
        except (FileNotFoundError, DataError):
            return []
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_size < self._offset:  # what was there is dropped
                self._offset, self._header = 0, []
            file.seek(self._offset)
            chunk = file.read(_MAX_POLL_BYTES)
        # A line without its end is still being written.
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = whole.decode("utf-8", "replace").splitlines()
        if lines and not self._header:
            self._header = lines.pop(0).split(",")[:_MAX_COLUMNS]
        return [self._parse_row(line) for line in lines if line]

    def _parse_row(self, line: str) -> dict[str, float]:
        row = {}
        for name, text in zip(self._header, line.split(","), strict=False):
            if not _COLUMN.fullmatch(name):
                continue
            try:
                value = float(text)
            except ValueError:
                continue
            if math.isfinite(value):
                row[name] = value
        return row
