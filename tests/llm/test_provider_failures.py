"""Both real SDKs against the fake server: each failure is exactly one error of ours."""

from __future__ import annotations

import datetime
import email.utils
import time
from dataclasses import dataclass

import pytest
from support.chat import make_chat_model

from reward_agent.errors import (
    ContextTooLongError,
    Interrupted,
    ModelError,
    QuotaError,
    RateLimitError,
    RejectedKeyError,
    UnknownModelError,
    UnreachableError,
)
from reward_agent.llm import anthropic as anthropic_wire
from reward_agent.llm import openai as openai_wire
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.provider import ProviderOptions
from reward_agent.testing import (
    BreakStream,
    DropConnection,
    FakeLLMServer,
    HttpFault,
    RawBody,
    Say,
    Stall,
    Step,
)

KEY = "sk-test-0123456789abcdef"  # the one of the fixtures
ENVIRON = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
HTML = "<!doctype html><html><body>Sign in</body></html>"


@dataclass(frozen=True)
class Row:
    """A failure, and what becomes of it."""

    name: str
    step: Step
    error: type[ModelError]
    is_transient: bool
    says: str
    only: str = ""


ROWS = [
    Row(
        "bad key",
        HttpFault(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"),
        RejectedKeyError,
        False,
        "does not accept the API key",
    ),
    Row(
        "key without rights",
        HttpFault(403, "permission_error", "no"),
        RejectedKeyError,
        False,
        "HTTP 403",
    ),
    Row(
        "unknown model",
        HttpFault(404, "not_found_error", "model: x"),
        UnknownModelError,
        False,
        "knows no model",
    ),
    Row("no credit", HttpFault(402, "billing_error", "pay"), QuotaError, False, "no credit left"),
    Row(
        "quota",
        HttpFault(429, "insufficient_quota", "You exceeded your current quota"),
        QuotaError,
        False,
        "quota",
        "openai",
    ),
    Row(
        "credit too low",
        HttpFault(400, "invalid_request_error", "Your credit balance is too low to access the API"),
        QuotaError,
        False,
        "credit balance",
        "anthropic",
    ),
    Row(
        "rate limit",
        HttpFault(429, "rate_limit_error", "slow down"),
        RateLimitError,
        True,
        "slow down",
    ),
    Row(
        "rate limit with a time",
        HttpFault(429, "rate_limit_error", "slow", {"retry-after": "7"}),
        RateLimitError,
        True,
        "for 7 s",
    ),
    Row(
        "overloaded",
        HttpFault(529, "overloaded_error", "Overloaded"),
        UnreachableError,
        True,
        "is overloaded",
    ),
    Row("internal error", HttpFault(500, "api_error", "oops"), UnreachableError, True, "HTTP 500"),
    Row("gateway page", RawBody(HTML, "text/html", 503), UnreachableError, True, "HTTP 503"),
    Row("conflict", HttpFault(409, "conflict", "later"), UnreachableError, True, "HTTP 409"),
    Row("dropped", DropConnection(), UnreachableError, True, "the connection to"),
    Row(
        "dropped in the middle",
        DropConnection('{"id": "x", '),
        UnreachableError,
        True,
        "the connection to",
    ),
    Row(
        "stream dropped in the middle",
        BreakStream(by="drop"),
        UnreachableError,
        True,
        "the connection to",
    ),
    Row(
        "stream that ends early",
        BreakStream("def compute", by="end"),
        UnreachableError,
        True,
        "ended early, after 11 characters",
    ),
    Row(
        "stream that stalls",
        BreakStream(by="stall"),
        UnreachableError,
        True,
        "sent nothing for 0.4 s",
    ),
    Row(
        "overload in the middle",
        BreakStream(by=HttpFault(529, "overloaded_error", "Overloaded")),
        UnreachableError,
        True,
        "is overloaded (in its reply)",
    ),
    Row(
        "rate limit in the middle",
        BreakStream(by=HttpFault(429, "rate_limit_error", "slow down")),
        RateLimitError,
        True,
        "asks to slow down: slow down",
    ),
    Row(
        "internal error in the middle",
        BreakStream(by=HttpFault(500, "server_error", "oops")),
        UnreachableError,
        True,
        "is failing (in its reply): oops",
    ),
    Row(
        "broken JSON in the middle",
        RawBody('event: message_start\ndata: {"type": "mess\n\n', "text/event-stream"),
        ModelError,
        True,
        "not JSON",
    ),
    Row(
        "events that are no objects",
        RawBody("event: message_start\ndata: [1]\n\n", "text/event-stream"),
        ModelError,
        True,
        "not JSON of the expected form",
    ),
    Row("empty stream", RawBody("", "text/event-stream"), ModelError, True, "without a reply"),
    Row("stalled", Stall(30), UnreachableError, True, "sent nothing for 0.4 s"),
    Row(
        "prompt too long",
        HttpFault(
            400, "context_length_exceeded", "This model's maximum context length is 8192 tokens"
        ),
        ContextTooLongError,
        False,
        "does not fit",
        "openai",
    ),
    Row(
        "prompt too long",
        HttpFault(
            400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"
        ),
        ContextTooLongError,
        False,
        "does not fit",
        "anthropic",
    ),
    Row(
        "request too large",
        HttpFault(413, "request_too_large", "too large"),
        ContextTooLongError,
        False,
        "does not fit",
    ),
    Row(
        "other bad request",
        HttpFault(400, "invalid_request_error", "messages: must not be empty"),
        ModelError,
        False,
        "HTTP 400",
    ),
    Row("broken JSON", RawBody('{"id": "x", "choi'), ModelError, True, "not JSON"),
    Row("empty body", RawBody(""), ModelError, True, "not JSON"),
    Row("web page", RawBody(HTML, "text/html"), ModelError, False, "instead of JSON"),
    Row("empty object", RawBody("{}"), ModelError, True, "without c"),
    Row("list", RawBody("[1, 2]"), ModelError, True, "answered with"),
    Row(
        "error with success",
        RawBody('{"error": {"message": "upstream is down"}}'),
        UnreachableError,
        True,
        "is failing (in its reply): upstream is down",
    ),
]
CASES = [
    pytest.param(provider, row, id=f"{provider}-{row.name}")
    for row in ROWS
    for provider in ("openai", "anthropic")
    if row.only in ("", provider)
]


@pytest.mark.parametrize(("provider", "row"), CASES)
def test_failure_is_one_error_with_a_remedy_and_no_retry(provider, row, request_, connect):
    with FakeLLMServer([row.step]) as server:
        with pytest.raises(ModelError) as caught:
            connect(provider, server, timeout_s=0.4).complete(request_)
        assert server.n_requests == 1
    error = caught.value
    assert type(error) is row.error
    assert error.is_transient is row.is_transient
    assert row.says in error.message
    assert error.remedy
    assert "\n" not in error.message
    assert KEY not in error.message + error.remedy + str(error.__cause__)
    assert error.__suppress_context__


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_transient_failures_are_repeated_and_recorded(provider, request_, connect):
    steps = [
        HttpFault(529, "overloaded_error"),
        DropConnection(),
        HttpFault(429, headers={"retry-after": "0.01"}),
        Say("done"),
    ]
    told: list[str] = []
    with FakeLLMServer(steps) as server:
        again = {"n_attempts": 5, "first_pause_s": 0.01}
        model = connect(provider, server, policy=again, on_retry=told.append)
        completion = model.complete(request_)
        assert server.n_requests == 4
    assert completion.reply == "done"
    assert [text.split(" ")[1] for text in completion.retries] == ["is", "connection", "asks"]
    assert len(told) == 3
    assert all("trying again in" in text for text in told)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_attempts_end(provider, request_, connect):
    with FakeLLMServer([HttpFault(500)] * 9) as server:
        model = connect(provider, server, policy={"n_attempts": 3, "first_pause_s": 0.01})
        with pytest.raises(UnreachableError, match=r"after 3 attempts"):
            model.complete(request_)
        assert server.n_requests == 3


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_permanent_failure_is_not_repeated(provider, request_, connect):
    with FakeLLMServer([HttpFault(401), Say("never")]) as server:
        model = connect(provider, server, policy={"n_attempts": 5, "first_pause_s": 0.01})
        with pytest.raises(RejectedKeyError):
            model.complete(request_)
        assert server.n_requests == 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_long_retry_after_is_not_waited_for(provider, request_, connect):
    with FakeLLMServer([HttpFault(429, headers={"retry-after": "3600"}), Say("never")]) as server:
        model = connect(provider, server, policy={"n_attempts": 5, "max_wait_s": 60})
        with pytest.raises(RateLimitError) as caught:
            model.complete(request_)
        assert server.n_requests == 1
    assert caught.value.retry_after_s == 3600


def in_seconds(seconds: float) -> str:
    return email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds), usegmt=True
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": in_seconds(7200)}, 7200),
        ({"retry-after": in_seconds(-100)}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Mon, 99 GMT"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_time_to_wait_is_read_in_each_of_its_forms(provider, headers, expected, request_, connect):
    fault = HttpFault(429, "rate_limit_error", headers=headers)
    with FakeLLMServer([fault]) as server, pytest.raises(RateLimitError) as caught:
        connect(provider, server).complete(request_)
    if expected is None:
        assert caught.value.retry_after_s is None
    else:
        assert caught.value.retry_after_s == pytest.approx(
            expected, abs=1800 if expected == 7200 else 0.01
        )


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_time_to_wait_is_obeyed_and_shown(provider, request_, connect):
    told: list[str] = []
    with FakeLLMServer([HttpFault(429, headers={"retry-after": "0.6"}), Say("done")]) as server:
        model = connect(provider, server, policy={"n_attempts": 5}, on_retry=told.append)
        started = time.monotonic()
        assert model.complete(request_).reply == "done"
    assert time.monotonic() - started >= 0.6
    assert told == [f"{provider} asks to slow down, for 0.6 s: scripted fault; trying again in 1 s"]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_stopped_run_closes_a_stream_in_its_middle(provider, request_):
    wire = {"openai": openai_wire, "anthropic": anthropic_wire}[provider]
    with FakeLLMServer([BreakStream(by="stall")]) as server:
        url = server.openai_url if provider == "openai" else server.anthropic_url
        options = ProviderOptions(base_url=url, environ=ENVIRON)
        options.cancel.set()
        with pytest.raises(Interrupted):
            wire.make_model(options).complete(request_)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_connection_that_drops_in_the_middle_of_a_reply_may_be_billed(
    provider, request_, connect
):
    with (
        FakeLLMServer([BreakStream(by="drop")]) as server,
        pytest.raises(UnreachableError) as caught,
    ):
        connect(provider, server, policy={"n_attempts": 1}).complete(request_)
    assert caught.value.may_be_billed


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_stream_past_its_deadline_is_closed(provider, request_):
    wire = {"openai": openai_wire, "anthropic": anthropic_wire}[provider]
    with FakeLLMServer([BreakStream(by="stall")]) as server:
        url = server.openai_url if provider == "openai" else server.anthropic_url
        options = ProviderOptions(base_url=url, environ=ENVIRON, deadline_s=0.0)
        with pytest.raises(UnreachableError, match="did not finish its reply in 0 s"):
            wire.make_model(options).complete(request_)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_deadline_ends_a_reply_that_drips(provider, request_, connect):
    with (
        FakeLLMServer([Stall(10, drip=True)]) as server,
        pytest.raises(UnreachableError, match=r"did not finish its reply in 0\.6 s"),
    ):
        connect(provider, server, deadline_s=0.6).complete(request_)


def test_nobody_listens_at_the_address(request_):
    model = make_chat_model(
        "openai-compatible",
        model="llama",
        base_url="http://127.0.0.1:1/v1",
        policy=CallPolicy(n_attempts=1),
    )
    with pytest.raises(
        UnreachableError,
        match=r"the connection to openai-compatible at http://127.0.0.1:1/v1 failed",
    ) as caught:
        model.complete(request_)
    assert not caught.value.may_be_billed


def test_closest_model_is_named(request_, connect):
    with FakeLLMServer([HttpFault(404, "model_not_found")]) as server:
        model = connect("anthropic", server, model="claude-sonet-5-5")
        with pytest.raises(ModelError, match="did you mean 'claude-sonnet-5-5'"):
            model.complete(request_)


def test_credentials_in_an_address_are_not_shown(request_):
    model = make_chat_model(
        "openai-compatible",
        model="llama",
        base_url="http://user:hunter2@127.0.0.1:1/v1",
        policy=CallPolicy(n_attempts=1),
    )
    with pytest.raises(UnreachableError) as caught:
        model.complete(request_)
    assert "hunter2" not in caught.value.message + caught.value.remedy
