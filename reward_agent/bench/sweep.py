"""A sweep: a queue of design runs that may be interrupted anywhere and never repeats a job.

    DIR/
      sweep.json                the suite and its jobs
      LOCK                      held by the process that works on the sweep
      jobs/<id>/job.json        what is asked
      jobs/<id>/runs/<run>/     the design run, which itself goes on where it was interrupted
      jobs/<id>/result.json     written last: existing means that the job is over
      report.html, results.md, results.csv, results.json, results.tex     derived

The driver may be killed at any moment: started again it finds what is finished by its files alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from reward_agent import errors
from reward_agent.bench.plan import Choices, SweepJob, make_environ, plan_jobs
from reward_agent.bench.purse import Purse, count_charges
from reward_agent.bench.suite import METHODS, OF_TASK, Suite
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.executors.registry import EXECUTORS, make_places
from reward_agent.executors.remote import ClusterOptions
from reward_agent.files import guard
from reward_agent.llm.budget import NO_LIMITS, SpendingLimits
from reward_agent.records.disk import read_record, write_record, write_text
from reward_agent.records.events import Event, Listener, ignore
from reward_agent.records.job import PROGRAM_FILE
from reward_agent.records.settings import RunSettings, list_settings
from reward_agent.records.store import HandedPolicy, RunRecord, RunStore, list_runs, now_utc
from reward_agent.run.estimate import Estimate, Expense, add_expenses, estimate_design
from reward_agent.run.open import design, read_versions
from reward_agent.run.resume import resume_run
from reward_agent.run.spending import Agree, agree_to_spend, is_paid
from reward_agent.types import FileRecord, Finite, OneLine, Record, Usage

SWEEP_FILE, JOB_FILE, RESULT_FILE = "sweep.json", "job.json", "result.json"
# A job that failed is tried again, since a machine may fail; then it is a result that says so.
# Its run goes on where it failed; the last attempt begins anew, since what failed stays in a run.
N_ATTEMPTS = 3
# These would meet every job: the sweep stops, and goes on when they are mended.
_STOPPING = (
    errors.Interrupted, errors.BudgetError, errors.UsageError, errors.SandboxError,
    errors.MissingKeyError, errors.RejectedKeyError, errors.QuotaError, errors.RateLimitError,
    errors.UnreachableError,
)  # fmt: skip
_FREE = nullcontext(NO_LIMITS)


class Sweep(FileRecord):
    """``sweep.json``: the suite as it was run, and its jobs in order."""

    suite: Suite
    created: str
    jobs: tuple[SweepJob, ...]


class JobResult(FileRecord):
    """What became of a job; a job that failed has no score.

    ``scores`` are those of the winner, trained again with fresh seeds that took no part in its
    choice, one each. What runs took that were given up before is counted apart: it was spent, but
    the scores do not come from it.
    """

    job: str
    status: Literal["finished", "failed"]
    outcome: OneLine = ""
    n_attempts: int
    scores: tuple[Finite, ...] = ()
    n_successes: int = 0
    n_episodes: int = 0
    policy: HandedPolicy | None = Field(None, description="the best that the run trained")
    env_steps: int = 0
    usage: Usage = Usage()
    abandoned_env_steps: int = 0
    abandoned_usage: Usage = Usage()
    wall_s: float = 0.0
    run: str | None = Field(None, description="the design run, relative to the sweep's folder")
    designer: str = ""
    sandbox_level: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    finished: str


class JobStarted(Event, kind="started"):
    """A job of a sweep begins."""

    job: SweepJob


class JobRetried(Event, kind="retried"):
    """An attempt of a job failed, and another may follow."""

    job: SweepJob
    attempt: int
    reason: str


class JobOver(Event, kind="over"):
    """A job has its result."""

    job: SweepJob
    result: JobResult


class SweepStore:
    """The directory of one sweep."""

    def __init__(self, folder: Path) -> None:
        self.dir = guard(folder)

    def read(self) -> Sweep:
        """Read ``sweep.json``."""
        return read_record(self.dir / SWEEP_FILE, Sweep)

    def job_dir(self, job_id: str) -> Path:
        """Folder of a job."""
        return self.dir / "jobs" / job_id

    def read_result(self, job_id: str) -> JobResult | None:
        """Read what became of a job; None while it is not over."""
        path = self.job_dir(job_id) / RESULT_FILE
        return read_record(path, JobResult) if path.is_file() else None

    def read_results(self) -> dict[str, JobResult]:
        """Read the results of the sweep's jobs that are over, by id."""
        read = {job.id: self.read_result(job.id) for job in self.read().jobs}
        return {job_id: result for job_id, result in read.items() if result is not None}


