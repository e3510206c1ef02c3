from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import load_task
from reward_agent.llm.budget import Budget
from reward_agent.llm.calls import CalledChatModel
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, ChatRequest, Completion
from reward_agent.llm.replies import REPLIES_FILE, Replies
from reward_agent.records.store import RunRecord, RunStore
from reward_agent.types import Usage


class Model:
    provider, agents, max_concurrency = "anthropic", ALL_AGENTS, 1
    name = "claude-sonnet-5-5"

    def complete(self, request):
        usage = Usage(
            n_calls=1,
            input_tokens=5000,
            cached_input_tokens=4000,
            output_tokens=700,
            reasoning_tokens=200,
        )
        return Completion(
            reply="x", stop_reason="stop", model=self.name, provider=self.provider, usage=usage
        )


@pytest.fixture
def runs_dir(tmp_path):
    folder = tmp_path / "runs"
    store = RunStore(folder / "2026-11-23T00-00-00Z_hopper_hop-forward")
    store.write_run(
        RunRecord(
            id=store.dir.name,
            created="2026-11-23T00:00:00Z",
            status="finished",
            card=load_env("hopper"),
            task=load_task("hopper", "hop_forward"),
            metric_origin="task",
            config={"max_usd": 2.5, "max_calls": None},
            config_sources={},
            designer="anthropic: claude-sonnet-5-5",
            sandbox_level="full",
            versions={},
        )
    )
    model = CalledChatModel(Model(), budget=Budget(replies=Replies(store.dir / REPLIES_FILE)))
    for agent, iteration in (("designer", 0), ("critic", 0), ("designer", 1)):
        turns = (ChatMessage("user", f"Hop, {agent}, in round {iteration}."),)
        model.complete(ChatRequest(agent, f"{agent}/x", turns, iteration=iteration))
    return folder


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_costs_are_shown_by_agent_and_round(runs_dir):
    shown = invoke("runs", "costs", "last", "--runs-dir", runs_dir)
    rows = {line[:12].strip(): line.split() for line in shown.splitlines()[2:]}
    assert rows["designer"][1:5] == ["2", "2,000", "8,000", "1,400"]
    assert rows["round 1"][2] == "2"
    assert rows["run"][1:6] == ["3", "3,000", "12,000", "2,100", "600"]
    usd = (3000 * 2 + 12000 * 0.1 + 2100 * 10) / 1e6
    assert rows["run"][6] == f"{usd:.4f}"
    assert "limits: --max-usd 2.5" in shown


def test_costs_are_listed_call_by_call_and_as_json(runs_dir):
    shown = invoke("runs", "costs", "last", "--calls", "--runs-dir", runs_dir)
    assert shown.count("designer/x") == 2
    data = json.loads(invoke("runs", "costs", "last", "--calls", "--json", "--runs-dir", runs_dir))
    assert len(data["calls"]) == 3
    assert data["total"]["n_calls"] == 3
    assert data["by_agent"]["critic"]["reasoning_tokens"] == 200


def test_replies_are_listed_and_shown_word_for_word(runs_dir):
    shown = invoke("runs", "replies", "last", "--runs-dir", runs_dir)
    assert "designer/x, round 2, candidate 0" in shown
    one = invoke("runs", "replies", "last", "1", "--runs-dir", runs_dir)
    assert one.startswith("## user\n\nHop, designer, in round 0.\n\n## reply\n\n")
    rows = json.loads(invoke("runs", "replies", "last", "--json", "--runs-dir", runs_dir))
    assert (rows[1]["number"], rows[1]["agent"]) == (2, "critic")
    data = json.loads(invoke("runs", "replies", "last", "2", "--json", "--runs-dir", runs_dir))
    assert (data["agent"], data["prompt"]) == ("critic", "## user\n\nHop, critic, in round 0.")


def test_estimate_is_shown_and_nothing_is_made(tmp_path):
    arguments = ["design", "--env", "hopper", "--task", "back_flip", "--provider", "anthropic"]
    shown = invoke(*arguments, "--estimate", "--runs-dir", tmp_path)
    assert "USD" in shown
    assert "--max-usd is a hard limit" in shown
    assert list(tmp_path.iterdir()) == []
    data = json.loads(invoke(*arguments, "--estimate", "--json", "--runs-dir", tmp_path))
    assert data["calls"]["likely"] < data["calls"]["high"]


def test_prompts_are_listed_and_shown_word_for_word():
    assert "analyzer/analyse" in invoke("prompts", "list")
    shown = invoke("prompts", "show", "designer/first", "--env", "hopper", "--task", "back_flip")
    assert shown.startswith("## system\n\nYou design reward functions")
    assert "Do a back flip" in shown
    assert "torso_height 1.25" in shown
    assert "It trains for 1,000,000 steps" in shown
    data = json.loads(invoke("prompts", "show", "critic/review", "--env", "reacher", "--json"))
    assert [turn["role"] for turn in data["messages"]] == ["system", "user"]
    assert 2000 < data["tokens"] < 8000


@pytest.mark.parametrize("limit", ["\x1b[2J", [1], {"a": 2}, True, None, -1, "9" * 400])
def test_costs_of_a_run_whose_limits_are_no_numbers_are_shown(runs_dir, limit):
    [path] = runs_dir.glob("*/run.json")
    record = json.loads(path.read_text())
    record["config"] = {"max_usd": limit, "max_tokens": 7, "max_calls": limit}
    path.write_text(json.dumps(record))
    shown = invoke("runs", "costs", "last", "--runs-dir", runs_dir)
    assert "--max-tokens 7" in shown
    assert "\x1b" not in shown
