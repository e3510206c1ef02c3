"""``reward-agent bench``: sweeps of tasks, methods and seeds."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import (
    Yes,
    answer_console,
    ask_about_money,
    make_table,
    print_text,
    progress_console,
)
from reward_agent.cli.settings import add_settings, take_options
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.types import Record

if TYPE_CHECKING:
    from reward_agent.bench.plan import Choices
    from reward_agent.bench.suite import Suite
    from reward_agent.bench.sweep import SweepStore
    from reward_agent.records.events import Event

app = typer.Typer(
    help="Run tasks x methods x seeds; resumable, with honest statistics.", no_args_is_help=True
)
SuiteName = Annotated[str, typer.Argument(help="A suite's name, or the path of a .toml file.")]
SweepName = Annotated[str, typer.Argument(help="A sweep's folder, or the name of its suite.")]


@dataclass(frozen=True)
class Changes:
    """What a command line changes of a suite."""

    methods: Annotated[
        str | None, typer.Option(help="Methods, with commas; the suite's by default.")
    ] = None
    seeds: Annotated[int | None, typer.Option(help="Runs of each method on each task.")] = None
    budget: Annotated[
        str | None, typer.Option(help="quick, standard, thorough, or env steps a training.")
    ] = None
    candidates: Annotated[int | None, typer.Option(help="Programs a round, of a search.")] = None
    iterations: Annotated[int | None, typer.Option(help="Its rounds.")] = None
    winner_seeds: Annotated[
        int | None, typer.Option(help="Fresh seeds that a result is scored by.")
    ] = None


@app.command("run")
@answers("bench.results:Results")
@add_settings("executor", "ray_address", "job_cpus", "job_gpus", also=(Changes,))
def run_command(
    suite: SuiteName,
    provider: Annotated[
        str | None, typer.Option(help="Language model of the methods that need one.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its name.")] = None,
    slots: Annotated[
        int, typer.Option(min=0, help="Jobs side by side; 0: one, or all a cluster has.")
    ] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; runs/bench/SUITE by default.")
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option(min=0, help="Hard limit of the sweep in US dollars.")
    ] = None,
    max_calls: Annotated[
        int | None, typer.Option(min=1, help="Hard limit of the sweep in model calls.")
    ] = None,
    yes: Yes = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run jobs again that were recorded as failed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show jobs, env steps, time and money; run nothing.")
    ] = False,
    **given: Any,
) -> CommandAnswer | None:
    """Run a suite, or go on with it: jobs that are over are not repeated."""
    from reward_agent.bench.plan import Choices
    from reward_agent.bench.sweep import run_sweep
    from reward_agent.llm.budget import SpendingLimits

    chosen = _load(suite, asdict(take_options(Changes, given)))
    place = {name: value for name, value in given.items() if value is not None}
    choices = Choices(provider, model, os.environ, place)
    if dry_run:
        _show_forecast(chosen, choices, slots, output)
        return None
    store = run_sweep(
        chosen,
        choices,
        output,
        slots,
        _report,
        retry_failed=retry_failed,
        limits=SpendingLimits(max_usd, calls=max_calls),
        agree=ask_about_money(yes),
    )
    return _report_sweep(store)


def _report_sweep(store: SweepStore) -> CommandAnswer:
    """Write a sweep's tables, charts and page; the tables are the answer."""
    from reward_agent.bench.page import PAGE_FILE, render_markdown, write_results

    results = write_results(store)
    return CommandAnswer(results, f"{render_markdown(results)}\n{store.dir / PAGE_FILE}")


def _load(name: str, changes: dict[str, Any]) -> Suite:
    from reward_agent.bench.suite import load_suite, make_suite

    given = {key: value for key, value in changes.items() if value is not None}
    if "methods" in given:
        given["methods"] = [name.strip() for name in given["methods"].split(",")]
    suite = load_suite(name).model_dump()
    # What is typed holds for every task; of the methods, those that a task has.
    of_task = {
        task: {key: value for key, value in own.items() if key == "methods" or key not in given}
        for task, own in suite["of_task"].items()
    }
    return make_suite(suite | given | {"of_task": of_task})


