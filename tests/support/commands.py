"""``reward-agent`` in a process of its own, forked from one that has imported what it needs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
# Not the command line itself: its consoles look at the environment when they are made.
SERVER.set_forkserver_preload(
    ["reward_agent.run.open", "reward_agent.feedback.session", "rich.progress", "typer"]
)


def run_command(
    *arguments: str,
    cwd: Path,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    timeout: float = 200.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; no key of this machine is seen, and a terminal is wide.

    What depends on the start of an interpreter wants a real one, and so does a terminal.
    """
    clean = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))}
    whole = clean | {"COLUMNS": "200"} | dict(environ or {})
    with tempfile.TemporaryDirectory() as streams:
        (Path(streams) / "0").write_text(text, "utf-8")
        process = SERVER.Process(target=_become, args=(arguments, str(cwd), whole, streams))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout)
        out, err = ((Path(streams) / name).read_bytes().decode("utf-8", "replace") for name in "12")
        return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def _become(arguments: tuple[str, ...], cwd: str, environ: dict[str, str], streams: str) -> None:
    """Turn a fresh fork into what ``python -m reward_agent`` starts as."""
    for number in range(3):
        os.dup2(os.open(os.path.join(streams, str(number)), os.O_RDWR | os.O_CREAT), number)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    sys.argv = ["reward-agent", *arguments]
    from reward_agent.cli import main

    main()
