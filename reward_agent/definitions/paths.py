"""Where prompts, environments and runs lie: the only module that looks for them."""

from __future__ import annotations

import os
from pathlib import Path

from reward_agent.errors import UsageError
from reward_agent.files import find_real

_PACKAGE_DIR = Path(__file__).resolve().parents[1]


def find_prompts_dir() -> Path:
    """Return the folder of prompt templates."""
    return _find_data_dir("prompts")


def find_envs_dir() -> Path:
    """Return the folder of environment cards."""
    return _find_data_dir("envs")


def find_docs_dir() -> Path:
    """Return the folder of the pages of the docs."""
    return _find_data_dir("docs")


def find_skill_file() -> Path:
    """Return the skill that coding agents read."""
    return _PACKAGE_DIR / "SKILL.md"


def find_runs_dir(option: Path | None = None) -> Path:
    """Return the folder for runs: option, ``REWARD_AGENT_RUNS_DIR``, else ``./runs``."""
    chosen = option or os.environ.get("REWARD_AGENT_RUNS_DIR") or "runs"
    folder = find_real(chosen)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder", "name the folder of runs with --runs-dir")
    return folder


def _find_data_dir(name: str) -> Path:
    """Look in the environment variable, the checkout, then the wheel's copy."""
    variable = f"REWARD_AGENT_{name.upper()}_DIR"
    if explicit := os.environ.get(variable):
        folder = Path(explicit).expanduser().resolve()
        if not folder.is_dir():
            raise UsageError(
                f"{folder} is not a folder", f"set {variable} to the {name} folder, or unset it"
            )
        return folder
    candidates = (_PACKAGE_DIR.parent / name, _PACKAGE_DIR / "_data" / name)
    # A checkout is told from a site-packages folder by its pyproject.toml.
    if (_PACKAGE_DIR.parent / "pyproject.toml").is_file() and candidates[0].is_dir():
        return candidates[0]
    if candidates[1].is_dir():
        return candidates[1]
    raise UsageError(f"the {name} folder is missing", f"reinstall reward-agent, or set {variable}")
