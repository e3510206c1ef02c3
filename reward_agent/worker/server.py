"""A process that has imported what jobs need, and forks a child for each: saves seconds a job.

It is started before anything generated exists, loads none of it, and holds no secrets: what a
forked child inherits is what a fresh one would import. Each child then seals itself as any other.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

from reward_agent.records.job import JOB_FILE
from reward_agent.records.jobs import JOBS, parse_job
from reward_agent.sandbox.environment import JOB_DIR_VARIABLES
from reward_agent.sandbox.filter import call_c
from reward_agent.sandbox.isolation import REPORT_DESCRIPTOR
from reward_agent.types import Record
from reward_agent.worker.dispatch import find_worker, prepare, run_worker

MAX_REQUEST = 1 << 16
_PR_SET_PDEATHSIG = 1


def serve(channel: socket.socket) -> None:
    """Answer requests until the parent closes the channel, each with a number.

    A folder's path with two descriptors, for the output and the report of the seal, starts its job;
    the answer is the process id, 0 if this process must not be forked. The id of a process asks for
    its exit code. The first answer, unasked, is whether children can be forked at all.
    """
    preload()
    _answer(channel, _count_threads() == 1)
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST, 2)
        if not message:
            return
        if not descriptors:
            _answer(channel, _reap(int(message)))
            continue
        _answer(channel, _start(Path(os.fsdecode(message)), descriptors))
        for descriptor in descriptors:
            os.close(descriptor)


def _start(job_dir: Path, descriptors: list[int]) -> int:
    """Fork a child for a job and return its process id, in the parent."""
    _warm_up(job_dir)
    if _count_threads() > 1:
        return 0
    pid = os.fork()
    if pid == 0:
        _become_child(job_dir, descriptors)
    return pid


def preload() -> None:
    """Do once what jobs that may start warm do first: imports, and the validators of records.

    What only some of them need is left to them.
    """
    # Imported on use, and by most jobs: a fifth of the time of a small one.
    for name in ("numpy.ma", "numpy.random", "reward_agent.simulation.mujoco_batch"):
        importlib.import_module(name)
    for job in JOBS:
        if job.starts_warm:
            find_worker(job)
    _build_validators(Record)


def _build_validators(record: type[Record]) -> None:
    for kind in record.__subclasses__():
        kind.model_rebuild()
        _build_validators(kind)


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


def _answer(channel: socket.socket, number: int) -> None:
    channel.sendall(str(int(number)).encode())


def _reap(pid: int) -> int:
    """Wait for a child that has been killed; return its exit code, negative for a signal."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _become_child(job_dir: Path, descriptors: list[int]) -> None:
    """Turn the fresh fork into what ``python -m reward_agent.worker`` starts as; never return."""
    code = 1
    try:
        os.setsid()
        output, report = descriptors
        os.dup2(report, REPORT_DESCRIPTOR)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.update(dict.fromkeys(JOB_DIR_VARIABLES, str(job_dir)))
        tempfile.tempdir = None
        os.chdir(job_dir)
        code = run_worker(job_dir)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def run_server() -> int:
    """Serve on standard input, a socket; end with the process that started this one."""
    call_c("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with socket.socket(fileno=0) as channel:
        serve(channel)
    return 0


if __name__ == "__main__":
    sys.exit(run_server())
