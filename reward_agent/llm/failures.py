"""What a provider's failure means: one ``ModelError`` with a remedy and without secrets."""

from __future__ import annotations

import base64
import datetime
import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from reward_agent.errors import (
    BlindModelError,
    MissingKeyError,
    ModelError,
    UnreachableError,
    UsageError,
    hint_closest,
)
from reward_agent.llm.address import Proxy
from reward_agent.text import WITHHELD, clean_text, hide_credentials

_MAX_QUOTE = 200
# Of an error that may be of any length, what is looked at.
_MAX_READ = 8_000
# What a body calls its message; FastAPI's has a list of details.
_SAID = ("message", "detail", "msg", "error", "errors", "title")
_SCHEMES = ("http", "https")
_A_KEY = re.compile(r"[!#-&(-~]*")
# What is shorter is part of too many words to be taken out of a text.
_MIN_SECRET = 6
# A program may hold a word that somebody chose as a password, if not a whole phrase.
_MIN_PHRASE = 16
# With these words, and with these statuses, a server says that it takes no pictures.
BLIND_WORDS = re.compile(r"(?i)image|vision|multi-?modal|content.{0,40}\bstr(?:ing)?\b")
_BLIND_STATUSES = frozenset({400, 404, 415, 422, 500, 501})
# A web page, or what a server says that has nothing at a path.
_PAGE = re.compile(r"<html|<!doctype", re.I)
_TITLE = re.compile(r"<(?:title|h1)[^>]*>\s*([^<]{1,100})", re.I)
_NO_SUCH_PATH = frozenset({
    "a", "api", "at", "cannot", "chat", "code", "completions", "could", "detail", "error", "for",
    "found", "http", "invalid", "message", "messages", "method", "msg", "none", "not", "null", "on",
    "page", "path", "post", "requested", "resource", "route", "server", "status", "the", "this",
    "type", "url", "v", "was",
})  # fmt: skip
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
    """Whom we call: provider, model, address and where the key comes from.

    Raises:
        UsageError: the address or the key is none that can be sent; neither is quoted.

    Args:
        provider: its name.
        model: the model's.
        base_url: the address.
        key_variable: where the key comes from.
        api_key: the key.
        secrets: what else goes out with a call and is told to nobody.
        vendor: whose models it has, in the words of the kept prices.
    """

    provider: str
    model: str
    base_url: str
    key_variable: str
    api_key: str = ""
    secrets: tuple[str, ...] = ()
    vendor: str = ""

    def __post_init__(self) -> None:
        """Refuse what the SDKs would fail on, with the key in their message."""
        if not _is_address(self.base_url):
            raise UsageError(
                f"the address that is given for {self.provider} is none of the form "
                f"http(s)://host:port/path{_hint_scheme(self.base_url)}",
                "check --base-url and the variables that name an address",
            )
        if not _A_KEY.fullmatch(self.api_key):
            raise UsageError(
                f"the key of {self.provider} holds characters that no key has",
                f"check {self.key_variable}: a quote, a blank, a line break, or a character that "
                "is no ASCII",
            )

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"Endpoint({self.provider}, {self.model}, {self.address})"

    @property
    def address(self) -> str:
        """Scheme, host and path, without credentials or a query."""
        return hide_credentials(self.base_url).rstrip("/")

    @property
    def plain_url(self) -> str:
        """The address without its query, which is no part of a path."""
        return urlsplit(self.base_url)._replace(query="", fragment="").geturl()

    @property
    def query(self) -> dict[str, str]:
        """What the address asks to send with each call, such as a version or a key."""
        return dict(parse_qsl(urlsplit(self.base_url).query, keep_blank_values=True))

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        """Every credential in each form in which a text may quote it, the longest first."""
        parts = urlsplit(self.base_url)
        user, password = parts.username or "", parts.password or ""
        basic = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        values = [value for name, value in self.query.items() if "version" not in name.lower()]
        known = [
            *self.secrets,
            self.api_key,
            basic,
            password or user,
            parts.query,
            parts.fragment,
            *values,
        ]
        forms = {form for given in known for form in (given, unquote(given))}
        return tuple(sorted((f for f in forms if len(f) >= _MIN_SECRET), key=len, reverse=True))

    def hide(self, text: str) -> str:
        """Return a reply without the credentials of the calls, unless they are plain words."""
        for secret in self._secrets:
            if len(secret) >= _MIN_PHRASE or re.search(r"\d", secret):
                text = text.replace(secret, WITHHELD)
        return text

    def scrub(self, text: str) -> str:
        """Return a provider's text on one line, shortened, without anything like a key."""
        text = text[:_MAX_READ]
        for secret in self._secrets:
            text = text.replace(secret, WITHHELD)
        return clean_text(hide_credentials(text), _MAX_QUOTE).strip()


