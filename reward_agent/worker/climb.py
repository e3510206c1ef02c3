"""The job ``climb``: a policy under a metric itself. Loads generated code."""

from __future__ import annotations

from pathlib import Path

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.errors import DataError
from reward_agent.evaluation.climb import MetricReward
from reward_agent.evaluation.metrics import compile_generated_metric, find_metric_fields
from reward_agent.learning.trainer import Trainer
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.records.jobs import ClimbJob
from reward_agent.simulation.backends import make_simulation
from reward_agent.types import RewardProgram, TrainingResult, name_failure
from reward_agent.worker import train

prepare = train.prepare


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
