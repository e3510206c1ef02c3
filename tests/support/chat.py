"""A provider's model, with options by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reward_agent.llm import calls
from reward_agent.llm.budget import Budget
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.chat import ChatModel
from reward_agent.llm.provider import ProviderOptions


def make_chat_model(
    spec: str,
    *,
    policy: CallPolicy | None = None,
    budget: Budget | None = None,
    on_retry: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> ChatModel:
    return calls.make_chat_model(
        spec, ProviderOptions(**options), policy or CallPolicy(), budget, on_retry
    )