def _hint_scheme(text: str) -> str:
    scheme, is_given, _ = text.partition("://")
    is_other = is_given and scheme.isalpha() and scheme not in _SCHEMES
    return f": it begins with {scheme[:20]}://{hint_closest(scheme, _SCHEMES)}" if is_other else ""


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in _SCHEMES
            and bool(parts.hostname)
            and parts.port != 0
            and text.isprintable()
            and " " not in text
        )
    except ValueError:  # a port or an IPv6 address that is none
        return False


@dataclass(frozen=True)
class HttpFailure:
    """An error that a provider tells, as both SDKs report it.

    Args:
        status: of the response; one that came with success, such as in the middle of a stream, has
            that which its kind stands for.
        message: the provider's text.
        text: everything that tells the kinds of failure apart, in lower case.
        retry_after_s: how long it asks to wait.
        is_in_reply: whether it came with success.
    """

    status: int
    message: str
    text: str
    retry_after_s: float | None = None
    is_in_reply: bool = False

    @property
    def is_content_filter(self) -> bool:
        """Whether a filter in front of the model stopped the prompt."""
        return self.status == 400 and bool(_FILTER.search(self.text))

    @property
    def is_page(self) -> bool:
        """Whether it is a web page, as no API of models sends."""
        return bool(_PAGE.search(self.text))

    @property
    def said(self) -> str:
        """The provider's text; of a web page its title."""
        if not self.is_page:
            return self.message
        title = _TITLE.search(self.message)
        return f"a web page, {' '.join(title[1].split())!r}" if title else "a web page"

    @property
    def is_of_path(self) -> bool:
        """Whether there is nothing at the address, rather than no such model."""
        words = set(re.findall(r"[a-z]+", self.text))
        return self.status in (404, 405) and (self.is_page or words <= _NO_SUCH_PATH)

    @property
    def is_blindness(self) -> bool:
        """Whether it may be the picture that was refused, if there was one."""
        return self.status in _BLIND_STATUSES and bool(BLIND_WORDS.search(self.text))


def read_failure(failure: Any) -> HttpFailure:
    """Read an SDK's ``APIError``."""
    body = failure.body
    if isinstance(body, list) and body:  # Gemini's
        body = body[0]
    # openai unwraps the "error" object of a body, anthropic does not.
    detail = (body.get("error") or body) if isinstance(body, Mapping) else body
    status = int(getattr(failure, "status_code", None) or 200)
    retry_after_s = parse_retry_after(failure.response.headers) if status >= 300 else None
    return read_detail(detail or failure.message, status, retry_after_s)


def read_detail(detail: Any, status: int = 200, retry_after_s: float | None = None) -> HttpFailure:
    """Read the ``error`` object of a body or an event, or what stands in its place."""
    fields = detail if isinstance(detail, Mapping) else {}
    message, text = _quote(_find_message(fields) or detail), _quote(detail).lower()
    if status >= 300:
        return HttpFailure(status, message, text, retry_after_s)
    kind = f"{_quote(fields.get('type'))} {_quote(fields.get('code'))}".lower()
    given = re.search(r"\b[45]\d\d\b", kind)
    meant = (status for words, status in _STATUS_OF_KIND if re.search(words, kind))
    status = int(given[0]) if given else next(meant, 500)
    return HttpFailure(status, message, text, is_in_reply=True)