def find_sweep(name: str) -> SweepStore:
    """Find a sweep by its folder, or by the name of its suite among the runs.

    Raises:
        DataError: there is none.
    """
    places = list(dict.fromkeys([Path(name), find_runs_dir() / "bench" / name]))
    for place in places:
        if (place / SWEEP_FILE).is_file():
            return SweepStore(place)
    shown = " or ".join(map(str, places))
    raise errors.DataError(f"no sweep at {shown}", "run it: reward-agent bench run SUITE")


def run_sweep(
    suite: Suite,
    choices: Choices | None = None,
    folder: Path | None = None,
    slots: int = 0,
    listen: Listener = ignore,
    *,
    retry_failed: bool = False,
    limits: SpendingLimits = NO_LIMITS,
    agree: Agree | None = None,
) -> SweepStore:
    """Run the jobs of a suite that are not over, several at a time.

    Args:
        suite: what to run.
        choices: the language model, if a method needs one.
        folder: where the sweep lies; ``runs/bench/<suite>`` by default. One that is there is taken
            up again: jobs that are the same to the digest are not repeated.
        slots: jobs side by side, one training each; 0: one, or as many as a cluster has.
        listen: receives ``JobStarted``, ``JobRetried`` and ``JobOver``.
        retry_failed: take up jobs again that were recorded as failed.
        limits: what all jobs may spend on a model together, those that are over included.
        agree: asked before jobs that may cost money without a limit; by default nobody is.

    Raises:
        Interrupted: it is not agreed to, or the user stopped it; the same call goes on.
        RewardAgentError: what would meet every job, such as a missing key, a limit of money or an
            endpoint that stayed out of reach.
    """
    choices = choices or Choices()
    jobs = plan_jobs(suite, choices)
    store = SweepStore(folder or find_runs_dir() / "bench" / suite.name)
    environ = make_environ(os.environ if choices.environ is None else choices.environ)
    queue = [job for job in jobs if not _is_over(store, job, retry_failed)]
    _agree(queue, environ, limits, agree)
    with RunStore(store.dir).lock():
        _write_plan(store, suite, jobs)
        folders = [store.job_dir(job.id) for job in jobs]
        try:
            with _hold_place(store, choices.place, slots) as n_slots:
                purse = Purse(limits, n_slots, folders)
                _run_all(queue, n_slots, lambda job: _run_job(store, job, environ, purse, listen))
        except (KeyboardInterrupt, errors.Interrupted):
            raise errors.Interrupted(
                f"the sweep {store.dir} was stopped", "the same command goes on with it"
            ) from None
    return store


def _agree(
    queue: Sequence[SweepJob],
    environ: Mapping[str, str],
    limits: SpendingLimits,
    agree: Agree | None,
) -> None:
    """Ask whether jobs may begin that cost money, all of them at once."""
    settings = {job.id: RunSettings.model_validate(job.settings) for job in queue}
    paid = [job for job in queue if is_paid(settings[job.id], environ)]
    if paid:
        said = {"max_usd": limits.usd, "max_calls": limits.calls}
        first = settings[paid[0].id].model_copy(update=said)
        agree_to_spend(first, environ, agree, lambda: _expect(paid))


def _expect(jobs: Sequence[SweepJob]) -> Expense:
    """Return what jobs cost together."""
    counts = Counter(job.cell for job in jobs)
    first = {job.cell: job for job in reversed(jobs)}
    return add_expenses([e for key in counts for e in [_estimate(first[key])] * counts[key]])


@contextmanager
def _hold_place(store: SweepStore, place: Mapping[str, Any], slots: int) -> Iterator[int]:
    """Keep the cluster of a sweep open for all of its jobs; yield how many run side by side."""
    settings = RunSettings.model_validate(place)
    if EXECUTORS.find(settings.executor).is_here:
        yield slots or 1
        return
    options = ClusterOptions(
        slots=slots,
        job_cpus=settings.job_cpus,
        job_gpus=settings.job_gpus,
        memory_mib=settings.memory_mib,
        folder=store.dir,
        address=settings.ray_address,
    )
    held, home = make_places(settings.executor, options, settings.sandbox, is_warm=False)
    try:
        yield held.n_slots
    finally:
        held.close()
        home.close()


