"""What every stage of a design run shares, and how run.json follows what it has come to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import METRIC_FILE, TaskSpec
from reward_agent.designers.roles import Team
from reward_agent.errors import (
    BudgetError,
    DataError,
    Interrupted,
    RewardAgentError,
    UndecidedError,
)
from reward_agent.executors import JobRequest
from reward_agent.executors.slots import ProgressCallback, SlotExecutor
from reward_agent.files import make_folder, make_scratch, read_text, write_atomic
from reward_agent.records.disk import read_optional, write_text
from reward_agent.records.drafting_jobs import CheckEnvResult, TryCardJob
from reward_agent.records.events import Event, Listener
from reward_agent.records.job import PROGRAM_FILE, RESULT_FILE, Job, Limits
from reward_agent.records.jobs import digest_files
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import (
    Confirmation,
    MetricOrigin,
    RunRecord,
    RunStore,
    rank_candidates,
)
from reward_agent.records.timing import TimeLedger
from reward_agent.records.trial import list_trials
from reward_agent.report.page import write_report
from reward_agent.rewards.choices import TrainingChoices, describe_choices, read_choices
from reward_agent.run.blame import Surroundings, find_blame
from reward_agent.run.steering import Steering
from reward_agent.sandbox.runner import JobExit, describe_failure
from reward_agent.threads import Background
from reward_agent.types import Finding, RewardProgram, TrainingResult

_FLAG = re.compile(r"--[a-z][a-z-]+")
# A run that ends by an error waits no longer for those who listen.
_LAST_WORDS_S = 5.0


@dataclass(frozen=True)
class Metric:
    """The task's metric: its source and where it came from.

    ``source`` is None when there is none: then nothing is ranked.
    """

    source: str | None
    origin: MetricOrigin

    @property
    def sha256(self) -> str | None:
        """Which it is."""
        return None if self.source is None else RewardProgram(self.source).sha256

    @property
    def is_trusted(self) -> bool:
        """Whether a person wrote it; otherwise it is generated code."""
        return self.origin in ("task", "file")


NO_METRIC = Metric(None, "none")


def read_run_metric(store: RunStore, record: RunRecord) -> Metric:
    """Return the metric that a run was given, or none."""
    source = read_text(store.dir / METRIC_FILE, "")
    if record.metric_origin == "none" or not source:
        return NO_METRIC
    return Metric(source, record.metric_origin)


# Of the clock of a training: what one may take whose program chose another learner.
_CHOSEN_SHARE = 0.25


@dataclass(frozen=True)
class Lab:
    """What it takes to try a program or a policy; the card has the task's changes."""

    card: EnvCard
    metric: Metric
    settings: RunSettings
    executor: SlotExecutor

    @property
    def limits(self) -> Limits:
        """Limits of a job that has no clock of its own: a training, an evaluation."""
        return Limits(wall_s=self.settings.training_timeout_s, memory_mib=self.settings.memory_mib)

    def read_choices(self, source: str) -> TrainingChoices:
        """Return how a program wants its policy to be trained, as far as programs may choose."""
        return TrainingChoices() if self.settings.reward_only else read_choices(source)

    def choose_card(self, choices: TrainingChoices) -> EnvCard:
        """Return the card that a policy is trained on; a learner that a person chose stays."""
        return choices.apply(self.card, self.settings.algo)

    def describe_choices(self) -> str:
        """Return what a program may choose of how its policy learns; '' for nothing."""
        is_open = not self.settings.reward_only
        return describe_choices(self.card, self.settings.algo) if is_open else ""

    def find_training_clock(self, card: EnvCard) -> float | None:
        """Return the seconds after which a training ends where it is; None: there are none.

        Budgets are equal in env steps; a learner that a program chose may take a hundred times
        longer for each.
        """
        is_own = card.learner.algo == self.card.learner.algo
        return None if is_own else _CHOSEN_SHARE * self.settings.training_timeout_s

    def run_jobs(
        self, requests: Sequence[JobRequest], on_progress: ProgressCallback | None = None
    ) -> list[JobExit]:
        """Run jobs side by side; whom a bad end is blamed on is decided here, for all kinds.

        Raises:
            JobError: what surrounds a program made its job fail.
        """
        exits = self.executor.map(requests, on_progress)
        for request, job_exit in zip(requests, exits, strict=True):
            find_blame(self.executor, request, job_exit)
        return exits

    def run_job(self, job: Job, job_dir: Path, files: Mapping[str, bytes] | None = None) -> JobExit:
        """Run one job in its folder, with its input files there, which are part of which it is.

        Raises:
            JobError: it has no result, and not by the doing of generated code.
        """
        copy_into(job_dir, files or {})
        inputs = job.inputs | digest_files(files or {})
        job = job.model_copy(update={"inputs": inputs})
        [job_exit] = self.run_jobs([JobRequest(job, job_dir, self.limits)])
        if job_exit.result is None and not job.loads_generated_code:
            what = f"the {job.kind} job ended without a result: {job_exit.outcome}"
            raise describe_failure(what, job_dir, job_exit.outcome)
        return job_exit


