"""Train: one program up to some env steps, in the sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.executors import JobRequest
from reward_agent.files import read_bytes, read_capped
from reward_agent.learning.policy import MAX_POLICY_BYTES, check_policy
from reward_agent.records.events import TrainedUntil, TrainingProgress
from reward_agent.records.job import INITIAL_POLICY_FILE, PROGRAM_FILE, STATES_FILE
from reward_agent.records.jobs import digest_files
from reward_agent.records.outcomes import TRAINED, Outcome
from reward_agent.records.store import RunStore
from reward_agent.records.training_jobs import TrainJob
from reward_agent.run.active import ActiveRun, Lab, copy_into
from reward_agent.run.starts import read_states
from reward_agent.sandbox.runner import JobExit
from reward_agent.summary.exploration import list_recorded
from reward_agent.types import Evaluation, RewardProgram, TrainingResult


@dataclass(frozen=True)
class Entrant:
    """One program in the race, or trained again with another seed."""

    candidate_id: str
    candidate_dir: Path
    training_dir: Path
    program: RewardProgram
    seed: int


def make_entrant(store: RunStore, iteration: int, candidate_id: str, seed: int) -> Entrant:
    """Return a candidate as it enters a training with a seed."""
    return Entrant(
        candidate_id,
        store.candidate_dir(iteration, candidate_id),
        store.training_dir(iteration, candidate_id, seed),
        RewardProgram(store.read_program(iteration, candidate_id)),
        seed,
    )


@dataclass(frozen=True)
class Finish:
    """How one training ended, what it left, and what was evaluated on the way, oldest first.

    ``beside`` are the seeds with which its program was trained as far as it was.
    """

    outcome: Outcome
    result: TrainingResult | None
    course: tuple[Evaluation, ...] = ()
    beside: tuple[int, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether nothing more can come of the training."""
        return self.outcome.kind == "failed"

    @property
    def is_cut(self) -> bool:
        """Whether its clock ended it before its env steps did."""
        return self.result is not None and self.result.outcome.kind == "cut"


def train_until(
    run: ActiveRun, entrants: Sequence[Entrant], until: int, *, in_race: bool = False
) -> list[Finish]:
    """Train each entrant up to ``until`` steps, side by side as far as there are slots.

    In a race a person may steer them, and some of their episodes are recorded, to tell what
    exploration met.
    """
    requests = [request_training(run, item, until, is_recorded=in_race) for item in entrants]
    by_dir = {entrant.training_dir: entrant for entrant in entrants}

    def report(request: JobRequest, row: dict[str, float]) -> None:
        entrant = by_dir[request.job_dir]
        total = run.settings.steps
        run.notify(TrainingProgress(entrant.candidate_id, entrant.seed, until, total, row, in_race))

    exits = run.run_jobs(requests, report)
    finishes = [name_finish(job_exit) for job_exit in exits]
    for entrant, finish in zip(entrants, finishes, strict=True):
        run.notify(TrainedUntil(entrant.candidate_id, entrant.seed, until, finish.outcome))
    return finishes


def request_training(
    run: ActiveRun, entrant: Entrant, until: int, *, is_recorded: bool = False
) -> JobRequest:
    """Return the job of an entrant's training; see ``make_training``."""
    return make_training(
        run,
        entrant.program,
        entrant.training_dir,
        entrant.seed,
        until=until,
        initial=read_initial_policy(entrant.candidate_dir),
        states=read_states(entrant.candidate_dir.parents[1]),
        is_recorded=is_recorded,
    )


def make_training(
    lab: Lab,
    program: RewardProgram,
    training_dir: Path,
    seed: int,
    *,
    until: int,
    initial: bytes | None = None,
    states: bytes | None = None,
    is_recorded: bool = False,
) -> JobRequest:
    """Return the job of a training up to some env steps, its input files in its folder.

    Without an ``initial`` policy it begins with a new one. ``states`` are a round's recorded ones.
    Where it ``is_recorded``, a sample of its episodes is left for ``run.evaluate.explore``.
    """
    files = {PROGRAM_FILE: program.source.encode()}
    if initial is not None:
        files[INITIAL_POLICY_FILE] = initial
    choices = lab.read_choices(program.source)
    recorded = {STATES_FILE: states} if states and any(s.event for s in choices.starts) else {}
    copy_into(training_dir, files | recorded)
    if initial is not None:  # it keeps its learner and its shape
        choices = choices.drop_shape()
    card = lab.choose_card(choices)
    job = TrainJob(
        card=card,
        inputs=digest_files(recorded),
        program_sha256=program.sha256,
        seed=seed,
        total_timesteps=lab.settings.steps,
        until_timesteps=until,
        learner=card.learner,
        starts=choices.starts,
        stage_steps=choices.stage_steps,
        recorded=list_recorded(card, lab.metric.source) if is_recorded else (),
        most_s=lab.find_training_clock(card),
        initial_policy_sha256=hashlib.sha256(initial).hexdigest() if initial else None,
    )
    return JobRequest(job, training_dir, lab.limits)


def set_initial_policy(candidate_dir: Path, policy: Path, card: EnvCard) -> None:
    """Let every training of a candidate begin with a policy.

    Raises:
        DataError: it is no policy for the environment.
    """
    check_policy(policy, card)
    if not (candidate_dir / INITIAL_POLICY_FILE).is_file():
        copy_into(candidate_dir, {INITIAL_POLICY_FILE: read_capped(policy, MAX_POLICY_BYTES)})


def read_initial_policy(candidate_dir: Path) -> bytes | None:
    """Return the policy that trainings of a candidate begin with; None: a new one."""
    path = candidate_dir / INITIAL_POLICY_FILE
    return read_bytes(path, MAX_POLICY_BYTES) if path.is_file() else None


def name_finish(job_exit: JobExit) -> Finish:
    """Return how a training ended, by its job."""
    result = job_exit.result if isinstance(job_exit.result, TrainingResult) else None
    if result is None:
        outcome = Outcome(kind="failed", stage="training", detail=str(job_exit.outcome))
    elif result.outcome.has_failed:
        outcome = Outcome(kind="failed", detail=result.outcome.reason)
    elif result.outcome.kind == "cut":
        detail, steps = result.outcome.reason, result.total_timesteps
        outcome = Outcome(kind="stopped", detail=detail, at_steps=steps)
    else:
        outcome = TRAINED
    return Finish(outcome, result)
