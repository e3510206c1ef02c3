"""What the providers with an SDK share: the client, the stream, one error for every failure.

The openai and anthropic packages are made by the same generator: their exceptions have the same
names and shapes, so one function serves both. Neither is imported before the first call.

Replies are streamed: a long one that is sent in one piece keeps a connection silent for minutes,
which proxies cut (the anthropic SDK refuses such calls), and a stream can be stopped.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, AliasPath, BaseModel, BeforeValidator, Field

from reward_agent.errors import Interrupted, ModelError, UsageError
from reward_agent.llm import failures
from reward_agent.llm.address import find_proxy, find_unread
from reward_agent.llm.chat import ALL_AGENTS, ChatRequest, Completion, StopReason
from reward_agent.llm.meanings import explain_http_failure
from reward_agent.llm.models import ModelCard, count_usage
from reward_agent.llm.provider import PROVIDERS, ProviderOptions

WireEvent = dict[str, Any]

_CONNECT_S = 10.0
# A proxy forgets a connection that is silent while a model thinks.
_KEPT_ALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
# A long reply of a model that streams its thoughts has half of it.
_MAX_BODY_BYTES = 32 * 2**20
_MAX_NAME_CHARS = 100
# Where an authority of one's own network is named.
_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_MOST_LISTED = 20
_MAX_TOKENS = 10**9
# What SDKs, and our reading of what they give, raise on a body of another form.
_UNREADABLE = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError,
    MemoryError,
)  # fmt: skip
_STOP_REASONS: dict[str, StopReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
}


@dataclass(frozen=True)
class WireReply:
    """A reply as the wire tells it.

    Args:
        text: what the model said.
        finish: why it stopped, in the provider's word; None if the reply broke off.
        refusal: category or text of a refusal.
        model: the name that the provider answers with.
        tokens: as ``count_usage`` takes them.
    """

    text: str
    finish: str | None
    refusal: str
    model: str
    tokens: Mapping[str, int]


class SdkChatModel(ABC):
    """The part of a chat model that does not depend on the wire."""

    package: ClassVar[str]
    client_class: ClassVar[str]
    agents = ALL_AGENTS

    def __init__(self, endpoint: failures.Endpoint, options: ProviderOptions) -> None:
        self._row = PROVIDERS.find(endpoint.provider)
        self._headers, filled = options.fill_headers()
        self._endpoint = endpoint = replace(endpoint, secrets=filled)
        self._options = options
        self._proxy = find_proxy(endpoint.base_url)
        if options.temperature is not None and not self._row.takes_temperature:
            raise UsageError(
                f"{endpoint.provider} takes no temperature", "leave --temperature out; try --effort"
            )
        if not endpoint.model:
            self._endpoint = replace(endpoint, model=self._choose_model())
        self.provider, self.name = endpoint.provider, self._endpoint.model
        self.max_concurrency = self._row.max_concurrency
        # Whether the last reply came as events; None before the first.
        self.is_streamed: bool | None = None

    @property
    def takes_schema(self) -> bool | None:
        """Whether a schema that was sent was taken so far; None where none is sent."""
        return None

    def ask_window(self) -> int | None:
        """Return the longest context of the model as the server's list of models tells it."""
        import httpx2

        sdk = importlib.import_module(self.package)
        try:
            with self._make_client(sdk) as client:
                listed = [item.to_dict() for item in client.models.list().data]
        except (sdk.APIError, httpx2.HTTPError, httpx2.InvalidURL, ModelError, *_UNREADABLE):
            return None
        # A server of one model calls it by its file, and answers to any name.
        own = [item for item in listed if item.get("id") == self.name or len(listed) == 1]
        told = [_Listed.model_validate(item).window for item in own]
        return told[0] if told else None

    def complete(self, request: ChatRequest) -> Completion:
        """Send the request as one streamed call.

        The SDK's exception is not chained to ours, since its text may quote a part of the key.
        """
        import httpx2

        started = time.monotonic()
        sdk = importlib.import_module(self.package)
        body, unopened = self._make_body(request), self._make_client(sdk)
        error: ModelError
        try:
            with unopened as client, self._open(client, body) as stream:
                completion = self._make_completion(self._receive(stream), started)
            return self._see_that_all_was_read(request, completion)
        # Once a stream has begun, anthropic lets the exceptions of its HTTP library through.
        except (
            sdk.APIConnectionError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError
        ) as failure:  # fmt: skip
            error = self._explain_lost(failure)
        except sdk.APIError as failure:
            response = failures.read_failure(failure)
            if response.is_content_filter:  # in front of the model: an outcome, not an error
                filtered = WireReply("", "content_filter", response.message, self.name, {})
                return self._make_completion(filtered, started)
            if request.must_see and response.is_blindness:
                error = failures.explain_blind(self._endpoint, response.message)
            elif self._leave_out(response, body):
                return self.complete(request)
            else:
                error = self._blame_setting(response) or explain_http_failure(
                    self._endpoint, response, self._proxy
                )
        except _UNREADABLE as failure:
            what = f"something that is not JSON of the expected form ({type(failure).__name__})"
            error = failures.explain_malformed_reply(self._endpoint, what, is_transient=True)
        except Exception as failure:
            lacking = self._explain_no_credentials(failure)
            if lacking is None:
                raise
            error = lacking
        raise error from None

    def _explain_lost(self, failure: BaseException) -> ModelError:
        """Return the error for a connection that was not made, broke, or stayed silent."""
        import httpx2

        # The SDK's error has that of its HTTP library as its cause, and that has one of its own.
        cause = failure if isinstance(failure, httpx2.HTTPError) else failure.__cause__ or failure
        if isinstance(cause, httpx2.ConnectTimeout):
            cause = httpx2.ConnectError(f"nobody answers within {_CONNECT_S:g} s")
        if isinstance(cause, httpx2.TimeoutException):
            return failures.explain_timeout(self._endpoint, self._options.timeout_s)
        unsent = (httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol)
        error = failures.explain_connection_failure(
            self._endpoint, cause, self._proxy, self._row.start
        )
        error.may_be_billed = not isinstance(cause, unsent)
        return error

    def _explain_no_credentials(self, failure: Exception) -> ModelError | None:
        """Return the error for what a vendor's own package looks for and does not find."""
        return None

    def _see_that_all_was_read(self, request: ChatRequest, completion: Completion) -> Completion:
        """Return a completion of a model that read its prompt.

        Raises:
            ModelError: its server counts far fewer tokens than were sent.
        """
        return completion

    @abstractmethod
    def _make_body(self, request: ChatRequest) -> dict[str, Any]:
        """Return the arguments of the call."""

    @abstractmethod
    def _open(self, client: Any, body: dict[str, Any]) -> Any:
        """Make the call; return the SDK's stream."""

    @abstractmethod
    def _gather(self, stream: Any) -> WireReply | None:
        """Put a reply together from the SDK's stream; None if nothing of one came.

        Raises:
            ValueError: an event does not have its form.
        """

    @abstractmethod
    def _read(self, body: WireEvent) -> WireReply | None:
        """Read a reply that came in one piece; None if it is none.

        Raises:
            ValueError: it does not have its form.
        """

    def _leave_out(self, failure: failures.HttpFailure, body: Mapping[str, Any]) -> bool:
        """Leave out, from now on, what the server refused, if it can be; tell whether it is."""
        return False

    def _make_client(self, sdk: Any) -> Any:
        """Make a client for one call.

        Calls are minutes apart, while trainings run: a connection kept alive so long is often dead
        at its next use.
        """
        timeout = sdk.Timeout(self._options.timeout_s, connect=_CONNECT_S)
        try:
            transport = self._make_transport()
        except OSError as error:
            given = {name: os.environ.get(name, "") for name in _AUTHORITIES}
            named = [name for name, path in given.items() if path and not os.path.exists(path)]
            raise UsageError(
                f"the certificates that {' or '.join(named) or 'this machine'} names cannot be "
                f"read: {error.strerror or error}",
                f"correct {' or '.join(named) or 'them'}, or unset it",
            ) from None
        return getattr(sdk, self.client_class)(
            **self._introduce(),
            timeout=timeout,
            max_retries=0,
            # Packed, a few bytes may be gigabytes; sent on, a key goes where nobody was told.
            default_headers={**self._headers, "accept-encoding": "identity"},
            http_client=sdk.DefaultHttpxClient(
                timeout=timeout,
                follow_redirects=False,
                event_hooks={"response": [self._bound]},
                transport=transport,
            ),
        )

    def _make_transport(self) -> Any:
        """Return the way to the server, through the proxy that is told where it fails, if any."""
        import httpx2

        proxy = None if self._proxy is None else httpx2.Proxy(self._proxy.url)
        return httpx2.HTTPTransport(proxy=proxy, socket_options=_KEPT_ALIVE)

    def _introduce(self) -> dict[str, Any]:
        """Return the client's arguments that say who asks whom."""
        return {
            # A server of one's own may want no key; the SDK insists on some text.
            "api_key": self._endpoint.api_key or "none",
            "base_url": self._endpoint.plain_url,
            "default_query": self._endpoint.query,
        }

    def _choose_model(self) -> str:
        """Return the only model that the server has.

        Raises:
            UsageError: it has none, several, or does not say.
        """
        provider, address = self._endpoint.provider, self._endpoint.address
        names, reason = self._list_models() if self._row.lists_models else ((), "")
        if len(names) == 1:
            return names[0]
        if names:
            listed = ", ".join(names[:_MOST_LISTED]) + (", …" if names[_MOST_LISTED:] else "")
            raise UsageError(
                f"{provider} needs the name of a model; {address} has {len(names)}: {listed}",
                f"give one of them, such as --model {shlex.quote(names[0])}",
            )
        start = f", start its server (`{self._row.start}`)" if self._row.start else ""
        raise UsageError(
            f"{provider} needs the name of a model" + (f": {address} {reason}" if reason else ""),
            f"give --model{start}" + (", or another --base-url" if reason else ""),
        )

    def _list_models(self) -> tuple[Sequence[str], str]:
        """Return the chat models that the server has, and why there are none."""
        import httpx2

        sdk = importlib.import_module(self.package)
        try:
            with self._make_client(sdk) as client:
                listed = [str(item.id) for item in client.models.list().data]
        except sdk.APIStatusError as failure:
            return (), f"answers with HTTP {failure.status_code} when it is asked for its models"
        except (sdk.APIConnectionError, httpx2.HTTPError, httpx2.InvalidURL) as failure:
            cause = self._endpoint.scrub(str(failure.__cause__ or failure))
            return (), f"does not answer ({cause or type(failure).__name__})"
        except (*_UNREADABLE, ModelError):
            return (), "names none"
        names = [self._endpoint.scrub(name)[:_MAX_NAME_CHARS] for name in listed]
        return sorted(name for name in names if "embed" not in name.lower()), "has none"

    def _blame_setting(self, failure: failures.HttpFailure) -> ModelError | None:
        """Return the error for a setting of the person's that the server refuses; None if none."""
        options = self._options
        for flag, value, words in (
            ("--effort", options.effort, r"effort|reasoning|thinking"),
            ("--temperature", options.temperature, "temperature"),
            *((f"--body {name}", True, re.escape(name.lower())) for name in options.body),
        ):
            is_refused = failure.status in (400, 422) and re.search(words, failure.text)
            if value is not None and is_refused:
                said = self._endpoint.scrub(failure.message)
                return ModelError(
                    f"{self.name} at {self._endpoint.address} refuses {flag} "
                    f"(HTTP {failure.status}): {said}",
                    f"say another {flag}, or leave it out",
                )
        return None

    def _bound(self, response: Any) -> None:
        """Let a response end after so many bytes, and take it as it comes."""
        import httpx2

        endpoint, stream = self._endpoint, response.stream

        class Bounded(httpx2.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                n_bytes = 0
                for chunk in stream:
                    n_bytes += len(chunk)
                    if n_bytes > _MAX_BODY_BYTES:
                        what = f"more than {_MAX_BODY_BYTES >> 20} MiB, which is no reply"
                        raise failures.explain_malformed_reply(endpoint, what, is_transient=False)
                    yield chunk

            def close(self) -> None:
                stream.close()

        response.headers.pop("content-encoding", None)
        response.stream = Bounded()

    def _make_completion(self, reply: WireReply, started: float) -> Completion:
        stop = _STOP_REASONS.get(reply.finish or "", "stop")
        model = self._endpoint.scrub(reply.model)[:_MAX_NAME_CHARS] or self.name
        return Completion(
            reply=self._endpoint.hide(reply.text),
            stop_reason="refusal" if reply.refusal and stop == "stop" else stop,
            stop_detail=self._endpoint.scrub(reply.refusal),
            model=model,
            provider=self.provider,
            usage=count_usage(self._find_card(model), **reply.tokens),
            wall_s=time.monotonic() - started,
        )

    def _find_card(self, answered: str) -> ModelCard | None:
        """Return the prices of the model that answered, else of the one that was asked."""
        find = self._options.find_card
        return find(self._row, answered) or find(self._row, self.name)

    def _receive(self, stream: Any) -> WireReply:
        kind = stream.response.headers.get("content-type", "text/event-stream")
        self.is_streamed = "event-stream" in kind or "eventstream" in kind  # the latter is AWS's
        if self.is_streamed:
            reply = self._gather(stream)
            if reply is not None and reply.finish is None:
                raise failures.explain_early_end(self._endpoint, len(reply.text))
        else:  # a server that does not stream
            reply = self._read(self._parse(stream.response.read().decode("utf-8", "replace")))
        if reply is None:
            what = "a stream without a reply" if self.is_streamed else "a reply without content"
            raise failures.explain_malformed_reply(self._endpoint, what, is_transient=True)
        return reply

    def _watch(self, stream: Iterable[Any]) -> Iterator[Any]:
        """Yield the events of a stream until the time or the run is over."""
        end = time.monotonic() + self._options.deadline_s
        for event in stream:
            if self._options.cancel.is_set():
                raise Interrupted("stopped in the middle of a reply", "use --resume")
            if time.monotonic() > end:
                raise failures.explain_deadline(self.provider, self._options.deadline_s)
            yield event

    def _parse(self, text: str) -> WireEvent:
        """Parse a body that came with success."""
        if "<html" in text.lower() or "<!doctype" in text.lower():
            what = "a web page instead of JSON"
            raise failures.explain_malformed_reply(self._endpoint, what, is_transient=False)
        body = json.loads(text)
        if not isinstance(body, dict):
            what = f"a {type(body).__name__} instead of an object"
            raise failures.explain_malformed_reply(self._endpoint, what, is_transient=True)
        if body.get("error"):
            raise explain_http_failure(self._endpoint, failures.read_detail(body["error"]))
        return body


def make_endpoint(name: str, options: ProviderOptions, base_url: str = "") -> failures.Endpoint:
    """Return whom a provider of ours calls.

    Args:
        name: the provider's, unless the options name another of its kind.
        options: what is said of it.
        base_url: its address, where the row alone does not tell it.

    Raises:
        MissingKeyError: its key is not set.
        UsageError: there is no address.
    """
    row = PROVIDERS.find(options.provider or name)
    variable, api_key = row.choose_key(options.environ)
    if row.needs_key and not api_key:
        raise failures.make_missing_key_error(row.name, " or ".join(row.key_variables))
    given = base_url or options.base_url or options.environ.get(row.address_variable, "")
    address = row.choose_url(given, options.environ)
    unread = "" if given else find_unread(row.address_variable, options.environ)
    if not address:
        raise UsageError(
            f"{row.name} needs the address of the server" + (f"; {unread}" if unread else ""),
            f"give --base-url, such as http://localhost:8080/v1, or set {row.address_variable}",
        )
    for note in filter(None, (row.read_url(given).note, unread)):
        options.warn(note)
    return failures.Endpoint(
        provider=row.name,
        model=options.model or row.default_model,
        base_url=address,
        key_variable=variable,
        api_key=api_key,
        vendor=row.vendor,
    )


def place(path: str, value: object) -> dict[str, Any]:
    """Return a field of a call by its path, such as ``reasoning.effort``."""
    *folders, last = path.split(".")
    placed: dict[str, Any] = {last: value}
    for folder in reversed(folders):
        placed = {folder: placed}
    return placed


def _read_count(value: Any) -> int | None:
    """Return a number of tokens; one that is none counts as not told."""
    is_count = isinstance(value, int | float) and 0 <= value <= _MAX_TOKENS
    return int(value) if is_count and not isinstance(value, bool) else None


Count = Annotated[int | None, BeforeValidator(_read_count)]


def find_in(*paths: str) -> Any:
    """Return a field that is read from the first of several places, such as ``usage.x``."""
    split = (path.split(".") for path in paths)
    places = [
        AliasPath(first, *(int(step) if step.isdigit() else step for step in rest))
        for first, *rest in split
    ]
    return Field(None, validation_alias=AliasChoices(*places))


class _Listed(BaseModel):
    """What is read of a model in a server's list: vLLM, OpenRouter, Groq, llama.cpp, Anthropic."""

    window: Count = find_in(
        "max_model_len", "context_length", "context_window", "meta.n_ctx", "meta.n_ctx_train",
        "max_input_tokens",
    )  # fmt: skip


def read_event(event: Any) -> WireEvent:
    """Return an event of a stream as it was sent.

    Raises:
        ValueError: it is not an object.
    """
    if not hasattr(event, "to_dict"):
        raise ValueError("an event that is not an object")
    sent: WireEvent = event.to_dict(warnings=False)
    return sent
