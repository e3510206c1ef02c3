"""``reward-agent runs``, ``report`` and ``export``: what a run left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_agent.cli import upkeep
from reward_agent.cli.output import (
    answer_console,
    make_table,
    print_error,
    print_json,
    print_text,
    show_number,
)
from reward_agent.cli.settings import Json, RunName, RunsDir
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.errors import DataError, UsageError
from reward_agent.text import hide_in_data, hide_in_words

if TYPE_CHECKING:
    from reward_agent.records.store import RunRecord

app = typer.Typer(help="Show runs, hand them over, delete them.", no_args_is_help=True)


app.command("du")(upkeep.du_command)
app.command("rm")(upkeep.rm_command)
app.command("compare")(upkeep.compare_command)


@app.command("list")
def list_command(
    env: Annotated[str | None, typer.Option(help="Only of this environment.")] = None,
    status: Annotated[str | None, typer.Option(help="Only with this status.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")] = None,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """List the runs, newest last."""
    from reward_agent.records.store import list_runs

    runs: list[RunRecord] = []
    unreadable = []
    for store in reversed(list_runs(find_runs_dir(runs_dir))):
        if limit is not None and len(runs) == limit:
            break
        try:
            run = store.read_run()
        except DataError as error:  # the others are still worth a list
            unreadable.append(error)
            continue
        if env in (None, run.card.name) and status in (None, run.status):
            runs.append(run)
    runs.reverse()
    if as_json:
        print_json(hide_in_data([run.model_dump(mode="json", exclude={"card"}) for run in runs]))
    else:
        table = make_table("run", "status", "designer", ">score", "task")
        for run in runs:
            score = run.winner.task_score if run.winner else None
            shown = f"{show_number(score)} {run.task.unit if score is not None else ''}".strip()
            table.add_row(
                run.id, run.status, run.designer, shown, hide_in_words(run.task.description)
            )
        answer_console.print(table)
    for reason in unreadable:
        print_error(reason)


@app.command("show")
def show_command(run: RunName, runs_dir: RunsDir = None, as_json: Json = False) -> None:
    """Show one run: its candidates, their outcomes and the winner."""
    from reward_agent.cli.display import show_run
    from reward_agent.designers.history import list_judgements
    from reward_agent.records.store import load_run

    store = load_run(run, runs_dir)
    if as_json:
        iterations = [store.read_iteration(index) for index in store.list_iterations()]
        record = store.read_run().model_dump(mode="json")
        judged = [j.model_dump(mode="json") | {"conflict": j.conflict}
                  for j in list_judgements(store)]  # fmt: skip
        record |= {"iterations": [i.model_dump(mode="json") for i in iterations]}
        record |= {"judgements": judged}
        print_json(hide_in_data(record))
    else:
        show_run(store, store.read_run())


@app.command("costs")
def costs_command(
    run: RunName,
    runs_dir: RunsDir = None,
    calls: Annotated[bool, typer.Option("--calls", help="Show every call.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a run paid its language model: by agent, by round, by call."""
    from reward_agent.cli.display import show_calls, show_costs
    from reward_agent.llm.budget import summarise_costs
    from reward_agent.llm.replies import read_calls
    from reward_agent.records.store import load_run

    store = load_run(run, runs_dir)
    records = read_calls(store.dir)
    summary = summarise_costs(records)
    if as_json:
        listed = {"calls": [call.model_dump(mode="json") for call in records]} if calls else {}
        print_json(hide_in_data(summary.model_dump(mode="json") | listed))
        return
    if calls:
        show_calls(records)
    show_costs(summary, store.read_run())


@app.command("replies")
def replies_command(
    run: RunName,
    number: Annotated[
        int | None, typer.Argument(min=1, help="Which one is shown whole; without, a list.")
    ] = None,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Show what a run asked its language model, and what it was answered."""
    from reward_agent.cli.display import show_replies
    from reward_agent.llm.replies import read_replies
    from reward_agent.records.store import load_run

    stored = read_replies(load_run(run, runs_dir).dir)
    chosen = stored if number is None else stored[number - 1 : number]
    if not chosen:
        raise UsageError(f"the run holds {len(stored)} replies", "give the number of one of them")
    if as_json:
        print_json([reply.model_dump(mode="json", exclude={"request"}) for reply in chosen])
    elif number is None:
        show_replies(stored)
    else:
        print_text(f"{chosen[0].prompt}\n\n## reply\n\n{chosen[0].completion.reply}")


@app.command("pack")
def pack_command(
    run: RunName,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File, or folder for it; RUN.run.zip by default."),
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Write a run as one file to hand over: without paths, names and keys of this machine."""
    from reward_agent.export.bundle import pack_run
    from reward_agent.records.store import load_run

    print_text(str(pack_run(load_run(run, runs_dir), output)))


@app.command("open")
def open_command(
    file: Annotated[
        str,
        typer.Argument(help="A file that `runs pack` wrote, or the name of a recorded run."),
    ],
    runs_dir: RunsDir = None,
) -> None:
    """Unpack a run that somebody handed over, or that ships with the program, among yours."""
    from reward_agent.export.shipped import find_shipped, list_shipped
    from reward_agent.export.unpack import open_bundle

    path = find_shipped(file) if file in list_shipped() else Path(file)
    print_text(str(open_bundle(path, find_runs_dir(runs_dir)).dir))


def report_command(run: RunName, runs_dir: RunsDir = None) -> None:
    """Write a run's report.html again and print its path."""
    from reward_agent.records.store import load_run
    from reward_agent.report.page import write_report

    print_text(str(write_report(load_run(run, runs_dir).dir)))


def export_command(
    run: RunName,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")],
    candidate: Annotated[
        str | None, typer.Option(help="Whose program \\[default: the winner's].")
    ] = None,
    allow_import: Annotated[
        str | None,
        typer.Option(metavar="MODULE", help="Let Gymnasium import it, if the id names it."),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="The policy as onnx, torch or sb3, too; repeatable."),
    ] = None,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Write a run's reward as one file that needs NumPy alone, its policy and a test."""
    from reward_agent.export.package import convert_policy, export_run

    export = export_run(run, output, candidate, runs_dir, allow_import)
    converted = [name for form in also or () for name in convert_policy(output, form)]
    if as_json:
        files = [*export.files, *converted]
        told = {"folder": str(output), "candidate": export.candidate, "files": files}
        print_json({**told, "policy": export.policy, "note": export.note})
        return
    print_text(f"reward  {output / 'reward.py'} (candidate {export.candidate})")
    print_text(f"policy  {output / 'policy.safetensors'}, loaded by {output / 'policy.py'}")
    print_text(f"        {export.policy}")
    for name in converted:
        print_text(f"        {output / name}")
    print_text(f"test    python -m pytest {output / 'test_reward.py'}")
    if export.note:
        print_text(f"without an environment: {export.note}")
