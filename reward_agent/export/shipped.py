"""Recorded runs that ship with the program: a language model designed, and its replies are kept."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path

from reward_agent.errors import UnknownNameError
from reward_agent.export.bundle import SUFFIX
from reward_agent.records.jobs import PROGRAM_FILE
from reward_agent.records.store import RunRecord


def list_shipped() -> list[str]:
    """Return the names of the recorded runs."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _folder().glob(f"*{SUFFIX}"))


def find_shipped(name: str) -> Path:
    """Return the file of a recorded run.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in list_shipped():
        raise UnknownNameError("recorded run", name, list_shipped())
    return _folder() / f"{name}{SUFFIX}"


def read_shipped_winner(env: str, task: str) -> str | None:
    """Return the program that won the recorded run of a task; None where none was recorded."""
    for name in list_shipped():
        with zipfile.ZipFile(find_shipped(name)) as archive:
            run = RunRecord.model_validate_json(archive.read("run.json"))
            if run.winner is None or (run.card.name, run.task.name) != (env, task):
                continue
            where = f"iterations/{run.winner.iteration}/candidates/{run.winner.candidate}"
            return archive.read(f"{where}/{PROGRAM_FILE}").decode()
    return None


def _folder() -> Path:
    return Path(str(resources.files("reward_agent.export"))) / "recorded"
