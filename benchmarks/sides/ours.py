"""Our side: the job that ``reward-agent train`` runs, with the card's settings."""

from __future__ import annotations

import csv
import resource
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measurements import CurvePoint, Learned, Rate
from benchmarks.pool import Call, run_calls
from benchmarks.setting import Setting, load_setting
from benchmarks.sides.scores import score_policies
from reward_agent.errors import DataError
from reward_agent.learning.policy import load_policy
from reward_agent.records.jobs import PROGRAM_FILE, PROGRESS_FILE, TrainJob
from reward_agent.records.limits import Limits
from reward_agent.sandbox.runner import run_job
from reward_agent.types import RewardProgram, TrainingResult
from reward_agent.worker import train as worker

NAME = "reward-agent"
_LIMITS = Limits(wall_s=3600.0, memory_mib=4096)


def measure_rate(
    env: str, steps: int, seed: int = 0, n_envs: int | None = None, in_process: bool = False
) -> Rate:
    """Train for some steps and return how fast that went, snapshots and checkpoint included."""
    setting = load_setting(env)
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        job = make_job(setting, seed, steps, n_points=10, n_envs=n_envs)
        result, peak_mib = run_training(setting, job, Path(folder), in_process)
    return Rate(
        side=NAME,
        env=env,
        n_envs=job.ppo.n_envs,
        steps=result.total_timesteps,
        wall_s=result.wall_s,
        timing=result.timing,
        peak_mib=peak_mib,
    )


def measure_side_by_side(env: str, steps: int, n: int, in_process: bool = False) -> list[Rate]:
    """Return the rates of trainings that run at the same time."""
    arguments = {"env": env, "steps": steps, "in_process": in_process}
    calls = [Call("ours.measure_rate", {**arguments, "seed": seed}) for seed in range(n)]
    rates = [rate for rate in run_calls(calls, n) if isinstance(rate, Rate)]
    return [rate.model_copy(update={"n_side_by_side": n}) for rate in rates]


def learn(env: str, seed: int, steps: int, spacing: int, in_process: bool = False) -> Learned:
    """Train, then judge every policy on the way.

    Args:
        env: environment.
        seed: of the training.
        steps: env steps.
        spacing: env steps from one judged policy to the next.
        in_process: train here, not in an isolated child.
    """
    setting = load_setting(env)
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as name:
        folder = Path(name)
        job = make_job(setting, seed, steps, n_points=max(steps // spacing, 1))
        result, _ = run_training(setting, job, folder, in_process)
        policies = [load_policy(folder / snapshot.file) for snapshot in result.snapshots]
        counts = [snapshot.total_timesteps for snapshot in result.snapshots]
        walls = _read_walls(folder / PROGRESS_FILE, counts)
    scores = score_policies(setting, policies)
    curve = tuple(
        CurvePoint(total_timesteps=count, wall_s=wall, task_score=score)
        for count, wall, score in zip(counts, walls, scores, strict=True)
    )
    return Learned(side=NAME, env=env, seed=seed, wall_s=result.wall_s, curve=curve)


def make_job(
    setting: Setting, seed: int, steps: int, n_points: int, n_envs: int | None = None
) -> TrainJob:
    """Return the job of one training with the card's settings."""
    ppo = setting.card.ppo
    return TrainJob(
        card=setting.card,
        program_sha256=RewardProgram(setting.source).sha256,
        seed=seed,
        total_timesteps=steps,
        until_timesteps=steps,
        n_points=n_points,
        ppo=ppo if n_envs is None else ppo.model_copy(update={"n_envs": n_envs}),
    )


def run_training(
    setting: Setting, job: TrainJob, folder: Path, in_process: bool
) -> tuple[TrainingResult, float]:
    """Run a training in this process or in the isolated child that a user's runs in.

    Returns:
        Its result, and the most resident memory that its process took, in MiB.

    Raises:
        DataError: it failed.
    """
    (folder / PROGRAM_FILE).write_text(setting.source, encoding="utf-8")
    if in_process:
        trained = worker.run(job, folder)
        return trained, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    job_exit = run_job(job, folder, limits=_LIMITS, mode="default")
    result = job_exit.result
    if not isinstance(result, TrainingResult) or result.outcome.kind != "finished":
        outcome = result.outcome if isinstance(result, TrainingResult) else job_exit.outcome
        raise DataError(f"our training ended: {outcome}", "see --in-process")
    return result, job_exit.peak_rss_mib


def _read_walls(path: Path, counts: list[int]) -> list[float]:
    """Return the wall time at each count of steps, between the rows of progress.csv."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [0.0, *(float(row["total_timesteps"]) for row in rows)]
    walls = [0.0, *(float(row["wall_s"]) for row in rows)]
    return [float(wall) for wall in np.interp(counts, steps, walls)]
