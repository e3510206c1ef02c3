"""The tools at work: check what is given, begin the command, wait a while, hand on its answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import anyio
import mcp_types as types
import typer
from pydantic import BaseModel

from reward_agent.errors import DataError, RewardAgentError, UnknownNameError
from reward_agent.files import guard, read_bytes
from reward_agent.mcp.arguments import (
    Parameter,
    describe,
    make_model,
    make_schema,
    read_arguments,
    read_parameters,
)
from reward_agent.mcp.calls import CallEnded, ToolCalls
from reward_agent.mcp.places import ToolScope, check_places
from reward_agent.mcp.plain import MAX_CHARS, MAX_REQUEST_CHARS, fence, make_plain
from reward_agent.mcp.table import TOOLS, Tool

# Below the minute after which clients give a tool up.
WAIT_S = 40.0
_POLL_S = 0.05
_MAX_PICTURE_BYTES = 1024 * 2**10
_TRUST = Parameter(
    "trust_folder", bool, False,
    "Your person says that the environment's folder is theirs, or may run here.", (), {},
)  # fmt: skip
Progress = Callable[[float, float], Awaitable[None]]


@dataclass(frozen=True)
class Bound:
    """A tool of the table with its command's function."""

    tool: Tool
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]

    @cached_property
    def model(self) -> type[BaseModel]:
        """What checks its arguments."""
        also = (_TRUST,) if any(one.name == "env" for one in self.parameters) else ()
        return make_model(self.tool.name, (*self.parameters, *also))

    def list_words(self, given: Mapping[str, Any]) -> list[str]:
        """Return the command line: options first, then what could be taken for one."""
        options, rest = [*self.tool.fixed, "--json"], list[str]()
        for one in self.parameters:
            if one.name in given:
                (options if one.flags else rest).extend(one.render(given[one.name]))
        return [*self.tool.command.split(), *options, "--", *rest]

    def describe(self) -> types.Tool:
        """Return the tool as clients are told of it."""
        return _make_tool(self.tool.name, self.function, self.model, self.tool.is_reading)


