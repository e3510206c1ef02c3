"""What is known of models: context window and prices.

They are kept by the package ``genai-prices``, which brings a table of some fifty vendors and is
released every few days; nothing is fetched. ``models.toml`` holds what it lacks so far. What a
person says of a model (``--prices``) goes before both.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from reward_agent.records.settings import PriceTable
from reward_agent.types import Record, Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

# Vendors whose names are known wherever they are asked, as by a gateway.
_NAMED_ANYWHERE = ("openai", "anthropic")


class Rates(Record):
    """US dollars per million tokens, of calls with more than ``above`` input tokens."""

    above: int = 0
    input: float
    output: float
    cached_input: float
    cache_write: float

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: dict[str, float]) -> dict[str, float]:
        """What is not known of the cache costs what input does."""
        return {"cached_input": given["input"], "cache_write": given["input"], **given}


class ModelCard(Record):
    """What is known of one model.

    Args:
        name: as its vendor says it.
        vendor: whose prices they are, in the words of ``genai-prices``; '' for a person's own.
        context: its window in tokens; None if it is not known.
        rates: what it costs, by the length of a call's input, the short ones first.
    """

    name: str
    vendor: str
    context: int | None = None
    rates: tuple[Rates, ...] = Field(min_length=1)

    def choose_rates(self, input_tokens: float) -> Rates:
        """Return what a call with so much input costs, all of it."""
        return [item for item in self.rates if not item.above or input_tokens > item.above][-1]


def find_model(
    name: str, vendor: str = "", base_url: str = "", prices: PriceTable | None = None
) -> ModelCard | None:
    """Return the card of a model, also under a dated name; None where no price is known.

    Args:
        name: as it is asked for, or as the answer names it.
        vendor: whom it is asked of, in the words of ``genai-prices``; '' where the address tells.
        base_url: the address.
        prices: what the person says.
    """
    card = _find_kept(name, vendor, base_url)
    if prices is None:
        return card
    own = Rates.model_validate(prices.model_dump(exclude_none=True))
    return ModelCard(name=name, vendor="", context=card.context if card else None, rates=(own,))


def list_models(vendor: str) -> list[str]:
    """Return the names of a vendor's models whose prices are known."""
    from genai_prices.data_snapshot import get_snapshot

    kept = [item for item in get_snapshot().providers if item.id == vendor]
    names = [model.id for provider in kept for model in provider.models]
    return sorted({*names, *(card.name for card in _load_own() if card.vendor == vendor)})


def name_source() -> str:
    """Return where kept prices are from, for people."""
    return f"genai-prices {metadata.version('genai-prices')}"


@cache
def _find_kept(name: str, vendor: str, base_url: str) -> ModelCard | None:
    own = [card for card in _load_own() if vendor in ("", card.vendor) and _is_named(name, card)]
    return own[0] if own else _find_in_package(name, vendor, base_url)


@cache
def _load_own() -> tuple[ModelCard, ...]:
    text = resources.files("reward_agent.llm").joinpath("models.toml").read_text("utf-8")
    return tuple(ModelCard.model_validate(row) for row in tomllib.loads(text).values())


def _is_named(name: str, card: ModelCard) -> bool:
    """Whether it is the card's model, also dated, such as ``…-2026-11-17``."""
    return name == card.name or name.startswith(f"{card.name}-20")


def _find_in_package(name: str, vendor: str, base_url: str) -> ModelCard | None:
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    asked: list[tuple[str | None, str | None]] = [(known, None) for known in _NAMED_ANYWHERE]
    if vendor:
        asked = [(vendor, None)]
    elif base_url:
        asked.insert(0, (None, base_url))
    for provider_id, url in asked:
        try:
            provider, model = snapshot.find_provider_model(name, None, provider_id, url)
        except LookupError:
            continue
        rates = _read_rates(model.get_prices(datetime.datetime.now(datetime.UTC)))
        if rates:
            return ModelCard(
                name=model.id, vendor=provider.id, context=model.context_window, rates=rates
            )
    return None


def _read_rates(price: ModelPrice) -> tuple[Rates, ...]:
    """Return what a model costs up to each of its thresholds; nothing if it is not sold so."""
    found: dict[str, Mapping[int, float]] = {}
    for field, key in (
        ("input", "input_mtok"),
        ("output", "output_mtok"),
        ("cached_input", "cache_read_mtok"),
        ("cache_write", "cache_write_mtok"),
    ):
        given = getattr(price, key, None)
        if given is not None:
            tiers = {tier.start: float(tier.price) for tier in getattr(given, "tiers", ())}
            found[field] = {0: float(getattr(given, "base", given))} | tiers
    if not {"input", "output"} <= found.keys():
        return ()
    starts = sorted({start for steps in found.values() for start in steps})
    return tuple(_read_tier(found, start) for start in starts)


def _read_tier(found: Mapping[str, Mapping[int, float]], start: int) -> Rates:
    at = {name: steps[max(s for s in steps if s <= start)] for name, steps in found.items()}
    return Rates.model_validate({"above": start, **at})


def count_usage(
    card: ModelCard | None,
    *,
    fresh_input_tokens: int = 0,
    cached_input_tokens: int = 0,
    cache_write_tokens: int = 0,
    output_tokens: int = 0,
    reasoning_tokens: int = 0,
) -> Usage:
    """Return the usage of one call, priced if the model is known.

    Args:
        card: of the model that answered.
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
    if card is None or not usage.input_tokens:  # a server that counts nothing costs something
        return usage
    return usage.model_copy(update={"usd": price_usage(usage, card, cache_write_tokens)})


def price_usage(usage: Usage, card: ModelCard, n_written: int = 0) -> float:
    """Return USD; ``n_written`` of the input tokens were written to the prompt cache."""
    rates = card.choose_rates(usage.input_tokens)
    fresh = usage.input_tokens - usage.cached_input_tokens - n_written
    paid = fresh * rates.input + usage.cached_input_tokens * rates.cached_input
    return (paid + n_written * rates.cache_write + usage.output_tokens * rates.output) / 1e6
