"""What isolation is asked of a child, what it reports of it, and a trial before it is needed."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Literal, get_args

from pydantic import Field

from reward_agent.errors import SandboxError
from reward_agent.files import make_scratch
from reward_agent.records.job import Limits
from reward_agent.sandbox.environment import make_child_environment
from reward_agent.types import FileRecord, Record

ISOLATION_FILE = "isolation.json"
# Standard input, which no job reads: the writing end of a pipe to the parent.
REPORT_DESCRIPTOR = 0
# 70 is EX_SOFTWARE of sysexits.h, 77 its EX_NOPERM, 69 its EX_UNAVAILABLE.
EXIT_INTERNAL, EXIT_REFUSED, EXIT_ENVIRONMENT = 70, 77, 69
_TRIAL_S = 30.0

Level = Literal["full", "namespaces", "process"]
"""From the strongest to the weakest:

- ``full``: Landlock's file rules and a default-deny system-call filter.
- ``namespaces``: the same filter, and in place of Landlock a private root of bind mounts.
- ``process``: a process of its own with limits, and nothing else to rely on.
"""

SandboxMode = Literal["strict", "default", "any", "off"]
"""What a run accepts: ``full``; ``namespaces`` or better; whatever is there; no sandbox at all."""

LEVELS: tuple[Level, ...] = get_args(Level)
_WEAKEST_ACCEPTED: dict[SandboxMode, Level] = {
    "strict": "full",
    "default": "namespaces",
    "any": "process",
    "off": "process",
}


def is_accepted(level: Level, mode: SandboxMode) -> bool:
    """Tell whether a run in this mode may go on at this level."""
    return LEVELS.index(level) <= LEVELS.index(_WEAKEST_ACCEPTED[mode])


class Isolation(FileRecord):
    """The isolation that a child has to put itself under."""

    mode: SandboxMode = "default"
    limits: Limits = Limits()


class SealReport(Record):
    """The level that a child reached, reported before it loads anything generated."""

    level: Level
    is_accepted: bool = Field(True, description="whether the child goes on")
    detail: str = ""
    layers: tuple[str, ...] = ()


def describe_refusal(report: SealReport, mode: SandboxMode) -> SandboxError:
    """Return the error for a level that the mode does not accept, or a wall with a hole."""
    detail = f" ({report.detail})" if report.detail else ""
    return SandboxError(
        f"sandbox mode {mode!r} is not to be had here: level {report.level!r}{detail}",
        "run `reward-agent doctor` for what is missing, or accept less with --sandbox any",
    )


def check_isolation(mode: SandboxMode) -> Level:
    """Return the level that children will reach on this machine; takes a fifth of a second.

    Raises:
        SandboxError: the mode does not accept it.
    """
    if mode == "off":
        return "process"
    report = try_seal()
    if not is_accepted(report.level, mode):
        raise describe_refusal(report, mode)
    return report.level


def try_seal() -> SealReport:
    """Start a child that seals itself, and return what it reports."""
    try:
        trial = _run_trial()
        if trial.returncode == -signal.SIGKILL:  # from outside: the filter's own signal is another
            trial = _run_trial()
        return SealReport.model_validate_json(trial.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return SealReport(level="process", detail=str(error))
    except ValueError:
        words = trial.stderr.decode(errors="replace").strip()[-200:]
        words = words or f"it ended with {trial.returncode} and said nothing"
        return SealReport(level="process", detail=f"the trial failed: {words}")


def _run_trial() -> subprocess.CompletedProcess[bytes]:
    with make_scratch() as folder:
        return subprocess.run(
            [sys.executable, "-s", "-P", "-m", "reward_agent.sandbox.seal", str(folder)],
            cwd=folder,
            env=make_child_environment(folder, renders=False),
            capture_output=True,
            timeout=_TRIAL_S,
            check=False,
        )
