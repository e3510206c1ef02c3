"""The process that has a GPU: trains rounds of traced programs, and loads no generated code.

``python -m reward_agent.worker.device DEVICE FOLDER …`` speaks ``records.device`` over its standard
input and output, and once it has the device writes in these folders alone. A program comes as a
list of operations, is verified, and run by ``device.program``; the folder of each training then
holds what ``worker.train`` would have left there, so that whoever scores, races and reports does
not see the difference.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

import torch
import warp as wp

from reward_agent.definitions.learner import PPOSettings
from reward_agent.device.fitness import find_training_obstacle
from reward_agent.device.program import ProgramRunner
from reward_agent.device.round import Round, Shape
from reward_agent.device.seats import order_seats
from reward_agent.device.stack import FORM, Seat, StackedLearner
from reward_agent.errors import DataError, RewardAgentError
from reward_agent.files import write_atomic
from reward_agent.learning.learner import TrainingFailure
from reward_agent.learning.policy import load_policy
from reward_agent.learning.trainer import TrainingRecord
from reward_agent.records.device import DeviceReply, DeviceRequest, DeviceTraining
from reward_agent.records.job import INITIAL_POLICY_FILE, RESULT_FILE
from reward_agent.rewards.contract import ContractError
from reward_agent.sandbox.seal import confine_device
from reward_agent.types import FINISHED, TimeUse, WorkOutcome, name_failure

# Fewer launches than today's 16 worlds need, and no less learned: distance, m, of two recorded
# programs x two seeds of hopper after 100,000 steps, with 1,024 steps a rollout, on a CPU:
#   16 x 64: 4.7 8.7 6.2 5.2    32 x 32: 4.4 4.9 11.5 5.1    64 x 16: 4.3 1.4 2.6 9.4
DEFAULT_WORLDS = 32
# Of one stack, by the memory of a GPU; more trainings follow in the next.
_MOST_WORLDS = 65_536
_STOP = "stop"

Tell = Callable[[DeviceReply], None]


class SeatedTraining:
    """One training of a round: its job, its record, and how long it has taken."""

    def __init__(self, training: DeviceTraining) -> None:
        self.job, self.program = training.job, training.program
        self.folder = Path(training.job_dir)
        self.settings = PPOSettings.model_validate(self.job.learner.given)
        self.record = TrainingRecord(self.job, self.folder)
        self.is_over = False

    @property
    def form(self) -> tuple[object, ...]:
        """What trainings of one round have in common."""
        settings = self.settings
        card = self.job.card.model_dump_json(exclude={"folder"})
        product = settings.n_envs * settings.n_steps
        return (card, product, *(getattr(settings, name) for name in FORM))

    @property
    def seat(self) -> Seat:
        """Its learner."""
        return Seat(self.settings, self.job.seed, self.job.total_timesteps)


@dataclass(frozen=True)
class DeviceSession:
    """What a request is answered with.

    Args:
        device: torch's name of the device.
        tell: says what is over.
        is_stopped: whether the rest is not wanted any more.
    """

    device: str
    tell: Tell
    is_stopped: Callable[[], bool]

    def refuse(self, trainings: Sequence[SeatedTraining], why: DataError) -> None:
        """Say of trainings that they cannot run here."""
        for item in trainings:
            self.tell(DeviceReply(kind="refused", job_dir=str(item.folder), message=str(why)))


def train(request: DeviceRequest, session: DeviceSession) -> None:
    """Run the trainings of a request, those that can stand in one stack side by side.

    Raises:
        RewardAgentError: the device, or its room for contacts, is at an end.
    """
    groups: dict[tuple[object, ...], list[SeatedTraining]] = {}
    for given in request.trainings:
        if obstacle := find_training_obstacle(given.job):
            session.tell(DeviceReply(kind="refused", job_dir=given.job_dir, message=obstacle))
            continue
        training = SeatedTraining(given)
        groups.setdefault(training.form, []).append(training)
    notes: set[str] = set()
    n_worlds = request.n_worlds or DEFAULT_WORLDS
    most = max(_MOST_WORLDS // n_worlds, 1)
    for group in groups.values():
        for first in range(0, len(group), most):
            part = group[first : first + most]
            shape = _find_shape(part[0].settings, n_worlds)
            runners = _load_programs(part, shape.n_worlds, session)
            if not runners:
                continue
            seated = [item for item in part if item.program.program_sha256 in runners]
            try:
                course = SeatedRound(seated, runners, shape, session)
            except DataError as error:  # the card cannot be simulated here
                session.refuse(seated, error)
                continue
            course.run()
            notes |= set(course.round.worlds.notes)
    session.tell(DeviceReply(kind="finished", notes=tuple(sorted(notes))))


def _find_shape(settings: PPOSettings, n_worlds: int) -> Shape:
    """Return as many env steps as the settings say, in so many worlds if there are enough."""
    product = settings.n_envs * settings.n_steps
    n_worlds = min(n_worlds, product)
    return Shape(n_worlds, product // n_worlds)


def _load_programs(
    seated: Sequence[SeatedTraining], n_worlds: int, session: DeviceSession
) -> dict[str, ProgramRunner]:
    """Return the programs, each for all of its worlds; trainings of one that may not run end."""
    runners = {}
    by_program: dict[str, list[SeatedTraining]] = {}
    for training in seated:
        by_program.setdefault(training.program.program_sha256, []).append(training)
    for sha256, own in by_program.items():
        try:
            runners[sha256] = ProgramRunner(own[0].program, len(own) * n_worlds, session.device)
        except DataError as error:
            session.refuse(own, error)
    return runners


class SeatedRound:
    """The trainings of one round, at the start or where their checkpoints left them."""

    def __init__(
        self,
        seated: Sequence[SeatedTraining],
        runners: Mapping[str, ProgramRunner],
        shape: Shape,
        session: DeviceSession,
    ) -> None:
        self._session, self._started = session, time.perf_counter()
        programs = [training.program.program_sha256 for training in seated]
        self._seated = [seated[i] for i in order_seats(programs)]
        self.round = Round(
            self._seated[0].job.card,
            runners,
            [training.program.program_sha256 for training in self._seated],
            [training.seat for training in self._seated],
            shape,
            session.device,
            # A continued training begins new episodes: others than those that it began with.
            seed=sum(t.job.seed * 1_000_003 + t.record.steps for t in seated) % 2**31,
        )
        for k, training in enumerate(self._seated):
            if training.record.checkpoint:
                self.round.stack.restore(k, training.record.checkpoint)
            elif training.job.initial_policy_sha256 is not None:
                self.round.stack.adopt(k, load_policy(training.folder / INITIAL_POLICY_FILE))

    def run(self) -> None:
        """Train each as far as its job says, unless the rest is not wanted any more."""
        self._settle([None] * len(self._seated))
        while not all(training.is_over for training in self._seated):
            if self._session.is_stopped():
                return
            stretches = self.round.learn([not training.is_over for training in self._seated])
            for k, (training, stretch) in enumerate(zip(self._seated, stretches, strict=True)):
                if stretch is not None:
                    training.record.add(stretch, self._get(k), self._find_timing(training).total_s)
            self._settle([self.round.failures.get(k) for k in range(len(self._seated))])

    def _get(self, k: int) -> StackedLearner:
        return StackedLearner(self.round.stack, k)

    def _find_timing(self, training: SeatedTraining) -> TimeUse:
        """Return where the time went; all trainings of a round take the whole of it."""
        seconds = self.round.seconds
        other_s = max(time.perf_counter() - self._started - sum(seconds.values()), 0.0)
        named = {f"{name}_s": value for name, value in seconds.items()}
        return training.record.earlier + TimeUse(**named, other_s=other_s)

    def _settle(self, failures: Sequence[ContractError | TrainingFailure | None]) -> None:
        """Leave the results of the trainings that are over now."""
        for k, (training, failure) in enumerate(zip(self._seated, failures, strict=True)):
            outcome = None if training.is_over else self._find_outcome(k, training, failure)
            if outcome is None:
                continue
            learner, timing = self._get(k), self._find_timing(training)
            if failure is None and learner.num_timesteps > training.record.steps:
                training.record.close(learner, timing, practised=0, starts=[])
            result = training.record.describe(outcome, learner.num_timesteps, timing)
            text = result.model_dump_json(indent=1)
            write_atomic(training.folder / RESULT_FILE, text.encode())
            training.is_over = True
            self._session.tell(DeviceReply(kind="done", job_dir=str(training.folder)))

    def _find_outcome(
        self, k: int, training: SeatedTraining, failure: ContractError | TrainingFailure | None
    ) -> WorkOutcome | None:
        """Return how a training has ended; None if it goes on."""
        if failure is not None:
            rule = f"{failure.rule}: " if isinstance(failure, ContractError) else ""
            return name_failure(f"{rule}{failure}")
        steps, job = self.round.stack.num_timesteps[k], training.job
        if steps >= job.total_timesteps:
            return FINISHED
        if steps >= job.until_timesteps:
            return WorkOutcome(kind="paused")
        wall_s = self._find_timing(training).total_s
        if job.most_s is not None and wall_s >= job.most_s:
            why = f"{steps:,} env steps took {wall_s:.0f} s, as long as it may"
            return WorkOutcome(kind="cut", reason=why)
        return None


class Lines:
    """Lines of a pipe, read beside the work, so that a ``stop`` among them is seen at once.

    Attributes:
        n_stops: how often it was said, once more at the end of the pipe.
    """

    def __init__(self, pipe: TextIO) -> None:
        self._lines: SimpleQueue[tuple[str, int] | None] = SimpleQueue()
        self._pipe, self.n_stops = pipe, 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._pipe:
            if line.strip() == _STOP:
                self.n_stops += 1
            elif line.strip():
                self._lines.put((line, self.n_stops))
        self.n_stops += 1
        self._lines.put(None)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield each line, and how many stops came before it."""
        return iter(self._lines.get, None)


