"""``reward-agent runs``, ``report`` and ``export``: what a run left."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_agent.cli import steer, upkeep
from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import make_table, print_error, show_number
from reward_agent.cli.settings import RunName, RunsDir
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.errors import DataError, UsageError
from reward_agent.text import hide_in_words
from reward_agent.types import Record

if TYPE_CHECKING:
    from reward_agent.control.listing import RunRow

app = typer.Typer(help="Show runs, follow and steer them, hand them over.", no_args_is_help=True)
Full = Annotated[bool, typer.Option("--full", help="With --json: the whole record.")]


app.command("status")(steer.status_command)
app.command("wait")(steer.wait_command)
app.command("events")(steer.events_command)
app.command("stop")(steer.stop_command)
app.command("request")(steer.request_command)
app.command("answer")(steer.answer_command)
app.command("pin")(steer.pin_command)
app.command("unpin")(steer.unpin_command)
app.command("more")(steer.more_command)
app.command("remark")(steer.remark_command)
app.command("edit")(steer.edit_command)
app.command("du")(upkeep.du_command)
app.command("rm")(upkeep.rm_command)
app.command("compare")(upkeep.compare_command)


class WrittenFile(Record):
    """What a command wrote."""

    file: str


@app.command("list")
@answers("control.listing:RunRow[]")
def list_command(
    env: Annotated[str | None, typer.Option(help="Only of this environment.")] = None,
    status: Annotated[str | None, typer.Option(help="Only with this status.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")] = None,
    full: Full = False,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """List the runs and the diagnoses, newest last."""
    from reward_agent.control.listing import read_row
    from reward_agent.records.store import list_kept

    rows: list[RunRow] = []
    for folder in reversed(list_kept(find_runs_dir(runs_dir))):
        if limit is not None and len(rows) == limit:
            break
        try:
            row = read_row(folder)
        except DataError as error:  # the others are still worth a list
            print_error(error)
            continue
        if env in (None, row.env) and status in (None, row.status):
            rows.append(row)
    rows.reverse()
    told = rows if full else [row.model_copy(update={"record": None}) for row in rows]
    head = ("run", "kind", "status", "designer", ">score", "task")
    return CommandAnswer(told, make_table(*head, rows=map(_list_cells, rows)))


def _list_cells(row: RunRow) -> tuple[str, ...]:
    about, designer = hide_in_words(row.task), row.designer.partition(": ")[0]
    return row.id, row.kind, row.status, designer, _say_score(row), about


def _say_score(row: RunRow) -> str:
    """Return a row's score with what it is of."""
    if row.score is None:
        return show_number(None)
    winner = getattr(row.record, "winner", None)
    of = f" ({winner.score_name.removesuffix(' score')})" if winner else ""
    return f"{show_number(row.score)} {row.unit}".strip() + of


@app.command("show")
@answers("control.status:RunStatus", "control.listing:WholeRun", "control.listing:KeptDiagnosis")
def show_command(run: RunName, full: Full = False, runs_dir: RunsDir = None) -> CommandAnswer:
    """Show one run: its candidates, their outcomes and the winner; or one diagnosis."""
    from reward_agent.cli.display import show_run
    from reward_agent.control.listing import read_diagnosis, read_whole
    from reward_agent.control.status import read_status
    from reward_agent.records.store import DIAGNOSIS_PAGE, RunStore, find_kept
    from reward_agent.summary.diagnosis import render_diagnosis

    folder = find_kept(run, runs_dir)
    diagnosis = read_diagnosis(folder)
    if diagnosis is not None:
        words = hide_in_words(render_diagnosis(diagnosis))
        return CommandAnswer(diagnosis, f"{words}\n\npage     {folder / DIAGNOSIS_PAGE}")
    store = RunStore(folder)
    read = partial(read_whole if full else partial(read_status, has_candidates=True), store)
    return CommandAnswer(read, lambda: show_run(store, store.read_run()))


@app.command("costs")
@answers("llm.budget:CostSummary")
def costs_command(
    run: RunName,
    runs_dir: RunsDir = None,
    calls: Annotated[bool, typer.Option("--calls", help="Show every call.")] = False,
) -> CommandAnswer:
    """Show what a run paid its language model: by agent, by round, by call."""
    from reward_agent.cli.costs import show_calls, show_costs
    from reward_agent.llm.budget import summarise_costs
    from reward_agent.llm.replies import read_calls
    from reward_agent.records.store import load_run

    store = load_run(run, runs_dir)
    records = read_calls(store.dir)
    summary = summarise_costs(records)

    def show() -> None:
        if calls:
            show_calls(records)
        show_costs(summary, store.read_run())

    told = summary.model_copy(update={"calls": tuple(records)}) if calls else summary
    return CommandAnswer(told, show)


