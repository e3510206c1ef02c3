"""A person's reward -> a program: the job that reads it, and what is made of its answer."""

from __future__ import annotations

from pathlib import Path

from reward_agent.records.drafting_jobs import TranslateJob, TranslateResult
from reward_agent.records.job import BEHAVIOURS_FILE, GIVEN_FILE
from reward_agent.rewards.checks import check_program
from reward_agent.run.active import Lab
from reward_agent.run.behaviours import RecordedBehaviours
from reward_agent.types import Finding, RewardProgram

CHILD_ENDED = "translate/child-ended"


def translate_reward(
    lab: Lab, data: bytes, name: str, folder: Path, recorded: RecordedBehaviours | None = None
) -> TranslateResult:
    """Return what a person's file is as a program; see ``translation.translate``.

    Args:
        lab: its card is the one that the file is read for.
        data: the file, in whatever encoding.
        name: of the file.
        folder: where the job works.
        recorded: what the robot does without a policy; random steps are made without it.
    """
    files = {GIVEN_FILE: data}
    if recorded is not None:
        files[BEHAVIOURS_FILE] = recorded.read()
    job = TranslateJob(
        card=lab.card,
        file_name=name,
        seed=lab.settings.seed,
        behaviours=recorded.names if recorded is not None else (),
    )
    job_exit = lab.run_job(job, folder, files)
    result = job_exit.result
    if not isinstance(result, TranslateResult):
        return TranslateResult(findings=(_explain_end(str(job_exit.outcome)),))
    if result.program is not None:
        report = check_program(RewardProgram(result.program), lab.card)
        if report.errors:
            return TranslateResult(notes=result.notes, findings=report.errors)
    return result


def _explain_end(outcome: str) -> Finding:
    return Finding(
        rule=CHILD_ENDED,
        severity="error",
        message=f"the file could not be read to its end: {outcome}",
        remedy="give the reward alone: one function, without what takes long or much memory",
    )
