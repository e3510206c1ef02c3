"""What calls of models send where, and whether they may cost money that nobody agreed to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from reward_agent.errors import Interrupted, UsageError
from reward_agent.llm.address import is_loopback
from reward_agent.llm.provider import ProviderOptions, choose_provider, find_address, find_provider
from reward_agent.records.events import Disclosed
from reward_agent.records.settings import EndpointSettings, RunSettings
from reward_agent.run.estimate import Expense

# Asked whether calls may begin that may cost so much; raises ``UsageError`` where nobody can be.
Agree = Callable[[Expense], bool]
ASKED = frozenset({"designer", "critic", "analyzer", "judge"})


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
    agree: Agree | None,
    expect: Callable[[], Expense],
    roles: Collection[str] = ASKED,
) -> None:
    """Ask whether calls may begin, if they may cost money and no limit is set.

    Args:
        settings: who is asked, and the limits.
        environ: where keys are looked up.
        agree: who decides; None: it is agreed.
        expect: what the calls cost.
        roles: who calls.

    Raises:
        Interrupted: they may not.
        UsageError: nobody can be asked.
    """
    limits = (settings.max_usd, settings.max_tokens, settings.max_calls)
    if agree is None or any(limit is not None for limit in limits):
        return
    if is_paid(settings, environ, roles) and not agree(expect()):
        raise Interrupted("stopped before the first call: nothing was sent, nothing is paid")


def is_paid(
    settings: RunSettings, environ: Mapping[str, str], roles: Collection[str] = ASKED
) -> bool:
    """Whether anybody who is asked may want money."""
    asked, addresses = list_asked(settings, environ), list_addresses(settings, environ)
    return any(
        role in roles and role in addresses and _wants_money(told, environ)
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


def explain_unagreed(expected: Expense) -> UsageError:
    """Return the error for calls that may cost money where nobody can be asked."""
    return UsageError(
        f"this may cost money, and no limit is set: {tell_cost(expected)}",
        "give --max-usd or --max-calls; --yes agrees to whatever it costs",
    )


def tell_cost(expected: Expense) -> str:
    """Say in a line what calls likely cost, and at most."""
    calls = f"{expected.calls.likely:,.0f} calls of {expected.model}, {expected.calls.high:,.0f}"
    calls = f"each {expected.each}: likely {calls}" if expected.each else f"likely {calls}"
    if expected.usd is None:
        return f"{calls} at most, at a price that is not known"
    return f"{calls} at most; likely {expected.usd.likely:.2f} USD, {expected.usd.high:.2f} at most"


def _is_here(address: str) -> bool:
    return is_loopback(urlsplit(address).hostname or "")
