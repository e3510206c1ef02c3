"""What a provider's failure means: one ``ModelError`` with a remedy and without secrets."""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from reward_agent.errors import (
    ContextTooLongError,
    MissingKeyError,
    ModelError,
    QuotaError,
    RateLimitError,
    RejectedKeyError,
    UnreachableError,
    find_closest_name,
)
from reward_agent.llm.models import load_models

_MAX_QUOTE = 200
_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|gsk|xai|hf)[-_][A-Za-z0-9_*.-]{6,}")
_BEARER = re.compile(r"(?i)\b(bearer|x-api-key)[\s:=]+\S+")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")

_QUOTA = re.compile(
    r"insufficient_quota|billing|credit balance|spend[_ ]limit|exceeded your .*quota"
)
_CONTEXT = re.compile(
    r"context_length_exceeded|maximum context length|prompt is too long"
    r"|context (window|size|length)"
    r"|input is too long|too many tokens|exceed.{0,40}context"
)


_FILTER = re.compile(r"content[ _](filter|policy|management policy)")
# An error in the middle of a stream has a kind and no status: the one that it would have had.
_STATUS_OF_KIND = (
    ("overloaded", 529),
    ("rate_limit|insufficient_quota", 429),
    ("context_length|invalid_request", 400),
    ("authentication|invalid_api_key", 401),
    ("billing", 402),
    ("permission", 403),
    ("not_found", 404),
    ("timeout", 504),
)


@dataclass(frozen=True)
class Endpoint:
    """Whom we call, for error texts: provider, model, address and where the key comes from."""

    provider: str
    model: str
    base_url: str
    key_variable: str
    api_key: str = ""

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"Endpoint({self.provider}, {self.model}, {self.address})"

    @property
    def address(self) -> str:
        """Scheme, host and path, without credentials or a query."""
        parts = urlsplit(self.base_url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}".rstrip("/")

    def scrub(self, text: str) -> str:
        """Return a provider's text on one line, shortened, without anything like a key."""
        if self.api_key:
            text = text.replace(self.api_key, "[key]")
        text = _USERINFO.sub("", _BEARER.sub(r"\1 [key]", _KEY_LIKE.sub("[key]", text)))
        text = " ".join(text.split())
        return text if len(text) <= _MAX_QUOTE else text[: _MAX_QUOTE - 1] + "…"


@dataclass(frozen=True)
class HttpFailure:
    """An error that a provider tells, as both SDKs report it.

    Args:
        status: of the response, or the one that the kind of error stands for.
        code: the provider's words for the kind.
        message: the provider's text.
        retry_after_s: how long it asks to wait.
        is_in_reply: whether it came with success, such as in the middle of a stream.
    """

    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    is_in_reply: bool = False

    @property
    def place(self) -> str:
        """Where it came, for messages."""
        return "in its reply" if self.is_in_reply else f"HTTP {self.status}"

    @property
    def text(self) -> str:
        """Everything that tells the kinds of failure apart, in lower case."""
        return f"{self.code} {self.message}".lower()

    @property
    def is_content_filter(self) -> bool:
        """Whether a filter in front of the model stopped the prompt."""
        return self.status == 400 and bool(_FILTER.search(self.text))


def make_missing_key_error(provider: str, key_variable: str) -> MissingKeyError:
    """Return the error for a provider without a key."""
    return MissingKeyError(
        f"no API key for {provider}: {key_variable} is not set",
        f"export {key_variable}=…, or use --provider offline",
    )


def explain_http_failure(endpoint: Endpoint, failure: HttpFailure) -> ModelError:
    """Return the one error that a response with an error status means."""
    for is_it, make in _RULES:
        if is_it(failure):
            return make(endpoint, failure)
    return ModelError(
        f"{endpoint.provider} refused the request ({failure.place}): "
        f"{endpoint.scrub(failure.message)}",
        "check --model and the provider's limits; --debug shows where it failed",
    )


def explain_timeout(endpoint: Endpoint, timeout_s: float) -> ModelError:
    """Return the error for a provider that accepted the request and stayed silent."""
    return UnreachableError(
        f"{endpoint.provider} sent nothing for {timeout_s:g} s ({endpoint.address})",
        "try again later, or use a faster model; the run can be resumed",
        is_transient=True,
        may_be_billed=True,
    )


def explain_connection_failure(endpoint: Endpoint, cause: BaseException) -> ModelError:
    """Return the error for a connection that could not be made or was dropped."""
    reason = endpoint.scrub(str(cause.__cause__ or cause)) or type(cause).__name__
    return UnreachableError(
        f"the connection to {endpoint.provider} at {endpoint.address} failed: {reason}",
        "check the network, the proxy settings and the base URL; the run can be resumed",
        is_transient=True,
    )


