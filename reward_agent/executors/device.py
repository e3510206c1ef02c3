"""Trainings on a GPU: one process has it, and trains what is asked for together as one round.

``DevicePlace`` stands before another place, to which all goes that is no training, and each
training that has no form on a GPU; it says so. A program is traced in a sealed child of that place.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from reward_agent.device.fitness import find_training_obstacle
from reward_agent.errors import DataError, EnvironmentFailure, Interrupted
from reward_agent.executors import JobRequest, Place
from reward_agent.files import write_atomic
from reward_agent.records.device import DeviceReply, DeviceRequest, DeviceTraining
from reward_agent.records.job import JOB_FILE, PROGRAM_FILE, PROGRESS_FILE, RESULT_FILE, RowCallback
from reward_agent.records.operations import TracedProgram
from reward_agent.records.outcomes import OK
from reward_agent.records.training_jobs import TraceJob, TraceResult, TrainJob
from reward_agent.sandbox.child import ProgressTail
from reward_agent.sandbox.environment import select_allowed
from reward_agent.sandbox.isolation import Level
from reward_agent.sandbox.runner import JobExit, read_result
from reward_agent.text import clean_text

# So many trainings can enter at once; the process divides them as its memory allows.
_MOST_SIDE_BY_SIDE = 256
# Trainings of one round come within this time of each other.
_SETTLE_S, _POLL_S = 0.5, 0.2
# What the process needs beside what a child may see: where kernels that were compiled are kept.
_OF_DEVICE = ("HOME", "WARP_CACHE_PATH", "XDG_CACHE_HOME")
_TO_CPU = "train with --device cpu"
_PROCESS = "reward_agent.worker.device"


@dataclass
class WaitingTraining:
    """A training that waits for the device; ``done`` is set when ``reply`` says how it ended."""

    request: JobRequest
    job: TrainJob
    traced: Traced
    done: threading.Event = field(default_factory=threading.Event)
    reply: DeviceReply | None = None

    def answer(self, reply: DeviceReply) -> None:
        """Tell whoever waits."""
        self.reply = reply
        self.done.set()


class DevicePlace:
    """A GPU before another place.

    Args:
        place: where all else runs.
        device: PyTorch's name.
        tell: is told what a person should know.
        folder: beneath which trainings are; the device's process writes there alone.
        is_required: whether a device that fails is an error; if not, trainings go on without it.
    """

    is_remote = False

    def __init__(
        self,
        place: Place,
        device: str,
        tell: Callable[[str], None],
        folder: Path,
        *,
        is_required: bool = True,
    ) -> None:
        self.n_slots = max(place.n_slots, _MOST_SIDE_BY_SIDE)
        self._place, self._tell = place, tell
        # Beside trainings on the device no more jobs run than without it.
        self._cores = threading.Semaphore(place.n_slots)
        self._folder = TemporaryDirectory(prefix="reward-agent-device-")
        self._queue = DeviceQueue(device, [Path(self._folder.name), folder], self._say)
        self._traces: dict[str, Traced] = {}
        self._tracing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._told: set[str] = set()
        self._is_required, self._lost = is_required, ""

    def takes_more(self, request: JobRequest, cancel: threading.Event) -> bool:
        """Whether a training runs on the device, where others beside it cost next to nothing."""
        assert type(request.job) is TrainJob
        with self._queue.expecting():
            return self._load(request, request.job, cancel).program is not None

    def _load(self, request: JobRequest, job: TrainJob, cancel: threading.Event) -> Traced:
        """Return a training's program as operations, or why it does not run on the device."""
        why = self._lost or find_training_obstacle(job)
        return Traced(refusal=why) if why else self._trace(request, job, cancel)

    def run(
        self, request: JobRequest, on_progress: RowCallback | None, cancel: threading.Event
    ) -> JobExit:
        """Run a training on the device, if it can run there, and all else where it ran before."""
        job = request.job
        if type(job) is not TrainJob:
            return self._run_there(request, on_progress, cancel)
        started = time.monotonic()
        with self._queue.expecting():
            traced, waiting = self._load(request, job, cancel), None
            if traced.program is not None:
                waiting = self._queue.put(WaitingTraining(request, job, traced))
        why = traced.refusal
        if waiting is not None:
            reply = self._queue.wait(waiting, on_progress, cancel)
            if reply.kind == "done":
                try:
                    return _read_exit(waiting, time.monotonic() - started)
                except DataError as error:
                    reply = DeviceReply(kind="failed", message=error.message)
            if reply.kind == "failed":
                self._lose(reply)
            why = reply.message
        if not self._lost:
            self._say(f"program {job.program_sha256[:8]} trains on the CPU: {why}")
        return self._run_there(request, on_progress, cancel)

    def _lose(self, reply: DeviceReply) -> None:
        """Go on without the device: what it trained before has its checkpoints.

        Raises:
            EnvironmentFailure: it was asked for by name.
        """
        if self._is_required:
            raise EnvironmentFailure(f"the GPU: {reply.message}", reply.remedy or _TO_CPU)
        self._lost = f"the GPU: {reply.message}"
        self._say(f"{self._lost}; trainings go on on the CPU, from their last checkpoints")

    def close(self) -> None:
        """End the process that has the device; the other place is closed by whoever made it."""
        self._queue.close()
        self._folder.cleanup()

    def _run_there(
        self, request: JobRequest, on_progress: RowCallback | None, cancel: threading.Event
    ) -> JobExit:
        with self._cores:
            return self._place.run(request, on_progress, cancel)

    def _say(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(what)

    def _trace(self, request: JobRequest, job: TrainJob, cancel: threading.Event) -> Traced:
        """Have the program of a training traced; several seeds of one need it once."""
        trace = TraceJob(card=job.card, program_sha256=job.program_sha256, gamma=job.learner.gamma)
        key = trace.digest()
        with self._tracing[key]:
            if key not in self._traces:
                folder = Path(self._folder.name) / key[:24]
                folder.mkdir()
                source = (request.job_dir / PROGRAM_FILE).read_bytes()
                (folder / PROGRAM_FILE).write_bytes(source)
                there = JobRequest(trace, folder, request.limits)
                found = self._run_there(there, None, cancel)
                told = found.result if isinstance(found.result, TraceResult) else None
                why = told.refusal if told else f"its trace ended so: {found.outcome}"
                self._traces[key] = Traced(told.program if told else None, why, found.level)
            return self._traces[key]


@dataclass(frozen=True)
class Traced:
    """A program as operations, or why it has none, and how well what traced it was sealed."""

    program: TracedProgram | None = None
    refusal: str = ""
    level: Level = "process"


def _read_exit(waiting: WaitingTraining, wall_s: float) -> JobExit:
    """Return how a training ended that the device's process says is over.

    Raises:
        DataError: what it left is no result.
    """
    request = waiting.request
    result = read_result(waiting.job, request.job_dir, request.limits.result_mib * 2**20)
    return JobExit(
        outcome=OK,
        result=result,
        wall_s=wall_s,
        peak_rss_mib=0.0,
        level=waiting.traced.level,
        stderr_tail="",
    )


class DeviceQueue:
    """What waits for the device, and the process that has it, which starts with the first of it.

    Args:
        device: PyTorch's name.
        folders: where the process may write, in the first of them what it says.
        tell: is told what a person should know.
    """

    def __init__(self, device: str, folders: Sequence[Path], tell: Callable[[str], None]) -> None:
        self._device, self._folders, self._tell = device, folders, tell
        self._log = folders[0] / "device.log"
        self._changed = threading.Condition()
        self._waiting: list[WaitingTraining] = []
        self._n_expected, self._is_closed = 0, False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._serve, name="device", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def expecting(self) -> Iterator[None]:
        """Let the device wait for one more training, whose program is being traced."""
        with self._changed:
            self._n_expected += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_expected -= 1
                self._changed.notify_all()

    def put(self, waiting: WaitingTraining) -> WaitingTraining:
        """Let a training wait."""
        with self._changed:
            self._waiting.append(waiting)
        return waiting

    def wait(
        self, waiting: WaitingTraining, on_progress: RowCallback | None, cancel: threading.Event
    ) -> DeviceReply:
        """Return how a training ended; meanwhile tell the rows of its course.

        Raises:
            Interrupted: the run was stopped meanwhile.
        """
        tail = ProgressTail(waiting.request.job_dir / PROGRESS_FILE)
        is_over = False
        while not is_over:
            is_over = waiting.done.wait(_POLL_S)
            if on_progress is not None:
                for row in tail.read_rows():
                    on_progress(row)
            if cancel.is_set() and (waiting.reply is None or waiting.reply.kind == "failed"):
                self._say("stop")
                raise Interrupted("the run was stopped")
        assert waiting.reply is not None
        return waiting.reply

    def close(self) -> None:
        """End the process."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._process is not None:
            self._process.kill()
        self._thread.join()
        self._forget_process()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._is_complete())
                if self._is_closed:
                    return
            time.sleep(_SETTLE_S)
            with self._changed:
                if not self._is_complete():
                    continue
                together, self._waiting = self._waiting, []
            self._train(together)

    def _is_complete(self) -> bool:
        return bool(self._waiting) and not self._n_expected

    def _train(self, together: Sequence[WaitingTraining]) -> None:
        """Train these side by side; each has an answer afterwards."""
        open_ = {str(item.request.job_dir): item for item in together}
        try:
            process = self._start()
            clock = threading.Timer(together[0].request.limits.wall_s, process.kill)
            clock.start()
            try:
                self._say(_make_request(together))
                last = self._hear(process, open_)
            finally:
                clock.cancel()
        except (OSError, ValidationError) as error:
            last = DeviceReply(kind="failed", message=f"{type(error).__name__}: {error}"[:4000])
        for item in open_.values():
            item.answer(last)

    def _hear(
        self, process: subprocess.Popen[str], open_: dict[str, WaitingTraining]
    ) -> DeviceReply:
        """Answer trainings as they end; return what those are told that did not."""
        assert process.stdout is not None
        for line in process.stdout:
            reply = DeviceReply.model_validate_json(line)
            for note in reply.notes:
                self._tell(note)
            if reply.kind in ("done", "refused") and reply.job_dir in open_:
                open_.pop(reply.job_dir).answer(reply)
            elif reply.kind == "failed":
                return reply
            elif reply.kind == "finished":
                return DeviceReply(kind="failed", message="it was stopped before its end")
        self._forget_process()
        said = self._log.read_text("utf-8", "replace")[-1000:].strip()
        return DeviceReply(kind="failed", message=clean_text(f"its process ended: {said}", 3000))

    def _start(self) -> subprocess.Popen[str]:
        """Start the process, where it is not there; its first word is heard with all others."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._forget_process()
        kept = {name: os.environ[name] for name in _OF_DEVICE if name in os.environ}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", _PROCESS, self._device, *self._folders],
                env={**select_allowed(os.environ), **kept, "TMPDIR": str(self._folders[0])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        return self._process

    def _forget_process(self) -> None:
        """Close the pipes of a process that has ended."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(BrokenPipeError), process:
                pass

    def _say(self, line: str) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(line + "\n")
                process.stdin.flush()


def _make_request(together: Sequence[WaitingTraining]) -> str:
    """Leave the job in each folder, as any place does, and return the request."""
    trainings = []
    for item in together:
        folder = item.request.job_dir
        (folder / RESULT_FILE).unlink(missing_ok=True)
        write_atomic(folder / JOB_FILE, item.job.model_dump_json(indent=1).encode())
        program = item.traced.program
        assert program is not None
        trainings.append(DeviceTraining(job=item.job, job_dir=str(folder), program=program))
    return DeviceRequest(trainings=tuple(trainings)).model_dump_json()
