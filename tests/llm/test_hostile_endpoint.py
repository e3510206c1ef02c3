"""An endpoint that answers with anything at all: one line of error, or a reply that is bounded."""

from __future__ import annotations

import json
import socket
import threading
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chat import make_chat_model

from reward_agent.errors import ModelError
from reward_agent.llm import sdk
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.chat import ChatMessage, ChatRequest
from reward_agent.testing import FakeLLMServer, RawBody

PROVIDERS = ("openai", "anthropic")
KEY = "zz-0123456789abcdef"
DEEP = "[" * 100_000


def ask(provider: str, url: str, deadline_s: float = 20.0):
    model = make_chat_model(
        provider,
        base_url=url,
        environ=dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), KEY),
        timeout_s=5.0,
        deadline_s=deadline_s,
        policy=CallPolicy(n_attempts=1),
    )
    return model.complete(ChatRequest("designer", "designer/first", (ChatMessage("user", "Hop."),)))


def answer(provider: str, body: str, content_type: str = "application/json", status: int = 200):
    with FakeLLMServer([RawBody(body, content_type, status)]) as server:
        return ask(provider, server.anthropic_url if provider == "anthropic" else server.openai_url)


def assert_one_line(error: ModelError) -> None:
    assert len(error.message) < 500
    # What no version of Unicode that Python knows has assigned is shown by no terminal.
    known = [sign for sign in error.message if unicodedata.category(sign) != "Cn"]
    assert "".join(known).isprintable()
    assert error.remedy


def write_openai(**changes) -> dict:
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    return {"id": "c", "model": "m", "choices": [choice], "usage": {}} | changes


def write_anthropic(**changes) -> dict:
    content = [{"type": "text", "text": "x"}]
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "end_turn", "usage": {},
    } | changes  # fmt: skip


COUNTS = [-1, -(10**30), 10**30, 1e300, "five", "5", [], {}, None, True, 2.5]


@pytest.mark.parametrize("count", COUNTS, ids=repr)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_counts_that_are_none_are_not_believed(provider, count) -> None:
    if provider == "openai":
        body = write_openai(usage={"prompt_tokens": count, "completion_tokens": count})
    else:
        body = write_anthropic(usage={"input_tokens": count, "output_tokens": count})
    usage = answer(provider, json.dumps(body)).usage
    assert 0 <= usage.input_tokens <= 10**9
    assert 0 <= usage.output_tokens <= 10**9
    assert usage.is_estimated or usage.input_tokens in (2, 5)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_counts_of_parts_that_pass_the_whole_do_not_lower_what_is_paid(provider) -> None:
    if provider == "openai":
        details = {"cached_tokens": 10**6, "cache_write_tokens": 10**6}
        body = write_openai(
            model="gpt-6.2-sol",
            usage={"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": details},
        )
    else:
        body = write_anthropic(
            model="claude-sonnet-5-5",
            usage={"input_tokens": 0, "output_tokens": 1, "cache_read_input_tokens": -(10**6)},
        )
    usage = answer(provider, json.dumps(body)).usage
    assert usage.fresh_input_tokens >= 0
    assert (usage.usd or 0.0) >= 0


