"""``reward-agent feedback``: watch what was learned, say what is wrong, see it change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_agent.cli.settings import RunsDir, add_settings
from reward_agent.errors import UsageError

if TYPE_CHECKING:
    from reward_agent.feedback.session import Session


@add_settings("provider", "model", "base_url", "candidates", "slots", "sandbox", "video")
def feedback_command(
    run: Annotated[str, typer.Argument(help="A run: id, start of an id, path, or 'last'.")],
    say: Annotated[
        list[str] | None, typer.Option(help="What you saw in the policy in front; may be repeated.")
    ] = None,
    wish: Annotated[str, typer.Option(help="What you want to see instead, with --say.")] = "",
    about: Annotated[str, typer.Option(help="The candidate that --say and --edit are about.")] = "",
    prefer: Annotated[
        list[str] | None, typer.Option(help="A:B prefers A, A=B is the same, A!B both are bad.")
    ] = None,
    note: Annotated[list[str] | None, typer.Option(help="A note for the Designer.")] = None,
    edit: Annotated[
        Path | None, typer.Option(help="Train this program in place of the one in front.")
    ] = None,
    reject: Annotated[list[str] | None, typer.Option(help="Reject a candidate.")] = None,
    accept: Annotated[
        str | None, typer.Option(help="Accept a candidate, or 'front' for the one in front.")
    ] = None,
    metric: Annotated[
        Path | None, typer.Option(help="Replace the metric by your own metric.py.")
    ] = None,
    edit_metric: Annotated[
        Path | None, typer.Option(help="Take the proposed metric with your changes.")
    ] = None,
    accept_metric: Annotated[
        bool, typer.Option("--accept-metric", help="Accept the metric that was proposed.")
    ] = False,
    reject_metric: Annotated[
        bool, typer.Option("--reject-metric", help="Reject it: nothing is ranked but by you.")
    ] = False,
    web: Annotated[bool, typer.Option("--web", help="Open the page in place of a prompt.")] = False,
    host: Annotated[str, typer.Option(help="Where the page listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port; 0 takes a free one.")] = 0,
    expose: Annotated[
        bool,
        typer.Option("--expose-to-network", help="Needed for any --host but this machine's own."),
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    runs_dir: RunsDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the session as JSON.")] = False,
    **settings: Any,
) -> None:
    """Give feedback on a run: in words, by preference, by editing; until you are content."""
    from reward_agent.cli.feedback_script import Script, run_script
    from reward_agent.cli.output import print_json
    from reward_agent.feedback.session import open_session
    from reward_agent.feedback.state import describe_session

    script = Script(
        notes=tuple(note or ()),
        preferences=tuple(prefer or ()),
        rejected=tuple(reject or ()),
        remarks=tuple(say or ()),
        wish=wish,
        about=about,
        program=edit,
        accepted=accept,
        metric=metric,
        edited_metric=edit_metric,
        accepts_metric=accept_metric,
        rejects_metric=reject_metric,
    )
    if web:
        _serve(run, runs_dir, settings, script, host, port, expose, open_browser)
        return
    from reward_agent.cli.display import RunDisplay

    with RunDisplay() as display:
        front_end = "script" if script else "terminal"
        options = {"runs_dir": runs_dir, "front_end": front_end, **settings}
        with open_session(run, listen=display.listen, **options) as session:
            if script:
                run_script(session, script)
            elif not as_json:
                _talk(session, display)
            if as_json:
                print_json(describe_session(session))


def _talk(session: Session, display: Any) -> None:
    from reward_agent.cli.conversation import Conversation

    Conversation(session, display, is_terminal=sys.stdin.isatty()).run()


def _serve(
    run: str,
    runs_dir: Path | None,
    settings: dict[str, Any],
    script: Any,
    host: str,
    port: int,
    expose: bool,
    open_browser: bool,
) -> None:
    if script:
        raise UsageError("--web takes no --say, --prefer and the like", "do these on the page")
    try:
        from reward_agent.web.server import Address, serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the page needs {error.name}, which is not installed",
            "pip install 'reward-agent[web]'",
        ) from error
    from reward_agent.cli.output import print_text, progress_console

    def announce(url: str) -> None:
        print_text(url)
        progress_console.print("The page is for whoever has this address. Ctrl-C ends the session.")

    serve(
        run,
        Address(host, port, is_exposed=expose),
        runs_dir=runs_dir,
        open_browser=open_browser,
        announce=announce,
        **settings,
    )
