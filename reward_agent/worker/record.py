"""Record: episodes without a policy, to try a proposed metric on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reward_agent.evaluation.rollout import roll_out
from reward_agent.records.jobs import TRAJECTORIES_FILE, RecordJob, RecordResult
from reward_agent.simulation.state import FloatArray


class _Blind:
    """Draws every action of a job from a range, which is that of the card or zero."""

    def __init__(self, job: RecordJob) -> None:
        self._range = (0.0, 0.0) if job.actions == "zero" else job.card.action_range
        self._n_actions = job.card.n_actions
        self._generator = np.random.default_rng(job.seed)

    def act(self, observation: FloatArray) -> FloatArray:
        return self._generator.uniform(*self._range, size=(len(observation), self._n_actions))


def run(job: RecordJob, job_dir: Path) -> RecordResult:
    """Roll out without a policy and write ``trajectories.npz``."""
    [rollout] = roll_out(job.card, [_Blind(job)], job.n_episodes, job.seed)
    rollout.trajectories.save(job_dir / TRAJECTORIES_FILE)
    return RecordResult(lengths=tuple(int(length) for length in rollout.trajectories.lengths))
