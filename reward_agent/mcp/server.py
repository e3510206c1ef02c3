"""The server: tools and resources over standard input and output, or over HTTP on this machine."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import mcp_types as types
import typer
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from reward_agent.errors import UsageError
from reward_agent.mcp.resources import Resources
from reward_agent.mcp.sampling import answer_by_client
from reward_agent.mcp.table import INSTRUCTIONS
from reward_agent.mcp.tools import Tools
from reward_agent.version import __version__

Context = ServerRequestContext[dict[str, object], object]
HOST = "127.0.0.1"


def make_server(app: typer.Typer, root: Path, runs_dir: Path) -> Server[dict[str, object]]:
    """Return the server of the commands, which works in one folder."""
    tools = Tools(app, root, runs_dir)
    resources = Resources(tools)

    async def list_tools(context: Context, params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools.list())

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        async def tell(passed: float, whole: float) -> None:
            await context.session.report_progress(passed, whole)

        answered = await tools.call(params.name, params.arguments or {}, tell)
        bound = tools.bound.get(params.name)
        if bound is None or not bound.tool.asks_model:
            return answered
        return await answer_by_client(
            tools, context.session, context.request_id, params, answered, tell
        )

    return Server(
        "reward-agent",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.list_templates,
        on_read_resource=resources.read,
    )


def serve_stdio(server: Server[dict[str, object]]) -> None:
    """Serve one client over standard input and output, until it goes."""

    async def serve() -> None:
        async with stdio_server() as (source, sink):
            await server.run(source, sink, server.create_initialization_options())

    anyio.run(serve)


def serve_http(
    server: Server[dict[str, object]], port: int, token: str, announce: Callable[[str], None]
) -> None:
    """Serve clients of this machine that have the token, until Ctrl-C.

    Args:
        server: what is served.
        port: where; 0 takes a free one.
        token: what a client has to send; '' makes one.
        announce: is told the address, and the token.
    """
    token = token or secrets.token_urlsafe(24)
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(
            f"{HOST}:{port} cannot be listened on: {error.strerror or error}",
            "choose another --port, or 0 for a free one",
        ) from error
    with listener:
        announce(f"http://{HOST}:{listener.getsockname()[1]}/mcp")
        announce(f"Authorization: Bearer {token}")
        guarded = TokenGuard(server.streamable_http_app(host=HOST), token)
        uvicorn.Server(uvicorn.Config(guarded, log_level="warning", server_header=False)).run(
            [listener]
        )


class TokenGuard:
    """Refuses requests without the token; the SDK itself refuses foreign hosts and origins."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        app = self._app
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                app = PlainTextResponse("This server is for whoever has its token.", 401)
        await app(scope, receive, send)
