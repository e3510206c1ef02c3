"""From the mistake to its one line: addresses, proxies, servers that cut; each party by its name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from support.chat import make_chat_model
from support.proxy import open_proxy

from reward_agent.errors import ModelError, UnreachableError, UsageError
from reward_agent.llm import address
from reward_agent.llm.address import correct_address, find_proxy, find_unread
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.chat import ChatMessage
from reward_agent.testing import FakeLLMServer, HttpFault, RawBody, Say, Step

PAGE = "<!doctype html><html><body>Not Found</body></html>"
DEAD = "http://user:hunter2@127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("given", "url", "says"),
    [
        ("localhost:11434/v1", "http://localhost:11434/v1", "no http://"),
        ("localhost:11434", "http://localhost:11434/v1", "/v1 is the usual one"),
        ("api.example.com/v1", "https://api.example.com/v1", "no http:// or https://"),
        ("[::1]:8080/v1", "http://[::1]:8080/v1", "no http://"),
        ("192.168.0.7:8000/v1", "http://192.168.0.7:8000/v1", "no http://"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1", "/chat/completions is added"),
        ("http://h:1/v1/chat/completions/?a=1", "http://h:1/v1?a=1", "is added by each call"),
        ("https://h/v1/messages", "https://h/v1", "/v1/messages is added"),
        ("http://h:1/", "http://h:1/v1", "/v1 is the usual one"),
        ("http://h:1/v1", "http://h:1/v1", ""),
        ("http://h:1/api/v3", "http://h:1/api/v3", ""),
        ("", "", ""),
    ],
)
def test_an_address_is_read_as_it_was_meant(given, url, says):
    read = correct_address(given, "/v1")
    assert read.url == (url if "messages" not in given else "https://h/v1")
    assert says in read.note
    assert bool(read.note) == bool(says)


def test_a_corrected_address_is_told_without_its_credentials():
    assert "hunter2" not in correct_address("https://me:hunter2@h.org", "/v1").note


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"OPENAI_API_BASE": "http://h"}, "OPENAI_API_BASE is set and not read"),
        ({"OPENAI_API_BASE": "http://h", "OPENAI_BASE_URL": "http://h"}, ""),
        ({"ANTHROPIC_API_URL": "http://h"}, ""),
        ({}, ""),
    ],
)
def test_a_variable_of_another_program_is_pointed_out(environ, says):
    assert says in find_unread("OPENAI_BASE_URL", environ)
    assert bool(find_unread("OPENAI_BASE_URL", environ)) == bool(says)


# --- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "says", "remedy"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:9", "socks://; did you mean socks5://?", "ALL_PROXY"),
        ("https_proxy", "htp://127.0.0.1:9", "cannot be used, htp://", "https_proxy"),
        ("ALL_PROXY", "socks5://127.0.0.1:9", "needs the package socksio", "pip install socksio"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_before_anything_is_sent(
    monkeypatch, variable, value, says, remedy
):
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(address, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        make_chat_model("openai", environ={"OPENAI_API_KEY": "sk-test-0123456789"})
    assert f"({variable})" in caught.value.message
    assert says in caught.value.message
    assert remedy in caught.value.remedy
    assert "NO_PROXY=api.openai.com" in caught.value.remedy


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.8.8.8"])
def test_servers_of_this_machine_are_asked_without_a_proxy(monkeypatch, host):
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    assert find_proxy(f"http://{host}:11434/v1") is None


def test_what_no_proxy_names_is_asked_without_one(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", DEAD)
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert find_proxy("http://api.example.com/v1") is None
    assert str(find_proxy("http://example.org/v1")) == "the proxy http://127.0.0.1:9 (HTTP_PROXY)"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_dead_proxy_in_front_of_a_server_of_this_machine_is_gone_past(
    monkeypatch, request_, connect, provider
):
    monkeypatch.setenv("HTTP_PROXY", DEAD)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with FakeLLMServer([Say("hello")]) as server:
        assert connect(provider, server).complete(request_).reply == "hello"


def ask_abroad(provider: str, request, port: int = 1):
    variable = "ANTHROPIC" if provider == "anthropic" else "OPENAI"
    make_chat_model(
        provider,
        base_url=f"http://models.example:{port}/v1",
        environ={f"{variable}_API_KEY": "sk-test-0123456789"},
        policy=CallPolicy(n_attempts=1),
    ).complete(request)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_dead_proxy_is_named_as_the_proxy(monkeypatch, request_, provider):
    monkeypatch.setenv("HTTP_PROXY", DEAD)
    with pytest.raises(UnreachableError) as caught:
        ask_abroad(provider, request_)
    assert "the proxy http://127.0.0.1:9 (HTTP_PROXY) gives no connection" in caught.value.message
    assert caught.value.remedy == "check HTTP_PROXY, or go past it: NO_PROXY=models.example"
    assert "hunter2" not in caught.value.message + caught.value.remedy
    assert not caught.value.may_be_billed


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_answers_in_its_own_name(monkeypatch, request_, status):
    with open_proxy(status) as (url, seen):
        monkeypatch.setenv("http_proxy", url)
        with pytest.raises(UnreachableError, match=r"the proxy .*\(http_proxy\) answers in place"):
            ask_abroad("openai", request_)
    assert seen == ["http://models.example:1/v1/chat/completions"]


def test_a_proxy_that_refuses_a_tunnel_is_named(monkeypatch, request_):
    with open_proxy(407) as (url, seen):
        monkeypatch.setenv("https_proxy", url)
        model = make_chat_model(
            "openai",
            environ={"OPENAI_API_KEY": "sk-test-0123456789"},
            policy=CallPolicy(n_attempts=1),
        )
        with pytest.raises(UnreachableError, match=r"\(https_proxy\) gives no connection.*407"):
            model.complete(request_)
    assert seen == ["api.openai.com:443"]


def test_a_proxy_that_works_is_used(monkeypatch, request_):
    with open_proxy() as (url, seen), FakeLLMServer([Say("hello")]) as server:
        monkeypatch.setenv("http_proxy", url)
        ask_abroad("openai", request_, int(server.url.rpartition(":")[2]))
    assert len(seen) == 1


# --- what servers say -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    name: str
    step: Step
    says: str
    remedy: str = ""


def body(status: int, **fields) -> RawBody:
    return RawBody(json.dumps(fields), status=status)


ROWS = [
    Row("page", RawBody(PAGE, "text/html", 404), "no API of", "--base-url: most end in /v1"),
    Row("plain 404", RawBody("404 page not found", "text/plain", 404), "no API of", "/v1"),
    Row("detail 404", body(404, detail="Not Found"), "no API of", "/v1"),
    Row("405", body(405, detail="Method Not Allowed for this route"), "HTTP 405"),
    Row(
        "model 404",
        body(404, error={"message": "model 'llama9' not found, try pulling it first"}),
        "knows no model 'some-model'",
        "--model",
    ),
    Row(
        "detail list",
        body(422, detail=[{"loc": ["body", "messages"], "msg": "field required"}]),
        "(HTTP 422): field required (body.messages)",
    ),
    Row("detail", body(422, detail="seed is out of range"), "(HTTP 422): seed is out of range"),
    Row("msg", body(400, msg="no such option"), "(HTTP 400): no such option"),
    Row("errors", body(400, errors=["too few", "too many"]), "too few; too many"),
    Row("text", RawBody("overloaded!", "text/plain", 503), "HTTP 503"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_server_says_is_told_in_one_line(row, request_, connect):
    with FakeLLMServer([row.step] * 2) as server, pytest.raises(ModelError) as caught:
        connect("openai-compatible", server).complete(request_)
    assert row.says in caught.value.message
    assert row.remedy in caught.value.remedy
    assert "{" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "System role not supported"),
        (500, "Jinja Exception: System role not supported"),
        (400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
        (400, "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
    ],
)
def test_a_model_without_a_system_role_is_told_in_the_first_turn(status, words, request_, connect):
    told: list[str] = []
    with FakeLLMServer([HttpFault(status, "bad", words), Say("a"), Say("b")]) as server:
        model = connect("openai-compatible", server, warn=told.append)
        assert [model.complete(replace(request_, sample_index=i)).reply for i in (0, 1)] == [
            "a",
            "b",
        ]
        sent = [request.body["messages"] for request in server.requests]
    assert [turn["role"] for turn in sent[0]] == ["system", "user"]
    assert sent[1] == sent[2] == [{"role": "user", "content": "You design.\n\nHop."}]
    assert sum("takes no system role" in line for line in told) == 1


TEXTS = {
    # Each with the most characters for a token that the tokenisers of OpenAI, Anthropic and
    # DeepSeek were measured to take.
    "prompt": ("The robot hops: torso_height 1.25 m, forward_velocity 2.3 m/s. ", 3.9),
    "prose": ("Each film is shown to whoever judges it, beside the metric and the score. ", 4.8),
    "long words": (
        "The environment represents considerable opportunities for understanding international "
        "communication responsibilities between organizations. ", 10.8,
    ),
    "deep code": (" " * 24 + "    return upright * speed, terms\n", 8.3),
    "table": (f"{'speed':<40}{12:>30}{'ok':>30}\n", 16.9),
    "rules": ("-" * 80 + "\nsome words of a text here\n" + "=" * 80 + "\n", 17.1),
    "blank lines": ("\n" * 6 + " " * 60 + "x = 1", 14.2),
    "chinese": ("让机器人向前跳跃并保持躯干直立，同时尽量减少能量消耗。", 1.9),
    "russian": ("Сделай сальто назад и приземлись на ногу, не падая после этого. ", 3.2),
}  # fmt: skip


def ask_long(text: str, n_read: int, request, connect) -> str:
    request = replace(request, messages=(ChatMessage("user", text),))
    with FakeLLMServer([Say("ok", input_tokens=n_read)]) as server:
        return connect("openai-compatible", server).complete(request).reply


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("n_chars", [7_000, 40_000])
def test_a_prompt_that_a_tokeniser_packs_well_is_not_taken_for_a_cut_one(
    name, n_chars, request_, connect
):
    words, chars_a_token = TEXTS[name]
    text = words * (n_chars // len(words))
    assert ask_long(text, int(len(text) / chars_a_token), request_, connect) == "ok"


@pytest.mark.parametrize("name", ["prompt", "table", "rules", "blank lines", "chinese", "russian"])
def test_a_count_that_happens_to_be_a_window_is_not_taken_for_one(name, request_, connect):
    words, chars_a_token = TEXTS[name]
    text = words * int(4_096 * chars_a_token / len(words))
    assert ask_long(text, 4_096, request_, connect) == "ok"


@pytest.mark.parametrize(
    ("n_chars", "n_read", "is_cut"),
    [
        (24_000, 4_096, True),  # Ollama's window, filled to its end
        (24_000, 2_050, True),
        (24_000, 900, True),
        (24_000, 6_200, False),
        (16_000, 4_096, False),  # as many as it may be
        (3_000, 100, False),
        (24_000, 0, False),  # a server that counts nothing
    ],
)
def test_a_server_that_reads_less_than_was_sent_is_stopped(
    n_chars, n_read, is_cut, request_, connect
):
    words, _ = TEXTS["prompt"]
    text = (words * 1_000)[:n_chars]
    if not is_cut:
        assert ask_long(text, n_read, request_, connect) == "ok"
        return
    with pytest.raises(ModelError, match=f"read {n_read:,} of at least 5,") as caught:
        ask_long(text, n_read, request_, connect)
    # No kind of error that has a shorter prompt sent, or an opinion done without.
    assert type(caught.value) is ModelError
    assert "OLLAMA_CONTEXT_LENGTH=32768" in caught.value.remedy
