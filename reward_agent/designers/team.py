"""The agents of a run: which roles its model plays, and how the run names its designer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reward_agent.designers.analyzer import Analyzer
from reward_agent.designers.critic import Critic
from reward_agent.designers.designer import Designer
from reward_agent.llm.budget import Budget, SpendingLimits
from reward_agent.llm.cache import REPLIES_FILE
from reward_agent.llm.costs import CALLS_FILE, CallLog
from reward_agent.llm.registry import CallPolicy, choose_provider, make_chat_model
from reward_agent.records.settings import RunSettings


@dataclass(frozen=True)
class Team:
    """The agents of one run.

    Args:
        designer: writes programs.
        critic: reviews them; None when switched off or not played by the model.
        analyzer: explains trainings; None likewise.
        description: provider and model, for the first line of output and the record.
        budget: what the run may spend, and has spent.
    """

    designer: Designer
    critic: Critic | None
    analyzer: Analyzer | None
    description: str
    budget: Budget


def make_team(
    settings: RunSettings,
    run_dir: Path,
    environ: Mapping[str, str],
    cancel: threading.Event,
    on_retry: Callable[[str], None] = lambda reason: None,
    warn: Callable[[str], None] = lambda what: None,
) -> Team:
    """Return the agents that the settings ask for.

    Replies are kept in the run's directory, so that a run that is taken up again pays for none
    twice.

    Args:
        settings: settings of the run.
        run_dir: the run's directory.
        environ: where keys are looked up.
        cancel: ends waiting calls.
        on_retry: is told why a call waits.
        warn: is told what a user should know.

    Raises:
        UsageError: the provider is unknown, or something that it needs is missing.
        MissingKeyError: its key is not set.
    """
    choice = choose_provider(environ)
    spec = settings.provider or choice.spec
    limits = SpendingLimits(settings.max_usd, settings.max_tokens, settings.max_calls)
    budget = Budget(limits, CallLog(run_dir / CALLS_FILE), cancel)
    model = make_chat_model(
        spec,
        model=settings.model,
        base_url=settings.base_url,
        environ=environ,
        policy=CallPolicy(reply_tokens=settings.reply_tokens),
        cache_path=run_dir / REPLIES_FILE,
        cache_mode=settings.cache,
        budget=budget,
        folder=run_dir,
        cancel=cancel,
        on_retry=on_retry,
        warn=warn,
    )
    description = f"{model.provider}: {model.name}" if settings.provider else choice.sentence
    has_critic = settings.critic and "critic" in model.agents
    has_analyzer = settings.analyzer and "analyzer" in model.agents
    return Team(
        Designer(model),
        Critic(model) if has_critic else None,
        Analyzer(model) if has_analyzer else None,
        description,
        budget,
    )
