"""The terminal of a person who answers prompts: shows what to copy, takes what is pasted."""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path
from typing import TextIO

from reward_agent.llm.chat import ChatRequest

END = "END"
_RULE = "─" * 72


class Terminal:
    """Standard input and error, if a person sits there; otherwise a line for the log.

    A terminal takes lines of at most 4,095 characters; a longer reply has to be saved as a file.

    Args:
        source: where replies are pasted; standard input by default.
        screen: where prompts are shown; standard error by default, past any progress display,
            which would wrap their lines.
    """

    def __init__(self, source: TextIO | None = None, screen: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._screen = screen or sys.__stderr__ or sys.stderr
        self._is_open = _is_terminal(self._source) and _is_terminal(self._screen)
        self._pasted = b""

    def show(self, number: int, request: ChatRequest, prompt_path: Path, reply_path: Path) -> None:
        """Show a prompt to copy, or say where it lies."""
        if not self._is_open:
            self._say(f"waiting for {reply_path} (the prompt is {prompt_path.name} beside it)")
            return
        self._say(
            f"{_RULE}\n{request.prompt}\n{_RULE}\n"
            f"prompt {number} ({request.template}), also in {prompt_path}\n"
            f"Copy it into a chat. Paste the reply here and close it with a line {END},\n"
            f"or save it as {reply_path}"
        )

    def read(self, wait_s: float) -> str:
        """Return a reply that was pasted to its end, or '' after ``wait_s``."""
        if not self._is_open:
            time.sleep(wait_s)
            return ""
        descriptor = self._source.fileno()
        ready, _, _ = select.select([descriptor], [], [], wait_s)
        if not ready:
            return ""
        data = os.read(descriptor, 65_536)
        self._pasted += data
        if data:
            return self._take_closed()
        # Ctrl-D on an empty line arrives as no data; so does the end of the terminal itself.
        self._is_open = bool(self._pasted)
        return self._take()

    def _take_closed(self) -> str:
        """Return what was pasted if its last line says that it is over."""
        lines = self._pasted.splitlines()
        if self._pasted.endswith(b"\n") and lines[-1].strip() == END.encode():
            self._pasted = b"\n".join(lines[:-1]) + b"\n"
            return self._take()
        return ""

    def _take(self) -> str:
        text = self._pasted.decode("utf-8", "replace")
        self._pasted = b""
        return text

    def _say(self, text: str) -> None:
        self._screen.write(f"{text}\n")
        self._screen.flush()


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and stream.fileno() >= 0
    except (OSError, ValueError):
        return False
