"""Job ``try_card``: what can be found of a card in well under a second."""

from __future__ import annotations

from pathlib import Path

from reward_agent.errors import DataError
from reward_agent.records.drafting_jobs import CheckEnvResult, TryCardJob
from reward_agent.simulation.backends import try_card
from reward_agent.simulation.simulation import make_finding


def run(job: TryCardJob, job_dir: Path) -> CheckEnvResult:
    """Try the card of the job; the folder is not needed."""
    try:
        return CheckEnvResult(findings=try_card(job.card))
    except DataError as error:
        finding = make_finding("model", error.message, error.remedy, "error")
        return CheckEnvResult(findings=(finding,))
