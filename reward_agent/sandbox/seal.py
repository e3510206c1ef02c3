"""The child's side of the sandbox: what it gives up before and after its heavy imports."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from reward_agent.errors import SandboxError
from reward_agent.sandbox.isolation import Isolation, SealReport
from reward_agent.sandbox.level import is_accepted
from reward_agent.sandbox.limits import apply_limits

_PR_SET_PDEATHSIG = 1


def confine_early(isolation: Isolation, job_dir: Path) -> None:
    """Tie this process to its parent and limit it, before the heavy imports."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if isolation.parent_pid is not None and os.getppid() != isolation.parent_pid:
        os._exit(1)
    apply_limits(isolation.limits)


def seal(isolation: Isolation, job_dir: Path) -> None:
    """Take the last step before generated code may be loaded, and report the level.

    Raises:
        SandboxError: the level is below what the mode accepts.
    """
    report = SealReport(level="process", detail="limits only")
    if isolation.report_descriptor is not None:
        os.write(isolation.report_descriptor, report.model_dump_json().encode())
        os.close(isolation.report_descriptor)
    if not is_accepted(report.level, isolation.mode):
        raise SandboxError(f"level {report.level} is below mode {isolation.mode}")
