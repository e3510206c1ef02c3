"""The job ``climb``: a policy under a metric itself. Loads generated code.

What the episode so far scores is paid as it changes. What learns from it finds the cheapest way to
a high score, whether or not that is what was meant.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import METRIC_FILE
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import (
    Episode,
    MetricFunction,
    compile_generated_metric,
    find_metric_fields,
)
from reward_agent.learning.trainer import Trainer
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.records.training_jobs import ClimbJob
from reward_agent.rewards.program import StepReward
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.state import FloatArray, State
from reward_agent.types import RewardProgram, TrainingResult, name_failure
from reward_agent.worker import train

prepare = train.prepare

# How often in an episode the metric is asked.
_N_ASKED = 40


def run(job: ClimbJob, job_dir: Path) -> TrainingResult:
    """Train on what ``metric.py`` says; a failure of the metric is an outcome.

    Raises:
        DataError: the metric in the folder is not that of the job.
    """
    source = (job_dir / METRIC_FILE).read_text(encoding="utf-8")
    if RewardProgram(source).sha256 != job.program_sha256:
        raise DataError(f"{job_dir / METRIC_FILE} is not the metric of the job", "run it again")
    try:
        metric = compile_generated_metric(source, job.card)
    except DataError as error:
        return TrainingResult(
            outcome=name_failure(error.message),
            seed=job.seed,
            total_timesteps=0,
            wall_s=0,
            steps_per_s=0,
        )
    named = find_metric_fields(source, job.card)
    fields = {item.name for item in job.card.fields} if named is None else named

    def make_env(seed: int) -> RewardVecEnv:
        n_envs = job.learner.get("n_envs")
        simulation = make_simulation(job.card, n_envs, seed, sorted(fields | {"observation"}))
        reward = MetricReward(job.card, metric, fields, job.pays, job.scale)
        return RewardVecEnv(job.card, simulation, reward)

    return train.finish(job, Trainer(job, job_dir, make_env))


class MetricReward:
    """Pays N simulations by a metric.

    Args:
        card: the environment.
        metric: the metric.
        fields: those that it reads.
        pays: its score, or 1 for its success.
        scale: task score that is paid as 1.
    """

    has_memory = True

    def __init__(
        self,
        card: EnvCard,
        metric: MetricFunction,
        fields: Collection[str],
        pays: Literal["score", "success"],
        scale: float,
    ) -> None:
        self._card, self._metric, self._fields = card, metric, tuple(fields)
        self._pays, self._scale = pays, scale
        self._every = max(1, card.max_episode_steps // _N_ASKED)
        self._states: dict[str, NDArray[np.float32]] = {}
        self._actions: NDArray[np.float32]
        self._lengths: NDArray[np.int64]
        self._known: FloatArray

    def begin(self, state: State) -> None:
        """Start episodes in all simulations."""
        n_sims, n_rows = state.n_sims, self._card.max_episode_steps + 1
        self._states = {
            name: np.zeros((n_sims, n_rows, *state.fields[name].shape[1:]), np.float32)
            for name in self._fields
        }
        self._actions = np.zeros((n_sims, n_rows - 1, self._card.n_actions), np.float32)
        self._lengths = np.zeros(n_sims, np.int64)
        self._known = np.zeros(n_sims)
        self.restart(np.arange(n_sims), state)

    def restart(self, ids: NDArray[np.intp], state: State) -> None:
        """Start new episodes in some simulations."""
        self._lengths[ids], self._known[ids] = 0, 0.0
        for name, rows in self._states.items():
            rows[ids, 0] = state.fields[name][ids]

    def step(
        self, state: State, action: FloatArray, next_state: State, terminated: NDArray[np.bool_]
    ) -> StepReward:
        """Return what has changed of the score, where it was time to ask."""
        sims = np.arange(len(action))
        self._actions[sims, self._lengths] = action
        self._lengths += 1
        for name, rows in self._states.items():
            rows[sims, self._lengths] = next_state.fields[name]
        is_over = terminated | (self._lengths >= self._card.max_episode_steps)
        paid = np.zeros(len(action))
        for sim in np.flatnonzero(is_over | (self._lengths % self._every == 0)):
            value = self._ask(int(sim), bool(terminated[sim]))
            paid[sim] = value - self._known[sim]
            self._known[sim] = value
        return StepReward(paid, {self._pays: paid})

    def _ask(self, sim: int, terminated: bool) -> float:
        n_steps = int(self._lengths[sim])
        fields = {name: rows[sim, : n_steps + 1] for name, rows in self._states.items()}
        episode = Episode(fields, self._actions[sim, :n_steps], self._card.control_dt, terminated)
        try:
            score = self._metric(episode)
        except DataError:  # it may need a longer one
            return float(self._known[sim])
        return float(score.success) if self._pays == "success" else score.task_score / self._scale
