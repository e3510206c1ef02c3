"""Record: episodes without a policy, to try a proposed metric on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.rollout import roll_out
from reward_agent.records.jobs import TRAJECTORIES_FILE, RecordJob, RecordResult
from reward_agent.simulation.state import FloatArray


@dataclass(frozen=True)
class _ZeroActions:
    card: EnvCard

    def act(self, observation: FloatArray) -> FloatArray:
        return np.zeros((len(observation), self.card.n_actions))


@dataclass(frozen=True)
class _RandomActions:
    card: EnvCard
    seed: int
    _generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_generator", np.random.default_rng(self.seed))

    def act(self, observation: FloatArray) -> FloatArray:
        shape = (len(observation), self.card.n_actions)
        return self._generator.uniform(*self.card.action_range, size=shape)


def run(job: RecordJob, job_dir: Path) -> RecordResult:
    """Roll out without a policy and write ``trajectories.npz``."""
    is_zero = job.actions == "zero"
    policy = _ZeroActions(job.card) if is_zero else _RandomActions(job.card, job.seed)
    [rollout] = roll_out(job.card, [policy], job.n_episodes, job.seed)
    rollout.trajectories.save(job_dir / TRAJECTORIES_FILE)
    return RecordResult(lengths=tuple(int(length) for length in rollout.trajectories.lengths))
