"""From ``--provider name[:argument]`` to the team of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from reward_agent.designers.judge import FilmJudge
from reward_agent.designers.model import LanguageModel
from reward_agent.designers.roles import Team
from reward_agent.llm.budget import Budget, SpendingLimits
from reward_agent.llm.calls import CallPolicy, make_chat_model
from reward_agent.llm.chat import ChatModel
from reward_agent.llm.provider import (
    PROVIDERS,
    ProviderOptions,
    choose_provider,
    find_address,
    find_provider,
)
from reward_agent.llm.replies import REPLIES_FILE, Replies
from reward_agent.records.settings import RunSettings


def make_team(
    settings: RunSettings,
    run_dir: Path,
    environ: Mapping[str, str],
    cancel: threading.Event,
    on_retry: Callable[[str], None] = lambda reason: None,
    warn: Callable[[str], None] = lambda what: None,
) -> Team:
    """Return who plays the roles of a run, as its settings ask for.

    Replies are kept in the run's directory, so that a run that is taken up again pays for none
    twice.

    Raises:
        UsageError: the provider is unknown, or something that it needs is missing.
        MissingKeyError: its key is not set.
    """
    choice = choose_provider(environ)
    spec = settings.provider or choice.spec
    row = find_provider(spec)
    if row.makes == "designer":
        budget, options = _prepare(settings, spec, run_dir, environ, cancel, warn)
        member, agents = PROVIDERS.load(row.name)(options), row.agents
    else:
        model, budget = open_model(settings, spec, run_dir, environ, cancel, on_retry, warn)
        member, agents = LanguageModel(model, sees_whole_card=row.sees_whole_card), model.agents
    judge = _make_judge(settings, spec, budget, run_dir, environ, cancel, on_retry, warn)
    return Team(
        member,
        member if settings.critic and "critic" in agents else None,
        member if settings.analyzer and "analyzer" in agents else None,
        f"{row.name}: {member.name}" if settings.provider else choice.sentence,
        budget,
        find_address(spec, settings.base_url, environ),
        judge,
    )


def _make_judge(
    settings: RunSettings,
    spec: str,
    budget: Budget,
    run_dir: Path,
    environ: Mapping[str, str],
    cancel: threading.Event,
    on_retry: Callable[[str], None],
    warn: Callable[[str], None],
) -> FilmJudge | None:
    """Return who watches films, within the same limits of money; None if nobody is to or can."""
    if settings.judge == "none":
        return None
    own = settings.judge_provider or spec
    row = find_provider(own)
    remedy = "name a model that sees: --judge-provider and --judge-model"
    if row.makes == "designer":
        warn(f"no film is judged: {row.name} asks no language model; {remedy}")
        return None
    is_same = own == spec
    base_url = settings.judge_base_url or (settings.base_url if is_same else None)
    options = ProviderOptions(
        own.partition(":")[2],
        settings.judge_model or (settings.model if is_same else None),
        base_url,
        environ=environ, cancel=cancel, folder=run_dir, warn=warn,
    )  # fmt: skip
    policy = CallPolicy(reply_tokens=settings.reply_tokens)
    model = make_chat_model(own, options, policy, budget, on_retry)
    if "judge" not in model.agents:
        warn(f"no film is judged: {own} holds no reply of a judge; {remedy}")
        return None
    return FilmJudge(model, find_address(own, base_url, environ))


def open_model(
    settings: RunSettings,
    spec: str,
    run_dir: Path,
    environ: Mapping[str, str],
    cancel: threading.Event,
    on_retry: Callable[[str], None] = lambda reason: None,
    warn: Callable[[str], None] = lambda what: None,
) -> tuple[ChatModel, Budget]:
    """Return a chat model, with its limits of money and the record of its replies in a folder.

    Raises:
        UsageError: the provider is unknown, or something that it needs is missing.
        MissingKeyError: its key is not set.
    """
    budget, options = _prepare(settings, spec, run_dir, environ, cancel, warn)
    policy = CallPolicy(reply_tokens=settings.reply_tokens)
    return make_chat_model(spec, options, policy, budget, on_retry), budget


def _prepare(
    settings: RunSettings,
    spec: str,
    run_dir: Path,
    environ: Mapping[str, str],
    cancel: threading.Event,
    warn: Callable[[str], None],
) -> tuple[Budget, ProviderOptions]:
    limits = SpendingLimits(settings.max_usd, settings.max_tokens, settings.max_calls)
    replies = Replies(run_dir / REPLIES_FILE, settings.cache, warn)
    options = ProviderOptions(
        spec.partition(":")[2], settings.model, settings.base_url,
        environ=environ, cancel=cancel, folder=run_dir, warn=warn,
    )  # fmt: skip
    return Budget(limits, replies, cancel), options
