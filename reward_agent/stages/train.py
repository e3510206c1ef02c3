"""Train: one program up to some env steps, in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.executors import JobRequest
from reward_agent.jobs import PROGRAM_FILE, TrainJob
from reward_agent.search import Search, copy_into
from reward_agent.types import RewardProgram, TrainingResult

TRAINED = "trained"


@dataclass(frozen=True)
class Entrant:
    """One program in the race.

    Args:
        candidate_id: the candidate's name.
        candidate_dir: its folder.
        training_dir: folder of its training job.
        program: what it is trained with.
        seed: seed of the training.
    """

    candidate_id: str
    candidate_dir: Path
    training_dir: Path
    program: RewardProgram
    seed: int


@dataclass(frozen=True)
class Finish:
    """How one training ended: ``trained``, ``reached …``, ``stopped: …`` or ``failed: …``."""

    outcome: str
    result: TrainingResult | None

    @property
    def has_failed(self) -> bool:
        """Whether nothing more can come of the training."""
        return self.outcome.startswith("failed")


def train_until(search: Search, entrants: Sequence[Entrant], until: int) -> dict[str, Finish]:
    """Train each entrant up to ``until`` steps, side by side as far as there are slots.

    Returns:
        Candidate id to how its training ended.
    """
    requests = [_make_request(search, entrant, until) for entrant in entrants]
    by_dir = {entrant.training_dir: entrant for entrant in entrants}

    def report(request: JobRequest, row: dict[str, float]) -> None:
        entrant = by_dir[request.job_dir]
        search.report_progress(
            candidate=entrant.candidate_id,
            seed=entrant.seed,
            until=until,
            total=search.config.steps,
            **row,
        )

    exits = search.executor.map(requests, report)
    finishes = {}
    for entrant, job_exit in zip(entrants, exits, strict=True):
        result = job_exit.result if isinstance(job_exit.result, TrainingResult) else None
        finishes[entrant.candidate_id] = _name_finish(job_exit.outcome, result)
        search.notify(
            "trained_until",
            candidate=entrant.candidate_id,
            seed=entrant.seed,
            until=until,
            outcome=finishes[entrant.candidate_id].outcome,
        )
    return finishes


def _make_request(search: Search, entrant: Entrant, until: int) -> JobRequest:
    copy_into(entrant.training_dir, {PROGRAM_FILE: entrant.program.source.encode()})
    job = TrainJob(
        card=search.card,
        program_sha256=entrant.program.sha256,
        seed=entrant.seed,
        total_timesteps=search.config.steps,
        until_timesteps=until,
        ppo=search.card.ppo,
    )
    return JobRequest(job, entrant.training_dir, search.training_limits)


def _name_finish(job_outcome: str, result: TrainingResult | None) -> Finish:
    if result is None:
        return Finish(f"failed: training: {job_outcome}", None)
    if result.outcome.startswith("failed"):
        return Finish(result.outcome, result)
    return Finish(TRAINED, result)
