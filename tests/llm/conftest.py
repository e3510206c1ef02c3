from __future__ import annotations

from collections.abc import Callable

import pytest
from support.chat import make_chat_model

from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.chat import ChatMessage, ChatModel, ChatRequest

KEY = "sk-test-0123456789abcdef"
ENVIRON = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}


@pytest.fixture
def request_() -> ChatRequest:
    return ChatRequest(
        "designer",
        "designer/first",
        (ChatMessage("system", "You design."), ChatMessage("user", "Hop.")),
    )


@pytest.fixture
def connect() -> Callable[..., ChatModel]:
    """Return a function that connects a provider to a fake server, with one attempt a call."""

    def connect_to(provider: str, server, timeout_s: float = 5.0, **options) -> ChatModel:
        url = server.anthropic_url if provider == "anthropic" else server.openai_url
        policy = CallPolicy(**({"n_attempts": 1} | options.pop("policy", {})))
        options = {"timeout_s": timeout_s, "deadline_s": 20.0} | options
        options.setdefault("environ", ENVIRON)
        options.setdefault("model", "some-model" if provider == "openai-compatible" else None)
        return make_chat_model(provider, base_url=url, policy=policy, **options)

    return connect_to
