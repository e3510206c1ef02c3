"""The numbers of a sweep: a cell for each task and column, columns over all tasks, two sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pydantic import Field

from reward_agent.bench.plan import SweepJob
from reward_agent.bench.suite import OF_TASK
from reward_agent.bench.sweep import JobResult, SweepStore
from reward_agent.errors import DataError
from reward_agent.evaluation.statistics import (
    bootstrap_interval,
    interquartile_mean,
    normalise_score,
    probability_of_improvement,
    stratified_interval,
    wilson_interval,
)
from reward_agent.types import FileRecord, Finite, Record


class RunScore(Record):
    """One job's score: the mean over its fresh seeds; None if it failed."""

    job: str
    seed: int
    score: Finite | None
    of_seeds: tuple[Finite, ...] = Field((), description="what its fresh seeds scored, one each")
    normalised: Finite | None = None
    policy_score: Finite | None = Field(None, description="of the best policy of the run")
    policy_success: float | None = None
    run: str | None
    outcome: str = ""


class Cell(Record):
    """A column's runs on one task."""

    task: str
    label: str
    unit: str
    runs: tuple[RunScore, ...]
    n_missing: int = Field(0, description="jobs that are not over")
    mean: Finite | None = None
    interval: tuple[Finite, Finite] | None = None
    n_successes: int = 0
    n_episodes: int = 0
    success_interval: tuple[Finite, Finite] | None = None

    @property
    def n_failed(self) -> int:
        """Jobs that ended without a score."""
        return sum(run.score is None for run in self.runs)

    @property
    def scores(self) -> list[float]:
        """Scores of the runs that have one."""
        return [run.score for run in self.runs if run.score is not None]

    @property
    def normalised(self) -> list[float]:
        """Normalised scores of the runs that have one."""
        return [run.normalised for run in self.runs if run.normalised is not None]


class MethodSummary(Record):
    """A method over all tasks; ``iqm`` is of those that have a reference and a sparse reward.

    ``improvement`` is the probability that a run of it scores higher than one of the first column,
    on the tasks that both have. Calls and money are all that were paid for, env steps those of the
    runs that the numbers come from; ``abandoned_env_steps`` were trained in attempts given up.
    """

    label: str
    n_tasks: int
    n_runs: int
    n_failed: int
    n_missing: int
    iqm: Finite | None = None
    interval: tuple[Finite, Finite] | None = None
    success_rate: Finite | None = None
    success_interval: tuple[Finite, Finite] | None = None
    improvement: Finite | None = None
    env_steps: int = 0
    abandoned_env_steps: int = 0
    n_calls: int = 0
    usd: float | None = None


class Results(FileRecord):
    """``results.json``: everything that the tables and the page show."""

    suite: str
    description: str
    settings: dict[str, int | str]
    cells: tuple[Cell, ...]
    columns: tuple[MethodSummary, ...]
    versions: tuple[dict[str, str], ...] = Field((), description="each set that a job ran with")

    def find_cell(self, task: str, label: str) -> Cell | None:
        """Return the cell of a task and a column."""
        return next((c for c in self.cells if (c.task, c.label) == (task, label)), None)

    @property
    def tasks(self) -> list[str]:
        """The tasks, in the suite's order."""
        return list(dict.fromkeys(cell.task for cell in self.cells))


def summarise_sweep(store: SweepStore) -> Results:
    """Return the numbers of a sweep, as far as it is."""
    sweep, results = store.read(), store.read_results()
    groups: dict[tuple[str, str], list[SweepJob]] = {}
    for job in sweep.jobs:
        groups.setdefault(job.cell, []).append(job)
    cells = _normalise([_make_cell(jobs, results) for jobs in groups.values()])
    labels = list(dict.fromkeys(job.label for job in sweep.jobs))
    over: dict[str, list[JobResult]] = {label: [] for label in labels}
    for job in sweep.jobs:
        over[job.label] += [results[job.id]] if job.id in results else []
    names = {*OF_TASK} - {"methods", "program"}
    return Results(
        suite=sweep.suite.name,
        description=sweep.suite.description,
        settings=sweep.suite.model_dump(include=names),
        cells=tuple(cells),
        columns=tuple(_make_column(label, cells, labels[0], over[label]) for label in labels),
        versions=tuple({str(item.versions): item.versions for item in results.values()}.values()),
    )


