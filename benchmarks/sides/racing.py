"""A candidate of a race trained to the end, with its trusted scores on the way."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.candidates import PROGRAMS
from benchmarks.measurements import Course
from benchmarks.setting import load_setting
from benchmarks.sides.ours import make_job, run_training
from benchmarks.sides.scores import evaluate_policies
from reward_agent.errors import DataError
from reward_agent.learning.policy import load_policy


def measure_course(
    env: str, candidate: str, seed: int, steps: int, n_points: int, in_process: bool = False
) -> Course:
    """Train one of ``PROGRAMS`` and score the policy at evenly spaced points.

    Raises:
        DataError: a policy has no score.
    """
    setting = replace(load_setting(env), source=PROGRAMS[candidate])
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as name:
        folder = Path(name)
        job = make_job(setting, seed, steps, n_points)
        result, _ = run_training(setting, job, folder, in_process)
        policies = [load_policy(folder / snapshot.file) for snapshot in result.snapshots]
    evaluations = evaluate_policies(setting, policies, seed=seed)
    scores = []
    for evaluation in evaluations:
        if evaluation.task_score is None or evaluation.task_score_interval is None:
            raise DataError(f"a policy of {candidate} has no score", "")
        scores.append((evaluation.task_score, *evaluation.task_score_interval))
    return Course(
        env=env,
        candidate=candidate,
        seed=seed,
        steps=tuple(snapshot.total_timesteps for snapshot in result.snapshots),
        scores=tuple(scores),
    )
