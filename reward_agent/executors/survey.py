"""Which executors this machine can use, for ``reward-agent doctor``."""

from __future__ import annotations

import importlib.metadata
import shutil

from reward_agent.executors.registry import GROUP
from reward_agent.executors.slurm import COMMANDS
from reward_agent.sandbox.doctor import Mechanism


def survey_executors() -> list[Mechanism]:
    """Return a row for each cluster that trainings may run on, strangers' included."""
    return [_survey_ray(), _survey_slurm(), *_survey_others()]


def _survey_ray() -> Mechanism:
    try:
        found, detail = True, importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        found, detail = False, "not installed: pip install 'reward-agent[ray]'"
    return Mechanism("ray", "executor ray (optional)", found, detail)


def _survey_slurm() -> Mechanism:
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    detail = f"{', '.join(missing)} not on PATH: not a cluster's login node" if missing else "found"
    return Mechanism("Slurm", "executor slurm (optional)", not missing, detail)


def _survey_others() -> list[Mechanism]:
    return [
        Mechanism(entry.name, f"executor {entry.name}", True, entry.value)
        for entry in importlib.metadata.entry_points(group=GROUP)
    ]