def _make_cell(jobs: Sequence[SweepJob], results: dict[str, JobResult]) -> Cell:
    over = [(job, results[job.id]) for job in jobs if job.id in results]
    runs = tuple(
        RunScore(
            job=job.id,
            seed=job.seed,
            score=fmean(result.scores) if result.scores else None,
            of_seeds=result.scores,
            policy_score=result.policy.evaluation.task_score if result.policy else None,
            policy_success=result.policy.evaluation.success_rate if result.policy else None,
            run=result.run,
            outcome=result.outcome,
        )
        for job, result in over
    )
    scores = [run.score for run in runs if run.score is not None]
    # Of one run the fresh seeds say how far trainings differ, not how far searches do.
    spread = scores if len(runs) > 1 else [score for run in runs for score in run.of_seeds]
    scored = [result for _, result in over if result.scores]
    n_successes = sum(result.n_successes for result in scored)
    n_episodes = sum(result.n_episodes for result in scored)
    return Cell(
        task=jobs[0].task_name,
        label=jobs[0].label,
        unit=jobs[0].unit,
        runs=runs,
        n_missing=len(jobs) - len(over),
        mean=fmean(scores) if scores else None,
        interval=bootstrap_interval(spread) if len(spread) > 1 else None,
        n_successes=n_successes,
        n_episodes=n_episodes,
        success_interval=wilson_interval(n_successes, n_episodes) if n_episodes else None,
    )


def _normalise(cells: Sequence[Cell]) -> list[Cell]:
    """Add normalised scores on the tasks that have both ends of the scale."""
    means = {(cell.task, cell.label): cell.mean for cell in cells}

    def normalise(task: str, run: RunScore) -> RunScore:
        sparse, reference = means.get((task, "sparse")), means.get((task, "reference"))
        if run.score is None or sparse is None or reference is None:
            return run
        normalised = normalise_score(run.score, sparse, reference)
        return run.model_copy(update={"normalised": normalised})

    return [
        cell.model_copy(update={"runs": tuple(normalise(cell.task, run) for run in cell.runs)})
        for cell in cells
    ]


def _make_column(
    label: str, cells: Sequence[Cell], first: str, results: Sequence[JobResult]
) -> MethodSummary:
    own = [cell for cell in cells if cell.label == label]
    strata = [cell.normalised for cell in own if cell.normalised]
    n_successes, n_episodes = sum(c.n_successes for c in own), sum(c.n_episodes for c in own)
    paid = [usage for result in results for usage in (result.usage, result.abandoned_usage)]
    n_calls = sum(usage.n_calls for usage in paid)
    prices = [usage.usd for usage in paid if usage.usd is not None]
    return MethodSummary(
        label=label,
        n_tasks=sum(bool(cell.scores) for cell in own),
        n_runs=sum(len(cell.scores) for cell in own),
        n_failed=sum(cell.n_failed for cell in own),
        n_missing=sum(cell.n_missing for cell in own),
        iqm=interquartile_mean([s for scores in strata for s in scores]) if strata else None,
        interval=stratified_interval(strata) if sum(map(len, strata)) > 1 else None,
        success_rate=n_successes / n_episodes if n_episodes else None,
        success_interval=wilson_interval(n_successes, n_episodes) if n_episodes else None,
        improvement=None if label == first else _compare_columns(own, cells, first),
        env_steps=sum(result.env_steps for result in results),
        abandoned_env_steps=sum(result.abandoned_env_steps for result in results),
        n_calls=n_calls,
        usd=sum(prices) if prices or not n_calls else None,
    )


def _compare_columns(own: Sequence[Cell], others: Sequence[Cell], label: str) -> float | None:
    """Return the probability of improvement over another column, on the tasks that both have."""
    theirs = {cell.task: cell.scores for cell in others if cell.label == label}
    pairs = [(cell.scores, theirs.get(cell.task, [])) for cell in own]
    pairs = [(mine, other) for mine, other in pairs if mine and other]
    if not pairs:
        return None
    return probability_of_improvement([a for a, _ in pairs], [b for _, b in pairs])


class Comparison(Record):
    """A method on a task in both sweeps; ``improvement`` is P(a run of the second is better)."""

    task: str
    label: str
    unit: str
    first: Finite | None
    first_interval: tuple[Finite, Finite] | None
    second: Finite | None
    second_interval: tuple[Finite, Finite] | None
    improvement: Finite | None


def compare_sweeps(first: SweepStore, second: SweepStore) -> list[Comparison]:
    """Compare two sweeps.

    Raises:
        DataError: they have no task and method in common.
    """
    theirs = summarise_sweep(second)
    pairs = [
        (cell, other)
        for cell in summarise_sweep(first).cells
        if (other := theirs.find_cell(cell.task, cell.label)) is not None
    ]
    if not pairs:
        raise DataError(
            f"{first.dir} and {second.dir} have no task and method in common",
            "compare sweeps of the same suite",
        )
    return [_compare(cell, other) for cell, other in pairs]


def _compare(cell: Cell, other: Cell) -> Comparison:
    is_known = bool(cell.scores and other.scores)
    return Comparison(
        task=cell.task,
        label=cell.label,
        unit=cell.unit,
        first=cell.mean,
        first_interval=cell.interval,
        second=other.mean,
        second_interval=other.interval,
        improvement=probability_of_improvement([other.scores], [cell.scores]) if is_known else None,
    )