def _is_over(store: SweepStore, job: SweepJob, retry_failed: bool) -> bool:
    result = store.read_result(job.id)
    return result is not None and not (retry_failed and result.status == "failed")


def _write_plan(store: SweepStore, suite: Suite, jobs: Sequence[SweepJob]) -> None:
    """Write the plan; jobs of an earlier one that are over stay in it, and so in the report."""
    path = store.dir / SWEEP_FILE
    sweep = Sweep(suite=suite, created=now_utc(), jobs=tuple(jobs))
    write_record(path, _add_to(store.read(), sweep, store) if path.is_file() else sweep)
    for job in jobs:
        write_record(store.job_dir(job.id) / JOB_FILE, job)


def _add_to(known: Sweep, new: Sweep, store: SweepStore) -> Sweep:
    """Return the new plan with what an earlier one has computed.

    A job whose task, metric or program has changed since gives way to the one that is asked now.

    Raises:
        UsageError: numbers of the two would stand in one table and could not be compared.
    """
    asked = {(job.cell, job.seed) for job in new.jobs}
    over = [job for job in known.jobs if store.read_result(job.id) is not None]
    for task in dict.fromkeys(job.task_name for job in over):
        was, wanted = known.suite.choose(task), new.suite.choose(task)
        for name in (name for name in OF_TASK if name not in ("methods", "seeds")):
            if getattr(was, name) != getattr(wanted, name):
                raise errors.UsageError(
                    f"{store.dir} has results of {task} with {name} {getattr(was, name)}, "
                    f"not {getattr(wanted, name)}",
                    "give another folder (--output), or the same numbers as before",
                )
    kept = [job for job in over if (job.cell, job.seed) not in asked]
    names = dict.fromkeys(name for job in (*known.jobs, *new.jobs) for name in job.cell)
    places = {name: place for place, name in enumerate(names)}
    suite = {
        "tasks": tuple(dict.fromkeys([*known.suite.tasks, *new.suite.tasks])),
        "methods": tuple(dict.fromkeys([*known.suite.methods, *new.suite.methods])),
        "seeds": max(known.suite.seeds, new.suite.seeds),
        "of_task": known.suite.of_task | new.suite.of_task,
    }
    return Sweep(
        suite=new.suite.model_copy(update=suite if kept else {}),
        created=known.created,
        jobs=tuple(
            sorted((*kept, *new.jobs), key=lambda job: (job.seed, *(places[n] for n in job.cell)))
        ),
    )


def _run_all(jobs: Sequence[SweepJob], slots: int, run: Callable[[SweepJob], None]) -> None:
    """Run the jobs in order; the first error of ours, or Ctrl-C, lets no further one begin."""
    if slots <= 1:  # in this thread, so that Ctrl-C reaches the job itself
        for job in jobs:
            run(job)
        return
    pool = ThreadPoolExecutor(slots, thread_name_prefix="job")
    is_waiting = True
    try:
        for future in as_completed([pool.submit(run, job) for job in jobs]):
            future.result()
    except KeyboardInterrupt:
        is_waiting = False
        raise
    finally:
        pool.shutdown(wait=is_waiting, cancel_futures=True)


def _run_job(
    store: SweepStore, job: SweepJob, environ: Mapping[str, str], purse: Purse, listen: Listener
) -> None:
    """Bring one job to its end and write its result."""
    listen(JobStarted(job))
    is_asking = METHODS[job.method].needs_model
    for attempt in range(1, N_ATTEMPTS + 1):
        try:
            with purse.share(store.job_dir(job.id)) if is_asking else _FREE as share:
                run = _follow_run(store, job, environ, share, is_last=attempt == N_ATTEMPTS)
            if run.limit:  # what it came to so far is no result of the method
                raise purse.explain(run.limit)
            result = _read_run(store, job, run, attempt)
        except _STOPPING:
            raise
        except errors.RewardAgentError as error:
            listen(JobRetried(job, attempt, error.message))
            facts = {"outcome": f"failed: {error.message}"}
            result = _make_result(store, job, attempt, None, facts)
        if result.status == "finished":
            break
    write_record(store.job_dir(job.id) / RESULT_FILE, result)
    listen(JobOver(job, result))


