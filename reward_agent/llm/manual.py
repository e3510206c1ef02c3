"""A person or an agent in the model's place: prompts to copy, replies to paste or to save.

    001-designer-first-3fa9c1d2.prompt.md     written by us
    001-designer-first-3fa9c1d2.reply.md      saved by the person, or by a script (001.reply.md too)
    001-judge-film-7be01f55.picture.png       the picture that a prompt is about, to go with it

A file's digits at the end are those of the prompt, so a run that is taken up again finds the
replies that it has. What it then no longer asks is a ``.unasked.md``.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from reward_agent.errors import Interrupted, UsageError
from reward_agent.files import list_names, make_folder, move, read_bytes, write_atomic
from reward_agent.llm.chat import ALL_AGENTS, ChatRequest, Completion
from reward_agent.llm.provider import ProviderOptions
from reward_agent.text import show_hidden
from reward_agent.types import Usage

END = "END"
_FOLDER = "manual"
# Where an agent finds what it is asked, in the run's folder.
AGENT_FOLDER = "agent"
_PROMPT, _UNASKED, _REPLY, _PICTURE = ".prompt.md", ".unasked.md", ".reply.md", ".picture.png"
_NAME = r"\d{1,6}-[\w-]+-[0-9a-f]{8}"
_RULE = "─" * 72
_POLL_S = 0.2


def make_model(options: ProviderOptions) -> ManualChatModel:
    """Return the model of ``manual`` or ``manual:<folder>``.

    Raises:
        UsageError: there is no folder for the prompts.
    """
    if options.argument:
        folder = Path(options.argument).expanduser()
    elif options.folder is not None:
        folder = options.folder / _FOLDER
    else:
        raise UsageError("manual needs a folder for its prompts", "give --provider manual:FOLDER")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"manual: {folder} is not a folder", "give --provider manual:FOLDER")
    return ManualChatModel(folder, options.model or "chat window", options.cancel)


def make_agent_model(options: ProviderOptions) -> ManualChatModel:
    """Return the model of ``agent``: a coding agent that answers by files or commands.

    Raises:
        UsageError: there is no folder of a run, or another is named.
    """
    if options.argument or options.folder is None:
        raise UsageError("agent answers in a run's own folder", "give --provider agent")
    folder = options.folder / AGENT_FOLDER
    model = ManualChatModel(folder, options.model or "coding agent", options.cancel)
    model.provider = "agent"
    return model


@dataclass(frozen=True)
class Sheet:
    """One prompt and the place of its reply, numbered from 1 as they came up."""

    number: int
    prompt_path: Path
    reply_path: Path

    @classmethod
    def of(cls, prompt_path: Path) -> Sheet:
        """Return the sheet of a prompt's file."""
        stem = str(prompt_path).removesuffix(_PROMPT)
        number = int(prompt_path.name.partition("-")[0])
        return cls(number, prompt_path, Path(f"{stem}{_REPLY}"))

    @property
    def template(self) -> str:
        """What is asked for, such as ``designer-first``."""
        return self.prompt_path.name.partition("-")[2].rpartition("-")[0]

    @property
    def picture_path(self) -> Path:
        """Where the picture lies that goes with it, if there is one."""
        return Path(str(self.prompt_path).removesuffix(_PROMPT) + _PICTURE)

    def read_reply(self) -> str:
        """Return what is saved as the reply, under its full name or its number alone; else ''."""
        for path in (self.reply_path, self.reply_path.parent / f"{self.number:03d}.reply.md"):
            try:
                text = read_bytes(path).decode("utf-8-sig", "replace")
            except FileNotFoundError:
                continue
            if text.strip():
                return text
        return ""