def serve(device: str, pipe: TextIO, answers: TextIO, folders: Sequence[Path] = ()) -> None:
    """Answer requests until the pipe ends; with folders, sealed but for these."""

    def tell(reply: DeviceReply) -> None:
        answers.write(reply.model_dump_json(exclude_defaults=True) + "\n")
        answers.flush()

    try:
        open_device(device)
        gaps = confine_device([*folders, *find_caches()]) if folders else []
        told = tuple(f"the process that has the GPU is not sealed: {gap}" for gap in gaps)
        tell(DeviceReply(kind="ready", notes=told))
    except RewardAgentError as error:
        tell(DeviceReply(kind="failed", message=error.message, remedy=error.remedy))
        return
    lines = Lines(pipe)
    for line, n_stops in lines:

        def is_stopped(then: int = n_stops) -> bool:
            return lines.n_stops > then

        try:
            request = DeviceRequest.model_validate_json(line)
            train(request, DeviceSession(device, tell, is_stopped))
        except RewardAgentError as error:
            tell(DeviceReply(kind="failed", message=error.message, remedy=error.remedy))
        except Exception as error:  # the parent decides what becomes of it
            tell(DeviceReply(kind="failed", message=f"{type(error).__name__}: {error}"[:4000]))


def open_device(device: str) -> None:
    """Have the driver open what it needs: once the process is sealed it cannot.

    Raises:
        DataError: there is no such device.
    """
    wp.init()
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DataError("PyTorch finds no GPU", "install its driver, or train with --device cpu")
    torch.zeros(1, device=device)


def find_caches() -> list[Path]:
    """Return where kernels that were compiled are kept; where it is not there, they are not."""
    return [Path(wp.config.kernel_cache_dir), Path("~/.nv/ComputeCache").expanduser()]


def main() -> int:
    """Serve on standard input and output; what else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    device, *folders = sys.argv[1:] or ["cuda"]
    serve(device, sys.stdin, answers, [Path(folder) for folder in folders])
    return 0


if __name__ == "__main__":
    sys.exit(main())
