"""Our side: the job that ``reward-agent train`` runs, in its child, with the card's settings."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import OURS, Call, Learned, Point, Rate, Setting, load_setting, run_calls
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import compile_metric
from reward_agent.evaluation.rollout import Actor, roll_out
from reward_agent.evaluation.scoring import score_trajectories
from reward_agent.learning.policy import load_policy
from reward_agent.records.job import PROGRAM_FILE, PROGRESS_FILE, Limits
from reward_agent.records.training_jobs import TrainJob
from reward_agent.sandbox.runner import run_job
from reward_agent.types import Evaluation, RewardProgram, TrainingResult

_LIMITS = Limits(wall_s=3600.0, memory_mib=4096)
_N_EPISODES = 8
# Far from the seeds that trainings begin with.
_SEED = 77_000_000
# Rolled out side by side, every field of every step is kept: more would fill the memory.
_N_AT_ONCE = 16
# Good and bad rewards for a runner, mixed as language models write them. They read only fields that
# the cards of hopper and half_cheetah share.
_TEMPLATE = """
def compute_reward(state, action, next_state):
    velocity = next_state.forward_velocity
    effort = np.sum(np.square(action), axis=-1)
    terms = {{{terms}}}
    return sum(terms.values()), terms
"""
_TERMS = {
    # Pay for what is asked, in three ways.
    "speed": '"speed": velocity, "alive": np.ones_like(velocity), "effort": -1e-3 * effort',
    "bounded": '"speed": np.clip(velocity, -1.0, 4.0), "effort": -0.01 * effort',
    "upright": '"speed": velocity * np.exp(-4.0 * np.square(next_state.torso_pitch)), '
    '"alive": 0.5 * np.ones_like(velocity)',
    # Half of it: a slow target, and a safe term that drowns the goal.
    "slow": '"track": np.exp(-4.0 * np.square(velocity - 0.5))',
    "flooded": '"alive": 10.0 * np.ones_like(velocity), "speed": 0.1 * velocity, '
    '"effort": -0.5 * effort',
    # Wrong: a sign, a quantity, a goal that standing still fulfils.
    "backward": '"speed": -velocity, "alive": np.ones_like(velocity)',
    "height": '"height": next_state.com_height, "effort": -0.01 * effort',
    "still": '"rest": np.exp(-np.sum(np.square(next_state.joint_velocities), axis=-1))',
}
PROGRAMS = {name: _TEMPLATE.format(terms=terms).lstrip() for name, terms in _TERMS.items()}


def measure_rate(env: str, steps: int, seed: int = 0, n_envs: int | None = None) -> Rate:
    """Train for some steps and return how fast that went, snapshots and checkpoint included."""
    setting = load_setting(env)
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        job = _make_job(setting, seed, steps, n_points=10, n_envs=n_envs)
        result, peak_mib = _run_training(setting, job, Path(folder))
    return Rate(
        side=OURS,
        env=env,
        n_envs=job.learner.get("n_envs"),
        steps=result.total_timesteps,
        wall_s=result.wall_s,
        timing=result.timing,
        peak_mib=peak_mib,
    )


def measure_side_by_side(env: str, steps: int, n: int) -> list[Rate]:
    """Return the rates of trainings that run at the same time."""
    calls = [
        Call("ours.measure_rate", {"env": env, "steps": steps, "seed": seed}) for seed in range(n)
    ]
    rates = [rate for rate in run_calls(calls, n) if isinstance(rate, Rate)]
    return [rate.model_copy(update={"n_side_by_side": n}) for rate in rates]


def learn(env: str, seed: int, steps: int, n_points: int, program: str = "reference") -> Learned:
    """Train, then judge every policy on the way.

    Args:
        env: environment.
        seed: of the training.
        steps: env steps.
        n_points: policies on the way.
        program: the task's reference reward, or one of ``PROGRAMS``.
    """
    setting = load_setting(env)
    if program != "reference":
        setting = replace(setting, source=PROGRAMS[program])
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as name:
        folder = Path(name)
        result, _ = _run_training(setting, _make_job(setting, seed, steps, n_points), folder)
        policies = [load_policy(folder / snapshot.file) for snapshot in result.snapshots]
        counts = [snapshot.total_timesteps for snapshot in result.snapshots]
        walls = read_walls(folder / PROGRESS_FILE, counts)
    curve = tuple(
        Point(
            total_timesteps=count,
            wall_s=wall,
            task_score=found.task_score,
            interval=found.task_score_interval,
        )
        for count, wall, found in zip(
            counts, walls, evaluate_policies(setting, policies, seed), strict=True
        )
    )
    return Learned(
        side=OURS, env=env, seed=seed, wall_s=result.wall_s, curve=curve, program=program
    )


def evaluate_policies(
    setting: Setting, policies: Sequence[Actor], seed: int = 0
) -> list[Evaluation]:
    """Return what fresh episodes say of each policy, ours or theirs.

    Args:
        setting: what the policies were trained in.
        policies: in any order.
        seed: of the episodes.
    """
    metric = compile_metric(setting.metric)
    evaluations = []
    for start in range(0, len(policies), _N_AT_ONCE):
        chunk, first = policies[start : start + _N_AT_ONCE], _SEED + 10_000 * seed + 1000 * start
        for rollout in roll_out(setting.card, chunk, _N_EPISODES, first):
            evaluations.append(score_trajectories(rollout.trajectories, metric, 0, first))
    return evaluations


def _make_job(
    setting: Setting, seed: int, steps: int, n_points: int, n_envs: int | None = None
) -> TrainJob:
    """Return the job of one training with the card's settings."""
    learner = setting.card.learner
    if n_envs is not None:
        learner = learner.merge(LearnerSettings(n_envs=n_envs))
    return TrainJob(
        card=setting.card,
        program_sha256=RewardProgram(setting.source).sha256,
        seed=seed,
        total_timesteps=steps,
        until_timesteps=steps,
        n_points=max(n_points, 1),
        learner=learner,
    )


def _run_training(setting: Setting, job: TrainJob, folder: Path) -> tuple[TrainingResult, float]:
    """Return the result of a training, and the most memory that its process took, in MiB.

    Raises:
        DataError: it failed.
    """
    (folder / PROGRAM_FILE).write_text(setting.source, encoding="utf-8")
    job_exit = run_job(job, folder, limits=_LIMITS, mode="default")
    result = job_exit.result
    if not isinstance(result, TrainingResult) or str(result.outcome) != "finished":
        outcome = result.outcome if isinstance(result, TrainingResult) else job_exit.outcome
        raise DataError(f"our training ended: {outcome}", "")
    return result, job_exit.peak_rss_mib


def read_walls(path: Path, counts: list[int]) -> list[float]:
    """Return the wall time at each count of steps, between the rows of progress.csv."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [0.0, *(float(row["total_timesteps"]) for row in rows)]
    walls = [0.0, *(float(row["wall_s"]) for row in rows)]
    return [float(wall) for wall in np.interp(counts, steps, walls)]
