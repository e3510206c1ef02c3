"""The commands of ``reward-agent`` and what becomes of an exception."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer

from reward_agent.cli import (
    bench,
    design,
    diagnose,
    feedback,
    film,
    inventory,
    keys,
    mcp,
    runs,
    single,
    skill,
)
from reward_agent.cli.output import print_error, print_text
from reward_agent.errors import DiskError, InternalError, Interrupted, RewardAgentError, UsageError
from reward_agent.text import read_docstring, show_hidden
from reward_agent.version import __version__

app = typer.Typer(
    help="Describe a behaviour in words, get a reward function that a policy was trained with.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(design.demo_command)
app.command("design")(design.design_command)
app.command("feedback")(feedback.feedback_command)
app.command("check")(single.check_command)
app.command("diagnose")(diagnose.diagnose_command)
app.command("train")(single.train_command)
app.command("evaluate")(single.evaluate_command)
app.add_typer(inventory.envs_app, name="envs")
app.add_typer(runs.app, name="runs")
app.add_typer(inventory.prompts_app, name="prompts")
app.add_typer(keys.keys_app, name="keys")
app.add_typer(skill.skill_app, name="skill")
app.add_typer(bench.app, name="bench")
app.command("film")(film.film_command)
app.command("report")(runs.report_command)
app.command("export")(runs.export_command)
app.command("doctor")(inventory.doctor_command)
app.command("mcp")(mcp.mcp_command)


if sys.flags.optimize > 1:
    groups = [group.typer_instance for group in app.registered_groups if group.typer_instance]
    for command in [one for group in (app, *groups) for one in group.registered_commands]:
        command.help = command.callback and read_docstring(command.callback)

# What is wrong with the command line itself; typer brings click's errors without naming them.
_UsageErrors = typer.BadParameter.__mro__[2]


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"reward-agent {__version__}")
        raise typer.Exit


_START = f"""\
reward-agent {__version__}: describe a behaviour in words, get a reward
function that a policy was trained with, and the evidence that it works.

  reward-agent demo                    a hopping robot, in three minutes
  reward-agent envs list               the robots and their tasks
  reward-agent design --env hopper --task "hop forward"
                                       your own sentence
  reward-agent envs init robot.xml     your own robot
  reward-agent doctor                  what this machine offers
  reward-agent --help                  everything

No key is needed to begin: without one the built-in offline designer
works. For completion in your shell: reward-agent --install-completion"""


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Describe a behaviour in words, get a reward function that a policy was trained with."""
    if debug:
        os.environ["REWARD_AGENT_DEBUG"] = "1"
    if context.invoked_subcommand is None:
        print_text(_START)


def run() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an old terminal has no sign for everything
            stream.reconfigure(errors="replace")
    ended_by = _listen_for_ends()
    try:
        code = app(standalone_mode=False, prog_name="reward-agent")
    except Exception as error:
        _end(_explain(error), ended_by)
    except KeyboardInterrupt:
        _end(Interrupted("stopped"), ended_by)
    else:
        if code == Interrupted.exit_code:  # what typer makes of Ctrl-C, without a word
            _end(Interrupted("stopped"), ended_by)
        sys.exit(code if isinstance(code, int) else 0)


def _listen_for_ends() -> list[int]:
    """Take a scheduler's end, or a closed terminal, as Ctrl-C; return a list that notes which."""
    ended_by: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        ended_by.append(number)
        signal.default_int_handler(number, frame)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows lacks one
        # What started us with it ignored (nohup) wants it ignored.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)
    return ended_by


def _explain(error: Exception) -> RewardAgentError:
    """Return the error that is shown to the user for one that nobody caught."""
    if isinstance(error, RewardAgentError):
        return error
    if isinstance(error, _UsageErrors):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "reward-agent"
        message = error.format_message()  # type: ignore[attr-defined]
        return UsageError(message, f"`{command} --help` shows what it takes")
    if isinstance(error, typer.Abort):
        return Interrupted("stopped")
    if isinstance(error, OSError):
        return DiskError(f"{error}", "check disk space and permissions")
    return InternalError(
        f"internal error: {type(error).__name__}: {error}",
        "this is a fault of reward-agent: run it again with --debug and report what it shows",
    )


def _end(error: RewardAgentError, ended_by: list[int]) -> None:
    """Show one line and a remedy, and leave at once."""
    if "REWARD_AGENT_DEBUG" in os.environ or "--debug" in sys.argv:
        typer.echo(show_hidden(traceback.format_exc()), err=True)
    code = 128 + ended_by[0] if ended_by and isinstance(error, Interrupted) else error.exit_code
    with contextlib.suppress(OSError):  # nobody reads any more
        print_error(error, code)
        sys.stdout.flush()
        sys.stderr.flush()
    # A reply that is still under way must not keep the terminal waiting.
    os._exit(code)
