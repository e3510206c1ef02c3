"""A child that seals itself and does nothing else: what isolation is there, before it is needed.

The child's side is ``python -m reward_agent.sandbox.trial FOLDER``.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from reward_agent.errors import SandboxError
from reward_agent.sandbox.environment import make_child_environment
from reward_agent.sandbox.isolation import Isolation, SealReport, describe_refusal
from reward_agent.sandbox.level import Level, SandboxMode, is_accepted
from reward_agent.sandbox.seal import Seal

_TRIAL_S = 30.0


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
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, "-s", "-P", "-m", "reward_agent.sandbox.trial", folder],
            cwd=folder,
            env=make_child_environment(Path(folder), renders=False),
            capture_output=True,
            timeout=_TRIAL_S,
            check=False,
        )


def _seal_this_process(folder: Path) -> None:
    """Seal with the least demand; the report goes to standard output."""
    seal = Seal(Isolation(mode="any", report_descriptor=1), folder)
    try:
        seal.confine()
        seal.close()
    except SandboxError as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    _seal_this_process(Path(sys.argv[1]))