def try_own_card(lab: Lab) -> tuple[Finding, ...]:
    """Try a card that a person brought, before anything is spent on it; return what may mislead.

    Those that come with the program are tried by its tests.

    Raises:
        DataError: with this card no program could learn anything.
    """
    if lab.card.folder is None:
        return ()
    with make_scratch() as scratch:
        result = lab.run_job(TryCardJob(card=lab.card), scratch).result
    assert isinstance(result, CheckEnvResult)
    errors = [finding for finding in result.findings if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise DataError(
            f"the card of {lab.card.name}: {errors[0].message}{more}",
            f"{errors[0].remedy}; `reward-agent envs check {lab.card.folder}` shows all",
        )
    return result.findings


@dataclass(frozen=True)
class ActiveRun(Lab):
    """One design run in progress; in the background is done what no round waits for, as films.

    Drafts get their place one at a time, by whoever holds ``adopting``.
    """

    store: RunStore
    task: TaskSpec
    team: Team
    ledger: TimeLedger
    listen: Listener
    surroundings: Surroundings
    steering: Steering
    background: Background = field(default_factory=Background, repr=False)
    adopting: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def notify(self, event: Event) -> None:
        """Pass an event on, recorded if it is worth it."""
        with self._lock:
            if event.is_recorded:
                self.store.append_event(event)
            self.listen(event)

    @property
    def shown_card(self) -> EnvCard:
        """What the designer knows of the environment; a person may know more than a model."""
        return self.card if self.team.designer.sees_whole_card else self.card.for_designer


@contextmanager
def telling(listen: Listener) -> Iterator[Listener]:
    """Give a listener that passes events on, in order, in a thread of its own.

    A tracker or a screen that is slow, or hangs, then holds up nobody who watches over a child.
    What it raises is raised to who tells of the next event, or at the end, when all are passed on.
    """
    events: SimpleQueue[Event | None] = SimpleQueue()
    raised: list[BaseException] = []

    def tell(event: Event) -> None:
        if raised:
            raise raised[0]
        events.put(event)

    def pass_on() -> None:
        try:
            while (event := events.get()) is not None:
                listen(event)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=pass_on, name="listener", daemon=True)
    thread.start()
    patience_s: float | None = _LAST_WORDS_S
    try:
        yield tell
        patience_s = None
    finally:
        events.put(None)
        thread.join(patience_s)
    if raised:
        raise raised[0]


def copy_into(job_dir: Path, files: Mapping[str, bytes]) -> None:
    """Put input files into a job's folder; a link that a child left there is replaced."""
    make_folder(job_dir)
    for name, content in files.items():
        write_atomic(job_dir / name, content)


def update_run(run: ActiveRun, **changes: object) -> RunRecord:
    """Bring run.json, reward.py and the report up to date: what was spent, and other changes."""
    record = count_spent(run, **changes)
    with run.ledger.spend("report"):
        write_results(run.store, record)
    return record


