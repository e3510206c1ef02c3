"""From ``--provider name[:argument]`` to a chat model with its wrappers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reward_agent.llm.budget import Budget, BudgetedChatModel
from reward_agent.llm.chat import DEFAULT_REPLY_TOKENS, ChatModel
from reward_agent.llm.models import find_model, load_models
from reward_agent.llm.provider import PROVIDERS, Provider, ProviderOptions, find_provider
from reward_agent.llm.replies import CachedChatModel
from reward_agent.llm.wrappers import (
    DeadlineChatModel,
    LeadingChatModel,
    LimitedChatModel,
    RetryingChatModel,
    RoomChatModel,
)


@dataclass(frozen=True)
class ProviderChoice:
    """A provider and the sentence that says why it was chosen."""

    spec: str
    sentence: str


@dataclass(frozen=True)
class CallPolicy:
    """How calls are made, whatever the provider.

    Args:
        timeout_s: how long a connection may stay silent.
        deadline_s: how long one call may take in all.
        n_attempts: calls for one reply, when they fail for a passing reason.
        max_concurrency: calls at the same time; None leaves it to the provider.
        reply_tokens: longest reply, reasoning included.
    """

    timeout_s: float = 600.0
    deadline_s: float = 900.0
    n_attempts: int = 5
    max_concurrency: int | None = None
    reply_tokens: int = DEFAULT_REPLY_TOKENS


def choose_provider(environ: Mapping[str, str]) -> ProviderChoice:
    """Choose the provider whose key is set, else the offline designer.

    Returns:
        The choice, with the sentence for the first line of output.
    """
    with_key = [row for row in PROVIDERS.own if row.key_variable]
    ready = [row for row in with_key if environ.get(row.key_variable, "").strip()]
    if not ready:
        keys = " or ".join(row.key_variable for row in with_key)
        return ProviderChoice(
            "offline",
            "offline: no language model (keyword goals and seeded search over reward terms); "
            f"set {keys}, or give --provider, for a real one",
        )
    name, key = ready[0].name, ready[0].key_variable
    others = f" (also set: {ready[1].key_variable}; --provider chooses)" if ready[1:] else ""
    model = load_models().default[name]
    return ProviderChoice(name, f"{name}: {model}, because {key} is set{others}")


def make_chat_model(
    spec: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    policy: CallPolicy = CallPolicy(),
    budget: Budget | None = None,
    folder: Path | None = None,
    cancel: threading.Event | None = None,
    on_retry: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> ChatModel:
    """Return the chat model of a provider, ready to use.

    Args:
        spec: ``name`` or ``name:argument``, such as ``scripted:replies.md``.
        model: its id, or None for the provider's default.
        base_url: address of the API, for a provider that takes one.
        environ: where keys are looked up.
        policy: timeouts, attempts and concurrency.
        budget: what may be spent, and where calls and replies are recorded and found again; by
            default there is no limit and no record on disk.
        folder: where a provider may keep files of the run, such as prompts for people.
        cancel: ends waiting calls and pauses.
        on_retry: is told why we wait.
        warn: is told what a user should know.

    Raises:
        UnknownNameError: no such provider.
        MissingKeyError: the provider's key is not set.
        UsageError: something that the provider needs is missing, or a limit cannot be held.
    """
    row = find_provider(spec)
    cancel = cancel or threading.Event()
    budget = budget or Budget(cancel=cancel)
    options = ProviderOptions(
        spec.partition(":")[2],
        model,
        base_url,
        policy.timeout_s,
        environ or {},
        policy.deadline_s,
        cancel,
        folder,
        warn,
        budget.replies.count_by_agent(),
    )
    plain: ChatModel = PROVIDERS.load(row.name)(options)
    if not row.is_free and find_model(plain.name) is None:
        warn(
            f"no price is known for {plain.name} (table of {load_models().checked}): "
            "its tokens are counted, its cost is not"
        )
    chat_model = _wrap_calls(plain, row, policy, budget, cancel, on_retry)
    chat_model = CachedChatModel(chat_model, budget.replies)
    return RoomChatModel(chat_model, policy.reply_tokens)


def _wrap_calls(
    plain: ChatModel,
    row: Provider,
    policy: CallPolicy,
    budget: Budget,
    cancel: threading.Event,
    on_retry: Callable[[str], None],
) -> ChatModel:
    """Bound each call in time and money; one that needs patience in money alone."""
    bounded = plain if row.is_patient else DeadlineChatModel(plain, policy.deadline_s, cancel)
    chat_model: ChatModel = BudgetedChatModel(
        bounded, budget, is_free=row.is_free, source="replay" if row.is_replay else "model"
    )
    if not row.is_patient:
        # The budget is inside the retries: each attempt is a call that may cost.
        chat_model = RetryingChatModel(
            chat_model, n_attempts=policy.n_attempts, cancel=cancel, on_retry=on_retry
        )
    chat_model = LimitedChatModel(chat_model, policy.max_concurrency)
    if find_model(plain.name) is None:
        return chat_model
    # A model with a price has a prompt cache that makes it lower.
    return LeadingChatModel(chat_model, cancel=cancel)
