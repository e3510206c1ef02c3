"""What a program would have paid for recorded episodes: ``RelabelJob`` → ``RelabelResult``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reward_agent.errors import DataError
from reward_agent.evaluation.conditions import summarise_conditions
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.learning.stages import count_stages, sum_stages
from reward_agent.records.gates import GateSummary
from reward_agent.records.job import MEMORY_FILE, TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import END_STEPS, RelabelJob, RelabelResult
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.gates import summarise_gates
from reward_agent.rewards.language import STAGE_MEMORY
from reward_agent.rewards.program import compile_program, read_program
from reward_agent.rewards.replay import EpisodePay, replay_episodes
from reward_agent.types import FINISHED, StageCount, name_failure
from reward_agent.worker.score import compile_job, read_metric

TERMS_FILE = "terms.npz"


def run(job: RelabelJob, job_dir: Path) -> RelabelResult:
    """Pay every recorded episode and write ``terms.npz``.

    Raises:
        DataError: the program or the trajectories in the folder are not those of the job.
    """
    source = read_program(job_dir, job.program_sha256)
    stored = Trajectories.load(job_dir / TRAJECTORIES_FILE)
    try:
        reward = compile_program(source, job.card, job.gamma)
        reward.watch(source)
        paid = replay_episodes(reward, stored)
    except ContractError as error:
        return RelabelResult(outcome=name_failure(error.message))
    _save_columns(job_dir / TERMS_FILE, [episode.terms for episode in paid])
    _save_columns(job_dir / MEMORY_FILE, [episode.memory for episode in paid])
    return RelabelResult(
        outcome=FINISHED,
        generated_returns=tuple(float(episode.reward.sum()) for episode in paid),
        term_pay={
            name: tuple(float(episode.terms[name].sum()) for episode in paid)
            for name in reward.term_names
        },
        gates=summarise_gates([e.openings for e in paid if len(e.reward)], job.card.control_dt),
        conditions=_read_metric(job, job_dir, stored),
        term_ends=_describe_ends(paid, stored.terminated, reward.term_names),
        stages=_count_stages(reward.stages, paid),
        term_steps={name: _describe_steps(paid, name) for name in reward.term_names if paid},
    )


def _read_metric(job: RelabelJob, job_dir: Path, stored: Trajectories) -> tuple[GateSummary, ...]:
    """Return what the metric's own conditions did; nothing where it fails, or there is none."""
    if job.metric_sha256 is None:
        return ()
    source = read_metric(job, job_dir)
    episodes = [stored.episode(i) for i in range(len(stored.ends))]
    try:
        metric = compile_job(job, source)
        return summarise_conditions(source, metric, [item for item in episodes if item.n_steps])
    except (DataError, SystemExit):
        return ()


def _count_stages(stages: Sequence[str], paid: list[EpisodePay]) -> tuple[StageCount, ...]:
    """Return how many episodes came to each stage; all begin in the first."""
    sums = np.zeros((3, len(stages) + 1))
    for episode in paid if stages else ():
        stage = episode.memory.get(STAGE_MEMORY, np.zeros(1)).astype(np.intp)
        sums += sum_stages(len(stages), np.zeros(1, np.intp), stage.max(initial=0, keepdims=True))
        before = np.concatenate([[0], stage])[: len(episode.reward)]
        sums[2] += np.bincount(before, episode.reward, len(stages) + 1)
    return count_stages(stages, sums, len(paid))


def _describe_steps(paid: list[EpisodePay], name: str) -> tuple[float, float, float]:
    """Return the least, the mean and the largest pay of a step."""
    pay = np.concatenate([episode.terms[name] for episode in paid])
    return (float(pay.min()), float(pay.mean()), float(pay.max())) if len(pay) else (0.0, 0.0, 0.0)


def _describe_ends(
    paid: list[EpisodePay], terminated: np.ndarray[Any, Any], names: Sequence[str]
) -> dict[str, float]:
    """Return the mean pay of a step among the last of the episodes that the card ended."""
    ended = [episode for episode, is_ended in zip(paid, terminated, strict=True) if is_ended]
    last = {name: [e.terms[name][-END_STEPS:] for e in ended if len(e.reward)] for name in names}
    return {name: float(np.concatenate(v).mean()) for name, v in last.items() if v}


def _save_columns(path: Path, episodes: list[dict[str, np.ndarray[Any, Any]]]) -> None:
    """Write each column (n_steps,), all episodes end to end."""
    names = dict.fromkeys(name for episode in episodes for name in episode)
    columns: dict[str, Any] = {
        name: np.concatenate([episode[name] for episode in episodes if name in episode])
        for name in names
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **columns)
