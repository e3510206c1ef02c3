"""Where an agent's arguments may lead: each name and path is looked at before a command sees it.

Covered: runs and sweeps are those of the folder of runs; files are read and written below the
folder in which the server was started; an environment of a folder that is not known as the
person's own is used only when the call says that it may be. Not covered: what an agent does with
other tools, and with a shell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_agent.control.folders import describe_stranger
from reward_agent.errors import ConsentError, UsageError
from reward_agent.files import make_folder, write_atomic
from reward_agent.records.store import find_kept

_NAME = re.compile(r"[^/\\\x00-\x1f]{1,200}")
_SOURCE = re.compile(r"menagerie:\w[\w.-]*|\w[\w.-]*(/\w[\w.-]*)?-v\d+")
_WORDS_OF_ANSWERS = ("accept", "keep", "unranked")


@dataclass(frozen=True)
class ToolScope:
    """Where a call may reach.

    Args:
        root: the folder in which the server was started; files lie below it.
        runs_dir: where runs lie.
        folder: the call's own: what is given as text becomes a file there.
        is_trusted: whether the call says that a folder of an environment may be used.
    """

    root: Path
    runs_dir: Path
    folder: Path
    is_trusted: bool = False

    def find_run(self, name: str, argument: str) -> str:
        """Return the folder of a run that is one of those here."""
        folder = find_kept(self._check_name(name), self.runs_dir)
        if folder.parent != self.runs_dir.resolve():
            raise UsageError(f"{name!r} is no run in {self.runs_dir}", "give a run's id")
        return str(folder)

    def find_sweep(self, name: str, argument: str) -> str:
        """Return the folder of a sweep."""
        folder = self.runs_dir / "bench" / self._check_name(name)
        return str(folder.resolve()) if folder.is_dir() and not folder.is_symlink() else name

    def find_env(self, name: str, argument: str) -> str:
        """Return an environment that may be used.

        Raises:
            ConsentError: its folder is none that is known as the person's.
        """
        words = describe_stranger(name)
        if words and not self.is_trusted:
            raise ConsentError(
                words, "ask your person; if they agree, call again with trust_folder: true"
            )
        return name

    def find_file(self, name: str, argument: str) -> str:
        """Return the path of a file or folder below the root, or of the runs."""
        path = self._resolve(name)
        if not os.path.exists(path):
            raise UsageError(f"{argument}: there is no file {name!r}", "name one that is there")
        if not (path.is_relative_to(self.root) or path.is_relative_to(self.runs_dir)):
            raise self._refuse(name, argument)
        return str(path)

    def take_text(self, given: str, argument: str) -> str:
        """Return the path of a file; what has an end of line in it is the text itself."""
        if "\n" not in given:
            return self.find_file(given, argument)
        make_folder(self.folder)
        path = self.folder / f"{argument}.py"
        write_atomic(path, given.encode("utf-8", "replace"))
        return str(path)

    def choose_output(self, name: str, argument: str) -> str:
        """Return where something may be written: below the root, not among the runs."""
        path = self._resolve(name)
        if not path.is_relative_to(self.root) or path.is_relative_to(self.runs_dir):
            raise self._refuse(name, argument)
        return str(path)

    def find_source(self, name: str, argument: str) -> str:
        """Return a robot's model: its file, or a name that is none of a file or a function."""
        return name if _SOURCE.fullmatch(name) else self.find_file(name, argument)

    def find_suite(self, name: str, argument: str) -> str:
        """Return a suite: its name, or its file."""
        return name if re.fullmatch(r"\w+", name) else self.find_file(name, argument)

    def find_answer(self, given: str, argument: str) -> str:
        """Return an answer to what a run asks: a word of it, a file, or a text."""
        return given if given in _WORDS_OF_ANSWERS else self.take_text(given, argument)

    def find_provider(self, given: str, argument: str) -> str:
        """Return who answers; what it reads lies where files lie."""
        name, colon, rest = given.partition(":")
        if not colon:
            return given
        find = self.find_run if name == "replay" else self.find_file
        return f"{name}:{find(rest, argument)}"

    def _resolve(self, name: str) -> Path:
        try:
            return Path(os.path.realpath(self.root / name))
        except (OSError, ValueError) as error:
            raise UsageError(f"{name!r:.100} is no path: {error}", "name another") from error

    def _check_name(self, name: str) -> str:
        if not _NAME.fullmatch(name) or name.strip(".") == "":
            raise UsageError(f"{name!r:.100} is no name", "give the name that the list shows")
        return name

    def _refuse(self, name: str, argument: str) -> UsageError:
        return UsageError(
            f"{argument}: {name!r:.200} does not lie where this server may reach",
            f"name one below {self.root}, and none of a run to write to",
        )


# How the value of an argument is checked, by its name; the others are plain words.
CHECKS: dict[str, Callable[[ToolScope, str, str], str]] = {
    "run": ToolScope.find_run,
    "resume": ToolScope.find_run,
    "sweep": ToolScope.find_sweep,
    "env": ToolScope.find_env,
    "suite": ToolScope.find_suite,
    "source": ToolScope.find_source,
    "file": ToolScope.take_text,
    "reward": ToolScope.take_text,
    "metric": ToolScope.take_text,
    "edit": ToolScope.take_text,
    "start_from": ToolScope.take_text,
    "reply": ToolScope.take_text,
    "answer": ToolScope.find_answer,
    "policy": ToolScope.find_file,
    "output": ToolScope.choose_output,
    "provider": ToolScope.find_provider,
}


def check_places(place: ToolScope, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with their names and paths checked and found.

    Raises:
        UsageError: one leads where it must not.
    """
    return {name: _check(place, name, value) for name, value in given.items()}


def _check(place: ToolScope, name: str, value: Any) -> Any:
    check = CHECKS.get(name)
    if check is None:
        return value
    if isinstance(value, list):
        return [check(place, item, f"{name}_{number}") for number, item in enumerate(value, 1)]
    return check(place, value, name)
