"""``--detach``: a run goes on in a process of its own, and the command ends when it has begun."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO

import typer

from reward_agent.cli.output import print_json, print_text
from reward_agent.errors import UsageError
from reward_agent.records.events import Event, Listener, RunStarted

# What the process says lies beside the run's records.
OUTPUT_FILE = "output.log"
_OUT, _ERR = 1, 2


def detach(runs_dir: Path, *, as_json: bool) -> Listener:
    """Go on in a process of its own; only there does the call return.

    In the process that was called it ends the command: with the run's name once it has begun, or
    with what kept it from beginning.

    Returns:
        What has to hear of the run's events.

    Raises:
        UsageError: this system has no such processes.
        typer.Exit: in the process that was called.
    """
    if not hasattr(os, "fork"):
        raise UsageError(
            "--detach needs a system that forks processes, such as Linux or macOS",
            "leave it out, and start the command in a window of its own",
        )
    sys.stdout.flush()
    sys.stderr.flush()
    log = tempfile.TemporaryFile()  # noqa: SIM115  until the process moves it
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        _await(process, reader, log, runs_dir, as_json=as_json)
    os.close(reader)
    # A closed terminal and its Ctrl-C are the caller's.
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for descriptor in (_OUT, _ERR):
        os.dup2(log.fileno(), descriptor)
    is_told = False

    def listen(event: Event) -> None:
        nonlocal is_told
        if isinstance(event, RunStarted) and not is_told:
            is_told = True
            _move_output(log, runs_dir / event.run / OUTPUT_FILE)
            os.write(writer, event.run.encode())
            os.close(writer)

    return listen


def _move_output(log: IO[bytes], path: Path) -> None:
    """Go on with what was said so far in another file."""
    sys.stdout.flush()
    sys.stderr.flush()
    log.seek(0)
    with path.open("ab") as file:
        file.write(log.read())
        file.flush()
        for descriptor in (_OUT, _ERR):
            os.dup2(file.fileno(), descriptor)
    log.close()


def _await(process: int, reader: int, log: IO[bytes], runs_dir: Path, *, as_json: bool) -> None:
    """Wait until the run has begun or the process has ended; then end the command."""
    from reward_agent.control.status import read_status
    from reward_agent.records.store import RunStore

    try:
        with os.fdopen(reader) as told:
            run = told.read()
    except KeyboardInterrupt:
        os.kill(process, signal.SIGTERM)
        raise
    if run:
        if as_json:
            print_json(read_status(RunStore(runs_dir / run)))
        else:
            print_text(run)
            print_text(f"how far it is: reward-agent runs status {run}")
        raise typer.Exit
    _, status = os.waitpid(process, 0)
    log.seek(0)
    sys.stderr.buffer.write(log.read())
    raise typer.Exit(os.waitstatus_to_exitcode(status))
