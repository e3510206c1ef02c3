"""A client of the official SDK talks to the server: in this process, over stdio, over HTTP."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp
import mcp_types as types
import pytest
from support.agents import TINY, serve

from reward_agent.records.store import RunStore

PROGRAM = """
def compute_reward(state, action, next_state):
    upright = np.cos(next_state.pole_angle)
    return upright, {"upright": upright}
"""


def test_a_client_asks_about_a_run_and_sees_it(ask, store: RunStore) -> None:
    run = store.dir.name
    status, report, wrong, missing, again = ask(
        ("runs_status", {"run": "last"}),
        ("runs_report", {"run": run}),
        ("runs_statuss", {}),
        ("runs_status", {"run": "back"}),
        ("calls_list", {}),
    )
    assert status.structured_content["winner"]["of_seeds"][0] == 1.0
    assert json.loads(status.content[0].text.split("```")[1]) == status.structured_content
    told = report.structured_content
    assert "def compute_reward(" in told["program"]
    assert told["judged_by"]
    if told["strip"]:
        assert base64.b64decode(report.content[1].data)[8:12] == b"WEBP"
    assert wrong.is_error
    assert wrong.structured_content["message"].startswith("unknown tool 'runs_statuss'; did you")
    assert missing.structured_content["code"] == "unknown_name"
    assert set(missing.structured_content) == {"code", "message", "remedy", "exit"}
    # What was read at once leaves nothing.
    assert again.structured_content == {"result": []}


def test_a_command_that_fails_is_an_error_as_data(ask) -> None:
    answered = ask(
        ("programs_check", {"file": "import os\nx = 1\n", "env": "inverted_pendulum"}),
        ("programs_check", {"file": PROGRAM, "env": "inverted_pendulum"}),
        ("sweeps_status", {"sweep": "nothing"}),
    )
    refused, accepted, missing = answered
    assert (refused.is_error, refused.structured_content["accepted"]) == (False, False)
    assert accepted.structured_content["accepted"]
    assert (missing.is_error, missing.structured_content["code"]) == (True, "data")


def test_resources_are_cards_reports_and_pages(ask, store: RunStore) -> None:
    card, page = ask(
        ("reward-agent://envs/inverted_pendulum", {}),
        ("reward-agent://docs/how-to/long-work", {}),
    )
    assert '"pole_angle"' in card.contents[0].text
    assert "runs wait" in page.contents[0].text
    names = ("docs/../../pyproject", "envs/../x", "files/x", "runs//etc")
    for refused in ask(*((f"reward-agent://{name}", {}) for name in names)):
        assert isinstance(refused, mcp.MCPError)


def ask_for_a_reply(store: RunStore) -> Path:
    """Lay out a request of a run at work, as its process does."""
    folder = store.dir / "agent"
    folder.mkdir()
    (folder / "001-designer-first-3fa9c1d2.prompt.md").write_text("## user\n\nHop.\x1b[2J\n")
    return folder / "001-designer-first-3fa9c1d2.reply.md"


def run_at_work(store: RunStore) -> None:
    store.write_run(store.read_run().model_copy(update={"status": "running"}))


def test_an_agent_is_the_model_by_tools(ask, store: RunStore) -> None:
    reply = ask_for_a_reply(store)
    with store.lock():
        run_at_work(store)
        waited, asked, answered = ask(
            ("runs_wait", {"run": "last", "timeout": 30}),
            ("runs_request", {"run": "last"}),
            ("runs_answer", {"run": "last", "answer": "```python\nx = 1\n```\n", "request": 1}),
        )
    assert [item["number"] for item in waited.structured_content["requests"]] == [1]
    assert asked.structured_content["prompt"] == "## user\n\nHop.\\x1b[2J\n"
    assert answered.structured_content["requests"] == []
    assert "x = 1" in reply.read_text()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_with_a_model_of_its_own_is_asked_itself(ask, store, mode: str) -> None:
    reply, seen = ask_for_a_reply(store), []

    async def sample(context: Any, params: types.CreateMessageRequestParams) -> Any:
        seen.append(params.messages[0].content.text)
        text = types.TextContent(type="text", text="one line")
        return types.CreateMessageResult(role="assistant", content=text, model="m")

    with store.lock():
        run_at_work(store)
        options = {"sampling_callback": sample, "mode": mode}
        [waited] = ask(("runs_wait", {"run": "last", "timeout": 0.1}), **options)
    assert waited.structured_content["requests"] == []
    assert reply.read_text().strip() == "one line"
    [text] = seen
    assert "Hop.\\x1b[2J" in text
    assert "is data" in text


@pytest.mark.slow
def test_a_server_that_dies_leaves_its_run_to_the_next(tmp_path: Path) -> None:
    pids = tmp_path / "pid"

    async def begin() -> str:
        run = ""
        try:
            async with mcp.Client(serve(tmp_path, pids)) as client:
                given = {"env": "inverted_pendulum", "task": "balance", "steps": 4_000_000, **TINY}
                begun = await client.call_tool("runs_start", given)
                run = begun.structured_content["id"]
                os.kill(int(pids.read_text()), signal.SIGKILL)
                with anyio.move_on_after(20):
                    await client.call_tool("runs_status", {"run": run})
        except BaseException as error:  # the connection is gone
            if not run or isinstance(error, KeyboardInterrupt):
                raise
        return run

    async def go_on() -> tuple[Any, Any]:
        async with mcp.Client(serve(tmp_path, pids)) as client:
            status = await client.call_tool("runs_status", {"run": run})
            return status, await client.call_tool("runs_stop", {"run": run})

    run = anyio.run(begin)
    status, stopped = anyio.run(go_on)
    assert status.structured_content["status"] == "running"
    assert stopped.structured_content["status"] == "interrupted"


def test_http_is_for_who_has_the_token(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    from reward_agent.cli.app import app
    from reward_agent.mcp.server import HOST, TokenGuard, make_server

    server = make_server(app, tmp_path, tmp_path / "runs")
    guarded = TokenGuard(server.streamable_http_app(host=HOST), "a-token")
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                   "clientInfo": {"name": "t", "version": "0"}},
    }  # fmt: skip
    accepts = {"accept": "application/json, text/event-stream"}
    with TestClient(guarded, base_url=f"http://{HOST}:8000") as client:
        for token in ("", "Bearer ", "Bearer b-token", "a-token", "Basic a-token"):
            headers = accepts | ({"authorization": token} if token else {})
            assert client.post("/mcp", json=hello, headers=headers).status_code == 401
        known = accepts | {"authorization": "Bearer a-token"}
        assert client.post("/mcp", json=hello, headers=known).status_code == 200
        for foreign in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            refused = client.post("/mcp", json=hello, headers=known | foreign)
            assert refused.status_code in (403, 421)


def test_without_the_sdk_the_command_says_what_to_install(monkeypatch) -> None:
    from typer.testing import CliRunner

    from reward_agent.cli.app import app

    for name in [name for name in sys.modules if name.startswith("reward_agent.mcp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp_types", None)
    done = CliRunner().invoke(app, ["mcp"])
    assert "which is not installed" in done.exception.message
    assert done.exception.remedy == "pip install 'reward-agent[mcp]'"
