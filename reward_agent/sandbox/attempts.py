"""Attempts on the walls, told even where the program hides that they failed.

The walls hold without this: it is a Python audit hook, which native code can pass by.
"""

from __future__ import annotations

import os
import sys
from typing import Any

# No library of ours does any of these once the process is sealed.
_SUSPECT = frozenset(
    {
        *("socket.__new__", "socket.bind", "socket.connect"),
        *("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system"),
        *("os.kill", "os.killpg", "signal.pthread_kill"),
        *("os.symlink", "os.link", "os.chmod", "os.chown", "os.setxattr", "os.truncate"),
        *("resource.setrlimit", "resource.prlimit"),
    }
)
_STANDARD_ERROR = 2


def report_attempts() -> None:
    """Write a line to standard error at the first attempt of each kind, for good."""
    told: set[str] = set()

    def tell(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _SUSPECT and event not in told:
            told.add(event)
            os.write(_STANDARD_ERROR, f"sandbox: attempt: {event}\n".encode())

    sys.addaudithook(tell)
