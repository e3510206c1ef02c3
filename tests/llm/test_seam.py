"""An agent on a provider with all its wrappers, over the wire."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.chat import make_chat_model

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import TaskSpec
from reward_agent.designers.brief import DesignBrief, DesignIdea
from reward_agent.designers.model import LanguageModel
from reward_agent.llm.budget import Budget
from reward_agent.llm.replies import Replies, read_calls
from reward_agent.testing import DropConnection, FakeLLMServer, HttpFault, Say

KEY = "sk-test-0123456789abcdef"
PROGRAM = "def compute_reward(state, action, next_state):\n    speed = next_state.forward_velocity\n    return speed, {'speed': speed}\n"
PROVIDERS = ["openai", "anthropic"]


@pytest.fixture
def brief() -> DesignBrief:
    task = TaskSpec(name="hop", env="hopper", description="Hop.", criterion="m/s", unit="m/s")
    return DesignBrief(load_env("hopper"), task, DesignIdea("minimal", "Be brief."))


def make_model(provider, server, tmp_path, **options):
    url = server.anthropic_url if provider == "anthropic" else server.openai_url
    return make_chat_model(
        provider,
        base_url=url,
        environ={"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY},
        timeout_s=5,
        deadline_s=20,
        budget=Budget(replies=Replies(tmp_path / "replies.sqlite")),
        **options,
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_resumed_run_pays_for_no_reply_twice(provider, brief, tmp_path):
    steps = [
        HttpFault(429, headers={"retry-after": "0.01"}),
        Say(f"```python\n{PROGRAM}```"),
        Say("other"),
    ]
    with FakeLLMServer(steps) as server:
        first = LanguageModel(make_model(provider, server, tmp_path)).propose(brief)
        again = LanguageModel(make_model(provider, server, tmp_path)).propose(brief)
        other = LanguageModel(make_model(provider, server, tmp_path)).propose(
            replace(brief, index=1)
        )
        assert server.n_requests == 3
    assert first.program is not None
    assert first.program == again.program
    assert [p.completions[0].is_cached for p in (first, again, other)] == [
        False,
        True,
        False,
    ]
    assert len(first.completions[0].retries) == 1
    assert first.completions[0].usage == again.completions[0].usage


@pytest.mark.parametrize("provider", PROVIDERS)
def test_key_is_in_no_record_and_no_cache(provider, brief, tmp_path):
    steps = [HttpFault(500, message=f"key {KEY} failed"), Say("prose")]
    with FakeLLMServer(steps) as server:
        model = make_model(provider, server, tmp_path)
        proposal = LanguageModel(model).propose(brief)
    texts = [record.model_dump_json() for record in (*read_calls(tmp_path), *proposal.completions)]
    assert len(texts) == 3
    assert "HTTP 500" in texts[0]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert KEY not in "".join(texts) + repr(model)
    assert KEY.encode() not in stored


@pytest.mark.parametrize("provider", PROVIDERS)
def test_user_is_told_why_a_call_waits(provider, brief, tmp_path):
    told: list[str] = []
    steps = [HttpFault(429, "rate_limit_error", "slow down", {"retry-after": "0.01"}), Say("prose")]
    with FakeLLMServer(steps) as server:
        LanguageModel(make_model(provider, server, tmp_path, on_retry=told.append)).propose(brief)
    assert told == [f"{provider} asks to slow down, for 0.01 s: slow down; trying again in 0 s"]


def test_room_for_a_long_reply_is_not_refused_by_the_sdk(brief, tmp_path):
    steps = [Say("```python\ndef c", "length"), Say(f"```python\n{PROGRAM}```")]
    with FakeLLMServer(steps) as server:
        proposal = LanguageModel(make_model("anthropic", server, tmp_path)).propose(brief)
        assert [item.body["max_tokens"] for item in server.requests] == [16_000, 32_000]
    assert proposal.program is not None


def test_dropped_connection_in_the_middle_of_a_round_is_survived(brief, tmp_path):
    steps = [Say(f"```python\n{PROGRAM}```"), DropConnection(), Say("prose")]
    with FakeLLMServer(steps) as server:
        designer = LanguageModel(make_model("openai", server, tmp_path))
        outcomes = [designer.propose(replace(brief, index=index)).outcome for index in range(2)]
        assert server.n_requests == 3
    assert outcomes[0] is None
    assert outcomes[1].kind == "no_program"
