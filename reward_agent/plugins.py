"""Seams that others can add to: ours are rows, a stranger's are entry points of the seam's group.

An entry point names either the factory or a whole record with the facts about it. What it names is
imported when it is asked for, and it cannot replace a member of ours.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

from reward_agent.errors import UnknownNameError, UsageError


@dataclass(frozen=True)
class Plugin:
    """One member of a seam, and the facts about it.

    Args:
        name: what a user types.
        factory: ``module:function`` that makes it.
        help: what it is, in one line.
        package: a module that it needs beside what every installation has.
        extra: the extra of this package that installs it.
        commands: programs that have to be on PATH.
        remedy: what to do where one of them is missing; by default the extra is installed.
    """

    name: str
    factory: str
    help: str = ""
    package: str = ""
    extra: str = ""
    commands: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def missing(self) -> str:
        """What this machine lacks for it; '' if nothing."""
        if self.package and not _has_module(self.package):
            return f"the package {self.package}, which is not installed"
        absent = [command for command in self.commands if shutil.which(command) is None]
        return f"{', '.join(absent)}, not found on PATH" if absent else ""

    @property
    def way_out(self) -> str:
        """What to do about it."""
        what = f"reward-agent[{self.extra}]" if self.extra else self.package
        return self.remedy or f"pip install '{what}'"


def _has_module(name: str) -> bool:
    """Whether a module is there; the folders above it may be shared with other packages."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def list_entry_points(group: str) -> EntryPoints:
    """Return those of a group; they are read again where a folder of modules has changed."""
    return _read_entry_points(group, tuple(map(_find_change, sys.path)))


def _find_change(folder: str) -> tuple[str, int]:
    try:
        return folder, os.stat(folder).st_mtime_ns
    except OSError:
        return folder, 0


@lru_cache
def _read_entry_points(group: str, _: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)


P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True)
class Seam(Generic[P]):
    """The members of one seam.

    Args:
        noun: what a member is called.
        group: of the entry points.
        kind: the record of a member.
        own: ours.
    """

    noun: str
    group: str
    kind: type[P]
    own: tuple[P, ...]

    @property
    def strangers(self) -> dict[str, EntryPoint]:
        """The entry points of installed packages by name."""
        taken = {row.name for row in self.own}
        found = list_entry_points(self.group)
        return {entry.name: entry for entry in found if entry.name not in taken}

    @property
    def names(self) -> list[str]:
        """The names of all members."""
        return sorted([*(row.name for row in self.own), *self.strangers])

    def find(self, name: str) -> P:
        """Return the record of a member; a stranger that gives a factory alone has the defaults.

        Raises:
            UnknownNameError: there is none of that name.
            UsageError: a stranger's cannot be loaded.
        """
        for row in self.own:
            if row.name == name:
                return row
        entry = self.strangers.get(name)
        if entry is None:
            raise UnknownNameError(self.noun, name, self.names)
        given = self._load(entry)
        if isinstance(given, self.kind):
            return replace(given, name=name)
        return self.kind(name=name, factory=entry.value)

    def get(self, name: str) -> P | None:
        """Return the record of a member; None where this machine knows none of that name."""
        with suppress(UnknownNameError, UsageError):
            return self.find(name)
        return None

    def list_packages(self) -> set[str]:
        """Return the packages that ours need or that brought a stranger's, as installers say."""
        needed = {row.package for row in self.own if row.package}
        brought = {entry.dist.name for entry in self.strangers.values() if entry.dist}
        return {re.sub(r"[._]", "-", name) for name in needed | brought}

    def load(self, name: str) -> Callable[..., Any]:
        """Import a member's factory.

        Raises:
            UnknownNameError: there is no such member.
            UsageError: what it needs is missing, or it cannot be loaded.
        """
        row = self.find(name)
        if row.missing:
            raise UsageError(f"the {self.noun} {name} needs {row.missing}", row.way_out)
        factory: Callable[..., Any] = self._load(EntryPoint(name, row.factory, self.group))
        return factory

    def _load(self, entry: EntryPoint) -> Any:
        try:
            return entry.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"the {self.noun} {entry.name!r} ({entry.value}) cannot be loaded: {error}",
                "install what it needs, or remove its package",
            ) from error
