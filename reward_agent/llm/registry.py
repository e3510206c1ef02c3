"""From ``--provider name[:argument]`` to a chat model with its wrappers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.llm.budget import Budget, BudgetedChatModel
from reward_agent.llm.cache import CachedChatModel, CacheMode, CompletionCache
from reward_agent.llm.chat import DEFAULT_REPLY_TOKENS, ChatModel, Exchange
from reward_agent.llm.models import find_model, load_models
from reward_agent.llm.prefix import LeadingChatModel
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.scripted import ScriptedChatModel
from reward_agent.llm.wrappers import (
    DeadlineChatModel,
    LimitedChatModel,
    RecordingChatModel,
    RetryingChatModel,
    RoomChatModel,
)

GROUP = "reward_agent.providers"

# A provider of ours is loaded in the way of a stranger's: by the name of its factory.
_OWN_PROVIDERS = {
    "openai": "reward_agent.llm.openai:make_model",
    "anthropic": "reward_agent.llm.anthropic:make_model",
    "openai-compatible": "reward_agent.llm.openai:make_compatible_model",
    "local": "reward_agent.llm.local:make_model",
    "manual": "reward_agent.llm.manual:make_model",
    "scripted": "reward_agent.llm.scripted:make_model",
    "replay": "reward_agent.llm.replay:make_model",
    "offline": "reward_agent.designers.offline:make_model",
}
KEY_VARIABLES = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_PRICED_PROVIDERS = frozenset({"openai", "anthropic", "openai-compatible"})
# These answer from data of their own, or take the time that a person takes.
_UNBOUNDED_PROVIDERS = frozenset({"manual", "offline", "replay", "scripted"})


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


def list_providers() -> list[str]:
    """Return the names of all providers, ours and installed ones."""
    return sorted(_find_factories())


def choose_provider(environ: Mapping[str, str]) -> ProviderChoice:
    """Choose the provider whose key is set, else the offline designer.

    Returns:
        The choice, with the sentence for the first line of output.
    """
    ready = [name for name, key in KEY_VARIABLES.items() if environ.get(key, "").strip()]
    if not ready:
        keys = " or ".join(KEY_VARIABLES.values())
        return ProviderChoice(
            "offline",
            "offline: no language model (keyword goals and seeded search over reward terms); "
            f"set {keys}, or give --provider, for a real one",
        )
    name = ready[0]
    model = load_models().default[name]
    others = f" (also set: {KEY_VARIABLES[ready[1]]}; --provider chooses)" if ready[1:] else ""
    return ProviderChoice(name, f"{name}: {model}, because {KEY_VARIABLES[name]} is set{others}")


def make_chat_model(
    spec: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    policy: CallPolicy = CallPolicy(),
    cache_path: Path | None = None,
    cache_mode: CacheMode = "read-write",
    budget: Budget | None = None,
    folder: Path | None = None,
    cancel: threading.Event | None = None,
    on_retry: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    on_exchange: Callable[[Exchange], None] | None = None,
) -> ChatModel:
    """Return the chat model of a provider, ready to use.

    Args:
        spec: ``name`` or ``name:argument``, such as ``scripted:replies.md``.
        model: its id, or None for the provider's default.
        base_url: address of the API, for a provider that takes one.
        environ: where keys are looked up.
        policy: timeouts, attempts and concurrency.
        cache_path: SQLite file of replies; None stores nothing.
        cache_mode: whether replies are looked up there and stored.
        budget: what may be spent; by default there is no limit.
        folder: where a provider may keep files of the run, such as prompts for people.
        cancel: ends waiting calls and pauses.
        on_retry: is told why we wait.
        warn: is told what a user should know.
        on_exchange: is handed every request with its completion.

    Raises:
        UnknownNameError: no such provider.
        MissingKeyError: the provider's key is not set.
        UsageError: an option that the provider needs is missing, or a limit cannot be held.
    """
    name, _, argument = spec.partition(":")
    factories = _find_factories()
    if name not in factories:
        raise UnknownNameError("provider", name, factories)
    cancel = cancel or threading.Event()
    options = ProviderOptions(
        argument,
        model,
        base_url,
        policy.timeout_s,
        environ or {},
        policy.deadline_s,
        cancel,
        folder,
        warn,
    )
    plain = _load_provider(factories[name])(options)
    if name in _PRICED_PROVIDERS and find_model(plain.name) is None:
        warn(
            f"no price is known for {plain.name} (table of {load_models().checked}): "
            "its tokens are counted, its cost is not"
        )
    budget = budget or Budget(cancel=cancel)
    if name == "offline":  # what asks no model has nothing to pay, to bound or to store
        chat_model: ChatModel = LimitedChatModel(plain, policy.max_concurrency)
    else:
        is_patient = name not in _UNBOUNDED_PROVIDERS
        chat_model = _wrap_calls(plain, policy, budget, cancel, on_retry if is_patient else None)
        if cache_path is not None and cache_mode != "off":
            cache = CompletionCache(cache_path, warn)
            chat_model = _add_cache(chat_model, plain, cache, cache_mode, budget)
    if on_exchange is not None:
        chat_model = RecordingChatModel(chat_model, on_exchange)
    return RoomChatModel(chat_model, policy.reply_tokens)


def _wrap_calls(
    plain: ChatModel,
    policy: CallPolicy,
    budget: Budget,
    cancel: threading.Event,
    on_retry: Callable[[str], None] | None,
) -> ChatModel:
    """Bound each call in time and money; without ``on_retry``, in money alone."""
    if on_retry is None:
        chat_model: ChatModel = BudgetedChatModel(plain, budget)
    else:
        # The budget is inside the retries: each attempt is a call that may cost.
        bounded = DeadlineChatModel(plain, policy.deadline_s, cancel)
        chat_model = RetryingChatModel(
            BudgetedChatModel(bounded, budget),
            n_attempts=policy.n_attempts,
            cancel=cancel,
            on_retry=on_retry,
        )
    chat_model = LimitedChatModel(chat_model, policy.max_concurrency)
    if find_model(plain.name) is None:
        return chat_model
    # A model with a price has a prompt cache that makes it lower.
    return LeadingChatModel(chat_model, cancel=cancel)


def _add_cache(
    chat_model: ChatModel,
    plain: ChatModel,
    cache: CompletionCache,
    mode: CacheMode,
    budget: Budget,
) -> ChatModel:
    """Answer from the cache first; a script goes on after the replies that lie in it."""
    if isinstance(plain, ScriptedChatModel):
        plain.skip(cache.count_by_agent())
    return CachedChatModel(chat_model, cache, mode, budget.log)


def _find_factories() -> dict[str, EntryPoint]:
    """Return every provider's factory by name; a stranger cannot replace one of ours."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    own = {name: EntryPoint(name, value, GROUP) for name, value in _OWN_PROVIDERS.items()}
    return {**found, **own}


def _load_provider(entry: EntryPoint) -> Callable[[ProviderOptions], ChatModel]:
    try:
        factory: Callable[[ProviderOptions], ChatModel] = entry.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the provider {entry.name!r} ({entry.value}) cannot be loaded: {error}",
            "install what it needs, or remove its package",
        ) from error
    return factory
