"""From ``--provider name[:argument]`` to the team of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reward_agent.designers.judge import FilmJudge
from reward_agent.designers.model import LanguageModel
from reward_agent.designers.roles import Team
from reward_agent.llm.budget import Budget, SpendingLimits
from reward_agent.llm.calls import connect
from reward_agent.llm.chat import ChatModel
from reward_agent.llm.provider import (
    PROVIDERS,
    ProviderOptions,
    choose_provider,
    find_address,
    find_provider,
)
from reward_agent.llm.replies import REPLIES_FILE, Replies
from reward_agent.records.settings import ROLES, RunSettings


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
    budget, around = _prepare(settings, run_dir, environ, cancel, warn)
    agents = row.agents
    if row.makes == "designer":
        options = around.ask(settings.choose_endpoint("designer"), spec)
        member = PROVIDERS.load(row.name)(options)
    else:
        model = connect(settings.choose_endpoint("designer"), spec, around, budget, on_retry)
        member, agents = LanguageModel(model, sees_whole_card=row.sees_whole_card), model.agents

    def ask_apart(role: str) -> ChatModel | None:
        """Return the chat model of a role, within the same limits; None if it is none."""
        asked = settings.choose_endpoint(role)
        own = asked.provider or spec
        is_model = find_provider(own).makes == "chat model"
        return connect(asked, own, around, budget, on_retry) if is_model else None

    def play(role: str, is_wanted: bool) -> Any:
        """Return who plays a role: the Designer, too, unless the role has settings of its own."""
        if not is_wanted or getattr(settings, ROLES[role]) is None:
            return member if is_wanted and role in agents else None
        model = ask_apart(role)
        return LanguageModel(model) if model is not None and role in model.agents else None

    critic, analyzer = play("critic", settings.critic), play("analyzer", settings.analyzer)
    said = f"{row.name}: {member.name}" if settings.provider else choice.sentence
    apart = {"critic": critic, "analyzer": analyzer}
    others = [f"{role}: {who.name}" for role, who in apart.items() if who not in (None, member)]
    return Team(
        member,
        critic,
        analyzer,
        "; ".join([said, *others]),
        budget,
        find_address(spec, settings.base_url, environ),
        _make_judge(settings, spec, ask_apart, environ, warn),
    )


def _make_judge(
    settings: RunSettings,
    spec: str,
    ask_apart: Callable[[str], ChatModel | None],
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> FilmJudge | None:
    """Return who watches films; None if nobody is to or can."""
    if settings.judge == "none":
        return None
    if not settings.pictures:
        warn("no film is judged: no picture is sent (--no-pictures)")
        return None
    asked = settings.choose_endpoint("judge")
    own = asked.provider or spec
    model = ask_apart("judge")
    if model is None or "judge" not in model.agents:
        why = "holds no reply of a judge" if model else "asks no language model"
        remedy = "name a model that sees: --judge-model 'provider=… model=…'"
        warn(f"no film is judged: {own} {why}; {remedy}")
        return None
    return FilmJudge(model, find_address(own, asked.base_url, environ))


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
    budget, around = _prepare(settings, run_dir, environ, cancel, warn)
    return connect(settings.choose_endpoint("designer"), spec, around, budget, on_retry), budget


def _prepare(
    settings: RunSettings,
    run_dir: Path,
    environ: Mapping[str, str],
    cancel: threading.Event,
    warn: Callable[[str], None],
) -> tuple[Budget, ProviderOptions]:
    limits = SpendingLimits(settings.max_usd, settings.max_tokens, settings.max_calls)
    replies = Replies(run_dir / REPLIES_FILE, settings.cache, warn)
    around = ProviderOptions(environ=environ, cancel=cancel, folder=run_dir, warn=warn)
    return Budget(limits, replies, cancel), around
