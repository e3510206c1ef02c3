"""Both real SDKs against the fake server: what is sent and what is read."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.chat import make_chat_model

from reward_agent.errors import (
    EmptyReplyError,
    MissingKeyError,
    RefusalError,
    TruncatedReplyError,
    UsageError,
)
from reward_agent.llm.chat import ChatMessage, ChatRequest, read_reply
from reward_agent.llm.provider import find_provider
from reward_agent.testing import BreakStream, FakeLLMServer, HttpFault, RawBody, Say

KEY = "sk-test-0123456789abcdef"  # the one of the fixtures
PROVIDERS = ["openai", "anthropic"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_reply_and_usage_are_read(provider, request_, connect):
    say = Say("here", input_tokens=1000, cached_tokens=600, output_tokens=50, reasoning_tokens=20)
    with FakeLLMServer([say]) as server:
        completion = connect(provider, server).complete(request_)
    usage = completion.usage
    assert read_reply(completion) == "here"
    assert completion.provider == provider
    assert (usage.n_calls, usage.input_tokens, usage.cached_input_tokens) == (1, 1000, 600)
    assert (usage.output_tokens, usage.reasoning_tokens) == (50, 20)
    # Both defaults cost 2 and 10 USD per million, cached input 0.10.
    assert usage.usd == pytest.approx((400 * 2.0 + 600 * 0.10 + 50 * 10.0) / 1e6)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_unknown_model_has_tokens_and_no_price_and_says_so(provider, request_, connect):
    told: list[str] = []
    with FakeLLMServer([Say("here")]) as server:
        completion = connect(provider, server, model="brand-new", warn=told.append).complete(
            request_
        )
        connect(provider, server, warn=told.append)
    assert [text.split(" (")[0] for text in told] == ["no price is known for brand-new"]
    assert completion.model == "brand-new"
    assert completion.usage.input_tokens == 100
    assert completion.usage.usd is None


def test_openai_request_has_no_temperature_and_bounds_the_reply(request_, connect):
    with FakeLLMServer([Say("x")]) as server:
        connect("openai", server).complete(request_)
        [received] = server.requests
    assert received.path == "/v1/chat/completions"
    assert received.body["max_completion_tokens"] == request_.max_output_tokens
    assert "temperature" not in received.body
    assert [turn["role"] for turn in received.body["messages"]] == ["system", "user"]


def test_compatible_server_is_sent_max_tokens(request_, connect):
    with FakeLLMServer([Say("x")]) as server:
        connect("openai-compatible", server, environ={}).complete(request_)
        [received] = server.requests
    assert received.body["max_tokens"] == 16_000
    assert "max_completion_tokens" not in received.body


def test_anthropic_request_caches_the_system_text_and_has_no_temperature(request_, connect):
    with FakeLLMServer([Say("x")]) as server:
        connect("anthropic", server).complete(request_)
        [received] = server.requests
    assert received.path == "/v1/messages"
    assert received.body["system"] == [
        {"type": "text", "text": "You design.", "cache_control": {"type": "ephemeral"}}
    ]
    assert received.body["messages"] == [{"role": "user", "content": "Hop."}]
    assert not {"temperature", "top_p", "top_k"} & set(received.body)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("say", "error", "says"),
    [
        (Say("", "refusal", "frontier_llm"), RefusalError, "the model refused (frontier_llm)"),
        (
            Say("def compute_rew", "length", output_tokens=16000),
            TruncatedReplyError,
            "after 16000 tokens",
        ),
        (Say(""), EmptyReplyError, "with nothing"),
        (Say("  \n "), EmptyReplyError, "with nothing"),
    ],
)
def test_unusable_reply_is_a_completion_with_its_cost(
    provider, say, error, says, request_, connect
):
    with FakeLLMServer([say]) as server:
        completion = connect(provider, server).complete(request_)
    assert completion.usage.n_calls == 1
    assert completion.usage.input_tokens == 100
    with pytest.raises(error) as caught:
        read_reply(completion)
    assert says in caught.value.message


FILTERED = {
    "openai": [
        Say("", "content_filter"),
        HttpFault(400, "content_filter", "hate: high"),
        HttpFault(400, "error", "The prompt triggered Azure's content management policy"),
    ],
    "anthropic": [
        HttpFault(400, "invalid_request_error", "Output blocked by content filtering policy"),
        BreakStream(
            by=HttpFault(400, "invalid_request_error", "Output blocked by content filtering policy")
        ),
    ],
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_filtered_reply_and_filtered_prompt_are_named(provider, request_, connect):
    steps = FILTERED[provider]
    with FakeLLMServer(steps) as server:
        model = connect(provider, server)
        completions = [model.complete(request_) for _ in steps]
    assert {completion.stop_reason for completion in completions} == {"content_filter"}
    with pytest.raises(RefusalError, match=r"content filter stopped the reply \(.*\w"):
        read_reply(completions[1])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "text",
    [
        "data: [DONE]\n\nevent: error\n\n",
        "a\r\nb\rc\x0bd\x85e\u2028f\x00g",
        "漢字 🙂 é " * 40,
        "  leading and trailing  \n\n",
    ],
)
def test_any_text_comes_through_the_stream_to_the_letter(text, provider, request_, connect):
    with FakeLLMServer([Say(text)]) as server:
        assert connect(provider, server).complete(request_).reply == text


def test_half_a_surrogate_pair_does_not_break_the_record(request_, connect):
    body = {
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "a\ud800b"},
            }
        ],
    }
    with FakeLLMServer([RawBody(json.dumps(body))]) as server:
        completion = connect("openai-compatible", server).complete(request_)
    assert completion.reply == "a?b"
    assert "a?b" in completion.model_dump_json()


def test_server_that_reports_no_usage_counts_one_call(request_, connect):
    body = {"choices": [{"finish_reason": "stop", "message": {"content": "hi"}}]}
    with FakeLLMServer([RawBody(json.dumps(body))]) as server:
        completion = connect("openai-compatible", server).complete(request_)
    assert completion.reply == "hi"
    assert completion.model == "some-model"
    assert completion.usage.n_calls == 1
    assert completion.usage.usd is None


USED = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
END = {"index": 0, "delta": {}, "finish_reason": "stop"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tokens_that_a_server_does_not_report_have_a_price_where_the_model_has(
    provider, request_, connect
):
    name = find_provider(provider).default_model
    bodies = {
        "openai": {
            "model": name,
            "choices": [{"finish_reason": "stop", "message": {"content": "hi"}}],
        },
        "anthropic": {"model": name, "content": [{"type": "text", "text": "hi"}]},
    }
    with FakeLLMServer([RawBody(json.dumps(bodies[provider]))]) as server:
        usage = connect(provider, server).complete(request_).usage
    assert usage.is_estimated
    assert usage.usd > 0


ODD_STREAMS = {
    "choices without an index": [{"choices": [{"delta": {"content": text}}]} for text in "hi"],
    "no object": [{"object": None, "choices": [{"index": 0, "delta": {"content": "hi"}}]}],
    "choices of null": [{"choices": None}, {"choices": [{"index": 0, "delta": {"content": "hi"}}]}],
    "a delta of null": [
        {"choices": [{"index": 0, "delta": {"content": "hi"}}]}, {"choices": [{"delta": None}]},
    ],
    "lists of reasoning": [
        {"choices": [{"index": 0, "delta": {"content": text, "reasoning_details": [{"text": "?"}]}}]}
        for text in "hi"
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_STREAMS)
def test_odd_stream_of_a_compatible_server_is_read(name, request_, connect):
    # The usage does not come last either.
    chunks = [*ODD_STREAMS[name], {"choices": [END], "usage": USED}, {"choices": []}]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    with FakeLLMServer([RawBody(body, "text/event-stream")]) as server:
        completion = connect("openai-compatible", server).complete(request_)
    assert completion.reply == "hi"
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (7, 2)


def test_openai_key_is_sent_only_where_it_belongs(request_, connect):
    with FakeLLMServer([Say("x")] * 3) as server:
        connect("openai-compatible", server).complete(request_)
        own = {"OPENAI_COMPATIBLE_API_KEY": "own-key", "OPENAI_API_KEY": KEY}
        connect("openai-compatible", server, environ=own).complete(request_)
        pair = {"OPENAI_BASE_URL": server.openai_url, "OPENAI_API_KEY": KEY}
        make_chat_model("openai-compatible", model="llama", environ=pair).complete(request_)
        sent = [received.headers["authorization"] for received in server.requests]
    assert sent == ["Bearer none", "Bearer own-key", f"Bearer {KEY}"]


def test_base_url_of_the_environment_is_respected(request_):
    with FakeLLMServer([Say("x")]) as server:
        environ = {"OPENAI_BASE_URL": server.openai_url}
        model = make_chat_model("openai-compatible", model="llama", environ=environ)
        assert model.complete(request_).reply == "x"


@pytest.mark.parametrize(
    ("options", "says"), [({}, "address"), ({"base_url": "http://x/v1"}, "name of a model")]
)
def test_compatible_says_what_it_lacks(options, says):
    with pytest.raises(UsageError, match=says):
        make_chat_model("openai-compatible", **options)


@pytest.mark.parametrize(
    ("provider", "variable"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")]
)
def test_missing_key_is_said_before_the_sdk_is_imported(provider, variable):
    code = (
        "import sys\n"
        "from reward_agent.errors import MissingKeyError\n"
        "from reward_agent.llm.calls import make_chat_model\n"
        "try:\n"
        f"    make_chat_model({provider!r})\n"
        "except MissingKeyError as error:\n"
        f"    assert {variable!r} in error.message and {variable!r} in error.remedy\n"
        f"    assert {provider!r} not in sys.modules\n"
        "    print('said')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "said\n"


def test_blank_key_is_no_key():
    with pytest.raises(MissingKeyError):
        make_chat_model("openai", environ={"OPENAI_API_KEY": "  "})


def test_repair_conversation_keeps_its_turns(connect):
    turns = (ChatMessage("user", "a"), ChatMessage("assistant", "b"), ChatMessage("user", "c"))
    with FakeLLMServer([Say("x")]) as server:
        connect("anthropic", server).complete(ChatRequest("designer", "designer/repair", turns))
        [received] = server.requests
    assert [turn["content"] for turn in received.body["messages"]] == ["a", "b", "c"]
    assert "system" not in received.body