class Tools:
    """The tools over a folder of runs.

    Args:
        app: the commands.
        root: where the server was started.
        runs_dir: where runs lie.
    """

    def __init__(self, app: typer.Typer, root: Path, runs_dir: Path) -> None:
        self._root, self.runs_dir = root.resolve(), guard(runs_dir)
        self.calls = ToolCalls(self.runs_dir, self._root)
        self.bound = {
            tool.name: Bound(tool, tool.find_function(app), tuple(tool.list_parameters(app)))
            for tool in TOOLS
        }
        own: dict[str, Callable[..., Awaitable[types.CallToolResult]]] = {
            "calls_list": self.list_calls,
            "calls_wait": self.wait_call,
            "calls_stop": self.stop_call,
        }
        self._own = own

    def list(self) -> list[types.Tool]:
        """Return all tools as clients are told of them."""
        own = [
            _make_tool(name, function, make_model(name, read_parameters(function).values()), True)
            for name, function in self._own.items()
        ]
        return [*(bound.describe() for bound in self.bound.values()), *own]

    async def call(
        self, name: str, given: Mapping[str, Any], progress: Progress
    ) -> types.CallToolResult:
        """Do what a tool says; an error of it is data, too."""
        try:
            if name in self._own:
                function = self._own[name]
                model = make_model(name, read_parameters(function).values())
                return await function(**read_arguments(model, given), progress=progress)
            if name not in self.bound:
                raise UnknownNameError("tool", name, [*self.bound, *self._own])
            call = await anyio.to_thread.run_sync(self.begin, name, given)
            shown = await self.wait_call(call, progress=progress)
            if not self.calls.is_running(call):
                self.calls.forget(call)
            return shown
        except RewardAgentError as error:
            return show_error(error.to_dict())

    def begin(self, name: str, given: Mapping[str, Any]) -> str:
        """Begin the command of a tool; return the call."""
        bound = self.bound[name]
        arguments = read_arguments(bound.model, given)
        folder = self.calls.choose_folder()
        is_trusted = arguments.pop(_TRUST.name, False)
        place = ToolScope(self._root, self.runs_dir, folder, is_trusted)
        return self.calls.begin(name, folder, bound.list_words(check_places(place, arguments)))

    async def wait_call(
        self,
        call: Annotated[str, typer.Argument(help="The call, as the tool named it.")],
        *,
        progress: Progress,
    ) -> types.CallToolResult:
        """Wait for a call that was not over soon; its answer, or that it goes on."""
        with anyio.move_on_after(WAIT_S):
            passed = 0.0
            while self.calls.is_running(call):
                await anyio.sleep(_POLL_S)
                passed += _POLL_S
                if int(passed) > int(passed - _POLL_S):
                    await progress(passed, WAIT_S)
        if self.calls.is_running(call):
            goes_on = f'calls_wait {{"call": "{call}"}}'
            return show({"call": call, "state": "running", "goes_on": goes_on})
        tool, ended = self.calls.find_tool(call), self.calls.end(call)
        return self.show(ended, self.bound[tool].tool if tool in self.bound else None)

    async def stop_call(
        self,
        call: Annotated[str, typer.Argument(help="A call that this server began.")],
        *,
        progress: Progress,
    ) -> types.CallToolResult:
        """End a call; a run that it began goes on, runs_stop ends that."""
        self.calls.stop(call)
        return show({"call": call, "state": "stopping"})

    async def list_calls(self, *, progress: Progress) -> types.CallToolResult:
        """List the calls whose answer nobody has read, of earlier servers, too."""
        return show(self.calls.list())

    def show(self, ended: CallEnded, tool: Tool | None) -> types.CallToolResult:
        """Return a command's answer, with the picture that goes with it."""
        if ended.error is not None:
            return show_error(ended.error)
        shown = show(ended.answer, MAX_REQUEST_CHARS if tool and tool.is_whole else MAX_CHARS)
        if tool is not None and tool.picture and isinstance(ended.answer, dict):
            path = ended.answer.get(tool.picture)
            picture = self._read_picture(path) if isinstance(path, str) and path else None
            shown.content += [picture] if picture else []
        return shown

    def _read_picture(self, name: str) -> types.ImageContent | None:
        """Return a picture of a run; what is none, or too large, is left out."""
        path = Path(name)
        if not (path.is_relative_to(self.runs_dir) or path.is_relative_to(self._root)):
            return None
        try:
            data = read_bytes(path, _MAX_PICTURE_BYTES)
        except (OSError, DataError):
            return None
        kind = _find_kind(data)
        text = base64.b64encode(data).decode()
        return types.ImageContent(type="image", data=text, mime_type=kind) if kind else None


def _find_kind(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def _make_tool(
    name: str, function: Callable[..., Any], model: type[BaseModel], is_reading: bool
) -> types.Tool:
    hints = types.ToolAnnotations(read_only_hint=is_reading, open_world_hint=False)
    return types.Tool(
        name=name,
        description=describe(function),
        input_schema=make_schema(model),
        annotations=hints,
    )


def show(answer: Any, limit: int = MAX_CHARS) -> types.CallToolResult:
    """Return an answer as text between marks, and as data."""
    data, words = make_plain(answer, limit)
    whole = data if isinstance(data, dict) else {"result": data}
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, indent=1)
    content: list[types.ContentBlock] = [types.TextContent(type="text", text=fence(text, limit))]
    content += [types.TextContent(type="text", text=words)] if words else []
    return types.CallToolResult(content=content, structured_content=whole)


def show_error(error: Mapping[str, Any]) -> types.CallToolResult:
    """Return an error as data: ``code``, ``message``, ``remedy``, ``exit``."""
    shown = show(dict(error))
    return shown.model_copy(update={"is_error": True})
