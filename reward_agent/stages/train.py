"""Train: the candidates of an iteration race; the worse ones stop at each rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError
from reward_agent.executors import JobRequest
from reward_agent.jobs import PROGRAM_FILE, TrainJob
from reward_agent.search import Search, copy_into
from reward_agent.stages.judge import judge_rung
from reward_agent.training.racing import RungScore, choose_survivors, describe_stop, plan_rungs
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
    """How one training ended: ``trained``, ``stopped: …`` or ``failed: …``."""

    outcome: str
    result: TrainingResult | None


def race_candidates(search: Search, entrants: Sequence[Entrant]) -> dict[str, Finish]:
    """Train all entrants, stopping the worse ones at the rungs.

    Without a metric nothing is ranked, so everybody goes to the end.

    Returns:
        Candidate id to how its training ended.
    """
    mode = search.config.racing if search.metric.source is not None else "none"
    rungs = plan_rungs(search.config.steps, len(entrants), mode)
    finishes: dict[str, Finish] = {}
    running = list(entrants)
    for rung in rungs:
        ended = train_until(search, running, rung)
        finishes |= ended
        running = [entrant for entrant in running if not _has_failed(ended[entrant.candidate_id])]
        if rung == rungs[-1] or len(running) < 2:
            continue
        stopped = _stop_worse(search, running, ended, rung)
        finishes |= stopped
        running = [entrant for entrant in running if entrant.candidate_id not in stopped]
    return finishes


def train_until(search: Search, entrants: Sequence[Entrant], until: int) -> dict[str, Finish]:
    """Train each entrant up to ``until`` steps, side by side as far as there are slots."""
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


def _has_failed(finish: Finish) -> bool:
    return finish.outcome.startswith("failed")


def _stop_worse(
    search: Search, running: Sequence[Entrant], ended: dict[str, Finish], rung: int
) -> dict[str, Finish]:
    """Score the paused trainings and say who stops, and why."""
    scores = {entrant.candidate_id: _score_rung(search, entrant, ended) for entrant in running}
    survivors = choose_survivors(scores)
    known = [score for score in scores.values() if score is not None]
    stopped = {
        name: Finish(describe_stop(rung, score, known, search.task.unit), ended[name].result)
        for name, score in scores.items()
        if name not in survivors
    }
    search.notify(
        "rung",
        steps=rung,
        scores={name: score.mean if score else None for name, score in scores.items()},
        survivors=survivors,
    )
    return stopped


def _score_rung(search: Search, entrant: Entrant, ended: dict[str, Finish]) -> RungScore | None:
    result = ended[entrant.candidate_id].result
    if result is None or not result.snapshots:
        return None
    try:
        evaluation = judge_rung(search, entrant.candidate_dir, entrant.training_dir, result)
    except DataError:  # what the child left is no policy; the candidate stops without a score
        return None
    if evaluation.task_score is None:
        return None
    low, high = evaluation.task_score_interval or (evaluation.task_score,) * 2
    return RungScore(evaluation.task_score, low, high)
