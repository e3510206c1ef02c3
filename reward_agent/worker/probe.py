"""Probe: a reward program tried on steps of its environment: ``ProbeJob`` → ``ProbeReport``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reward_agent.errors import DataError
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.jobs import TRAJECTORIES_FILE, ProbeJob
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import (
    CompiledReward,
    compile_program,
    load_functions,
    read_program,
)
from reward_agent.rewards.replay import replay_episodes
from reward_agent.rewards.source import find_read_fields
from reward_agent.rewards.trial import Trial, keep_sample, make_extremes, sample_steps
from reward_agent.simulation.backends import find_backend
from reward_agent.types import Finding, ProbeReport

_MAX_FINDINGS = 10
_SEVERITIES = ("error", "warning", "hint")
# Fewer episodes than this say nothing about an order.
_MIN_RANKED_EPISODES = 4
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
    fields = find_read_fields(source, job.card)
    scalar = {item.name for item in job.card.state if item.size is None}
    trial = Trial(
        lambda: CompiledReward(load_functions(source), job.gamma),
        sample_steps(job.card, job.seed, fields or ["observation"]),
        tuple(name for name in fields if name in scalar),
        seed=int(job.program_sha256[:8], 16),
    )
    trial.run()
    agreement = digest = None
    if not trial.has_errors and trial.rewards is not None:
        digest = digest_values(trial.rewards)
        trial.try_extremes(make_extremes(job.card, trial.steps[0]))
        agreement = _rank_stored_episodes(job, job_dir, reward, trial.findings)
    ranked = sorted(trial.findings, key=lambda finding: _SEVERITIES.index(finding.severity))
    return ProbeReport(
        program_sha256=job.program_sha256,
        findings=tuple(ranked[:_MAX_FINDINGS]),
        terms=trial.terms,
        call_us=trial.call_us,
        is_additive=trial.is_additive,
        rank_agreement=agreement,
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


def _rank_stored_episodes(
    job: ProbeJob, job_dir: Path, reward: CompiledReward, findings: list[Finding]
) -> float | None:
    """Return how well the program ranks stored episodes; a wrong order is a warning."""
    path = job_dir / TRAJECTORIES_FILE
    if not path.exists() or len(set(job.task_scores)) < 2:
        return None
    stored = Trajectories.load(path)
    if stored.n_episodes != len(job.task_scores):
        raise DataError(
            f"{stored.n_episodes} stored episodes but {len(job.task_scores)} task scores",
            "give one task score an episode",
        )
    try:
        returns = [float(paid.reward.sum()) for paid in replay_episodes(reward, stored)]
    except ContractError as error:
        findings.append(_refuse(error))
        return None
    agreement = find_rank_agreement(returns, job.task_scores)
    if agreement is not None and agreement < 0 and stored.n_episodes >= _MIN_RANKED_EPISODES:
        findings.append(
            Finding(
                rule="probe/prefers-worse",
                severity="warning",
                message=f"the return ranks {stored.n_episodes} stored episodes against their task "
                f"score (Spearman's rho {agreement:.2f})",
                remedy="pay more for what the task asks than for what the worse episodes do",
            )
        )
    return agreement


def find_rank_agreement(one: Sequence[float], two: Sequence[float]) -> float | None:
    """Return Spearman's rho of two rankings, -1..1; None where one has no order.

    Source: Spearman 1904; ties have the mean of their ranks.
    """
    first, second = (_rank(np.asarray(values)) for values in (one, two))
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float(np.clip((first * second).sum() / norm, -1, 1)) if norm else None


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks (n,) around zero; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse] - (len(values) + 1) / 2


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
