"""The parent's side of warm children: a server with everything imported forks one for each job.

A fresh interpreter imports pydantic, NumPy and MuJoCo for a quarter of a second, torch for seconds;
a fork takes milliseconds, and seals itself in the same way. Without Linux's pidfd, children start
cold.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.files import make_scratch
from reward_agent.records.job import Job
from reward_agent.sandbox.environment import make_child_environment
from reward_agent.simulation.backends import find_python

_READY_S = 120.0
_ANSWER_S = 30.0
_MAX_ANSWER = 4096


@dataclass
class WarmProcess:
    """A forked child; looks as much like ``Popen`` as is needed.

    Args:
        pid: its process id; it is not taken again before ``wait`` has been called.
        server: whose child it is.
    """

    pid: int
    server: WarmServer
    returncode: int | None = None

    def kill(self) -> None:
        """Kill the process itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process, which is under way, and return its exit code."""
        if self.returncode is None:
            self.returncode = self.server.reap(self.pid)
        return self.returncode


class WarmServer:
    """Starts the server at once; the first job waits until it is ready.

    The thread that makes it must outlive it: Linux ends a process with the thread that started it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_ready: bool | None = None
        self._scratch = contextlib.ExitStack()
        folder = self._scratch.enter_context(make_scratch())
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                make_server_command(),
                env=make_child_environment(folder, renders=False),
                cwd=folder,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def can_start(self, job: Job) -> bool:
        """Return whether a job can start warm; waits for the imports at the first call.

        One whose environments run in another Python starts that for itself.
        """
        is_alone = job.starts_warm and not find_python(job.card)
        return is_alone and self._wait_until_ready()

    def start(self, job_dir: Path, output: int, report: int) -> WarmProcess:
        """Fork a child for the job in a folder.

        Raises:
            OSError: the server is gone, or must not be forked.
        """
        pid = self._ask(os.fsencode(job_dir), [output, report])
        if not pid:
            raise OSError("the server of warm children has threads, which a fork would lose")
        return WarmProcess(pid, self)

    def reap(self, pid: int) -> int:
        """Return the exit code of a child that has been killed or has ended.

        Without its server that is unknown; the server's end has killed it, if nothing did before.
        """
        try:
            return self._ask(str(pid).encode())
        except OSError:
            return -signal.SIGKILL

    def close(self) -> None:
        """End the server, and with it what it started."""
        self._channel.close()
        self._process.terminate()  # it may be in the middle of an import
        try:
            self._process.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._scratch.close()

    def _wait_until_ready(self) -> bool:
        with self._lock:
            if self._is_ready is None:
                self._channel.settimeout(_READY_S)
                try:
                    self._is_ready = bool(self._read())
                except OSError:
                    self._is_ready = False
                self._channel.settimeout(_ANSWER_S)
            return self._is_ready

    def _ask(self, request: bytes, descriptors: Sequence[int] = ()) -> int:
        with self._lock:
            try:
                socket.send_fds(self._channel, [request], descriptors)
                return self._read()
            except OSError:
                # A late answer would be taken for the next one's, and a late child would share the
                # folder of the one that starts cold: jobs under way are run again, cold.
                self._is_ready = False
                self._process.kill()
                self._process.wait()
                raise

    def _read(self) -> int:
        message = self._channel.recv(_MAX_ANSWER)
        if not message:
            raise ConnectionResetError("the server of warm children has ended")
        return int(message)


def make_server_command() -> list[str]:
    """Return the command line of the server, whose standard input is its socket."""
    return [sys.executable, "-s", "-P", "-m", "reward_agent.worker.server"]


def make_warm_server() -> WarmServer | None:
    """Start a server of warm children, or return None where a child could not be watched."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        os.close(os.pidfd_open(os.getpid()))
        return WarmServer()
    except (OSError, AttributeError):
        return None
