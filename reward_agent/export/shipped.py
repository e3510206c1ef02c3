"""Recorded runs that ship with the program: a language model designed, and its replies are kept."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from reward_agent.errors import UnknownNameError
from reward_agent.export.bundle import SUFFIX
from reward_agent.records.job import PROGRAM_FILE
from reward_agent.records.store import RunRecord, Winner


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


@dataclass(frozen=True)
class Shipped:
    """A recorded run: its record, the winner of its own, and the winner's program."""

    run: RunRecord
    winner: Winner
    program: str


def read_shipped(name: str) -> Shipped:
    """Read a recorded run without unpacking it.

    Raises:
        UnknownNameError: there is none of that name.
    """
    with zipfile.ZipFile(find_shipped(name)) as archive:
        run = RunRecord.model_validate_json(archive.read("run.json"))
        assert run.winner is not None
        where = f"iterations/{run.winner.iteration}/candidates/{run.winner.candidate}"
        program = archive.read(f"{where}/{PROGRAM_FILE}").decode()
    return Shipped(run, run.winner, program)


def read_shipped_winner(env: str, task: str) -> str | None:
    """Return the program that won the recorded run of a task; None where none was recorded."""
    for shipped in map(read_shipped, list_shipped()):
        if (shipped.run.card.name, shipped.run.task.name) == (env, task):
            return shipped.program
    return None


def _folder() -> Path:
    return Path(str(resources.files("reward_agent.export"))) / "recorded"
