"""What a sealed child tries on itself: each attempt must fail before generated code is loaded."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path


def find_holes(job_dir: Path, parent_pid: int) -> list[str]:
    """Return the names of the attempts that succeeded; none in a tight sandbox."""
    attempts: dict[str, Callable[[], None]] = {
        "reads /etc/passwd": lambda: _open("/etc/passwd", os.O_RDONLY),
        "reads the parent's environment": lambda: _open(f"/proc/{parent_pid}/environ", os.O_RDONLY),
        "writes beside its folder": lambda: _write_outside(job_dir.parent),
        "opens an internet socket": lambda: socket.socket(socket.AF_INET).close(),
        "opens a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "starts a process": _fork,
        "signals its parent": lambda: os.kill(parent_pid, 0),
    }
    return [name for name, attempt in attempts.items() if _succeeds(attempt)]


def _succeeds(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags))


def _write_outside(folder: Path) -> None:
    path = folder / f".reward-agent-probe-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    path.unlink(missing_ok=True)


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
