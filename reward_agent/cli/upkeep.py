"""``reward-agent runs du``, ``rm`` and ``compare``: many runs at once."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import (
    make_table,
    print_text,
    progress_console,
    read_answer,
    show_number,
)
from reward_agent.cli.settings import RunName, RunsDir
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.errors import UsageError
from reward_agent.types import Finite, Record

if TYPE_CHECKING:
    from reward_agent.records.store import RunRecord

_MIB = 2**20
Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN", help="Runs: names, ids, starts of ids, paths, or 'last'."),
]


class RunSize(Record):
    """What a run takes on disk."""

    run: str
    bytes: int


@answers("cli.upkeep:RunSize[]")
def du_command(runs_dir: RunsDir = None) -> CommandAnswer:
    """Show what each run and each diagnosis takes on disk, the largest last."""
    from reward_agent.records.store import list_kept
    from reward_agent.sandbox.child import measure_folder

    sizes = {folder.name: measure_folder(folder) for folder in list_kept(find_runs_dir(runs_dir))}
    ordered = sorted(sizes.items(), key=lambda item: item[1])
    told = [RunSize(run=name, bytes=size) for name, size in ordered]
    shown = [*ordered, ("together", sum(sizes.values()))]
    rows = ((f"{size / _MIB:,.1f}", name) for name, size in shown)
    return CommandAnswer(told, make_table(">MiB", "run", rows=rows))


def rm_command(
    runs: Runs,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Delete runs and diagnoses, with everything in them; what is at work is left alone."""
    from reward_agent.records.store import RunStore, find_kept
    from reward_agent.sandbox.child import measure_folder

    stores = {store.dir: store for store in (RunStore(find_kept(n, runs_dir)) for n in runs)}
    for store in stores.values():
        if store.is_locked():
            raise UsageError(f"a process works on run {store.dir.name}", "stop it first")
    if not yes:
        _ask([f"{measure_folder(folder) / _MIB:,.1f} MiB  {folder}" for folder in stores])
    for folder in stores:
        shutil.rmtree(folder)  # it follows no link
        print_text(f"deleted {folder}")


class RunFigures(Record):
    """A run in figures."""

    id: str
    environment: str
    task: str
    status: str
    designer: str
    metric: str
    unit: str
    score: Finite | None
    scores_of_seeds: tuple[Finite, ...]
    success: Finite | None
    success_of_policy: Finite | None
    env_steps: int
    minutes: Finite
    calls: int
    usd: Finite | None


class TwoRuns(Record):
    """Two runs side by side."""

    runs: tuple[RunFigures, RunFigures]
    settings: dict[str, tuple[Any, Any]] = Field(description="those that differ")


@answers("cli.upkeep:TwoRuns")
def compare_command(first: RunName, second: RunName, runs_dir: RunsDir = None) -> CommandAnswer:
    """Show two runs side by side: what they found, what it took, which settings differ."""
    from reward_agent.records.store import load_run

    pair = [load_run(name, runs_dir).read_run() for name in (first, second)]
    figures = [_list_figures(run) for run in pair]
    one, other = (run.config for run in pair)
    differing = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    settings = {name: (one.get(name), other.get(name)) for name in differing}
    table = make_table("", "first", "second")
    for name in RunFigures.model_fields:
        words = "fresh-seed scores" if name == "scores_of_seeds" else name.replace("_", " ")
        cells = [_show(getattr(told, name)) for told in figures]
        if name == "score":
            kinds = [f" ({run.winner.score_name})" if run.winner else "" for run in pair]
            cells = [cell + kind for cell, kind in zip(cells, kinds, strict=True)]
        table.add_row(words, *cells)
    for name, values in settings.items():
        table.add_row(f"--{name.replace('_', '-')}", *map(_show, values))
    return CommandAnswer(TwoRuns(runs=(figures[0], figures[1]), settings=settings), table)


def _list_figures(run: RunRecord) -> RunFigures:
    winner = run.winner
    policy = winner.policy if winner else None
    return RunFigures(
        id=run.id,
        environment=run.card.name,
        task=run.task.description,
        status=run.status,
        designer=run.designer.partition(": ")[0],
        metric=run.metric_origin,
        unit=run.task.unit,
        score=winner.task_score if winner else None,
        scores_of_seeds=winner.task_scores if winner else (),
        success=winner.success_rate if winner else None,
        success_of_policy=policy.evaluation.success_rate if policy else None,
        env_steps=run.total_timesteps,
        minutes=run.wall_s / 60,
        calls=run.usage.n_calls,
        usd=run.usage.usd,
    )


def _show(value: Any) -> str:
    if isinstance(value, float):
        return show_number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_show, value)) or "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "–" if value is None or value == "" else str(value)


def _ask(lines: list[str]) -> None:
    """Ask whether to delete; only a yes does.

    Raises:
        UsageError: nobody sits there, or the answer is another.
    """
    if not sys.stdin.isatty():
        raise UsageError("deleting runs wants a yes", "say --yes")
    for line in lines:
        progress_console.print(line)
    progress_console.print("Delete for good? [y/N]")
    if read_answer() not in ("y", "yes"):
        raise UsageError("nothing was deleted", "")
