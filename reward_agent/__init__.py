"""Describe a behaviour in words, get a reward function that a policy was trained with."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward_agent.design_run import design, resume_run
    from reward_agent.estimate import estimate_design
    from reward_agent.export.package import export_run
    from reward_agent.simulation.card import load_env
    from reward_agent.single import check, evaluate, train
    from reward_agent.store import load_run

__version__ = "0.1.0"
__all__ = [
    "check",
    "design",
    "estimate_design",
    "evaluate",
    "export_run",
    "load_env",
    "load_run",
    "resume_run",
    "train",
]

# Loaded on use, so that `reward-agent --help` does not pay for them.
_HOMES = {
    "check": "reward_agent.single",
    "design": "reward_agent.design_run",
    "estimate_design": "reward_agent.estimate",
    "evaluate": "reward_agent.single",
    "export_run": "reward_agent.export.package",
    "load_env": "reward_agent.simulation.card",
    "load_run": "reward_agent.store",
    "resume_run": "reward_agent.design_run",
    "train": "reward_agent.single",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reward_agent' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
