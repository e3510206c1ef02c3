"""``reward-agent design``."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.detach import detach
from reward_agent.cli.output import (
    Yes,
    ask_about_money,
    is_somebody_there,
    print_json,
    print_text,
    progress_console,
    read_answer,
)
from reward_agent.cli.settings import Json, RunsDir, add_settings, note_folder
from reward_agent.errors import UndecidedError, UsageError
from reward_agent.records.events import both, ignore
from reward_agent.trackers.registry import TRACKERS

if TYPE_CHECKING:
    from reward_agent.cli.display import RunDisplay
    from reward_agent.records.store import RunRecord, RunStore
    from reward_agent.run.metric import ProposedMetric

BELOW_TARGET = 3

_TRACKERS = ", ".join(row.name for row in TRACKERS.own)


@answers("control.status:RunStatus", "run.estimate:Estimate")
@add_settings()
def design_command(
    env: Annotated[
        str | None, typer.Option(help="Environment: a name or a folder.", callback=note_folder)
    ] = None,
    task: Annotated[str | None, typer.Option(help="A task's name, or any sentence.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Take up a run: its name, id, path or 'last'.")
    ] = None,
    metric: Annotated[Path | None, typer.Option(help="Your own metric.py.")] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Agree unasked: to what it may cost, and to a proposed metric whose trial found "
            "nothing.",
        ),
    ] = False,
    unranked: Annotated[
        bool, typer.Option("--unranked", help="Do without a metric: train, and rank nothing.")
    ] = False,
    start_from: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", metavar="FILE", help="Start from a reward of yours, too; repeatable."
        ),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print what the run may cost, and do nothing.")
    ] = False,
    runs_dir: RunsDir = None,
    tracker: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Log to {_TRACKERS} or an installed one; repeatable."),
    ] = None,
    as_json: Json = False,
    detached: Annotated[
        bool, typer.Option("--detach", help="End when the run has begun; it goes on by itself.")
    ] = False,
    **settings: Any,
) -> CommandAnswer:
    """Design a reward function for a behaviour and train a policy with it."""
    from reward_agent.cli.display import RunDisplay
    from reward_agent.control.status import read_status
    from reward_agent.definitions.paths import find_runs_dir
    from reward_agent.records.store import RunStore, load_run
    from reward_agent.run.estimate import estimate_design
    from reward_agent.run.open import design
    from reward_agent.run.resume import resume_run
    from reward_agent.trackers.follow import TrackedRun

    if estimate:
        from reward_agent.cli.costs import show_estimate

        n_given = len(start_from or ())
        expected = estimate_design(env, task, runs_dir=runs_dir, n_given=n_given, **settings)
        return CommandAnswer(expected, partial(show_estimate, expected))
    if resume is not None:
        _refuse_of_resumed({"task": task, "name": name, "from": start_from})
    folder = find_runs_dir(runs_dir)
    resumed = load_run(resume, folder) if resume is not None else None
    announce = detach(folder, as_json=as_json) if detached else ignore
    trackers = TrackedRun(tracker or (), lambda run: resumed or RunStore(folder / run))
    with RunDisplay() as display, closing(trackers):
        settings |= {
            "metric": metric,
            "runs_dir": runs_dir,
            "listen": trackers.listen_with(both(announce, display.listen)),
            "accept_metric": partial(_ask_about_metric, display),
            "accept_unseen": yes,
            "unranked": unranked,
            "agree": ask_about_money(yes, display.paused),
        }
        try:
            if resumed is not None:
                run = resume_run(str(resumed.dir), env=env, **settings)
            else:
                run = design(env, task, name=name, start_from=start_from or (), **settings)
        except UndecidedError as error:
            if as_json:
                print_json(read_status(RunStore(Path(error.run))))
            raise
    return _tell_end(resumed or RunStore(folder / run.id), run)


def _refuse_of_resumed(given: dict[str, object]) -> None:
    for flag in (flag for flag, value in given.items() if value):
        raise UsageError(
            f"a run that is resumed has its --{flag}",
            f"leave --{flag} out, or leave --resume out for a new run",
        )


_DEMO = """
next
  reward-agent design --env ant --task "lie down"   another behaviour, in your words
  reward-agent feedback last                        say what is wrong with this one
  reward-agent export last -o hop                   take the reward and the policy with you"""


@add_settings(
    "provider", "model", "base_url", "max_usd", "max_calls", "steps", "slots", "seed", "video"
)
def demo_command(
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the report where somebody sits.")
    ] = True,
    yes: Yes = False,
    runs_dir: RunsDir = None,
    **settings: Any,
) -> None:
    """Design a reward for a hopping robot in three minutes; no key needed."""
    design_command("hopper", "hop_forward", yes=yes, runs_dir=runs_dir, preset="quick", **settings)
    if show and progress_console.is_terminal:
        _open_report(runs_dir)
    print_text(_DEMO)


def _open_report(runs_dir: Path | None) -> None:
    """Open the newest run's report."""
    import webbrowser

    from reward_agent.records.store import load_run
    from reward_agent.report.page import REPORT_FILE

    webbrowser.open((load_run("last", runs_dir).dir / REPORT_FILE).as_uri())


# --- a metric that the Designer proposes ----------------------------------------------------------

_QUESTION = """\
Judge the run by this metric?
  y      accept it, and train
  c      show its code
  Enter  pause: nothing is trained, and the run can be taken up again"""


def _ask_about_metric(display: RunDisplay, proposed: ProposedMetric) -> bool:
    """Show a proposed metric in short; ask where somebody sits who sees it. Enter pauses.

    Raises:
        Interrupted: Ctrl-C at the prompt.
    """
    from rich.syntax import Syntax

    with display.paused():
        _show_proposal(proposed)
        if not is_somebody_there():
            return False
        progress_console.print(_QUESTION)
        while True:
            answer = read_answer()
            if answer in ("y", "yes"):
                return True
            if answer in ("", "n", "no", "q"):
                return False
            if answer in ("c", "code"):
                progress_console.print(Syntax(proposed.proposal.source or "", "python"))
            else:
                progress_console.print(f"{answer!r} is none of them")


def _show_proposal(proposed: ProposedMetric) -> None:
    from reward_agent.cli.display import make_trial_table

    words = proposed.proposal.words
    lines = {
        "metric": words.meaning,
        "criterion": words.criterion,
        "unit": words.unit,
        "done": words.done,
    }
    progress_console.print("\nA metric is proposed")
    for name, text in lines.items():
        progress_console.print(Text.assemble((f"  {name:10}", "bold"), " ".join(text.split())))
    progress_console.print(make_trial_table(proposed.trial, words.unit))
    for title, path in proposed.pictures:
        told = f"{title}: {path}"
        progress_console.print(Text.assemble(("  pictures  ", "bold"), told))
    for row in proposed.trial.rows:
        if row.judged:
            told = f"{row.title}: {row.judged}"
            progress_console.print(Text.assemble(("  judge     ", "bold"), told))
    for doubt in proposed.doubts:
        progress_console.print(Text.assemble(("  look      ", "bold yellow"), doubt))


def _tell_end(store: RunStore, run: RunRecord) -> CommandAnswer:
    from reward_agent.cli.display import show_run
    from reward_agent.control.status import read_status

    target = run.config.get("target_score")
    score = run.winner.task_score if run.winner else None
    is_below = target is not None and (score is None or score < target)
    ending = typer.Exit(BELOW_TARGET) if run.limit or is_below else None
    return CommandAnswer(partial(read_status, store), partial(show_run, store, run), ending)