BODIES = [
    f'{{"choices": {DEEP}', f'{{"error": {DEEP}', '{"a":' * 100_000, "NaN", "1e999", "9" * 10_000,
    '{"choices": "x"}', '{"choices": [{"message": 5}]}', '{"choices": [null], "usage": 7}',
    '{"choices": [{"message": {"content": {"a": 1}}}]}', '{"content": 5}', '{"content": [5]}',
    '{"content": [{"type": 7, "text": 8}]}', '{"error": {"code": ' + "9" * 5000 + "}}",
    '{"error": {"code": 1e999, "type": []}}', '{"error": [[[["x"]]]]}', "\x00" * 1000, "\ufeff{}",
    *('{"error": {"code": ' + "[" * depth + "]" * depth + "}}" for depth in range(700, 1000, 60)),
    '{"model": {"a": 1}, "choices": [], "content": []}', '"' + "x" * 10**6 + '"',
    '{"error": "' + "\x1b[2J\u202e" * 1000 + '"}', '{"error": {"message": "' + "x" * 10**6 + '"}}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:30])
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_body_of_another_form_is_one_line(provider, status, body) -> None:
    try:
        completion = answer(provider, body, status=status)
    except ModelError as error:
        assert_one_line(error)
    else:  # as good as silent, which a candidate's outcome says
        assert completion.reply == ""


EVENTS = [
    *(f"data: {body}\n\n" for body in BODIES),
    "event: message_start\ndata: {}\n\n", "event: error\ndata: {\"error\": 5}\n\n",
    "event: message_start\ndata: {\"type\": \"message_start\", \"message\": 5}\n\n",
    "event: content_block_delta\ndata: {\"type\": \"content_block_delta\", \"index\": 99999999}\n\n",
    "event: content_block_start\ndata: {\"type\": \"content_block_start\", \"index\": -1}\n\n",
    "data: " + "x" * 10**6, "\r" * 10**5, ":" * 10**5, "data: [DONE]\n\n", "id: \x00\nretry: 1e9\n\n",
]  # fmt: skip


@pytest.mark.parametrize("events", EVENTS, ids=lambda events: events[:40])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_of_another_form_is_one_line(provider, events) -> None:
    with pytest.raises(ModelError) as caught:
        answer(provider, events, "text/event-stream")
    assert_one_line(caught.value)


@contextmanager
def serve(head: str, piece: bytes, limit: int = 10**9) -> Iterator[str]:
    """Answer by hand, with pieces until the client gives up."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent = [0]

    def work() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1 << 20)
                try:
                    connection.sendall(head.encode())
                    while piece and sent[0] < limit:
                        connection.sendall(piece)
                        sent[0] += len(piece)
                except OSError:
                    pass

    threading.Thread(target=work, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


HEAD = "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}connection: close\r\n\r\n"
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "' + b"x" * 60_000 + b'"}}]}\n\n'


@pytest.mark.parametrize(
    ("status", "kind", "piece"),
    [
        ("200 OK", "text/event-stream", EVENT),
        ("200 OK", "text/event-stream", b"x" * 65_536),
        ("200 OK", "text/event-stream", b": ping\n\n" * 8_000),
        ("200 OK", "application/json", b" " * 65_536),
        ("500 Oh", "application/json", b"[" * 65_536),
        ("302 Go", "text/html", b"x" * 65_536),
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_endless_answer_ends(provider, status, kind, piece, monkeypatch) -> None:
    monkeypatch.setattr(sdk, "_MAX_BODY_BYTES", 2**21)
    head = HEAD.format(status=status, kind=kind, more="")
    with serve(head, piece) as url, pytest.raises(ModelError) as caught:
        ask(provider, url)
    assert_one_line(caught.value)


def pack_spaces(size: int) -> bytes:
    """Return the beginning of a gzip file of spaces: a thousandth of what it unpacks to."""
    packer = zlib.compressobj(wbits=31)
    # What follows a full flush stands for itself, and so can be said again.
    first, again = (
        packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return (first + again * (size // len(again)))[:size]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_that_nobody_asked_to_pack_is_not_unpacked(provider, monkeypatch) -> None:
    packed = pack_spaces(2**21)
    head = HEAD.format(status="200 OK", kind="application/json", more="content-encoding: gzip\r\n")
    unpacked: list[object] = []
    monkeypatch.setattr(zlib, "decompressobj", lambda *given: unpacked.append(given))
    with serve(head, packed, len(packed)) as url, pytest.raises(ModelError) as caught:
        ask(provider, url)
    assert_one_line(caught.value)
    assert unpacked == []


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n b\x00\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "x-y: " + "z" * 10**6 + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        "HTTP/1.1 429 Slow\r\nretry-after: Thu, 01 Jan 2026 00:00:00 -0000 GMT\r\n"
        "content-length: 0\r\n\r\n",
        "HTTP/1.1 429 Slow\r\nretry-after: 1e999\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 429 Slow\r\nretry-after-ms: nan\r\ncontent-length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "",
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_head_of_another_form_is_one_line(provider, head) -> None:
    with serve(head, b"") as url, pytest.raises(ModelError) as caught:
        ask(provider, url)
    assert_one_line(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_name_that_the_server_gives_itself_is_short_and_plain(provider) -> None:
    name = "\x1b]0;x\x07\u202e" + "n" * 10**5
    body = write_openai(model=name) if provider == "openai" else write_anthropic(model=name)
    completion = answer(provider, json.dumps(body))
    assert completion.model.isprintable()
    assert len(completion.model) <= 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "message", "content", "usage", "error", "model", "finish_reason", "text",
             "type", "delta", "prompt_tokens", "input_tokens", "stop_reason", "code", "refusal"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=30,
)  # fmt: skip


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=30)
@given(body=JSON, is_stream=st.booleans())
def test_any_json_is_a_reply_or_one_line(provider, body, is_stream) -> None:
    text = json.dumps(body)
    if is_stream:
        text = f"event: message_start\ndata: {text}\n\ndata: {text}\n\ndata: [DONE]\n\n"
    try:
        completion = answer(
            provider, text, "text/event-stream" if is_stream else "application/json"
        )
    except ModelError as error:
        assert_one_line(error)
    else:
        assert isinstance(completion.reply, str)
