"""Probe: a reward program tried on steps of its environment: ``ProbeJob`` → ``ProbeReport``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reward_agent.records.training_jobs import ProbeJob
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import (
    CompiledReward,
    compile_program,
    load_functions,
    read_program,
)
from reward_agent.rewards.source import find_needed_fields
from reward_agent.rewards.trial import Trial, keep_sample, make_extremes, sample_steps
from reward_agent.simulation.backends import find_backend
from reward_agent.types import Finding, ProbeReport
from reward_agent.worker.known_pay import KnownEpisodes, pay_known
from reward_agent.worker.starts import try_program

_MAX_FINDINGS = 10
_SEVERITIES = ("error", "warning", "hint")
# Digits of a reward that count when two programs are compared, in bits, and what is noise.
_KEPT_BITS, _NOISE = 20, 1e-9


def prepare(job: ProbeJob) -> None:
    """Import what must be imported before the process is sealed."""
    import mujoco.batch  # noqa: F401


def warm_up(job: ProbeJob) -> None:
    """Make the random steps of the environment, which are the same for each program."""
    if find_backend(job.card).is_inherited:
        keep_sample(job.card, job.seed)


def run(job: ProbeJob, job_dir: Path) -> ProbeReport:
    """Try a program and report; a failing program is a finding, never an exception.

    Raises:
        DataError: the program in the folder is not the one of the job.
    """
    source = read_program(job_dir, job.program_sha256)
    try:
        reward = compile_program(source, job.card, job.gamma)
    except ContractError as error:
        return ProbeReport(program_sha256=job.program_sha256, findings=(_refuse(error),))
    fields = find_needed_fields(source, job.card)
    scalar = {item.name for item in job.card.state if item.size is None}
    trial = Trial(
        lambda: CompiledReward(load_functions(source), job.gamma),
        sample_steps(job.card, job.seed, fields),
        tuple(name for name in fields if name in scalar),
        seed=int(job.program_sha256[:8], 16),
    )
    trial.run()
    findings, starts = try_program(job, job_dir, source)
    trial.findings += findings
    known = KnownEpisodes.load(job, job_dir, fields)
    paid = digest = reach = None
    if not trial.has_errors and trial.rewards is not None:
        trial.try_extremes(make_extremes(job.card, trial.steps[0]))
        try:
            paid = pay_known(reward, known)
        except ContractError as error:
            trial.findings.append(_refuse(error))
    if paid is not None and trial.rewards is not None:
        digest = digest_values(np.concatenate([trial.rewards, *(p.reward for p in paid.scripted)]))
        reach = paid.find_reach(job, trial) if paid.scripted or paid.stored else None
        if reach is not None:
            trial.findings += paid.judge(job, reach.most)
    ranked = sorted(trial.findings, key=lambda finding: _SEVERITIES.index(finding.severity))
    return ProbeReport(
        program_sha256=job.program_sha256,
        findings=tuple(ranked[:_MAX_FINDINGS]),
        terms=reach.widen(trial.terms) if reach else trial.terms,
        call_us=trial.call_us,
        is_additive=trial.is_additive,
        best_step=reach.most.once if reach else None,
        best_kept_up=reach.most.kept_up if reach else None,
        behaviours=tuple(paid.rows) if paid else (),
        left_out=job.left_out if paid and paid.rows else (),
        rank_agreement=paid.agreement if paid else None,
        ranked=paid.ranked if paid else None,
        starts=starts,
        values_sha256=digest,
    )


def _refuse(error: ContractError) -> Finding:
    return Finding(
        rule=error.rule,
        severity="error",
        message=error.message,
        remedy=error.remedy,
        line=error.line,
    )


def digest_values(values: NDArray[np.float64]) -> str | None:
    """Return the digest of rewards to six digits; None if they are all the same.

    Two programs that compute the same in another order differ in the last digits only.
    """
    size = np.abs(values)
    if values.size == 0 or values.min() == values.max():
        return None
    # Where terms cancel, what is left is rounding.
    kept = np.where(size > _NOISE * size.max(), values, 0.0)
    mantissa, exponent = np.frexp(kept)
    coarse = np.ldexp(np.round(mantissa * 2.0**_KEPT_BITS), exponent - _KEPT_BITS) + 0.0
    return hashlib.sha256(coarse.tobytes()).hexdigest()
