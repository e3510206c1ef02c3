"""Describe a behaviour in words, get a reward function that a policy was trained with."""

from __future__ import annotations

# Nothing is imported but on use: neither `reward-agent --help` nor Ctrl-C pays for it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reward_agent.definitions.card import load_env
    from reward_agent.drafts.folder import init_env
    from reward_agent.export.package import export_run
    from reward_agent.run.diagnose import diagnose
    from reward_agent.run.estimate import estimate_design
    from reward_agent.run.open import design
    from reward_agent.run.result import load_run
    from reward_agent.run.resume import resume_run
    from reward_agent.run.single import check, evaluate, train
    from reward_agent.version import __version__ as __version__

__all__ = [
    "check",
    "design",
    "diagnose",
    "estimate_design",
    "evaluate",
    "export_run",
    "init_env",
    "load_env",
    "load_run",
    "resume_run",
    "train",
]

_HOMES = {
    "__version__": "reward_agent.version",
    "check": "reward_agent.run.single",
    "design": "reward_agent.run.open",
    "diagnose": "reward_agent.run.diagnose",
    "estimate_design": "reward_agent.run.estimate",
    "evaluate": "reward_agent.run.single",
    "export_run": "reward_agent.export.package",
    "init_env": "reward_agent.drafts.folder",
    "load_env": "reward_agent.definitions.card",
    "load_run": "reward_agent.run.result",
    "resume_run": "reward_agent.run.resume",
    "train": "reward_agent.run.single",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reward_agent' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