class ManualChatModel:
    """Waits for a person's replies, one prompt at a time.

    The folder of prompts and replies is made when the first prompt comes up.
    """

    provider = "manual"
    agents = ALL_AGENTS
    max_concurrency = 1

    def __init__(
        self, folder: Path, name: str, cancel: threading.Event, terminal: Terminal | None = None
    ) -> None:
        self.name = name
        self._folder = folder
        self._cancel = cancel
        self._terminal = terminal or Terminal()

    def complete(self, request: ChatRequest) -> Completion:
        """Write the prompt, show it, and wait for the reply.

        Raises:
            UsageError: the folder cannot be written.
            Interrupted: the run was stopped.
        """
        started = time.monotonic()
        sheet = self._lay_out(request)
        reply = sheet.read_reply()
        if not reply:
            self._terminal.show(sheet.number, request, sheet.prompt_path, sheet.reply_path)
            reply = self._wait(sheet)
        return Completion(
            reply=reply,
            stop_reason="stop",
            model=self.name,
            provider=self.provider,
            usage=Usage(n_calls=1),
            wall_s=time.monotonic() - started,
        )

    def _lay_out(self, request: ChatRequest) -> Sheet:
        """Write a prompt once; the same prompt gets the same files again."""
        identity = hashlib.sha256(f"{request.sha256} {request.sample_index}".encode())
        digest = identity.hexdigest()[:8]
        try:
            make_folder(self._folder)
            asked = list_sheets(self._folder)
            unasked = list_sheets(self._folder, _UNASKED)
            known = [
                sheet.prompt_path
                for sheet in (*asked, *unasked)
                if sheet.prompt_path.name.endswith(f"-{digest}{_PROMPT}")
            ]
            number = max([0, *(sheet.number for sheet in (*asked, *unasked))]) + 1
            new = f"{number:03d}-{request.template.replace('/', '-')}-{digest}{_PROMPT}"
            prompt_path = known[0] if known else self._folder / new
            if prompt_path not in [sheet.prompt_path for sheet in asked]:
                for turn in request.messages:
                    if turn.picture:
                        write_atomic(Sheet.of(prompt_path).picture_path, turn.picture)
                write_atomic(prompt_path, f"{request.prompt}\n".encode("utf-8", "replace"))
        except OSError as error:
            raise UsageError(
                f"manual: cannot write a prompt into {self._folder}: {error.strerror}",
                "free the disk, or give another folder: --provider manual:FOLDER",
            ) from error
        return Sheet.of(prompt_path)

    def _wait(self, sheet: Sheet) -> str:
        """Wait until a reply is pasted, or saved and no longer growing."""
        seen = ""
        while not self._cancel.is_set():
            pasted = self._terminal.read(_POLL_S)
            if pasted.strip():
                write_atomic(sheet.reply_path, pasted.encode("utf-8", "replace"))
                return pasted
            saved = sheet.read_reply()
            if saved and saved == seen:
                return saved
            seen = saved
        raise Interrupted("stopped while waiting for a reply", "resume the run with --resume")


def list_sheets(folder: Path, ending: str = _PROMPT) -> list[Sheet]:
    """Return the prompts of a folder, in the order in which they came up."""
    stems = [name.removesuffix(ending) for name in list_names(folder) if name.endswith(ending)]
    sheets = (Sheet.of(folder / f"{s}{_PROMPT}") for s in stems if re.fullmatch(_NAME, s))
    return sorted(sheets, key=lambda sheet: sheet.number)


def list_waiting(folder: Path) -> list[Sheet]:
    """Return the prompts of a folder that have no reply."""
    return [sheet for sheet in list_sheets(folder) if not sheet.read_reply()]


def take_back(folder: Path) -> None:
    """Take back what nobody has answered, of a process that has ended; it may be asked again."""
    for sheet in list_waiting(folder):
        stem = str(sheet.prompt_path).removesuffix(_PROMPT)
        move(sheet.prompt_path, Path(f"{stem}{_UNASKED}"))


class Terminal:
    """Shows what to copy and takes what is pasted, if a person sits there; else a line for the log.

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
        *lines, last = self._pasted.splitlines() or [b""]
        is_closed = self._pasted.endswith(b"\n") and last.strip() == END.encode()
        if data and not is_closed:
            return ""
        # Ctrl-D on an empty line arrives as no data; so does the end of the terminal itself.
        self._is_open = bool(self._pasted)
        text = b"\n".join([*lines, b""]) if is_closed else self._pasted
        self._pasted = b""
        return text.decode("utf-8", "replace")

    def _say(self, text: str) -> None:
        self._screen.write(f"{show_hidden(text)}\n")
        self._screen.flush()


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and stream.fileno() >= 0
    except (OSError, ValueError):
        return False
