"""Jobs on the nodes of a Slurm cluster, as job arrays of ``python -m reward_agent.executors.node``.

Orders and replies are files in a folder of the run, which must be on a disk that the nodes share.
Slurm's own commands are all that is needed. A driver that dies leaves its jobs where they are: the
next one finds them by what they ask for, running or done. The commands get no key, so neither do
the jobs, to which Slurm hands the environment of ``sbatch`` on.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError, UsageError
from reward_agent.executors.node import ORDER_FILE, REPLY_FILE, ROWS_FILE
from reward_agent.executors.parcel import digest_order
from reward_agent.executors.remote import ClusterOptions, NodeLost, make_node_environment
from reward_agent.files import (
    make_folder,
    open_plain,
    read_bytes,
    read_tail,
    read_text,
    remove,
    write_atomic,
)
from reward_agent.records.job import RowCallback
from reward_agent.text import show_hidden

_POLL_S = 1.0
_COMMAND_S = 60.0
# A shared disk may show a reply this much later than Slurm shows the end of its job.
_LAG_S = 10.0
_END_S = 60.0
# Slurm's own default allows indices up to 1000.
_LARGEST_ARRAY = 1000
# Of a node's own process, beside what the job in it may take.
_OWN_MIB = 512
_MOST_REPLY_BYTES = 2**31
_ELEMENT = re.compile(r"[0-9]+_[0-9]+")
_ELEMENT_FILE, _OUTPUT_FILE = "element", "output.txt"
# A controller that restarts or is overrun says so; anything else is a refusal.
_BUSY = ("Unable to contact", "timed out", "try again", "temporarily", "Zero Bytes")

_SCRIPT = """\
#!/bin/sh
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory_mib}M
{gpus}#SBATCH --no-requeue
#SBATCH --output=/dev/null
set -- {folders}
shift "$SLURM_ARRAY_TASK_ID"
cd {spool}
exec {python} -s -P -m reward_agent.executors.node "$1" >"$1/{output}" 2>&1
"""


def make_nodes(options: ClusterOptions) -> SlurmNodes:
    """Use the cluster that this machine's Slurm commands speak to.

    Raises:
        UsageError: the cluster does not answer, or cannot give what is asked.
    """
    if options.job_gpus % 1:
        raise UsageError(
            f"Slurm gives whole GPUs, not {options.job_gpus:g} for a job", "--job-gpus 1, or 0"
        )
    return SlurmNodes(options)


@dataclass
class _Task:
    """An order in its folder of the spool.

    Args:
        folder: where it lies.
        element: its array's number and its own, once it is submitted.
        failure: why it is not.
        gone_s: when it was first missed in the queue.
        offset: how far its rows of progress are read.
    """

    folder: Path
    element: str | None = None
    failure: Exception | None = None
    gone_s: float | None = None
    offset: int = 0

    def read_rows(self) -> Iterator[dict[str, float]]:
        """Yield the rows of progress since the last call."""
        with (
            contextlib.suppress(FileNotFoundError),
            os.fdopen(open_plain(self.folder / ROWS_FILE), "rb") as file,
        ):
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):  # it is still being written
                    return
                self.offset += len(line)
                yield json.loads(line)

    def read_reply(self) -> bytes | None:
        """Return the reply, or None while there is none."""
        with contextlib.suppress(FileNotFoundError):
            return read_bytes(self.folder / REPLY_FILE, _MOST_REPLY_BYTES)
        return None

    def check(self) -> None:
        """Raise what was met in submitting, or NodeLost if the job ended without a reply."""
        if self.failure is not None:
            raise self.failure
        if self.gone_s is not None and time.monotonic() - self.gone_s > _LAG_S:
            raise NodeLost(f"Slurm job {self.element} ended without a reply; {self._read_output()}")

    def _read_output(self) -> str:
        with contextlib.suppress(FileNotFoundError, DataError):
            tail = read_tail(self.folder / _OUTPUT_FILE, 400).decode("utf-8", "replace")
            return show_hidden(tail) or "no output"
        return "no output"


class SlurmNodes:
    """A Slurm cluster: one thread submits what is waiting as an array, and asks for all at once.

    Args:
        options: what is reserved for a job, and the folder that the nodes see too.
    """

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._spool = options.folder.resolve() / "slurm"
        # Known again after a restart, and nobody else's.
        self._name = "reward-agent-" + hashlib.sha256(str(self._spool).encode()).hexdigest()[:12]
        self.n_slots = options.slots or max(1, _count_cpus() // options.job_cpus)
        make_folder(self._spool)
        self._tasks: dict[str, _Task] = {}
        self._waiting: list[_Task] = []
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="slurm", daemon=True)
        self._thread.start()

    def work(
        self, order: bytes, on_progress: RowCallback | None, cancel: threading.Event
    ) -> bytes | None:
        """Run an order as an element of an array.

        Raises:
            NodeLost: its node died, or the controller was not there.
            UsageError: Slurm refuses it.
        """
        task = self._take(order)
        reply = None
        try:
            while not cancel.wait(_POLL_S):
                for row in task.read_rows():
                    if on_progress is not None:
                        on_progress(row)
                reply = task.read_reply()
                if reply is not None:
                    return reply
                task.check()
            return None
        finally:
            if reply is None:
                self._cancel(task)
            self._drop(task)

    def close(self) -> None:
        """Cancel what is left of this run and remove its folder."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        self._thread.join()
        with contextlib.suppress(NodeLost, UsageError):  # the run has ended all the same
            _call("scancel", f"--name={self._name}")
        with contextlib.suppress(OSError):
            remove(self._spool)

    def _take(self, order: bytes) -> _Task:
        """Find the task of an order that an earlier driver left, or put a new one down."""
        with self._lock:
            names = (f"{digest_order(order)[:24]}-{number}" for number in itertools.count())
            name = next(name for name in names if name not in self._tasks)
            task = self._tasks[name] = _Task(self._spool / name)
            element = read_text(task.folder / _ELEMENT_FILE, "")
            if _ELEMENT.fullmatch(element):  # it is a word of a command
                task.element = element
                return task
            remove(task.folder)
            write_atomic(task.folder / ORDER_FILE, order)
            self._waiting.append(task)
            return task

    def _cancel(self, task: _Task) -> None:
        """End a task and wait until nothing of it runs any more."""
        with self._lock:
            if task in self._waiting:
                self._waiting.remove(task)
        if task.element is None or task.gone_s is not None:
            return
        with contextlib.suppress(NodeLost, UsageError):  # it may have ended this moment
            _call("scancel", task.element)
        deadline = time.monotonic() + _END_S
        while task.gone_s is None and time.monotonic() < deadline:
            time.sleep(_POLL_S / 4)

    def _drop(self, task: _Task) -> None:
        with contextlib.suppress(OSError):
            remove(task.folder)
        with self._lock:
            self._tasks.pop(task.folder.name)

    def _keep(self) -> None:
        """Submit and look, until the end."""
        while not self._is_closed.wait(_POLL_S):
            with self._lock:
                batch = self._waiting[:_LARGEST_ARRAY]
                if batch:
                    self._submit(batch)
                    del self._waiting[: len(batch)]
                submitted = [task for task in self._tasks.values() if task.element is not None]
            if submitted:
                self._look(submitted)

    def _submit(self, batch: Sequence[_Task]) -> None:
        """Order tasks as one array, or note why it is refused."""
        try:
            script = write_script(self._name, [task.folder for task in batch], self._options)
            number = _call("sbatch", "--parsable", text=script).strip().partition(";")[0]
            for index, task in enumerate(batch):
                task.element = f"{number}_{index}"
            for task in batch:
                write_atomic(task.folder / _ELEMENT_FILE, str(task.element).encode())
        except Exception as error:  # told to those who wait: they would wait for ever
            for task in batch:
                task.failure = NodeLost(str(error)) if isinstance(error, OSError) else error

    def _look(self, tasks: Sequence[_Task]) -> None:
        """Note which tasks Slurm has no more; a controller that is away says nothing of them."""
        try:
            listed = _call("squeue", "-h", "-r", f"--name={self._name}", "-o", "%F_%K").split()
        except (NodeLost, UsageError):
            return
        present = set(listed)
        for task in tasks:
            if task.element not in present and task.gone_s is None:
                task.gone_s = time.monotonic()


