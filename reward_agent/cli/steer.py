"""``runs status``, ``wait``, ``answer``, ``pin`` and others: short calls on long work.

Each ends soon, prints little and says by its exit code what became of it.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.design import design_command
from reward_agent.cli.output import Yes, make_table, print_json, print_text, show_number
from reward_agent.cli.settings import Json, RunName, RunsDir, add_settings
from reward_agent.errors import UsageError
from reward_agent.files import find_real, read_bytes, read_text
from reward_agent.records.settings import list_settings
from reward_agent.records.steering import More, Pin, Stop, Unpin
from reward_agent.text import decode_text, shorten_data

if TYPE_CHECKING:
    from rich.table import Table

    from reward_agent.control.status import MetricQuestion, RunStatus
    from reward_agent.control.steer import Asker, SteerResult
    from reward_agent.records.store import RunStore

NOT_YET = 4
_ASKS = 2
_ENDS = {"finished": 0, "running": NOT_YET}
_POLL_S = 0.5
_KNOWN_S = 2.0
Goal = Literal["finished", "round", "question"]
Why = Annotated[str, typer.Option(help="A reason, for the run's journal.")]
Trains = Annotated[str, typer.Argument(help="A candidate in training, or the start of its name.")]


@answers("control.status:RunStatus")
def status_command(run: RunName, runs_dir: RunsDir = None) -> CommandAnswer:
    """Show how far a run is, and what it waits for."""
    return _tell_status(_read(_load(run, runs_dir)))


@answers("control.status:RunStatus")
def wait_command(
    run: RunName,
    goal: Annotated[Goal, typer.Option("--for", help="What to wait for.")] = "finished",
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which it ends with exit code 4.")
    ] = None,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Wait until a run is over, has finished another round, or asks something.

    What it asks ends the waiting, whatever it is for.

    Exit codes: 0, it is so; 2, it asks something; 4, not yet; 1, it ended otherwise.
    """
    from reward_agent.control.status import list_requests

    store = _load(run, runs_dir)
    n_rounds = len(store.list_iterations())

    def has_more() -> bool:
        return goal == "round" and len(store.list_iterations()) > n_rounds

    def is_reached() -> bool:
        record = store.read_run()
        return record.status != "running" or has_more() or bool(list_requests(store, record))

    _poll(timeout, is_reached)
    status = _read(store)
    is_asked = status.question is not None or bool(status.requests)
    code = _ASKS if is_asked else _ENDS.get(status.status, 1)
    if (status.status == "running" and has_more()) or (goal == "question" and is_asked):
        code = 0
    return _tell_status(status, code)


