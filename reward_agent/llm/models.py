"""The table of known models: context window, prices."""

from __future__ import annotations

import datetime
import tomllib
from functools import cache
from importlib import resources

from pydantic import Field

from reward_agent.types import Record, Usage


class ModelCard(Record):
    """What is known of one model. Prices are USD per million tokens."""

    provider: str
    context: int = Field(gt=0, description="tokens")
    input: float
    output: float
    cached_input: float
    cache_write: float


class ModelTable(Record):
    """``models.toml``."""

    checked: datetime.date = Field(description="when the prices were looked up")
    model: dict[str, ModelCard]


@cache
def load_models() -> ModelTable:
    """Read the table that ships with the package."""
    text = resources.files("reward_agent.llm").joinpath("models.toml").read_text("utf-8")
    return ModelTable.model_validate(tomllib.loads(text))


def find_model(name: str) -> ModelCard | None:
    """Return the card of a model, also under a dated name such as ``…-2026-11-17``."""
    table = load_models().model
    known = [key for key in table if name == key or name.startswith(f"{key}-20")]
    return table[max(known, key=len)] if known else None


def count_usage(
    model: str,
    *,
    fresh_input_tokens: int = 0,
    cached_input_tokens: int = 0,
    cache_write_tokens: int = 0,
    output_tokens: int = 0,
    reasoning_tokens: int = 0,
) -> Usage:
    """Return the usage of one call, priced if the model is known.

    Args:
        model: the name that the provider answered with.
        fresh_input_tokens: input that was neither read from nor written to the prompt cache.
        cached_input_tokens: input read from the prompt cache.
        cache_write_tokens: input written to the prompt cache.
        output_tokens: the reply, reasoning included.
        reasoning_tokens: the share of the output that is reasoning.
    """
    usage = Usage(
        n_calls=1,
        input_tokens=fresh_input_tokens + cached_input_tokens + cache_write_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=cached_input_tokens,
        reasoning_tokens=reasoning_tokens,
    )
    card = find_model(model)
    if card is None or not usage.input_tokens:  # a server that counts nothing costs something
        return usage
    return usage.model_copy(update={"usd": price_usage(usage, card, cache_write_tokens)})


def price_usage(usage: Usage, card: ModelCard, n_written: int = 0) -> float:
    """Return USD; ``n_written`` of the input tokens were written to the prompt cache."""
    fresh = usage.input_tokens - usage.cached_input_tokens - n_written
    paid = fresh * card.input + usage.cached_input_tokens * card.cached_input
    return (paid + n_written * card.cache_write + usage.output_tokens * card.output) / 1e6
