from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest
from support.chat import make_chat_model

from reward_agent.llm.calls import CalledChatModel, CallPolicy, digest_prefix
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, ChatRequest, Completion
from reward_agent.llm.provider import find_provider
from reward_agent.testing import FakeLLMServer, Say


class NotingModel:
    """Notes when each call begins; each waits until so many have, or takes a while."""

    provider, agents, max_concurrency = "noting", ALL_AGENTS, 8
    # It has a price, and with it a prompt cache.
    name = find_provider("anthropic").default_model

    def __init__(self, takes_s: float = 0.0, together: int = 1):
        self.takes_s = takes_s
        self.together = threading.Barrier(together, timeout=60)
        self.begun: list[float] = []

    def complete(self, request):
        self.begun.append(time.monotonic())
        time.sleep(self.takes_s)
        self.together.wait()
        return Completion(reply="x", stop_reason="stop", model=self.name, provider=self.provider)


def ask_together(model, requests):
    threads = [threading.Thread(target=model.complete, args=(item,)) for item in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)


def make_requests(request_, n=4, system="You design."):
    shared = "the history " * 10
    turns = (ChatMessage("system", system), ChatMessage("user", shared, len(shared)))
    return [
        replace(request_, messages=(turns[0], replace(turns[1], content=f"{shared}idea {number}")))
        for number in range(n)
    ]


def test_first_call_of_a_round_leads_and_the_others_follow_together(request_):
    # They do not wait for the whole reply, nor for each other: no reply comes before all are asked.
    inner = NotingModel(together=4)
    ask_together(CalledChatModel(inner, policy=CallPolicy(lead_s=0.15)), make_requests(request_))
    first, *others = sorted(inner.begun)
    assert min(others) - first >= 0.14
    assert not inner.together.broken


def test_followers_go_on_as_soon_as_the_leader_is_done(request_):
    inner = NotingModel(0.05)
    ask_together(CalledChatModel(inner, policy=CallPolicy(lead_s=1e4)), make_requests(request_))
    assert len(inner.begun) == 4


def test_prefix_that_was_just_used_needs_no_leader(request_):
    inner = NotingModel()
    model = CalledChatModel(inner, policy=CallPolicy(lead_s=1e4))
    requests = make_requests(request_)
    model.complete(requests[0])
    inner.together = threading.Barrier(4, timeout=60)
    ask_together(model, requests)
    assert not inner.together.broken


def test_other_prefixes_do_not_wait(request_):
    inner = NotingModel(together=3)
    requests = [make_requests(request_, 1, f"You are {number}.")[0] for number in range(3)]
    ask_together(CalledChatModel(inner, policy=CallPolicy(lead_s=1e4)), requests)
    assert not inner.together.broken


def test_failure_of_the_leader_lets_the_others_go(request_):
    class FailingModel(NotingModel):
        def complete(self, request):
            completion = super().complete(request)
            if len(self.begun) == 1:
                raise RuntimeError("down")
            return completion

    inner = FailingModel(0.01)
    model = CalledChatModel(inner, policy=CallPolicy(lead_s=1e4))
    outcomes = []

    def work(request):
        try:
            model.complete(request)
            outcomes.append("reply")
        except RuntimeError:
            outcomes.append("down")

    threads = [threading.Thread(target=work, args=(item,)) for item in make_requests(request_)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert sorted(outcomes) == ["down", "reply", "reply", "reply"]


def test_what_is_shared_is_the_prefix(request_: ChatRequest):
    first, second = make_requests(request_, 2)
    assert digest_prefix(first) == digest_prefix(second)
    other = replace(first, messages=(ChatMessage("system", "Other."), first.messages[1]))
    assert digest_prefix(other) != digest_prefix(first)


@pytest.mark.parametrize(("n_chars", "n_blocks"), [(5000, 2), (500, 1)])
def test_anthropic_is_told_where_to_cut_its_cache(n_chars, n_blocks, connect, request_):
    content = "h" * n_chars + "your idea"
    turns = (ChatMessage("system", "You design."), ChatMessage("user", content, n_chars))
    with FakeLLMServer([Say("ok")]) as server:
        connect("anthropic", server).complete(replace(request_, messages=turns))
    [received] = server.requests
    assert received.body["system"][-1]["cache_control"] == {"type": "ephemeral"}
    sent = received.body["messages"][0]["content"]
    blocks = sent if isinstance(sent, list) else [{"text": sent}]
    assert len(blocks) == n_blocks
    assert "".join(block["text"] for block in blocks) == content
    assert [("cache_control" in block) for block in blocks] == [True, False][-n_blocks:]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_calls_of_a_round_share_their_prefix_to_the_byte_on_the_wire(provider, connect, request_):
    requests = make_requests(request_, 3)
    with FakeLLMServer(lambda _: Say("ok")) as server:
        model = connect(provider, server)
        for item in requests:
            model.complete(item)
    texts = [json.dumps(item.body, ensure_ascii=False) for item in server.requests]
    shared = "the history " * 10
    starts = {text.partition(shared)[0] for text in texts}
    assert len(starts) == 1
    assert all(text.count(shared) == 1 for text in texts)


@pytest.mark.parametrize(
    ("provider", "model", "leads"),
    [("anthropic", None, True), ("openai", None, True), ("openai-compatible", "my-own", False)],
)
def test_models_with_a_price_let_the_first_call_lead(provider, model, leads):
    environ = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x"}
    made = make_chat_model(provider, model=model, base_url="http://127.0.0.1:9", environ=environ)
    assert (made._prefixes is not None) is leads
