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
from reward_agent.records.settings import DesignConfig


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
    config: DesignConfig,
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
        config: settings of the run.
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
    spec = config.provider or choice.spec
    limits = SpendingLimits(config.max_usd, config.max_tokens, config.max_calls)
    budget = Budget(limits, CallLog(run_dir / CALLS_FILE), cancel)
    model = make_chat_model(
        spec,
        model=config.model,
        base_url=config.base_url,
        environ=environ,
        policy=CallPolicy(reply_tokens=config.reply_tokens),
        cache_path=run_dir / REPLIES_FILE,
        cache_mode=config.cache,
        budget=budget,
        folder=run_dir,
        cancel=cancel,
        on_retry=on_retry,
        warn=warn,
    )
    description = f"{model.provider}: {model.name}" if config.provider else choice.sentence
    has_critic = config.critic and "critic" in model.agents
    has_analyzer = config.analyzer and "analyzer" in model.agents
    return Team(
        Designer(model),
        Critic(model) if has_critic else None,
        Analyzer(model) if has_analyzer else None,
        description,
        budget,
    )
