"""Job ``check_env``: compare a card with its live model."""

from __future__ import annotations

import importlib
from pathlib import Path

from reward_agent.records.jobs import CheckEnvJob, CheckEnvResult
from reward_agent.simulation.check import check_env


def prepare(job: CheckEnvJob) -> None:
    """Import what starts a process of its own: glfw does, to find its library."""
    importlib.import_module("gymnasium.envs.mujoco.mujoco_rendering")


def run(job: CheckEnvJob, job_dir: Path) -> CheckEnvResult:
    """Check the card of the job; the folder is not needed."""
    return check_env(job.card)
