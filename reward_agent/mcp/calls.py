"""Calls: a command at work in a process of its own, which outlives the server that began it.

runs/calls/<id>/
call.json        which tool, with which words, since when
stdout, stderr   what the command says; its answer or its error is the last of it
reward.py        a program that was given as text
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_agent.control.steer import VIA_VARIABLE
from reward_agent.errors import DataError, Interrupted, UnknownNameError, UsageError
from reward_agent.files import guard, list_names, make_folder, read_capped, read_tail, remove
from reward_agent.records.disk import read_record, write_record
from reward_agent.records.store import now_utc
from reward_agent.types import FileRecord

CALLS_DIR = "calls"
# The server's token is none of a command's business.
TOKEN_VARIABLE = "REWARD_AGENT_MCP_TOKEN"
_MAX_ANSWER_BYTES = 16 * 2**20
_MAX_ERROR_BYTES = 64 * 2**10
_MOST_KEPT = 50
_IS_UNIX = os.name == "posix"


class ToolCall(FileRecord):
    """``call.json``: what was called."""

    tool: str
    words: tuple[str, ...]
    created: str
    process: int


@dataclass(frozen=True)
class CallEnded:
    """What a command left: an answer, as data or as text, or an error as data."""

    answer: Any
    error: Mapping[str, Any] | None = None


class ToolCalls:
    """The calls of a folder of runs, those of earlier servers among them.

    Args:
        runs_dir: where runs lie.
        root: where commands work.
    """

    def __init__(self, runs_dir: Path, root: Path) -> None:
        self._runs_dir, self._root = runs_dir, root
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def choose_folder(self) -> Path:
        """Return the folder of a call that is about to begin; it is not there yet."""
        return self._runs_dir / CALLS_DIR / secrets.token_hex(4)

    def begin(self, tool: str, folder: Path, words: Sequence[str]) -> str:
        """Begin a command; return the call's id."""
        self._clear()
        make_folder(folder)
        guard(folder)
        own = {"REWARD_AGENT_RUNS_DIR": str(self._runs_dir), VIA_VARIABLE: "mcp"}
        environ = {**os.environ, **own}
        environ.pop(TOKEN_VARIABLE, None)
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "reward_agent", *words],
                cwd=self._root, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                # The client's Ctrl-C and the end of the server are not the command's.
                start_new_session=_IS_UNIX,
            )  # fmt: skip
        record = ToolCall(tool=tool, words=tuple(words), created=now_utc(), process=process.pid)
        write_record(folder / "call.json", record)
        self._processes[folder.name] = process
        return folder.name

    def find_tool(self, call: str) -> str:
        """Return which tool a call was made by."""
        return self._read(call).tool

    def is_running(self, call: str) -> bool:
        """Whether a command is still at work."""
        process = self._processes.get(call)
        if process is not None:
            return process.poll() is None
        record = self._read(call)
        # Of an earlier server: its process may be gone, and another have its number.
        if self._read_error(call) or not isinstance(_parse(self._read_answer(call)), str):
            return False
        with suppress(OSError):
            if _IS_UNIX:
                os.kill(record.process, 0)
                return True
        return False

    def end(self, call: str) -> CallEnded:
        """Return what a command left that is over.

        Raises:
            RewardAgentError: it ended without an answer and without an error.
        """
        text, error = self._read_answer(call), self._read_error(call)
        # A paused run's record stands beside the error that says how to go on.
        if error is not None and (not text or error["code"] == "undecided"):
            return CallEnded(None, error)
        if not text:
            raise Interrupted(
                f"call {call} ended without an answer: its process was ended", "call the tool again"
            )
        return CallEnded(_parse(text))

    def forget(self, call: str) -> None:
        """Remove a call that is over."""
        self._processes.pop(call, None)
        with suppress(OSError, DataError):
            remove(self._place(call))

    def stop(self, call: str) -> None:
        """End a command that this server began, as Ctrl-C does."""
        process = self._processes.get(call)
        if process is None:
            raise UsageError(
                f"call {call} is none that this server began", "end its process where it runs"
            )
        process.send_signal(signal.SIGTERM)

    def list(self) -> list[dict[str, Any]]:
        """Return the calls that are kept, the newest first."""
        rows = []
        for name in list_names(self._runs_dir / CALLS_DIR):
            with suppress(DataError, UnknownNameError):
                record = self._read(name)
                state = "running" if self.is_running(name) else "over"
                rows.append({"call": name, "tool": record.tool, "state": state,
                             "since": record.created})  # fmt: skip
        return sorted(rows, key=lambda row: row["since"], reverse=True)

    def _clear(self) -> None:
        """Remove the oldest calls that are over."""
        for row in self.list()[_MOST_KEPT:]:
            if row["state"] == "over":
                self.forget(row["call"])

    def _place(self, call: str) -> Path:
        known = list_names(self._runs_dir / CALLS_DIR)
        if call not in known:
            raise UnknownNameError("call", call, known)
        return guard(self._runs_dir / CALLS_DIR) / call

    def _read(self, call: str) -> ToolCall:
        return read_record(self._place(call) / "call.json", ToolCall)

    def _read_answer(self, call: str) -> str:
        with suppress(FileNotFoundError):
            data = read_capped(self._place(call) / "stdout", _MAX_ANSWER_BYTES)
            return data.decode("utf-8", "replace").strip()
        return ""

    def _read_error(self, call: str) -> dict[str, Any] | None:
        """Return the last line that a command said on standard error, if it is an error."""
        try:
            data = read_tail(self._place(call) / "stderr", _MAX_ERROR_BYTES)
        except FileNotFoundError:
            return None
        lines = data.decode("utf-8", "replace").strip().splitlines() or [""]
        error = _parse(lines[-1])
        is_error = isinstance(error, dict) and {"code", "message", "exit"} <= set(error)
        return error if is_error else None


def _parse(text: str) -> Any:
    """Return JSON data, or the text where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