def count_spent(run: ActiveRun, **changes: object) -> RunRecord:
    """Return the run's record with what was spent so far, and other changes; writes nothing."""
    before = run.store.read_run()
    record = before.model_copy(update=changes)
    known = sum(c.total_timesteps for c in run.store.list_finished())
    known += sum(_count_confirming(run, item) for item in record.confirmations)
    known += _count_beside(run, record.confirmations)
    known += sum(trial.total_timesteps for trial in list_trials(run.store))
    own = read_optional(run.store.own_reward_dir / "training" / RESULT_FILE, TrainingResult)
    known += own.total_timesteps if own is not None else 0
    # What was trained stays counted, whatever became of its record.
    other = max(record.other_timesteps, before.total_timesteps - known)
    spent = {
        "usage": run.team.budget.usage,
        "total_timesteps": known + other,
        "other_timesteps": other,
        "wall_s": run.ledger.elapsed_s,
        "slot_seconds": run.ledger.account(),
    }
    return record.model_copy(update=spent)


def _count_confirming(run: ActiveRun, item: Confirmation) -> int:
    if item.evaluation is None:
        return 0
    return run.settings.steps if item.total_timesteps is None else item.total_timesteps


def _count_beside(run: ActiveRun, confirmations: Sequence[Confirmation]) -> int:
    """Return the env steps of other seeds than the search's own that no confirmation counts."""
    counted = {(item.candidate, str(item.seed)) for item in confirmations}
    steps = 0
    for candidate in run.store.list_finished():
        own = run.store.training_dir(candidate.iteration, candidate.id, run.settings.seed)
        for folder in own.parent.glob("seed_*"):
            seed = folder.name.removeprefix("seed_")
            if folder != own and (candidate.id, seed) not in counted:
                result = read_optional(folder / RESULT_FILE, TrainingResult)
                steps += result.total_timesteps if result else 0
    return steps


def write_results(store: RunStore, record: RunRecord) -> None:
    """Write run.json, and what follows from it: the program in reward.py, the report."""
    store.write_run(record)
    best = next(iter(rank_candidates(store.list_finished())), None)
    if record.winner is not None:
        best = store.read_candidate(record.winner.iteration, record.winner.candidate)
    if best is not None:
        write_text(store.dir / PROGRAM_FILE, store.read_program(best.iteration, best.id))
    write_report(store.dir)


@contextmanager
def recording_end(store: RunStore) -> Iterator[None]:
    """Note in run.json why the run is not finished, and say how to go on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        _record_end(store, "interrupted", "stopped by the user")
        raise Interrupted(
            f"run {store.dir.name} was stopped", f"go on with `{store.resume_command}`"
        ) from None
    except UndecidedError as error:
        _record_end(store, "paused", error.reason)
        raise
    except RewardAgentError as error:
        _record_end(
            store, "interrupted" if isinstance(error, BudgetError) else "failed", error.message
        )
        if store.resume_command not in error.remedy:
            steps = [error.remedy, f"go on with `{_change_named(store, error.remedy)}`"]
            error.remedy = "; then ".join(filter(None, steps))
        raise
    except OSError as error:
        _record_end(store, "failed", str(error))
        raise RewardAgentError(
            f"run {store.dir.name} cannot go on: {error}",
            f"free disk space or correct the permissions; then go on with `{store.resume_command}`",
        ) from error


def _change_named(store: RunStore, remedy: str) -> str:
    """Return what takes a run up again, with a place for what the remedy says to change."""
    command = store.resume_command
    for flag in _FLAG.findall(remedy):
        command = re.sub(rf"({flag}) ('[^']*'|\S+)", r"\1 …", command)
    return command


def _record_end(store: RunStore, status: str, note: str) -> None:
    """Note in run.json why the run is not finished, if the disk still takes it."""
    with suppress(RewardAgentError):
        store.write_run(store.read_run().model_copy(update={"status": status, "note": note}))