def _find_message(fields: Mapping[str, Any]) -> str:
    """Return what a body says, under one of the names that servers have for it."""
    said = next((fields[name] for name in _SAID if fields.get(name)), "")
    rows = said if isinstance(said, list) else [said]
    lines = [_find_message(row) if isinstance(row, Mapping) else _quote(row) for row in rows[:3]]
    where = fields.get("loc")
    place = f" ({'.'.join(map(_quote, where[:9]))})" if isinstance(where, list) and where else ""
    return "; ".join(filter(None, lines)) + place


def _quote(detail: Any) -> str:
    try:
        return str(detail)[:_MAX_READ]
    except RecursionError:
        return f"a {type(detail).__name__} too deep to be told"


def make_missing_key_error(provider: str, key_variable: str) -> MissingKeyError:
    """Return the error for a provider without a key."""
    first = key_variable.partition(" ")[0]
    return MissingKeyError(
        f"no API key for {provider}: {key_variable} is not set",
        f"export {first}=…, or keep it: `reward-agent keys set {first}`; or use --provider offline",
    )


def explain_timeout(endpoint: Endpoint, timeout_s: float) -> ModelError:
    """Return the error for a provider that accepted the request and stayed silent."""
    return UnreachableError(
        f"{endpoint.provider} sent nothing for {timeout_s:g} s ({endpoint.address})",
        "try again later, or use a faster model; the run can be resumed",
        is_transient=True,
        may_be_billed=True,
    )


def explain_connection_failure(
    endpoint: Endpoint, cause: BaseException, proxy: Proxy | None = None, start: str = ""
) -> ModelError:
    """Return the error for a connection that could not be made or was dropped.

    Args:
        endpoint: who was called.
        cause: what the system says.
        proxy: that stands in between.
        start: what starts the server, where it is one of this machine.
    """
    cause = cause.__cause__ or cause
    reason = endpoint.scrub(str(cause)) or type(cause).__name__
    if proxy is not None:
        return UnreachableError(
            f"{proxy} gives no connection to {endpoint.provider} at {endpoint.address}: {reason}",
            proxy.remedy,
            is_transient=True,
        )
    remedy = next(remedy for words, remedy in _CONNECTIONS if re.search(words, reason))
    return UnreachableError(
        f"the connection to {endpoint.provider} at {endpoint.address} failed: {reason}",
        remedy.format(start=f" (`{start}`)" if start else ""),
        is_transient="[SSL" not in reason,
    )


# What to do about a connection, by what the system says of it.
_CONNECTIONS = (
    (
        "CERTIFICATE_VERIFY_FAILED",
        "this machine does not trust its certificate: SSL_CERT_FILE=FILE names an authority of "
        "your own network; else check --base-url",
    ),
    ("WRONG_VERSION_NUMBER|wrong version number", "it speaks no TLS: give --base-url with http://"),
    (
        "(?i)name or service|nodename|getaddrinfo|no address|name resolution",
        "check the host's name in --base-url, and the network",
    ),
    (
        "(?i)refused",
        "nothing listens there: start its server{start}, or check host and port of --base-url",
    ),
    (
        "(?i)disconnected without|reset by peer|illegal request",
        "try again; if it happens each time, it wants https:// or is no such server: check "
        "--base-url; the run can be resumed",
    ),
    ("", "check the network, the proxy settings and the base URL; the run can be resumed"),
)


def explain_blind(endpoint: Endpoint, said: str) -> BlindModelError:
    """Return the error for a model that was shown a picture and takes none."""
    return BlindModelError(
        f"{endpoint.model} at {endpoint.address} takes no pictures: {endpoint.scrub(said)}",
        "name a model that sees: --judge-model 'provider=… model=…'",
    )


def explain_cut_prompt(endpoint: Endpoint, n_read: int, n_sent: int) -> ModelError:
    """Return the error for a server that reads a part of the prompt alone, and does not say so.

    A shorter prompt is no way out: what else it cut, nobody knows.
    """
    return ModelError(
        f"{endpoint.provider} at {endpoint.address} read {n_read:,} of at least {n_sent:,} tokens "
        "that were sent: its context window cuts the prompt in silence",
        "give its model a longer window, 32,768 tokens say (Ollama: OLLAMA_CONTEXT_LENGTH=32768 "
        "where it is started; llama.cpp: -c 32768; LM Studio: Context Length of the loaded model)",
        may_be_billed=True,
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
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if 0 <= seconds < 86_400 else None
