"""How a client starts a server of tools, and a run that is soon over."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mcp

TINY = {"provider": "offline", "candidates": 1, "iterations": 1, "video": False}


def serve(folder: Path, pids: Path) -> mcp.StdioServerParameters:
    """Return how a client starts a server that notes its process."""
    code = "import os, pathlib, sys; pathlib.Path(sys.argv.pop()).write_text(str(os.getpid()));"
    code += "from reward_agent.cli import main; main()"
    environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    return mcp.StdioServerParameters(
        command=sys.executable, args=["-c", code, "mcp", str(pids)], cwd=folder, env=environ
    )