@app.command("replies")
@answers("llm.replies:ReplyRow[]", "llm.replies:StoredReply")
def replies_command(
    run: RunName,
    number: Annotated[
        int | None, typer.Argument(min=1, help="Which one is shown whole; without, a list.")
    ] = None,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Show what a run asked its language model, and what it was answered."""
    from reward_agent.cli.costs import make_reply_table
    from reward_agent.llm.replies import read_replies
    from reward_agent.records.store import load_run

    stored = read_replies(load_run(run, runs_dir).dir)
    chosen = stored if number is None else stored[number - 1 : number]
    if not chosen:
        raise UsageError(f"the run holds {len(stored)} replies", "give the number of one of them")
    if number is None:
        rows = [reply.to_row(place) for place, reply in enumerate(stored, 1)]
        return CommandAnswer(rows, make_reply_table(stored), is_verbatim=True)
    [reply] = chosen
    words = f"{reply.prompt}\n\n## reply\n\n{reply.completion.reply}"
    return CommandAnswer(reply, words, is_verbatim=True)


@app.command("curves")
@answers("report.curves:CurveRow[]")
def curves_command(
    run: RunName,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A CSV file; without, standard output.")
    ] = None,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Write the course of every training of a run as CSV."""
    from reward_agent.files import write_atomic
    from reward_agent.records.store import load_run
    from reward_agent.report.curves import list_curve_rows, render_csv

    rows = list_curve_rows(load_run(run, runs_dir))
    if output is None:
        return CommandAnswer(rows, render_csv(rows).rstrip("\n"))
    write_atomic(output, render_csv(rows).encode())
    return CommandAnswer(rows, str(output))


@app.command("pack")
@answers("cli.runs:WrittenFile")
def pack_command(
    run: RunName,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File, or folder for it; RUN.run.zip by default."),
    ] = None,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Write a run as one file to hand over: without paths, names and keys of this machine."""
    from reward_agent.export.bundle import pack_run
    from reward_agent.records.store import load_run

    path = str(pack_run(load_run(run, runs_dir), output))
    return CommandAnswer(WrittenFile(file=path), path)


@app.command("open")
@answers("control.status:RunStatus")
def open_command(
    file: Annotated[
        str, typer.Argument(help="A file that `runs pack` wrote, or the name of a recorded run.")
    ],
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Unpack a run that somebody handed over, or that ships with the program, among yours."""
    from reward_agent.control.status import read_status
    from reward_agent.export.shipped import find_shipped, list_shipped
    from reward_agent.export.unpack import open_bundle

    path = find_shipped(file) if file in list_shipped() else Path(file)
    store = open_bundle(path, find_runs_dir(runs_dir))
    return CommandAnswer(partial(read_status, store), str(store.dir))


@answers("report.told:ToldReport")
def report_command(run: RunName, runs_dir: RunsDir = None) -> CommandAnswer:
    """Write a run's report.html again and print its path, or as JSON what it says."""
    from reward_agent.records.store import load_run
    from reward_agent.report.page import write_report
    from reward_agent.report.told import tell_report

    folder = load_run(run, runs_dir).dir
    page = write_report(folder)
    return CommandAnswer(partial(tell_report, folder), str(page))


@answers("export.package:Export")
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
        typer.Option(metavar="onnx|torch|sb3", help="The policy in that form, too; repeatable."),
    ] = None,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Write a run's reward as one file that needs NumPy alone, its policy and a test."""
    from reward_agent.export.package import check_form, convert_policy, export_run

    for form in also or ():
        check_form(form)
    export = export_run(run, output, candidate, runs_dir, allow_import)
    converted = [name for form in also or () for name in convert_policy(output, form)]
    lines = [
        f"reward  {output / 'reward.py'} (candidate {export.candidate})",
        f"policy  {output / 'policy.safetensors'}, loaded by {output / 'policy.py'}",
        f"        {export.policy}",
        *(f"        {output / name}" for name in converted),
        f"test    python -m pytest {output / 'test_reward.py'}",
    ]
    if export.note:
        lines.append(f"without an environment: {export.note}")
    files = (*export.files, *converted)
    told = replace(export, folder=export.folder.absolute(), files=files)
    return CommandAnswer(told, "\n".join(lines))
