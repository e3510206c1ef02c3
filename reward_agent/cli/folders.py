"""Environments of others: said once, when their folder is first used, is what they may do."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from reward_agent.cli.output import progress_console
from reward_agent.definitions.card import list_envs, load_env
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.errors import DataError
from reward_agent.files import append_line, make_folder, read_text

_FILE = "env-folders.jsonl"


def tell_of_folder(env: str) -> None:
    """Say what an environment's folder may do, unless it is one of ours or this was said before.

    Nothing is asked: a script goes on.
    """
    if env in list_envs():
        return
    folder = load_env(env).folder or ""
    if Path(folder).is_relative_to(find_envs_dir()) or _is_known(folder):
        return
    progress_console.print(
        f"note: {folder} did not come with reward-agent. If it is not yours: its metric, its "
        "rewards and an environment's own code run here, in the sandbox, and what runs can read "
        "the whole folder but tasks/. This is said once of a folder; SECURITY.md says more.",
        style="yellow",
        soft_wrap=True,
    )


def take_for_own(folder: Path) -> None:
    """Say nothing later of a folder that was just made for this person, with nothing in it."""
    _is_known(str(folder.resolve()))


def _is_known(folder: str) -> bool:
    """Whether a folder is in this person's list; it is from now on, where that can be written."""
    given = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    line = json.dumps(folder)
    with suppress(OSError, RuntimeError, DataError):
        state = Path(given or Path.home() / ".local" / "state") / "reward-agent"
        if line in read_text(state / _FILE, "").splitlines():
            return True
        make_folder(state)
        append_line(state / _FILE, line)
    return False
