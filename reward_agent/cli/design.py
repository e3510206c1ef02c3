"""``reward-agent design``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_agent.cli.output import print_json, progress_console
from reward_agent.cli.settings import RunsDir, add_settings, note_folder
from reward_agent.errors import Interrupted, UsageError
from reward_agent.trackers.registry import TRACKERS

if TYPE_CHECKING:
    from reward_agent.records.store import RunRecord, RunStore
    from reward_agent.run.metric import ProposedMetric

BELOW_TARGET = 3

_TRACKERS = ", ".join(row.name for row in TRACKERS.own)


@add_settings()
def design_command(
    env: Annotated[
        str | None, typer.Option(help="Environment: a name or a folder.", callback=note_folder)
    ] = None,
    task: Annotated[str | None, typer.Option(help="A task's name, or any sentence.")] = None,
    resume: Annotated[str | None, typer.Option(help="Take up a run: id, path or 'last'.")] = None,
    metric: Annotated[Path | None, typer.Option(help="Your own metric.py.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept a proposed metric unseen.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print what the run may cost, and do nothing.")
    ] = False,
    runs_dir: RunsDir = None,
    tracker: Annotated[
        list[str] | None, typer.Option(help=f"Log to {_TRACKERS} or an installed one; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run's record.")] = False,
    **settings: Any,
) -> None:
    """Design a reward function for a behaviour and train a policy with it."""
    from reward_agent.cli.display import RunDisplay
    from reward_agent.definitions.paths import find_runs_dir
    from reward_agent.records.store import RunStore, load_run
    from reward_agent.run.open import design
    from reward_agent.run.resume import resume_run
    from reward_agent.trackers.follow import TrackedRun

    if estimate:
        _show_estimate(env, task, runs_dir, as_json, settings)
        return
    if resume is not None and task:
        raise UsageError(
            "a run that is resumed has its task",
            "leave --task out, or leave --resume out for a new run",
        )
    folder = find_runs_dir(runs_dir)
    resumed = load_run(resume, folder) if resume is not None else None
    trackers = TrackedRun(tracker or (), lambda name: resumed or RunStore(folder / name))
    with RunDisplay() as display, closing(trackers):
        common: dict[str, Any] = {
            "metric": metric,
            "runs_dir": runs_dir,
            "listen": trackers.listen_with(display.listen),
            "accept_metric": lambda proposed: _ask_about_metric(display, proposed),
            "accept_unseen": yes,
        }
        if resumed is not None:
            run = resume_run(str(resumed.dir), env=env, **common, **settings)
        else:
            run = design(env, task, **common, **settings)
    _show_end(resumed or RunStore(folder / run.id), run, as_json)


def _show_estimate(
    env: str | None, task: str | None, runs_dir: Path | None, as_json: bool, settings: Any
) -> None:
    from reward_agent.cli.display import show_estimate
    from reward_agent.run.estimate import estimate_design

    estimated = estimate_design(env, task, runs_dir=runs_dir, **settings)
    if as_json:
        print_json(estimated)
    else:
        show_estimate(estimated)


def _ask_about_metric(display: Any, proposed: ProposedMetric) -> bool:
    """Show a proposed metric and ask at the prompt."""
    from rich.syntax import Syntax

    proposal = proposed.proposal
    with display.paused():
        progress_console.print(f"\nProposed metric: {proposal.words.meaning}")
        progress_console.print(f"Criterion: {proposal.words.criterion}")
        progress_console.print(Syntax(proposal.source or "", "python"))
        for kind, scores in proposed.examples.items():
            shown = ", ".join(f"{score:.3g}" for score in scores)
            progress_console.print(f"episodes of {kind} score {shown} {proposal.words.unit}")
        return _confirm("Judge the run by this metric?")


def _confirm(question: str) -> bool:
    """Ask; no is also what the end of a pipe says.

    Raises:
        Interrupted: Ctrl-C at the prompt.
    """
    try:
        return typer.confirm(question, default=False, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise Interrupted("stopped at the prompt") from None
        return False


def _show_end(store: RunStore, run: RunRecord, as_json: bool) -> None:
    from reward_agent.cli.display import show_run

    if as_json:
        print_json(run)
    else:
        show_run(store, run)
    target = run.config.get("target_score")
    score = run.winner.task_score if run.winner else None
    if run.limit or (target is not None and (score is None or score < target)):
        raise typer.Exit(BELOW_TARGET)