def _follow_run(
    store: SweepStore,
    job: SweepJob,
    environ: Mapping[str, str],
    share: SpendingLimits,
    *,
    is_last: bool,
) -> RunRecord:
    """Start the design run of a job, or take it up again."""
    folder = store.job_dir(job.id)
    settings = dict(job.settings)
    if job.program is not None:
        write_text(folder / PROGRAM_FILE, job.program)
        settings["provider"] = f"given:{(folder / PROGRAM_FILE).resolve()}"
    known = list_runs(folder / "runs")
    if is_last or not known:
        settings |= _bound(share, Usage())
        return design(job.env, job.task, runs_dir=folder / "runs", environ=environ, **settings)
    run = known[-1].read_run()
    if run.status == "finished" and not run.limit:
        return run
    own: dict[str, Any] = {name: settings.get(name) for name in list_settings(is_personal=True)}
    own |= _bound(share, count_charges(known[-1]))
    return resume_run(str(known[-1].dir), env=job.env, environ=environ, **own)


def _bound(share: SpendingLimits, spent: Usage) -> dict[str, Any]:
    """Return the limits of a run that has spent so much already, as its settings."""
    limits: dict[str, Any] = {}
    if share.usd is not None:
        limits["max_usd"] = share.usd + (spent.usd or 0.0)
    if share.calls is not None:
        limits["max_calls"] = share.calls + spent.n_calls
    return limits


def _read_run(store: SweepStore, job: SweepJob, run: RunRecord, attempt: int) -> JobResult:
    """Return the result of a design run that is finished."""
    winner = run.winner.candidate if run.winner is not None else None
    chosen = [
        item.evaluation
        for item in run.confirmations
        if item.candidate == winner and item.evaluation and item.evaluation.task_score is not None
    ]
    facts: dict[str, Any] = {
        "n_successes": sum(round((item.success_rate or 0.0) * item.n_episodes) for item in chosen),
        "n_episodes": sum(item.n_episodes for item in chosen),
        "policy": run.winner.policy if run.winner else None,
        "env_steps": run.total_timesteps,
        "usage": run.usage,
        "wall_s": run.wall_s,
        "designer": run.designer,
        "sandbox_level": run.sandbox_level,
        "versions": run.versions,
    }
    if len(chosen) >= job.settings["winner_seeds"]:
        facts |= {"status": "finished", "scores": tuple(item.task_score for item in chosen)}
    else:
        reasons = {str(item.outcome) for item in run.confirmations if item.evaluation is None}
        detail = "; ".join(sorted(reasons))
        facts["outcome"] = f"{len(chosen)} trainings with fresh seeds were scored; {detail}"
    return _make_result(store, job, attempt, run.id, facts)


def _make_result(
    store: SweepStore, job: SweepJob, attempt: int, kept: str | None, facts: Mapping[str, Any]
) -> JobResult:
    """Return the result of a job; what its runs took but the one that was kept counts apart."""
    runs = list_runs(store.job_dir(job.id) / "runs")
    abandoned = [run for run in (other.read_run() for other in runs) if run.id != kept]
    shown = next((other for other in runs if other.dir.name == kept), runs[-1] if runs else None)
    return JobResult(
        **{"status": "failed", "versions": read_versions(), **facts},
        job=job.id,
        n_attempts=attempt,
        abandoned_env_steps=sum(run.total_timesteps for run in abandoned),
        abandoned_usage=sum((run.usage for run in abandoned), Usage()),
        run=shown.dir.relative_to(store.dir).as_posix() if shown else None,
        finished=now_utc(),
    )


class ForecastRow(Record):
    """Jobs of one method on one task; each number is of all of them together."""

    task: str
    label: str
    n_jobs: int
    n_over: int
    env_steps: float
    hours: float
    usd: float | None


def forecast_jobs(jobs: Sequence[SweepJob], store: SweepStore | None = None) -> list[ForecastRow]:
    """Estimate the jobs that are not over."""
    over = {job.id for job in jobs if store is not None and store.read_result(job.id)}
    counts = Counter(job.cell for job in jobs)
    first = {job.cell: job for job in reversed(jobs)}
    n_over = Counter(job.cell for job in jobs if job.id in over)
    return [_forecast(first[key], n_jobs, n_over[key]) for key, n_jobs in counts.items()]


def _forecast(job: SweepJob, n_jobs: int, n_over: int) -> ForecastRow:
    estimate = _estimate(job)
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


def _estimate(job: SweepJob) -> Estimate:
    return estimate_design(job.env, job.task, environ={}, **job.settings)
