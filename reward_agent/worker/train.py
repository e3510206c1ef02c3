"""The job ``train``: a policy under a generated reward. Loads generated code.

The job names the learner, a row of ``LEARNERS``: ``learning.ppo`` by default. ``learning.trainer``
gives it env steps, keeps snapshots of the policy and the checkpoint from which it goes on.
"""

from __future__ import annotations

from pathlib import Path

from reward_agent.definitions.learner import LEARNERS
from reward_agent.learning.episode_log import EpisodeLog
from reward_agent.learning.learner import TrainingFailure
from reward_agent.learning.starts import TrainingStarts
from reward_agent.learning.trainer import Trainer
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.records.training_jobs import TrainJob
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import compile_program, read_program
from reward_agent.rewards.source import find_needed_fields
from reward_agent.simulation.backends import make_simulation
from reward_agent.types import FINISHED, TrainingResult, WorkOutcome, name_failure
from reward_agent.worker.explore import keep_episodes
from reward_agent.worker.starts import make_bank


def prepare(job: TrainJob) -> None:
    """Import the learner: no library can be imported once the process is sealed."""
    LEARNERS.load(job.learner.algo)


def run(job: TrainJob, job_dir: Path) -> TrainingResult:
    """Train ``reward.py`` up to ``until_timesteps``, going on from a checkpoint if there is one.

    A failure of the program is an outcome of the result, not an exception.

    Raises:
        DataError: the program in the folder is not that of the job.
    """
    source = read_program(job_dir, job.program_sha256)
    try:
        trainer = _make_trainer(job, job_dir, source)
    except ContractError as error:
        return TrainingResult(
            outcome=_describe(error), seed=job.seed, total_timesteps=0, wall_s=0, steps_per_s=0
        )
    return finish(job, trainer)


def finish(job: TrainJob, trainer: Trainer) -> TrainingResult:
    """Train up to the job's ``until_timesteps`` and return what came of it."""
    begun, outcome = trainer.learner.num_timesteps, _train(trainer)
    steps, stages = trainer.learner.num_timesteps, trainer.env.stages
    result = trainer.record.describe(outcome, steps, trainer.timing, stages)
    return result.model_copy(
        update={
            "recordings": keep_episodes(trainer, begun),
            "starts": trainer.env.starts.summarise() if trainer.env.starts else (),
        }
    )


def _make_trainer(job: TrainJob, job_dir: Path, source: str) -> Trainer:
    reward = compile_program(source, job.card, job.learner.gamma)
    fields = find_needed_fields(source, job.card)

    def make_env(seed: int) -> RewardVecEnv:
        n_envs, read = job.learner.get("n_envs"), [*fields, *job.recorded]
        simulation = make_simulation(job.card, n_envs, seed, read, is_randomised=True)
        starts = None
        if job.starts:
            bank = make_bank(simulation, source, job_dir)
            starts = TrainingStarts(simulation, job.starts, seed, bank)
        total = job.total_timesteps
        log = EpisodeLog(simulation, fields, job.recorded, total) if job.recorded else None
        return RewardVecEnv(job.card, simulation, reward, job.stage_steps, starts, log)

    return Trainer(job, job_dir, make_env)


def _train(trainer: Trainer) -> WorkOutcome:
    try:
        trainer.train()
    except (ContractError, TrainingFailure) as error:
        return _describe(error)
    if trainer.is_late and not trainer.is_finished:
        n_steps = trainer.learner.num_timesteps
        why = f"{n_steps:,} env steps took {trainer.wall_s:.0f} s, as long as it may"
        return WorkOutcome(kind="cut", reason=why)
    return FINISHED if trainer.is_finished else WorkOutcome(kind="paused")


def _describe(error: ContractError | TrainingFailure) -> WorkOutcome:
    rule = f"{error.rule}: " if isinstance(error, ContractError) else ""
    return name_failure(f"{rule}{error}")
