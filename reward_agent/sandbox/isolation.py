"""What the parent tells the child about its isolation, and what the child reports of it."""

from __future__ import annotations

from pydantic import Field

from reward_agent.errors import SandboxError
from reward_agent.records.limits import Limits
from reward_agent.sandbox.level import Level, SandboxMode
from reward_agent.types import FileRecord, Record

ISOLATION_FILE = "isolation.json"
# 70 is EX_SOFTWARE of sysexits.h, 77 its EX_NOPERM.
EXIT_INTERNAL = 70
EXIT_REFUSED = 77


class Isolation(FileRecord):
    """The isolation that a child has to put itself under."""

    mode: SandboxMode = "default"
    limits: Limits = Limits()
    parent_pid: int | None = None
    report_descriptor: int | None = Field(
        None, description="end of a pipe: the report is written there, then it is closed"
    )


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
