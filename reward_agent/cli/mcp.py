"""``reward-agent mcp``: the commands as tools for a coding agent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from reward_agent.cli.output import print_text
from reward_agent.cli.settings import RunsDir
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.errors import UsageError


def mcp_command(
    http: Annotated[
        bool,
        typer.Option("--http", help="Over HTTP on this machine, with a token, in place of stdio."),
    ] = False,
    port: Annotated[int, typer.Option(help="Its port; 0 takes a free one.")] = 0,
    runs_dir: RunsDir = None,
) -> None:
    """Serve the commands as tools to a coding agent, by the Model Context Protocol."""
    from reward_agent.cli.app import app

    try:
        from reward_agent.mcp.calls import TOKEN_VARIABLE
        from reward_agent.mcp.server import make_server, serve_http, serve_stdio
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the server needs {error.name}, which is not installed",
            "pip install 'reward-agent[mcp]'",
        ) from error
    server = make_server(app, Path.cwd(), find_runs_dir(runs_dir))
    if http:
        serve_http(server, port, os.environ.get(TOKEN_VARIABLE, ""), print_text)
    else:
        serve_stdio(server)