def write_script(name: str, folders: Sequence[Path], options: ClusterOptions) -> str:
    """Return the ``sbatch`` script of an array with an element for each folder of one spool."""
    gpus = f"#SBATCH --gpus-per-task={options.job_gpus:.0f}\n" if options.job_gpus else ""
    return _SCRIPT.format(
        name=name,
        last=len(folders) - 1,
        cpus=options.job_cpus,
        memory_mib=options.memory_mib + _OWN_MIB,
        gpus=gpus,
        folders=" ".join(shlex.quote(folder.name) for folder in folders),
        spool=shlex.quote(str(folders[0].parent)),
        python=shlex.quote(sys.executable),
        output=_OUTPUT_FILE,
    )


def _count_cpus() -> int:
    """Return the processors of the default partition's nodes: allocated/idle/other/total."""
    total = 0
    for line in _call("sinfo", "-h", "-o", "%P %C").splitlines():
        partition, _, counts = line.partition(" ")
        allocated, idle = (int(part) for part in counts.split("/")[:2])
        total = allocated + idle if partition.endswith("*") else max(total, allocated + idle)
    return total


def _call(command: str, *arguments: str, text: str = "") -> str:
    """Run one of Slurm's commands without any key.

    Raises:
        NodeLost: it could not be started, or its controller did not answer.
        UsageError: it refuses.
    """
    try:
        done = subprocess.run(
            [command, *arguments],
            input=text,
            env=make_node_environment(),
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
        )
    except subprocess.TimeoutExpired as error:
        raise NodeLost(f"{command} did not answer within {_COMMAND_S:g} s") from error
    except OSError as error:  # no more processes, for now
        raise NodeLost(f"{command} could not be started: {error}") from error
    if done.returncode == 0:
        return done.stdout
    said = " ".join(done.stderr.split())[:300]
    if any(word in done.stderr for word in _BUSY):
        raise NodeLost(f"{command}: {said}")
    raise UsageError(f"{command} refuses: {said}", "see `sinfo`, and the limits asked for a job")
