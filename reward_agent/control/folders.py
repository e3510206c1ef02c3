"""Folders of environments: which are known as this person's own, and what a stranger's may do."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from reward_agent.definitions.card import list_envs, load_env
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.errors import DataError
from reward_agent.files import append_line, make_folder, read_text

_FILE = "env-folders.jsonl"


def describe_stranger(env: str) -> str:
    """Say what an environment's folder may do; '' of ours and of one that is in the list."""
    folder = _find_folder(env)
    if not folder or json.dumps(folder) in _read_known():
        return ""
    return (
        f"{folder} did not come with reward-agent. If it is not yours: its metric, its rewards "
        "and an environment's own code run here, in the sandbox, and what runs can read the whole "
        "folder but tasks/."
    )


def note_known(env: str | Path) -> None:
    """Put an environment's folder into the list, where that can be written."""
    folder = str(env.resolve()) if isinstance(env, Path) else _find_folder(env)
    with suppress(OSError, RuntimeError, DataError):
        line = json.dumps(folder)
        if folder and line not in _read_known():
            make_folder(_find_state())
            append_line(_find_state() / _FILE, line)


def _find_folder(env: str) -> str:
    """Return the folder of an environment that did not come with the program; else ''."""
    if env in list_envs():
        return ""
    folder = load_env(env).folder or ""
    return "" if Path(folder).is_relative_to(find_envs_dir()) else folder


def _read_known() -> list[str]:
    with suppress(OSError, RuntimeError, DataError):
        return read_text(_find_state() / _FILE, "").splitlines()
    return []


def _find_state() -> Path:
    given = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(given or Path.home() / ".local" / "state") / "reward-agent"
