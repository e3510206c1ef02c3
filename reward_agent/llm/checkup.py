"""Try an endpoint: one call of a few words, one of a picture, and what they show."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from reward_agent.errors import (
    BlindModelError,
    MissingKeyError,
    ModelError,
    QuotaError,
    RejectedKeyError,
    UnknownModelError,
    UnreachableError,
    UsageError,
)
from reward_agent.llm.budget import Budget, SpendingLimits, estimate_worst_case
from reward_agent.llm.calls import CalledChatModel, CallPolicy
from reward_agent.llm.chat import ChatMessage, ChatModel, ChatRequest, Completion
from reward_agent.llm.models import ModelCard, name_source
from reward_agent.llm.provider import (
    PROVIDERS,
    Provider,
    ProviderOptions,
    find_address,
    find_provider,
)
from reward_agent.llm.sdk import SdkChatModel
from reward_agent.records.settings import EndpointSettings
from reward_agent.types import Record

MOST_USD = 0.05  # where a token is dear, replies are shorter
_REPLY_TOKENS, _LEAST_REPLY_TOKENS, _SIDE_PIXELS = 1024, 64, 64
_STEPS = ("address", "key", "model", "call")


@dataclass(frozen=True)
class Fact:
    """What is known of one side of an endpoint.

    Args:
        name: which.
        holds: whether it is there; None if that is not known, or was not tried.
        detail: what was seen.
    """

    name: str
    holds: bool | None
    detail: str


@dataclass(frozen=True)
class Checkup:
    """What a trial showed; ``error`` is what ended it, if something did."""

    facts: tuple[Fact, ...]
    error: ModelError | None = None


class _Counted(Record):
    words: str


def try_endpoint(
    asked: EndpointSettings,
    environ: Mapping[str, str],
    has_picture: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> Checkup:
    """Make one call of a few words, and one of a picture, to whom the settings name.

    Args:
        asked: the settings; the provider is named.
        environ: where keys are looked up.
        has_picture: whether a picture is sent, too.
        tell: is told who is asked what for how much at most, before it is sent, and of warnings.

    Raises:
        UsageError: it asks no language model, or something that it needs is missing.
    """
    spec = asked.provider or ""
    row, address = find_provider(spec), find_address(spec, asked.base_url, environ)
    if row.makes == "designer":
        raise UsageError(f"{spec} asks no language model", "give --provider, such as anthropic")
    options = ProviderOptions(environ=environ, provider=row.name, warn=tell).ask(asked, spec)
    try:
        plain: ChatModel = PROVIDERS.load(row.name)(options)
    except MissingKeyError as error:
        return _tell_failure(error, address)
    card = options.find_card(row, plain.name)
    requests = _shorten(_write_requests()[: 1 + has_picture], card)
    most_usd = None if card is None else max(MOST_USD, _price(requests, card))
    budget = Budget(SpendingLimits(usd=most_usd, calls=2))
    model = CalledChatModel(plain, row, options, CallPolicy(1), budget)
    tell(_tell_plan(requests, model.name, address, "nothing" if row.is_free else card))
    try:
        first = model.complete(requests[0])
    except ModelError as error:
        return _tell_failure(error, address)
    wire = _read_wire(plain, first)  # of the call with a schema
    completions = [first]
    pictures = [_show_picture(model, request, completions) for request in requests[1:]]
    return Checkup(
        (
            Fact("address", True, address or "this machine"),
            Fact("key", *_tell_key(row, environ)),
            Fact("model", True, first.model),
            *wire,
            *pictures,
            _read_window(plain, asked, card),
            _measure_speed(first),
            _tell_price(card, row.is_free),
            _tell_cost(completions, row.is_free),
        )
    )


def _write_requests() -> list[ChatRequest]:
    """Return a question of a few words, and one about a picture."""
    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (_SIDE_PIXELS, _SIDE_PIXELS), (255, 0, 0)).save(picture, "PNG")
    count = 'Count from one to thirty in words, as JSON: {"words": "one, two, …"}'
    turns = (ChatMessage("system", "You answer in JSON alone."), ChatMessage("user", count))
    first = ChatRequest("designer", "doctor/words", turns, _REPLY_TOKENS, reply_type=_Counted)
    asked = ChatMessage("user", "Which colour is it? One word.", picture=picture.getvalue())
    return [first, ChatRequest("judge", "doctor/picture", (asked,), _REPLY_TOKENS, must_see=True)]


def _shorten(requests: list[ChatRequest], card: ModelCard | None) -> list[ChatRequest]:
    """Return requests whose replies are as long as a few cents allow."""
    n_tokens = _REPLY_TOKENS
    while n_tokens > _LEAST_REPLY_TOKENS and _price(requests, card) > MOST_USD:
        n_tokens //= 2
        requests = [replace(request, max_output_tokens=n_tokens) for request in requests]
    return requests


def _price(requests: Sequence[ChatRequest], card: ModelCard | None) -> float:
    return sum(estimate_worst_case(request, card).usd or 0.0 for request in requests)


def _tell_plan(
    requests: Sequence[ChatRequest], model: str, address: str, card: ModelCard | str | None
) -> str:
    """Say what is sent where, and what it may cost."""
    what = "a sentence" + (" and a picture of a red square" if len(requests) > 1 else "")
    cost = "at a price that is not known"
    if isinstance(card, ModelCard):
        cost = f"for {_price(requests, card):.3f} USD at most"
    place = f" at {address}" if address else ""
    return f"asks {model}{place}: {what}" + ("" if card == "nothing" else f", {cost}")


def _tell_failure(error: ModelError, address: str) -> Checkup:
    """Say how far a call came: what is before the fault holds, what is behind was not tried."""
    kinds: tuple[tuple[str, tuple[type[ModelError], ...]], ...] = (
        ("address", (UnreachableError,)),
        ("key", (MissingKeyError, RejectedKeyError, QuotaError)),
        ("model", (UnknownModelError,)),
    )
    failed = next((name for name, kind in kinds if isinstance(error, kind)), "call")
    if error.may_be_billed:  # it answered: a reply that broke off, or is long in coming
        failed = "call"
    if isinstance(error, MissingKeyError):  # nothing was sent
        return Checkup((Fact("key", False, error.message),), error)
    facts = []
    for name in _STEPS[: _STEPS.index(failed)]:
        is_seen = name == "address" or failed == "model"
        facts.append(Fact(name, True if is_seen else None, address if name == "address" else ""))
    return Checkup((*facts, Fact(failed, False, error.message)), error)


def _tell_key(row: Provider, environ: Mapping[str, str]) -> tuple[bool | None, str]:
    variable, key = row.choose_key(environ)
    return (True, f"{variable} is accepted") if key else (None, "none is asked for")


def _read_wire(plain: ChatModel, completion: Completion) -> list[Fact]:
    """Return how a reply came, and whether it has the form that was asked for."""
    is_streamed = plain.is_streamed if isinstance(plain, SdkChatModel) else None
    takes_schema = plain.takes_schema if isinstance(plain, SdkChatModel) else None
    streaming = {
        True: "replies come as they are written",
        False: "a reply comes in one piece, silent until then: see --silence-timeout-s",
        None: "not on this road",
    }
    try:
        _read_form(completion.reply)
        has_form, form = True, "the reply has it"
    except (ValidationError, ValueError):
        has_form, form = False, f"the reply has not: {completion.reply[:60]!r}"
    schema = {
        True: f"is taken; {form}",
        False: f"is refused: the prompt asks in words; {form}",
        None: f"none is sent: the prompt asks in words; {form}",
    }
    return [
        Fact("streaming", is_streamed, streaming[is_streamed]),
        Fact("JSON by schema", False if not has_form else takes_schema, schema[takes_schema]),
    ]


def _read_form(reply: str) -> _Counted:
    """Read the reply, with or without a fence around it."""
    return _Counted.model_validate_json(reply[reply.find("{") : reply.rfind("}") + 1])


def _show_picture(model: ChatModel, request: ChatRequest, completions: list[Completion]) -> Fact:
    """Ask about the picture."""
    try:
        answer = model.complete(request)
    except BlindModelError:
        return Fact("pictures", False, "it sees none: --judge needs another model (--judge-model)")
    except ModelError as error:
        return Fact("pictures", False, error.message)
    completions.append(answer)
    if "red" in answer.reply.lower():
        return Fact("pictures", True, f"{answer.model} sees: it names the colour of a square")
    said = answer.reply.strip()[:60]
    return Fact("pictures", False, f"{answer.model} took a red square, and said {said!r}")


def _read_window(plain: ChatModel, asked: EndpointSettings, card: ModelCard | None) -> Fact:
    """Return the longest context: a person's word before the server's before the kept one."""
    served = plain.ask_window() if isinstance(plain, SdkChatModel) else None
    kept = card.context if card else None
    sources = ((asked.context_tokens, "you"), (served, "its server"), (kept, name_source()))
    for window, source in sources:
        if window:
            return Fact("longest context", True, f"{window:,} tokens, says {source}")
    return Fact("longest context", None, "not known; --context-tokens says it")


def _measure_speed(completion: Completion) -> Fact:
    n_tokens = completion.usage.output_tokens
    if not n_tokens:
        return Fact("speed", None, "its server counts no tokens")
    speed = n_tokens / max(completion.wall_s, 1e-3)
    told = f"{speed:,.0f} tokens/s: {n_tokens} in {completion.wall_s:.1f} s, the wait included"
    return Fact("speed", True, told)


def _tell_price(card: ModelCard | None, is_free: bool) -> Fact:
    if card is None:
        told = "asks no money" if is_free else "not known; --prices says it"
        return Fact("price", is_free or None, told)
    rates = card.rates[0]
    told = f"USD per million tokens: {rates.input:g} in, {rates.output:g} out"
    return Fact("price", True, told)


def _tell_cost(completions: Sequence[Completion], is_free: bool) -> Fact:
    costs = [done.usage.usd for done in completions]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return Fact("cost of this trial", None, "nothing" if is_free else "not known")
    return Fact("cost of this trial", True, f"{sum(known):.4f} USD")