def explain_malformed_reply(endpoint: Endpoint, what: str, *, is_transient: bool) -> ModelError:
    """Return the error for a response that came with success and is not a completion."""
    return ModelError(
        f"{endpoint.provider} at {endpoint.address} answered with {endpoint.scrub(what)}",
        "check that the base URL is an API's (it often ends in /v1), or try again later",
        is_transient=is_transient,
    )


def explain_early_end(endpoint: Endpoint, n_chars: int) -> ModelError:
    """Return the error for a stream that ended without saying why."""
    return UnreachableError(
        f"the reply of {endpoint.provider} ended early, after {n_chars} characters "
        f"({endpoint.address})",
        "try again later; if it happens each time, look at the proxy between; "
        "the run can be resumed",
        is_transient=True,
        may_be_billed=True,
    )


def explain_deadline(provider: str, deadline_s: float) -> ModelError:
    """Return the error for a reply that goes on and on."""
    return UnreachableError(
        f"{provider} did not finish its reply in {deadline_s:g} s",
        "try again later, or use a faster model; the run can be resumed",
        is_transient=True,
        may_be_billed=True,
    )


def find_status(kind: str) -> int:
    """Return the status that a kind of error stands for; an unknown one is the server's."""
    if kind.strip().isdigit() and 400 <= int(kind) < 600:
        return int(kind)
    return next((s for words, s in _STATUS_OF_KIND if re.search(words, kind.lower())), 500)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the headers ask to wait; nonsense counts as absent."""
    given = headers.get("retry-after") or ""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif "GMT" in given:
            moment = email.utils.parsedate_to_datetime(given)
            seconds = max(0.0, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())
        else:
            seconds = float(given)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None


def _explain_bad_key(endpoint: Endpoint, failure: HttpFailure) -> ModelError:
    # The provider's text is left out: some quote a part of the key.
    return RejectedKeyError(
        f"{endpoint.provider} does not accept the API key ({failure.place})",
        f"check {endpoint.key_variable}, and that the key may use {endpoint.model}",
    )


def _explain_quota(endpoint: Endpoint, failure: HttpFailure) -> ModelError:
    return QuotaError(
        f"the {endpoint.provider} account has no credit left: {endpoint.scrub(failure.message)}",
        f"add credit, or use another provider; key from {endpoint.key_variable}",
    )


def _explain_unknown_model(endpoint: Endpoint, failure: HttpFailure) -> ModelError:
    known = [n for n, card in load_models().model.items() if card.provider == endpoint.provider]
    closest = find_closest_name(endpoint.model, known)
    hint = f"; did you mean {closest!r}?" if closest and closest != endpoint.model else ""
    return ModelError(
        f"{endpoint.provider} at {endpoint.address} knows no model {endpoint.model!r}{hint}",
        "check --model and --base-url" + (f"; known: {', '.join(known)}" if known else ""),
    )


def _explain_long_context(endpoint: Endpoint, failure: HttpFailure) -> ModelError:
    return ContextTooLongError(
        f"the prompt does not fit into {endpoint.model}: {endpoint.scrub(failure.message)}",
        "use a model with a larger context, or fewer candidates",
    )


def _explain_rate_limit(endpoint: Endpoint, failure: HttpFailure) -> ModelError:
    wait = "" if failure.retry_after_s is None else f", for {failure.retry_after_s:g} s"
    return RateLimitError(
        f"{endpoint.provider} asks to slow down{wait}: {endpoint.scrub(failure.message)}",
        "wait and resume the run, or ask for fewer --candidates",
        is_transient=True,
        retry_after_s=failure.retry_after_s,
    )


def _explain_server_failure(endpoint: Endpoint, failure: HttpFailure) -> ModelError:
    what = "is overloaded" if failure.status == 529 else "is failing"
    return UnreachableError(
        f"{endpoint.provider} {what} ({failure.place}): {endpoint.scrub(failure.message)}",
        "try again later; the run can be resumed",
        is_transient=True,
        retry_after_s=failure.retry_after_s,
    )


# The first rule that holds decides: the same status means different things by its text.
_RULES: tuple[
    tuple[Callable[[HttpFailure], bool], Callable[[Endpoint, HttpFailure], ModelError]], ...
] = (
    (lambda f: f.status == 402, _explain_quota),
    (lambda f: f.status in (400, 403, 429) and bool(_QUOTA.search(f.text)), _explain_quota),
    (lambda f: f.status in (401, 403), _explain_bad_key),
    (lambda f: f.status == 413, _explain_long_context),
    (lambda f: f.status in (400, 422) and bool(_CONTEXT.search(f.text)), _explain_long_context),
    (lambda f: f.status == 404, _explain_unknown_model),
    (lambda f: f.status == 400 and "model_not_found" in f.text, _explain_unknown_model),
    (lambda f: f.status == 429, _explain_rate_limit),
    (lambda f: f.status in (408, 409) or f.status >= 500, _explain_server_failure),
)