@answers("control.status:AskedRequest")
def request_command(
    run: RunName,
    number: Annotated[
        int | None, typer.Option(min=1, help="Which one \\[default: the oldest].")
    ] = None,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Show what a run asks of the agent that is its model (--provider agent)."""
    from reward_agent.control.status import AskedRequest, find_request

    store = _load(run, runs_dir)
    request = find_request(store, number)
    prompt = read_text(Path(request.prompt_file))
    asked = AskedRequest(run=store.dir.name, prompt=prompt, **request.model_dump())
    return CommandAnswer(asked, prompt, is_verbatim=True)


@answers("control.status:RunEvent")
def events_command(
    run: RunName,
    since: Annotated[int, typer.Option(min=0, help="Leave out the first so many.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run is over.")] = False,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Print what happened in a run, one event a line."""
    from reward_agent.control.status import read_events

    store = _load(run, runs_dir)
    while True:
        is_over = not follow or store.read_run().status != "running"
        events = read_events(store, since)
        for event in events:
            if as_json:
                print_json(event, is_line=True)
            else:
                print_text(_tell(event))
        since += len(events)
        if is_over:
            return
        time.sleep(_POLL_S)


@answers("control.status:RunStatus", "control.steer:SteerResult")
def stop_command(
    run: RunName,
    candidate: Annotated[
        str | None, typer.Argument(help="Only this one, whose training ends; the run goes on.")
    ] = None,
    why: Why = "",
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 60.0,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Stop a run as Ctrl-C does: what is finished is kept, and it can be taken up again.

    With a candidate, stop its training alone, at the end of its slice.
    """
    store = _load(run, runs_dir)
    if candidate is not None:
        return _steer(store, Stop, candidate, why, wait_s=timeout)
    _interrupt(store)
    _poll(timeout, lambda: not store.is_locked())
    return _tell_status(_read(store), NOT_YET if store.is_locked() else 0)


@answers("control.steer:SteerResult")
def pin_command(
    run: RunName, candidate: Trains, why: Why = "", runs_dir: RunsDir = None
) -> CommandAnswer:
    """Let a candidate train to its end: racing does not stop it."""
    return _steer(_load(run, runs_dir), Pin, candidate, why)


@answers("control.steer:SteerResult")
def unpin_command(
    run: RunName, candidate: Trains, why: Why = "", runs_dir: RunsDir = None
) -> CommandAnswer:
    """Let racing decide about a candidate again."""
    return _steer(_load(run, runs_dir), Unpin, candidate, why)


@answers("control.steer:SteerResult")
def more_command(
    run: RunName,
    candidate: Trains,
    steps: Annotated[int, typer.Argument(min=1, help="Env steps, from where it stands.")],
    why: Why = "",
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Train a candidate so many env steps on, whatever racing says, beyond its budget, too."""
    return _steer(_load(run, runs_dir), More, candidate, why, steps=steps)


@answers("control.steer:SteerResult")
def remark_command(
    run: RunName,
    words: Annotated[str, typer.Argument(help="What the next round is to do otherwise.")],
    why: Why = "",
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Tell the agents of the next round something, in your words."""
    from reward_agent.control import steer

    return _tell_result(steer.remark(_load(run, runs_dir), words, _ask_here(), why))


@answers("control.steer:SteerResult")
def edit_command(
    run: RunName,
    candidate: Trains,
    file: Annotated[
        Path | None, typer.Argument(help="The changed program; without, your editor opens.")
    ] = None,
    why: Why = "",
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Train a changed program beside a candidate, from its policy as it is now."""
    from reward_agent.cli.conversation import edit_text
    from reward_agent.cli.feedback_script import read_program
    from reward_agent.control import steer

    store = _load(run, runs_dir)
    known = steer.read_program(store, candidate)
    source = edit_text(known) if file is None else read_program(file)
    return _tell_result(steer.edit(store, candidate, source or known, _ask_here(), why))


def _steer(
    store: RunStore, act: type[Pin | Unpin | Stop | More], candidate: str, why: str, **facts: Any
) -> CommandAnswer:
    from reward_agent.control.steer import ask

    return _tell_result(ask(store, act, candidate, _ask_here(), why, **facts))


def _ask_here() -> Asker:
    from reward_agent.control.steer import VIA_VARIABLE, Asker

    return Asker("mcp" if os.environ.get(VIA_VARIABLE) == "mcp" else "terminal")


def _tell_result(result: SteerResult) -> CommandAnswer:
    if not result.is_taken:
        waits = "asked; the run takes it when its trainings go on"
        return CommandAnswer(result, waits, typer.Exit(NOT_YET))
    return CommandAnswer(
        result, result.told + ("" if result.round is None else f" (round {result.round})")
    )


@answers("control.status:RunStatus")
@add_settings(*list_settings(is_personal=True))
def answer_command(
    run: RunName,
    answer: Annotated[
        str,
        typer.Argument(
            help="accept, keep, unranked, or the path of a metric.py of your own; to a request of "
            "--provider agent the path of a file with the reply, '-' for standard input."
        ),
    ],
    request: Annotated[
        int | None, typer.Option(min=1, help="Which request it replies to \\[default: the oldest].")
    ] = None,
    env: Annotated[
        str | None, typer.Option(help="Folder of its environment, if that is none of those here.")
    ] = None,
    yes: Yes = False,
    runs_dir: RunsDir = None,
    as_json: Json = False,
    **settings: Any,
) -> CommandAnswer | None:
    """Answer what a run asks; a paused one goes on in a process of its own."""
    from reward_agent.control.status import find_request, give_reply

    store = _load(run, runs_dir)
    status = _read(store)
    if request is not None or status.requests:
        give_reply(find_request(store, request), _read_reply(answer))
        return _tell_status(_read(store))
    question = status.question
    if question is None:
        raise UsageError(f"run {store.dir.name} asks nothing", "see: reward-agent runs status RUN")
    known = [name for name in question.answers if name != "own"]
    is_own = answer not in known and Path(answer).is_file()
    if answer not in known and not is_own:
        raise UsageError(
            f"{answer!r} is no answer to: {question.reason}",
            f"give {', '.join(known)}, or the path of a metric.py",
        )
    has_none = "keep" not in question.answers
    if is_own and has_none:
        settings["metric"] = Path(answer)
    elif answer != "unranked":
        _take_metric(store, Path(answer) if is_own else None, env, settings)
    settings |= {"unranked": answer == "unranked", "yes": yes, "as_json": as_json}
    design_command(env, resume=str(store.dir), detached=True, runs_dir=runs_dir, **settings)
    return None


def _read_reply(file: str) -> str:
    """Read a reply from a file, or from standard input."""
    return sys.stdin.read() if file == "-" else decode_text(read_bytes(find_real(file)), "replace")


def _take_metric(
    store: RunStore, own: Path | None, env: str | None, settings: dict[str, Any]
) -> None:
    """Take the metric that a run has or proposed, or one of the person's own."""
    from reward_agent.feedback.session import open_session

    with open_session(str(store.dir), env=env, front_end="script", **settings) as session:
        if own is None:
            session.accept_metric()
        else:
            session.replace_metric(own)


def _load(run: str, runs_dir: Path | None) -> RunStore:
    from reward_agent.records.store import load_run

    return load_run(run, runs_dir)


def _read(store: RunStore) -> RunStatus:
    from reward_agent.control.status import read_status

    return read_status(store)


def _interrupt(store: RunStore) -> None:
    """Tell the process that works on a run to end.

    Raises:
        UsageError: it is not known, or runs elsewhere.
    """
    end = time.monotonic() + _KNOWN_S
    while store.is_locked():
        process = store.find_holder()
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            return
        # It may be about to write who it is, or to end of itself.
        if time.monotonic() > end:
            raise UsageError(
                f"no process of this machine is known to work on run {store.dir.name}",
                "stop it where it was started",
            )
        time.sleep(_POLL_S)


def _poll(timeout: float | None, is_reached: Callable[[], bool]) -> None:
    """Wait until it is so, or the time is over."""
    end = None if timeout is None else time.monotonic() + timeout
    while not is_reached() and (end is None or time.monotonic() < end):
        time.sleep(_POLL_S)


def _tell_status(status: RunStatus, code: int = 0) -> CommandAnswer:
    return CommandAnswer(status, _make_table(status), typer.Exit(code) if code else None)


def _make_table(status: RunStatus) -> Table:
    lines = {
        "run": status.id,
        "task": f"{status.env}: {status.task}",
        "status": f"{status.status}{f': {status.reason}' if status.reason else ''}",
        "round": f"{status.round} of {status.rounds}",
        "at work": ", ".join(status.at_work),
        "best": _describe(status),
        "env steps": f"{status.env_steps:,}",
        "paid": f"{status.calls} calls" + (f", {status.usd:.2f} USD" if status.usd else ""),
        "left": f"about {status.left_s / 60:.0f} min" if status.left_s is not None else "",
        **_tell_question(status.question),
        "asks its agent": ", ".join(item.prompt_file for item in status.requests),
        "go on": status.resume,
    }
    table = make_table("", "", rows=((name, text) for name, text in lines.items() if text))
    table.show_header = False
    return table


def _tell_question(question: MetricQuestion | None) -> dict[str, str]:
    if question is None:
        return {}
    doubts = [finding.message for finding in question.findings]
    doubts += [f"{row.behaviour} is a success" for row in question.behaviours if row.success_rate]
    return {
        "criterion": question.criterion,
        "left out": ", ".join(question.not_measured),
        "look at": "; ".join(doubts),
        "asks": ", ".join(question.answers),
    }


def _describe(status: RunStatus) -> str:
    result = status.winner or status.best
    if result is None:
        return ""
    seeds = ", ".join(map(show_number, result.of_seeds))
    fresh = f" (fresh-seed scores {seeds})" if seeds else ""
    name = "fresh-seed score" if status.winner and seeds else "search score"
    rate = "" if result.success_rate is None else f", {result.success_rate:.0%} succeed"
    return f"{result.candidate}: {name} {show_number(result.score)} {result.unit}{fresh}{rate}"


def _tell(event: dict[str, Any]) -> str:
    """Return an event as a line: its time, its kind, and what is short of the rest."""
    facts = {name: value for name, value in event.items() if name not in ("time", "kind")}
    told = ", ".join(f"{name} {_tell_value(value)}" for name, value in facts.items() if value)
    line = f"{event.get('time', '')}  {event.get('kind', '')!s:18} {told}"
    # One line, whatever stands in it: whoever reads lines must not take a part for another.
    return re.sub(r"\s", " ", shorten_data(line)).rstrip()


def _tell_value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("text", value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
