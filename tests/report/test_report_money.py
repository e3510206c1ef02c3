from __future__ import annotations

import re

import pytest

from reward_agent.llm.budget import Budget
from reward_agent.llm.calls import CalledChatModel
from reward_agent.llm.chat import ALL_AGENTS, ChatRequest, Completion
from reward_agent.llm.provider import PROVIDERS
from reward_agent.llm.replies import REPLIES_FILE, Replies
from reward_agent.records.store import RunStore
from reward_agent.report.page import write_report
from reward_agent.types import Usage


class Model:
    agents, max_concurrency = ALL_AGENTS, 1

    def __init__(self, name, provider, usage):
        self.name, self.provider, self.usage = name, provider, usage

    def complete(self, request):
        return Completion(
            reply="x",
            stop_reason="stop",
            model=self.name,
            provider=self.provider,
            usage=self.usage,
        )


USAGE = Usage(n_calls=1, input_tokens=5000, cached_input_tokens=4000, output_tokens=700)


def spend(run_dir, model):
    budget = Budget(replies=Replies(run_dir / REPLIES_FILE, "off"))
    paid = CalledChatModel(model, PROVIDERS.find(model.provider), budget=budget)
    for agent in ("designer", "designer", "critic"):
        paid.complete(ChatRequest(agent, f"{agent}/x", (), iteration=0))


def read_text(path):
    return " ".join(re.sub(r"<[^>]+>", " ", path.read_text("utf-8")).split())


def test_report_says_what_each_agent_was_paid(run_dir):
    spend(run_dir, Model("claude-sonnet-5-5", "anthropic", USAGE))
    text = read_text(write_report(run_dir))
    usd = (1000 * 2 + 4000 * 0.1 + 700 * 10) / 1e6
    assert f"designer 2 2,000 8,000 1,400 0 {2 * usd:.4f}" in text
    assert f"critic 1 1,000 4,000 700 0 {usd:.4f}" in text
    assert "run 3 3,000 12,000 2,100 0" in text


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Model("mine", "openai-compatible", USAGE), "No price is known for mine"),
        (Model("some run", "replay", Usage()), "3 replies were replayed from an earlier run"),
    ],
)
def test_report_says_what_has_no_price_or_was_replayed(model, says, run_dir):
    spend(run_dir, model)
    assert says in read_text(write_report(run_dir))


def test_report_says_at_which_limit_a_run_ended(run_dir):
    store = RunStore(run_dir)
    limit = "--max-usd 2 is reached: 1.9 USD are spent"
    store.write_run(store.read_run().model_copy(update={"limit": limit}))
    assert f"ended at its limit: {limit}" in read_text(write_report(run_dir))
