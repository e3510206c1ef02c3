"""What a run sends where, and whether it may cost money that nobody agreed to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reward_agent.errors import Interrupted, UsageError
from reward_agent.llm.address import is_loopback
from reward_agent.llm.provider import ProviderOptions, choose_provider, find_address, find_provider
from reward_agent.records.events import Disclosed
from reward_agent.records.settings import EndpointSettings, RunSettings
from reward_agent.run.estimate import Estimate, estimate_design

# Asked whether a run may begin that may cost so much; raises ``UsageError`` where nobody can be.
Agree = Callable[[Estimate], bool]


def list_asked(settings: RunSettings, environ: Mapping[str, str]) -> dict[str, EndpointSettings]:
    """Return whom each role of a run asks, the providers' names filled in."""
    wanted = {
        "designer": True, "critic": settings.critic, "analyzer": settings.analyzer,
        "judge": settings.judge != "none" and settings.pictures,
    }  # fmt: skip
    spec = settings.provider or choose_provider(environ).spec
    asked = {role: settings.choose_endpoint(role) for role in wanted if wanted[role]}
    return {
        role: told.model_copy(update={"provider": told.provider or spec})
        for role, told in asked.items()
    }


def list_addresses(settings: RunSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return where each role's calls go, beyond this machine."""
    found = {
        role: find_address(told.provider or "", told.base_url, environ)
        for role, told in list_asked(settings, environ).items()
    }
    return {role: url for role, url in found.items() if url and not _is_here(url)}


def disclose(
    settings: RunSettings, environ: Mapping[str, str], n_given: int = 0
) -> Disclosed | None:
    """Return what leaves this machine in a run, and where to; None if nothing does."""
    addresses = list_addresses(settings, environ)
    if not addresses:
        return None
    what = ["the card", "the task", "programs", "statistics of trainings"]
    what += ["the rewards that it starts from"] if n_given else []
    what += ["pictures of films"] if "judge" in addresses else []
    return Disclosed(tuple(what), tuple(dict.fromkeys(addresses.values())))


def agree_to_spend(
    settings: RunSettings,
    environ: Mapping[str, str],
    agree: Agree,
    env: str | None,
    task: str | None,
    runs_dir: Path | None,
    options: Mapping[str, Any],
) -> None:
    """Ask whether a run may begin, if it may cost money and no limit is set.

    Raises:
        Interrupted: it may not.
        UsageError: nobody can be asked.
    """
    limits = (settings.max_usd, settings.max_tokens, settings.max_calls)
    if any(limit is not None for limit in limits) or not _costs(settings, environ):
        return
    estimate = estimate_design(env, task, runs_dir=runs_dir, environ=environ, **options)
    if not agree(estimate):
        raise Interrupted("stopped before the first call: nothing was sent, nothing is paid")


def _costs(settings: RunSettings, environ: Mapping[str, str]) -> bool:
    """Whether anybody who is asked may want money."""
    asked = list_asked(settings, environ)
    return any(
        role in list_addresses(settings, environ) and _wants_money(told, environ)
        for role, told in asked.items()
    )


def _wants_money(told: EndpointSettings, environ: Mapping[str, str]) -> bool:
    spec = told.provider or ""
    row = find_provider(spec)
    if row.needs_key and not row.choose_key(environ)[1]:
        return False  # what is missing is said next
    model = told.model or row.default_model
    card = ProviderOptions(environ=environ).ask(told, spec).find_card(row, model)
    if card is None:
        return not row.is_free
    return any(rates.input or rates.output for rates in card.rates)


def explain_unagreed(estimate: Estimate) -> UsageError:
    """Return the error for a run that may cost money where nobody can be asked."""
    return UsageError(
        f"this run may cost money, and no limit is set: {tell_cost(estimate)}",
        "give --max-usd or --max-calls; --yes agrees to whatever it costs",
    )


def tell_cost(estimate: Estimate) -> str:
    """Say in a line what a run likely costs, and at most."""
    calls = f"{estimate.calls.likely:,.0f} calls of {estimate.model}, {estimate.calls.high:,.0f}"
    if estimate.usd is None:
        return f"likely {calls} at most, at a price that is not known"
    return (
        f"likely {calls} at most; likely {estimate.usd.likely:.2f} USD, "
        f"{estimate.usd.high:.2f} at most"
    )


def _is_here(address: str) -> bool:
    return is_loopback(urlsplit(address).hostname or "")
