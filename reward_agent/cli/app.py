"""The commands of ``reward-agent`` and what becomes of an exception."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from reward_agent import __version__
from reward_agent.cli import check, design, doctor, envs, runs, train
from reward_agent.cli.output import print_error
from reward_agent.errors import Interrupted, RewardAgentError

app = typer.Typer(
    help="Describe a behaviour in words, get a reward function that a policy was trained with.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("design")(design.design_command)
app.command("check")(check.check_command)
app.command("train")(train.train_command)
app.command("evaluate")(train.evaluate_command)
app.add_typer(envs.app, name="envs")
app.add_typer(runs.app, name="runs")
app.command("report")(runs.report_command)
app.command("doctor")(doctor.doctor_command)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Describe a behaviour in words, get a reward function that a policy was trained with."""
    if version:
        typer.echo(f"reward-agent {__version__}")
        raise typer.Exit
    if debug:
        os.environ["REWARD_AGENT_DEBUG"] = "1"


def run() -> None:
    """Run the command line and exit with its code."""
    try:
        app()
    except RewardAgentError as error:
        _end(error, error.exit_code)
    except KeyboardInterrupt:
        _end(Interrupted("stopped"), Interrupted.exit_code)
    except OSError as error:
        _end(RewardAgentError(f"{error}", "check disk space and permissions"), 1)


def _end(error: RewardAgentError, code: int) -> None:
    """Show one line and a remedy, and leave at once."""
    if "REWARD_AGENT_DEBUG" in os.environ or "--debug" in sys.argv:
        traceback.print_exc()
    print_error(error)
    sys.stdout.flush()
    sys.stderr.flush()
    # A reply that is still under way must not keep the terminal waiting.
    os._exit(code)
