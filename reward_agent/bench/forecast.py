"""What a sweep is expected to take, before anything is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reward_agent.bench.plan import Job
from reward_agent.bench.sweep import SweepStore
from reward_agent.run.estimate import Estimate, estimate_design
from reward_agent.types import Record


class ForecastRow(Record):
    """Jobs of one method on one task; each number is of all of them together."""

    task: str
    label: str
    n_jobs: int
    n_over: int
    env_steps: float
    hours: float
    usd: float | None


def forecast_jobs(jobs: Sequence[Job], store: SweepStore | None = None) -> list[ForecastRow]:
    """Estimate the jobs that are not over.

    Args:
        jobs: all jobs of a sweep.
        store: its folder, if it was begun.
    """
    over = {job.id for job in jobs if store is not None and store.read_result(job.id)}
    counts = Counter((job.task_name, job.label) for job in jobs)
    first = {(job.task_name, job.label): job for job in reversed(jobs)}
    n_over = Counter((job.task_name, job.label) for job in jobs if job.id in over)
    return [
        _make_row(first[key], n_jobs, n_over[key], _estimate(first[key]))
        for key, n_jobs in counts.items()
    ]


def _estimate(job: Job) -> Estimate:
    settings = {key: value for key, value in job.settings.items() if value is not None}
    return estimate_design(job.env, job.task, environ={}, **settings)


def _make_row(job: Job, n_jobs: int, n_over: int, estimate: Estimate) -> ForecastRow:
    n_left = n_jobs - n_over
    return ForecastRow(
        task=job.task_name,
        label=job.label,
        n_jobs=n_jobs,
        n_over=n_over,
        env_steps=estimate.env_steps.likely * n_left,
        hours=estimate.wall_s.likely * n_left / 3600,
        usd=None if estimate.usd is None else estimate.usd.likely * n_left,
    )
