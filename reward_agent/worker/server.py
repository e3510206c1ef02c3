"""A process that has imported what jobs need, and forks a child for each: saves seconds a job.

It is started before anything generated exists, loads none of it, and holds no secrets: what a
forked child inherits is what a fresh one would import. Each child then seals itself as any other.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from reward_agent.records.jobs import JOB_FILE, JOBS, parse_job
from reward_agent.sandbox.isolation import REPORT_DESCRIPTOR
from reward_agent.worker.dispatch import find_worker, prepare, run_worker

MAX_REQUEST = 1 << 16
_PR_SET_PDEATHSIG = 1


def serve(channel: socket.socket) -> None:
    """Answer requests until the parent closes the channel.

    ``{"job_dir": …, "environment": {…}}`` with two descriptors, for the output and the report of
    the seal, starts a job and is answered with its process id, or with nothing if the process must
    not be forked; ``{"reap": pid}`` with its status.
    """
    preload()
    _answer(channel, {"ready": _count_threads() == 1})
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST, 2)
        if not message:
            return
        request: dict[str, Any] = json.loads(message)
        if "reap" in request:
            _answer(channel, {"status": _reap(request["reap"])})
            continue
        _answer(channel, _start(request, descriptors))
        for descriptor in descriptors:
            os.close(descriptor)


def _start(request: dict[str, Any], descriptors: list[int]) -> dict[str, int]:
    """Fork a child for a job and return its process id, in the parent."""
    _warm_up(Path(request["job_dir"]))
    if _count_threads() > 1:
        return {}
    pid = os.fork()
    if pid == 0:
        _become_child(request, descriptors)
    return {"pid": pid}


def preload() -> None:
    """Import what jobs do that may start warm, but for what only some of them need."""
    importlib.import_module("mujoco.batch")
    for job in JOBS:
        if job.starts_warm:
            find_worker(job.model_fields["kind"].default)


def _warm_up(job_dir: Path) -> None:
    """Do what a job needs that has nothing to do with its program; forks inherit it."""
    # The child meets what fails here again, and reports it.
    with contextlib.suppress(Exception):
        job = parse_job((job_dir / JOB_FILE).read_bytes())
        warm_up = getattr(prepare(job), "warm_up", None)
        if warm_up is not None:
            warm_up(job)


def _count_threads() -> int:
    """Return the threads of this process: a fork copies one, and the locks of all."""
    return len(os.listdir("/proc/self/task"))


def _answer(channel: socket.socket, reply: dict[str, Any]) -> None:
    channel.sendall(json.dumps(reply).encode())


def _reap(pid: int) -> int:
    """Wait for a child that has been killed; return its exit code, negative for a signal."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _become_child(request: dict[str, Any], descriptors: list[int]) -> None:
    """Turn the fresh fork into what ``python -m reward_agent.worker`` starts as; never return."""
    code = 1
    try:
        os.setsid()
        output, report = descriptors
        os.dup2(report, REPORT_DESCRIPTOR)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.update(request["environment"])
        tempfile.tempdir = None
        os.chdir(request["job_dir"])
        code = run_worker(Path(request["job_dir"]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def run_server(descriptor: int) -> int:
    """Serve on an inherited socket; end with the process that started this one."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    with socket.socket(fileno=descriptor) as channel:
        serve(channel)
    return 0


if __name__ == "__main__":
    sys.exit(run_server(int(sys.argv[1])))
