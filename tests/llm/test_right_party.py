"""What goes wrong with an endpoint is told of who brought it about, with what to do, on both wires."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

import pytest
from support.chat import make_chat_model

from reward_agent.errors import (
    ContextTooLongError,
    MissingKeyError,
    ModelError,
    QuotaError,
    RejectedKeyError,
    UnknownModelError,
    UnreachableError,
    UsageError,
)
from reward_agent.llm import sdk
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.failures import Endpoint, explain_connection_failure
from reward_agent.testing import FakeLLMServer, HttpFault, RawBody, Say, Step

KEY = "sk-test-0123456789abcdef"
WIRES = pytest.mark.parametrize("provider", ["openai", "anthropic"])


@dataclass(frozen=True)
class Row:
    name: str
    step: Step
    error: type[ModelError]
    says: str
    remedy: str
    is_transient: bool = False


def page(status: int, title: str) -> RawBody:
    html = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>x</body></html>"
    return RawBody(html, "text/html", status)


def listed(status: int, message: str) -> RawBody:
    """An error as Gemini sends it, in a list."""
    return RawBody(json.dumps([{"error": {"code": status, "message": message}}]), status=status)


BAD = "invalid_request_error"
ROWS = [
    Row(
        "firewall",
        page(403, "Attention Required! | Cloudflare"),
        UnreachableError,
        "in place of {provider} at {url} answers a web page, 'Attention Required! | Cloudflare'",
        "something stands in between",
    ),
    Row(
        "sign-in",
        page(401, "Sign in"),
        UnreachableError,
        "answers a web page, 'Sign in' (HTTP 401)",
        "something stands in between",
    ),
    Row(
        "http to https",
        page(400, "400 The plain HTTP request was sent to HTTPS port"),
        UnreachableError,
        "speaks HTTPS alone",
        "give its address with https://",
    ),
    Row("tired gateway", page(504, "504 Gateway Time-out"), UnreachableError,
        "is failing (HTTP 504): a web page, '504 Gateway Time-out'", "try again later", True),
    Row("small gateway", page(413, "413 Request Entity Too Large"), ContextTooLongError,
        "'413 Request Entity Too Large'", "--candidates"),
    Row("page as a stream", RawBody("<html></html>", "text/event-stream"), ModelError,
        "a stream without a reply", "check that the base URL", True),
    Row("empty stream", RawBody("", "text/event-stream"), ModelError,
        "a stream without a reply", "check that the base URL", True),
    Row("stream cut in its first event", RawBody('data: {"id": "x", "cho', "text/event-stream"),
        ModelError, "a stream without a reply", "check that the base URL", True),
    Row(
        "country",
        HttpFault(403, "unsupported_country", "Country, region, or territory not supported"),
        ModelError,
        "{provider} is not offered where this machine is",
        "use another provider",
    ),
    Row("region", listed(400, "User location is not supported for the API use."), ModelError,
        "is not offered where this machine is", "use another provider"),
    Row("key, in a list", listed(400, "API key not valid. Please pass a valid API key."),
        RejectedKeyError, "does not accept the API key (HTTP 400): API key not valid", "check "),
    Row("key that has ended", HttpFault(401, "x", "Your API key has expired"), RejectedKeyError,
        "does not accept the API key (HTTP 401): Your API key has expired", "check "),
    Row("address that may not", HttpFault(401, "x", "Your IP address is not in the allow list"),
        RejectedKeyError, "is not in the allow list", "check "),
    Row("key that may not", HttpFault(403, "x", "Project p has no access to model gpt-6"),
        RejectedKeyError, "Project p has no access to model gpt-6", "that it may use"),
    Row("model, in a list", listed(404, "models/m is not found for API version v1main"),
        UnknownModelError, "knows no model", "check --model"),
    Row("model that is not pulled", HttpFault(404, "x", "model m not found, try pulling it first"),
        UnknownModelError, ": model m not found, try pulling it first", "check --model"),
    Row("another API", HttpFault(404, BAD, "This model is only supported in v1/responses"),
        ModelError, "does not answer chats with", "name another --model"),
    Row("data policy", HttpFault(404, "404", "No endpoints found matching your data policy"),
        ModelError, "No endpoints found matching your data policy", "what the account allows"),
    Row("one call above the limit", HttpFault(429, "tokens", "Request too large for gpt-6 on "
        "tokens per min (TPM): Limit 30000, Requested 40231."), ContextTooLongError,
        "one call is more than {provider} lets through in a minute", "--reply-tokens"),
    Row("long reply", HttpFault(400, BAD, "max_tokens: 16000 > 8192, the maximum allowed number of "
        "output tokens"), ModelError, "refuses the longest reply", "lower --reply-tokens"),
    Row("little credit", HttpFault(402, "402", "This request requires more credits, or fewer "
        "max_tokens."), QuotaError, "has too little credit left", "--reply-tokens"),
    Row("memory", HttpFault(500, "x", "model requires more system memory (12 GiB) than is "
        "available (7 GiB)"), UnreachableError, "too little memory", "smaller --model"),
    Row("loading", HttpFault(503, "unavailable_error", "Loading model"), UnreachableError,
        "is failing (HTTP 503): Loading model", "try again later", True),
]  # fmt: skip


@WIRES
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_is_told_of_the_right_party(row, provider, request_, connect):
    with FakeLLMServer([row.step] * 3) as server, pytest.raises(ModelError) as caught:
        connect(provider, server, model="m").complete(request_)
    error = caught.value
    assert type(error) is row.error
    url = server.anthropic_url if provider == "anthropic" else server.openai_url
    assert row.says.format(provider=provider, url=url) in error.message
    assert row.remedy in error.remedy
    assert error.is_transient is row.is_transient
    assert not {"\n", "<", "{"} & set(error.message + error.remedy)


@WIRES
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    "quoted", ["sk-te***********cdef", "sk-test-0123…", "…cdef", KEY, "aB3xK9-mmmmmmmmmm"]
)
def test_why_a_key_is_refused_is_told_without_a_part_of_it(
    provider, status, quoted, request_, connect
):
    fault = HttpFault(status, "x", f"Incorrect API key provided: {quoted}. See the docs.")
    with FakeLLMServer([fault]) as server, pytest.raises(RejectedKeyError) as caught:
        connect(provider, server).complete(request_)
    assert not any(part in caught.value.message for part in (quoted, "sk-te", "cdef", "0123"))


# --- connections ----------------------------------------------------------------------------------


@WIRES
def test_a_server_without_tls_is_told_at_once(provider, request_):
    with FakeLLMServer([Say("x")]) as server, pytest.raises(UnreachableError) as caught:
        make_chat_model(
            provider,
            base_url=server.openai_url.replace("http://", "https://"),
            environ={"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY},
        ).complete(request_)
    assert caught.value.remedy == "it speaks no TLS: give --base-url with http://"
    assert "attempts" not in caught.value.message


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "SSL_CERT_FILE=FILE"),
        ("[Errno -2] Name or service not known", "check the host's name in --base-url"),
        ("[Errno 111] Connection refused", "start its server (`ollama serve`)"),
        ("Server disconnected without sending a response.", "it wants https://"),
        ("[Errno 113] No route to host", "check the network"),
    ],
)
def test_a_connection_that_fails_has_the_remedy_of_its_reason(reason, remedy):
    endpoint = Endpoint("ollama", "m", "http://h:11434/v1", "OLLAMA_API_KEY")
    error = explain_connection_failure(endpoint, OSError(reason), start="ollama serve")
    assert reason in error.message
    assert remedy in error.remedy


@WIRES
def test_a_host_that_does_not_answer_is_not_told_as_a_slow_model(provider, request_, monkeypatch):
    monkeypatch.setattr(sdk, "_CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # The queue is full: whoever else connects waits.
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        model = make_chat_model(
            provider,
            base_url=f"http://127.0.0.1:{full.getsockname()[1]}/v1",
            environ={"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY},
            policy=CallPolicy(1),
        )
        with pytest.raises(UnreachableError, match=r"nobody answers within 0.3 s") as caught:
            model.complete(request_)
        for one in waiting:
            one.close()
    assert not caught.value.may_be_billed


def test_a_fault_of_ours_is_not_told_of_the_server(request_, connect, monkeypatch):
    def fail(self):
        raise ValueError("of ours")

    monkeypatch.setattr(sdk.SdkChatModel, "_make_transport", fail)
    with FakeLLMServer([]) as server, pytest.raises(ValueError, match="of ours"):
        connect("openai", server).complete(request_)


def test_certificates_that_are_not_there_are_named(request_, connect, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nope.pem")
    with FakeLLMServer([]) as server, pytest.raises(UsageError) as caught:
        connect("openai", server).complete(request_)
    assert "the certificates that SSL_CERT_FILE names cannot be read" in caught.value.message


@pytest.mark.parametrize("value", ["http://[::1", "http://127.0.0.1:abc", "http://:8080"])
def test_a_proxy_that_is_no_address_is_named(monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(UsageError, match=r"\(HTTPS_PROXY\) is no address of the form"):
        make_chat_model("openai", environ={"OPENAI_API_KEY": KEY})


# --- keys, addresses, credentials -----------------------------------------------------------------


@pytest.mark.parametrize("key", [f'"{KEY}"', f"'{KEY}'", f"Bearer {KEY}", "sk-…", f"{KEY} x"])
def test_a_key_with_what_no_key_holds_is_told_before_it_is_sent(key):
    with pytest.raises(UsageError, match="holds characters that no key has") as caught:
        make_chat_model("openai", environ={"OPENAI_API_KEY": key})
    assert "check OPENAI_API_KEY: a quote" in caught.value.remedy
    assert KEY not in caught.value.message + caught.value.remedy


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("htps://h/v1", "it begins with htps://; did you mean 'https'?"),
        ("ws://h/v1", "it begins with ws://"),
        ("http://h:80800/v1", "none of the form http(s)://host:port/path"),
    ],
)
def test_an_address_that_is_none_says_what_is_wrong_with_it(address, says):
    with pytest.raises(UsageError) as caught:
        make_chat_model("openai", environ={"OPENAI_API_KEY": KEY}, base_url=address)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("name", "environ", "says", "remedy"),
    [
        ("bedrock", {"AWS_REGION": "r"}, "no credentials for bedrock", "AWS_BEARER_TOKEN_BEDROCK"),
        ("bedrock", {"AWS_REGION": "r", "AWS_PROFILE": "nope"}, "profile (nope)", "list-profiles"),
        (
            "vertex",
            {"ANTHROPIC_VERTEX_PROJECT_ID": "p", "CLOUD_ML_REGION": "global"},
            "no credentials for vertex",
            "gcloud auth application-default login",
        ),
    ],
)
def test_credentials_that_a_vendors_package_does_not_find_are_told(
    name, environ, says, remedy, request_, monkeypatch, tmp_path
):
    pytest.importorskip({"bedrock": "boto3", "vertex": "google.auth"}[name])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with FakeLLMServer([]) as server, pytest.raises(MissingKeyError) as caught:
        make_chat_model(name, base_url=server.url, environ=environ, model="m").complete(request_)
    assert says in caught.value.message
    assert remedy in caught.value.remedy
