"""What an error status of a provider means, by its text: one status means many things."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reward_agent.errors import (
    ContextTooLongError,
    ModelError,
    QuotaError,
    RateLimitError,
    RejectedKeyError,
    UnknownModelError,
    UnreachableError,
    find_closest_name,
)
from reward_agent.llm.address import Proxy
from reward_agent.llm.failures import Endpoint, HttpFailure
from reward_agent.llm.models import list_models
from reward_agent.text import WITHHELD

# Some quote a part of the key; what looks like one is not repeated.
_LIKE_A_KEY = re.compile(r"\S*\*\*\S*|(?=\S*\d)[\w.-]{12,}")


def explain_http_failure(
    endpoint: Endpoint, failure: HttpFailure, proxy: Proxy | None = None
) -> ModelError:
    """Return the one error that a response with an error status means.

    Args:
        endpoint: who was called.
        failure: what came.
        proxy: that stands in between, and may have answered itself.
    """
    said = endpoint.scrub(failure.said)
    if proxy is not None and (failure.status == 407 or failure.is_page):
        return UnreachableError(
            f"{proxy} answers in place of {endpoint.provider} (HTTP {failure.status}): {said}",
            proxy.remedy,
            is_transient=failure.status >= 500,
        )
    if failure.is_of_path:
        return UnreachableError(
            f"there is no API of {endpoint.provider} at {endpoint.address}: it answers with "
            f"HTTP {failure.status}, {said if failure.is_page else 'no such path'}",
            "check --base-url: most end in /v1, and leave out /chat/completions",
        )
    told = f"{failure.status} {'<html ' * failure.is_page}{failure.text}"
    row = next(row for row in _MEANINGS if re.match(row.told, told, re.DOTALL))
    closest = find_closest_name(endpoint.model, list_models(endpoint.vendor))
    wait_s = failure.retry_after_s
    words = {
        "provider": endpoint.provider,
        "model": endpoint.model,
        "address": endpoint.address,
        "key": endpoint.key_variable,
        "place": "in its reply" if failure.is_in_reply else f"HTTP {failure.status}",
        "said": said,
        "why": _quote_refusal(endpoint, said),
        "wait": "" if wait_s is None else f", for {wait_s:g} s",
        "hint": f"; did you mean {closest!r}?" if closest not in (None, endpoint.model) else "",
    }
    return row.error(
        row.message.format(**words),
        row.remedy.format(**words),
        is_transient=row.is_transient,
        retry_after_s=wait_s if row.is_transient else None,
    )


def _quote_refusal(endpoint: Endpoint, said: str) -> str:
    """Return why a key is refused, to end a line with; '' where it quotes a part of the key."""
    key = endpoint.api_key
    if WITHHELD in said or (key and (key[:5] in said or key[-4:] in said)):
        return ""
    return f": {_LIKE_A_KEY.sub('…', said)}" if said else ""


@dataclass(frozen=True)
class _Meaning:
    """What a failure whose status and text are ``told`` means: the error, message and remedy."""

    told: str
    error: type[ModelError]
    message: str
    remedy: str
    is_transient: bool = False


# The first one decides.
_MEANINGS = (
    _Meaning(
        "402 .*max_tokens",
        QuotaError,
        "the {provider} account has too little credit left: {said}",
        "add credit, or ask for shorter replies: --reply-tokens; key from {key}",
    ),
    _Meaning(
        r"402|(400|403|429) .*(insufficient_quota|billing|credit balance|spend[_ ]limit"
        r"|exceeded your .*quota)",
        QuotaError,
        "the {provider} account has no credit left: {said}",
        "add credit, or use another provider; key from {key}",
    ),
    _Meaning(
        "400 <html .*https port",
        UnreachableError,
        "{provider} at {address} speaks HTTPS alone ({place})",
        "give its address with https:// (--base-url)",
    ),
    _Meaning(
        r"4(?!04|05|08|09|13|29)\d\d <html ",
        UnreachableError,
        "in place of {provider} at {address} answers {said} ({place})",
        "something stands in between, such as a firewall, a sign-in or a gateway: check "
        "--base-url, or try from another network",
    ),
    _Meaning(
        r"40[03] .*(unsupported_country|(country|region|location)\b.{0,60}not supported)",
        ModelError,
        "{provider} is not offered where this machine is ({place}): {said}",
        "use another provider",
    ),
    _Meaning(
        r"401|400 .*(api key not valid|(invalid|incorrect) api key|api_key_invalid)",
        RejectedKeyError,
        "{provider} does not accept the API key ({place}){why}",
        "check {key}, and that the key may use {model}",
    ),
    _Meaning(
        "403",
        RejectedKeyError,
        "{provider} does not allow this with the API key ({place}){why}",
        "check what {key} may do, and that it may use {model}",
    ),
    _Meaning(
        r"413|(400|422) .*(context_length_exceeded|maximum context length|prompt is too long"
        r"|context (window|size|length)|input is too long|too many tokens"
        r"|exceed.{0,40}context)",
        ContextTooLongError,
        "the prompt does not fit into {model}: {said}",
        "use a model with a larger context, or give a server of yours a longer window; fewer "
        "--candidates make prompts shorter, and --reply-tokens leaves more of the window to them",
    ),
    _Meaning(
        "429 .*request too large",
        ContextTooLongError,
        "one call is more than {provider} lets through in a minute: {said}",
        "lower --reply-tokens, use another model, or raise the account's limits",
    ),
    _Meaning(
        r"(400|422) .*(max_(completion_|output_)?tokens|number of output tokens)",
        ModelError,
        "{provider} refuses the longest reply that was asked for ({place}): {said}",
        "lower --reply-tokens",
    ),
    _Meaning(
        r"404 .*(only supported in|no endpoints found|not a chat model|v1/(responses|completions))",
        ModelError,
        "{provider} does not answer chats with {model} ({place}): {said}",
        "name another --model, or change what the account allows",
    ),
    _Meaning(
        "404|400 .*model_not_found",
        UnknownModelError,
        "{provider} at {address} knows no model {model!r}{hint}: {said}",
        "check --model and --base-url",
    ),
    _Meaning(
        # The key is not carried to another address than the one that was shown.
        "3",
        ModelError,
        "{provider} at {address} sends the call on to another address ({place})",
        "give the address that answers itself as --base-url",
    ),
    _Meaning(
        "429",
        RateLimitError,
        "{provider} asks to slow down{wait}: {said}",
        "wait and resume the run, or ask for fewer --candidates",
        is_transient=True,
    ),
    _Meaning(
        "529",
        UnreachableError,
        "{provider} is overloaded ({place}): {said}",
        "try again later; the run can be resumed",
        is_transient=True,
    ),
    _Meaning(
        "5.. .*(more system memory|out of memory)",
        UnreachableError,
        "{provider} at {address} has too little memory for {model} ({place}): {said}",
        "free memory there, or name a smaller --model",
    ),
    _Meaning(
        "408|409|5",
        UnreachableError,
        "{provider} is failing ({place}): {said}",
        "try again later; the run can be resumed",
        is_transient=True,
    ),
    _Meaning(
        "",
        ModelError,
        "{provider} refused the request ({place}): {said}",
        "check --model and the provider's limits; --debug shows where it failed",
    ),
)
