"""What this machine offers: isolation, rendering, Python and packages, as plain data."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from typing import Any

from reward_agent.plugins import Plugin, Seam
from reward_agent.sandbox.environment import find_import_roots
from reward_agent.sandbox.filter import find_architecture
from reward_agent.sandbox.isolation import try_seal
from reward_agent.sandbox.landlock import read_abi
from reward_agent.simulation.backends import find_graphics

_PACKAGES = {
    "mujoco": "simulation",
    "gymnasium": "models of the environments",
    "stable-baselines3": "learners sb3:…",
    "torch": "what those learn with",
    "numpy": "reward programs, the learner ppo",
    "safetensors": "policies",
    "pillow": "video as animated WebP",
    "openai": "provider openai and compatible servers",
    "anthropic": "provider anthropic",
    "av": "video as MP4 (optional)",
}
_EXTRAS = {"av": "video"}


@dataclass(frozen=True)
class Mechanism:
    """One thing that a run relies on.

    Args:
        name: what it is called.
        covers: what it is for.
        available: whether this machine has it.
        detail: version, level, or what is missing.
    """

    name: str
    covers: str
    available: bool
    detail: str = ""


def survey() -> list[Mechanism]:
    """Try everything out; takes a second or two and never fails."""
    return [*_survey_isolation(), _survey_graphics(), *_survey_python()]


def survey_members(seam: Seam[Any]) -> list[Mechanism]:
    """Tell which members of a seam can be used, strangers' included; nothing is imported."""
    rows = [_survey_member(seam.noun, row) for row in seam.own]
    strangers = seam.strangers.items()
    return rows + [Mechanism(name, seam.noun, True, entry.value) for name, entry in strangers]


def _survey_member(noun: str, row: Plugin) -> Mechanism:
    covers = ": ".join(filter(None, (noun, row.help)))
    found = " ".join(filter(None, (row.package, _find_version(row.package))))
    detail = f"needs {row.missing}: {row.way_out}" if row.missing else found
    return Mechanism(row.name, covers, not row.missing, detail)


def _find_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package) if package else None
    except importlib.metadata.PackageNotFoundError:
        return None


def _survey_isolation() -> list[Mechanism]:
    report = try_seal()
    abi = read_abi()
    layers = set(report.layers)
    is_linux = sys.platform == "linux"
    elsewhere = "" if is_linux else f"not on {sys.platform}"
    return [
        Mechanism(
            "isolation level",
            "all of generated code",
            report.level == "full",
            f"{report.level}{f' ({report.detail})' if report.detail else ''}",
        ),
        Mechanism(
            "Landlock",
            "files: a child reads packages and its env, changes its own folder",
            "files" in layers,
            elsewhere or (f"ABI {abi}" if abi else "kernel 5.13 or later has it"),
        ),
        Mechanism(
            "system-call filter",
            "network, processes, signals, the kernel's surface",
            "calls" in layers,
            elsewhere or _describe_filter(),
        ),
        Mechanism(
            "no privileges",
            "set-user-id programs, root's capabilities",
            "no privileges" in layers,
            elsewhere,
        ),
        Mechanism(
            "limits",
            "memory, CPU, file size, open files; the parent watches time, memory and disk",
            "limits" in layers and os.name == "posix",
            "" if is_linux else "memory is not watched here",
        ),
        Mechanism("death with the parent", "children left behind", is_linux, elsewhere),
        _describe_folders(report.level),
    ]


def _describe_folders(level: str) -> Mechanism:
    return Mechanism(
        "folders of others",
        "--env FOLDER: its metric and rewards run, as all that is generated does",
        level != "process",
        "what runs can read the whole folder but tasks/; see SECURITY.md",
    )


def _describe_filter() -> str:
    machine = platform.machine()
    return machine if find_architecture() else f"no table for {machine}: x86_64 and aarch64 only"


def _survey_graphics() -> Mechanism:
    graphics = find_graphics()
    detail = f"MUJOCO_GL={graphics.backend}" if graphics.backend else graphics.note
    return Mechanism("rendering", "videos without a display", graphics.backend is not None, detail)


def _survey_python() -> list[Mechanism]:
    roots = ", ".join(map(str, find_import_roots()))
    place = f"{platform.python_version()} {sys.executable}"
    rows = [
        Mechanism(
            "Python",
            "3.11 or later",
            sys.version_info >= (3, 11),
            f"{place}, packages in {roots}" if roots else place,
        ),
        Mechanism("processor", "trainings side by side", True, f"{os.cpu_count()} cores"),
    ]
    for name, purpose in _PACKAGES.items():
        version = _find_version(name)
        wanted = f"'reward-agent[{_EXTRAS[name]}]'" if name in _EXTRAS else name
        detail = version or f"pip install {wanted}"
        rows.append(Mechanism(name, purpose, version is not None, detail))
    return rows
