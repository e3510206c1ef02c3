"""Structured replies: the schema that is sent, and what becomes of a server that knows none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reward_agent.errors import ContextTooLongError, ModelError
from reward_agent.llm.chat import make_reply_schema
from reward_agent.testing import FakeLLMServer, HttpFault, Say
from reward_agent.types import Analysis, Critique

CRITIQUE = json.dumps({"verdict": "accept", "summary": "fine", "risks": []})


@pytest.mark.parametrize("kind", [Critique, Analysis])
def test_schema_is_strict(kind):
    objects = []

    def walk(node):
        if isinstance(node, dict):
            if "properties" in node:
                objects.append(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    schema = make_reply_schema(kind)
    walk(schema)
    assert objects
    assert "schema_version" not in schema["properties"]
    assert all(item["required"] == list(item["properties"]) for item in objects)
    assert all(item["additionalProperties"] is False for item in objects)
    assert '"default"' not in json.dumps(schema)


def test_field_may_be_named_like_a_word_of_the_schema():
    from reward_agent.types import Record

    class Odd(Record):
        title: str
        default: int = 1

    assert list(make_reply_schema(Odd)["properties"]) == ["title", "default"]


@pytest.mark.parametrize("provider", ["openai", "openai-compatible"])
def test_schema_is_sent_where_a_record_is_asked_for(provider, request_, connect):
    with FakeLLMServer([Say("x"), Say(CRITIQUE)]) as server:
        model = connect(provider, server)
        model.complete(request_)
        model.complete(replace(request_, reply_type=Critique))
        bodies = [received.body for received in server.requests]
    assert "response_format" not in bodies[0]
    form = bodies[1]["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "Critique"
    assert form["json_schema"]["schema"] == make_reply_schema(Critique)


def test_server_without_schemas_is_asked_for_json_and_then_in_words(request_, connect):
    asked = replace(request_, reply_type=Critique)
    steps = [
        HttpFault(400, "invalid_request_error", "response_format type json_schema: unsupported"),
        HttpFault(422, "bad", "'response_format.type' must be 'text'"),
        Say(CRITIQUE),
        Say(CRITIQUE),
    ]
    with FakeLLMServer(steps) as server:
        model = connect("openai-compatible", server)
        first, second = model.complete(asked), model.complete(asked)
        forms = [item.body.get("response_format", {}).get("type") for item in server.requests]
    # What was refused once is not sent again.
    assert forms == ["json_schema", "json_object", None, None]
    assert first.reply == second.reply == CRITIQUE
    assert first.retries == ()


def test_server_that_cannot_count_a_stream_or_bound_it_is_served(request_, connect):
    steps = [
        HttpFault(400, "invalid_request_error", "Unrecognized request argument: stream_options"),
        HttpFault(
            400,
            "BadRequestError",
            "This model's maximum context length is 4096 tokens. However, you requested 17200 "
            "tokens (1200 in the messages, 16000 in the completion).",
        ),
        Say("x"),
    ]
    with FakeLLMServer(steps) as server:
        assert connect("openai-compatible", server).complete(request_).reply == "x"
        bodies = [received.body for received in server.requests]
    assert [("stream_options" in body, "max_tokens" in body) for body in bodies] == [
        (True, True),
        (False, True),
        (False, False),
    ]


def test_refusal_that_nothing_can_answer_is_told(request_, connect):
    fault = HttpFault(400, "invalid_request_error", "max_tokens: the context is 4096 tokens long")
    with FakeLLMServer([fault] * 3) as server:
        with pytest.raises(ModelError, match="the context is 4096"):
            connect("openai-compatible", server).complete(request_)
        assert server.n_requests == 2


def test_prompt_that_is_too_long_by_itself_is_still_told(request_, connect):
    fault = HttpFault(400, "context_length_exceeded", "maximum context length is 4096 tokens")
    with FakeLLMServer([fault]) as server:
        with pytest.raises(ContextTooLongError):
            connect("openai-compatible", server).complete(request_)
        assert server.n_requests == 1
