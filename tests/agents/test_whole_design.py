"""A scripted agent, the official client alone, from a robot's model to an exported reward."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import mcp
import pytest
from support.agents import TINY, serve

MODEL = """
<mujoco model="swinger">
  <option timestep="0.01"/>
  <worldbody>
    <body name="arm" pos="0 0 1">
      <joint name="shoulder" type="hinge" axis="0 1 0" damping="0.1" range="-150 150" limited="true"/>
      <geom name="arm" type="capsule" fromto="0 0 0 0 0 -0.5" size="0.04" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="shoulder" gear="8" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""


class Agent:
    """A client that calls tools and goes on with what was not over soon."""

    def __init__(self, client: mcp.Client) -> None:
        self._client = client

    async def __call__(self, tool: str, **given: Any) -> dict[str, Any]:
        answered = await self._client.call_tool(tool, given)
        while "call" in (told := answered.structured_content) and told.get("state") == "running":
            answered = await self._client.call_tool("calls_wait", {"call": told["call"]})
        assert not answered.is_error, answered.structured_content
        return answered.structured_content

    async def wait(self, run: str, **given: Any) -> dict[str, Any]:
        """Wait until a run is no longer at work."""
        while True:
            status = await self("runs_wait", run=run, timeout=30, **given)
            if status["status"] != "running":
                return status


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_scripted_agent_goes_from_a_model_to_an_exported_reward(tmp_path: Path) -> None:
    pids, told = tmp_path / "pid", {}
    (tmp_path / "swinger.xml").write_text(MODEL)

    async def begin() -> None:
        async with mcp.Client(serve(tmp_path, pids)) as client:
            agent = Agent(client)
            env = await agent("envs_init", source="swinger.xml", output="swinger")
            assert Path(env["folder"]) == tmp_path / "swinger"
            card = await agent("envs_show", env=env["folder"])
            assert "shoulder" in card["prompt"]
            assert (await agent("envs_check", env=env["folder"]))["findings"] == []
            told["env"] = env["folder"]
            task = "keep still for 2 s"
            begun = await agent("runs_start", env=env["folder"], task=task, steps=150_000,
                                winner_seeds=1, **TINY)  # fmt: skip
            told["run"] = begun["id"]
            os.kill(int(pids.read_text()), signal.SIGKILL)

    async def go_on() -> None:
        async with mcp.Client(serve(tmp_path, pids)) as client:
            agent, run, env = Agent(client), told["run"], told["env"]
            listed = (await agent("runs_list"))["result"]
            assert [row["id"] for row in listed] == [run]
            asked = await agent.wait(run, goal="question")
            assert asked["question"]["answers"] == ["accept", "own", "unranked"]
            mine = {"run": run, "env": env, "provider": "offline"}
            await agent("runs_answer", answer="accept", **mine)
            stopped = await agent("runs_stop", run=run)
            assert stopped["status"] == "interrupted"
            await agent("runs_resume", resume=run, env=env, provider="offline")
            over = await agent.wait(run)
            assert over["status"] == "finished"
            report = await agent("runs_report", run=run)
            assert "def compute_reward" in report["program"]
            exported = await agent("runs_export", run=run, output="taken")
            assert (tmp_path / "taken" / "reward.py").is_file()
            assert "reward.py" in exported["files"]

    try:
        anyio.run(begin)
    except BaseException:  # the connection is gone
        if "run" not in told:
            raise
    anyio.run(go_on)
