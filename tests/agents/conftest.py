"""A server of tools in this process, its client, and runs to ask about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from reward_agent.cli.app import app
from reward_agent.export.shipped import find_shipped
from reward_agent.export.unpack import open_bundle
from reward_agent.records.store import RunStore

mcp = pytest.importorskip("mcp")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def store(runs: Path) -> RunStore:
    return open_bundle(find_shipped("back_flip"), runs)


@pytest.fixture
def ask(tmp_path: Path, runs: Path) -> Iterator[Callable[..., Any]]:
    """Call tools one after the other, as a client does; read resources by their address."""
    from reward_agent.mcp.server import make_server

    def call(*calls: tuple[str, dict[str, Any]], **options: Any) -> list[Any]:
        async def talk() -> list[Any]:
            async with mcp.Client(make_server(app, tmp_path, runs), **options) as client:
                return [await reach(client, name, given) for name, given in calls]

        return anyio.run(talk)

    async def reach(client: Any, name: str, given: dict[str, Any]) -> Any:
        if "://" not in name:
            return await client.call_tool(name, given)
        try:
            return await client.read_resource(name)
        except mcp.MCPError as error:
            return error

    return call
