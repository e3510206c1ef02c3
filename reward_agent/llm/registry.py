"""From ``--provider name[:argument]`` to a chat model that is ready to use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reward_agent.llm.budget import Budget
from reward_agent.llm.calls import CalledChatModel, CallPolicy
from reward_agent.llm.chat import ChatModel
from reward_agent.llm.models import find_model, load_models
from reward_agent.llm.provider import PROVIDERS, ProviderOptions, find_provider


@dataclass(frozen=True)
class ProviderChoice:
    """A provider and the sentence that says why it was chosen."""

    spec: str
    sentence: str


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
    row = ready[0]
    others = f" (also set: {ready[1].key_variable}; --provider chooses)" if ready[1:] else ""
    why = f"because {row.key_variable} is set{others}"
    return ProviderChoice(row.name, f"{row.name}: {row.default_model}, {why}")


def make_chat_model(
    spec: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    policy: CallPolicy | None = None,
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
    policy, budget = policy or CallPolicy(), budget or Budget(cancel=cancel)
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
    return CalledChatModel(plain, row, policy, budget, cancel, on_retry)
