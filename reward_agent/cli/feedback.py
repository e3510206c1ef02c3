"""``reward-agent feedback``: watch what was learned, say what is wrong, see it change."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import Yes, ask_about_money, print_text, progress_console
from reward_agent.cli.settings import (
    Json,
    RunName,
    RunsDir,
    add_settings,
    note_folder,
    take_options,
)
from reward_agent.errors import UsageError
from reward_agent.records.settings import list_settings

_Words = list[str] | None


@dataclass(frozen=True)
class Script:
    """What is done without asking, as options."""

    say: Annotated[
        _Words,
        typer.Option(metavar="WORDS", help="What you saw in the current policy; may be repeated."),
    ] = None
    wish: Annotated[str, typer.Option(help="What you want to see instead, with --say.")] = ""
    about: Annotated[str, typer.Option(help="The candidate that --say and --edit are about.")] = ""
    prefer: Annotated[
        _Words,
        typer.Option(metavar="A:B", help="A:B prefers A, A=B is the same, A!B both are bad."),
    ] = None
    note: Annotated[_Words, typer.Option(metavar="WORDS", help="A note for the Designer.")] = None
    edit: Annotated[
        Path | None, typer.Option(help="Train this program in place of the current one.")
    ] = None
    reject: Annotated[_Words, typer.Option(metavar="ID", help="Reject a candidate.")] = None
    accept: Annotated[
        str | None, typer.Option(help="Make a candidate the result; 'front' is the current one.")
    ] = None
    metric: Annotated[
        Path | None, typer.Option(help="Replace the metric by your own metric.py.")
    ] = None
    edit_metric: Annotated[
        Path | None, typer.Option(help="Take the proposed metric with your changes.")
    ] = None
    accept_metric: Annotated[
        bool, typer.Option("--accept-metric", help="Accept the metric that was proposed.")
    ] = False
    reject_metric: Annotated[
        bool, typer.Option("--reject-metric", help="Reject it: nothing is ranked but by you.")
    ] = False

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return any(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class PageOptions:
    """Where the page is shown."""

    host: Annotated[str, typer.Option(help="Where the page listens.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(help="Its port; 0 takes a free one.")] = 0
    expose: Annotated[
        bool,
        typer.Option("--expose-to-network", help="Needed for any --host but this machine's own."),
    ] = False
    open_browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True


@answers("feedback.state:SessionView")
@add_settings(
    "candidates",
    "steps",
    "video",
    "judge",
    *list_settings(is_personal=True),
    also=(Script, PageOptions),
)
def feedback_command(
    run: RunName,
    web: Annotated[bool, typer.Option("--web", help="Open the page in place of a prompt.")] = False,
    env: Annotated[
        str | None,
        typer.Option(
            help="Folder of its environment, if that is none of those here.", callback=note_folder
        ),
    ] = None,
    yes: Yes = False,
    runs_dir: RunsDir = None,
    as_json: Json = False,
    **settings: Any,
) -> CommandAnswer | None:
    """Give feedback on a run: in words, by preference, by editing; until you are content."""
    script, page = take_options(Script, settings), take_options(PageOptions, settings)
    if web:
        if script:
            raise UsageError("--web takes no --say, --prefer and the like", "do these on the page")
        _serve(run, runs_dir, page, {"env": env, "agree": ask_about_money(yes), **settings})
        return None
    from reward_agent.cli.conversation import Conversation
    from reward_agent.cli.display import RunDisplay
    from reward_agent.cli.feedback_script import run_script
    from reward_agent.feedback.session import open_session
    from reward_agent.feedback.state import describe_session

    front_end = "script" if script else "terminal"
    options = {"env": env, "runs_dir": runs_dir, "front_end": front_end, **settings}
    with (
        RunDisplay() as display,
        open_session(
            run, listen=display.listen, agree=ask_about_money(yes, display.paused), **options
        ) as session,
    ):
        # Of what is told on the way, nothing gets between a reader and the answer.
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            if script:
                run_script(session, script)
            elif not as_json:
                Conversation(session, display, is_terminal=sys.stdin.isatty()).run()
        return CommandAnswer(describe_session(session), "") if as_json else None


def _serve(run: str, runs_dir: Path | None, options: PageOptions, settings: dict[str, Any]) -> None:
    try:
        from reward_agent.web.server import Address, serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the page needs {error.name}, which is not installed",
            "pip install 'reward-agent[web]'",
        ) from error

    def announce(url: str) -> None:
        print_text(url)
        progress_console.print("The page is for whoever has this address. Ctrl-C ends the session.")

    serve(
        run,
        Address(options.host, options.port, is_exposed=options.expose),
        runs_dir=runs_dir,
        open_browser=options.open_browser,
        announce=announce,
        **settings,
    )