def _report(event: Event) -> None:
    """Tell of each job's beginning and end on standard error."""
    from reward_agent.bench.sweep import JobOver, JobRetried, JobStarted
    from reward_agent.llm.provider import find_address

    match event:
        case JobStarted(job):
            made_with = job.settings
            address = find_address(made_with["provider"], made_with["base_url"], os.environ)
            news = f": asked at {address}" if address else ""
        case JobRetried(job):
            news = f": attempt {event.attempt} failed: {event.reason}"
        case JobOver(job, result):
            scores = ", ".join(f"{score:.3g}" for score in result.scores)
            news = f": {scores} {job.unit}" if scores else f": {result.outcome}"
        case _:
            return
    words = f"{job.task_name} {job.label} seed {job.seed}{news}"
    progress_console.print(f"{event.kind:8} {words}")


def _show_forecast(suite: Suite, choices: Choices, slots: int, output: Path | None) -> None:
    from reward_agent.bench.plan import plan_jobs
    from reward_agent.bench.sweep import SweepStore, forecast_jobs

    folder = output or find_runs_dir() / "bench" / suite.name
    rows = forecast_jobs(plan_jobs(suite, choices), SweepStore(folder))
    table = make_table("task", "method", ">jobs", ">over", ">env steps", ">hours", ">USD")
    for row in rows:
        money = "unknown" if row.usd is None else f"{row.usd:.2f}"
        counts = str(row.n_jobs), str(row.n_over), f"{row.env_steps:,.0f}", f"{row.hours:.2f}"
        table.add_row(row.task, row.label, *counts, money)
    answer_console.print(table)
    n_slots = slots or 1  # a cluster is not asked before it is needed
    hours = sum(row.hours for row in rows) / n_slots
    n_left = sum(row.n_jobs - row.n_over for row in rows)
    steps = sum(row.env_steps for row in rows)
    usd = sum(row.usd or 0.0 for row in rows)
    size = f"{n_left} jobs, {steps:,.0f} env steps"
    place = "1 slot" if n_slots == 1 else f"{n_slots} slots"
    print_text(f"{size}, {hours:.1f} h on {place}, {usd:.2f} USD")


class JobCounts(Record):
    """How far a sweep is, in jobs."""

    jobs: int
    finished: int
    failed: int
    open: int


@app.command("status")
@answers("cli.bench:JobCounts")
def status_command(sweep: SweepName) -> CommandAnswer:
    """Say how far a sweep is."""
    from reward_agent.bench.sweep import find_sweep

    counts = _count_jobs(find_sweep(sweep))
    return CommandAnswer(counts, ", ".join(f"{count} {name}" for name, count in counts))


def _count_jobs(store: SweepStore) -> JobCounts:
    results = store.read_results()
    n_jobs = len(store.read().jobs)
    n_finished = sum(result.status == "finished" for result in results.values())
    return JobCounts(
        jobs=n_jobs,
        finished=n_finished,
        failed=len(results) - n_finished,
        open=n_jobs - len(results),
    )


@app.command("report")
@answers("bench.results:Results")
def report_command(sweep: SweepName) -> CommandAnswer:
    """Write a sweep's tables, charts and page again, and show the tables."""
    from reward_agent.bench.sweep import find_sweep

    return _report_sweep(find_sweep(sweep))


@app.command("compare")
@answers("bench.results:Comparison[]")
def compare_command(first: SweepName, second: SweepName) -> CommandAnswer:
    """Compare two sweeps on the tasks and methods that both have."""
    from reward_agent.bench.page import render_number
    from reward_agent.bench.results import compare_sweeps
    from reward_agent.bench.sweep import find_sweep

    rows = compare_sweeps(find_sweep(first), find_sweep(second))
    shown = (
        (
            row.task,
            row.label,
            render_number(row.first, row.first_interval),
            render_number(row.second, row.second_interval),
            render_number(row.improvement),
            row.unit,
        )
        for row in rows
    )
    head = ("task", "method", ">first", ">second", ">P(second better)", "unit")
    return CommandAnswer(rows, make_table(*head, rows=shown))
