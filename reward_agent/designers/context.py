"""What every agent is shown of the world: the environment, and the language of programs."""

from __future__ import annotations

from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.card_text import render_card_as_prompt
from reward_agent.rewards.language import describe_language


@dataclass(frozen=True)
class Rules:
    """The reward language in words."""

    language: str
    helpers: str


def describe_rules() -> Rules:
    """Return what a program may use."""
    # Here, not above: the library needs NumPy, which the commands that only list do not.
    from reward_agent.rewards.library import describe_library

    return Rules(describe_language(), describe_library())


def describe_environment(card: EnvCard) -> str:
    """Return the card as the compact class that a model reads."""
    return render_card_as_prompt(card).strip()
