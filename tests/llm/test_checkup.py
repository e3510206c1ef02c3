"""``doctor --provider``: a call or two, and each fault told of the side that it is on."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.llm.checkup import MOST_USD, try_endpoint
from reward_agent.records.settings import EndpointSettings
from reward_agent.testing import BreakStream, FakeLLMServer, HttpFault, RawBody, Say

KEYS = {"OPENAI_API_KEY": "sk-test-0123456789", "ANTHROPIC_API_KEY": "sk-test-0123456789"}
COUNTED, RED = Say(json.dumps({"words": "one, two"})), Say("Red.")
WIRES = pytest.mark.parametrize("provider", ["openai", "anthropic"])
WHOLE = {
    "model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 9},
    "choices": [{"message": {"content": COUNTED.text}, "finish_reason": "stop"}],
}  # fmt: skip


def attempt(provider: str, *steps, environ=KEYS, has_picture=True, **asked):
    """Return the facts by name, the error, and what was told before."""
    told: list[str] = []
    with FakeLLMServer(list(steps)) as server:
        url = server.anthropic_url if provider == "anthropic" else server.openai_url
        settings = EndpointSettings(provider=provider, base_url=url, **asked)
        tried = try_endpoint(settings, environ, has_picture, told.append)
    return {fact.name: fact for fact in tried.facts}, tried.error, told


@WIRES
def test_a_sound_endpoint_is_ticked(provider):
    facts, error, told = attempt(provider, COUNTED, RED)
    assert error is None
    assert {name for name, fact in facts.items() if fact.holds} >= {
        "address", "key", "model", "streaming", "pictures", "longest context", "speed", "price",
        "cost of this trial",
    }  # fmt: skip
    assert facts["JSON by schema"].holds is (True if provider == "openai" else None)
    assert "a picture of a red square" in told[0]
    assert "USD at most" in told[0]
    assert float(told[0].split("for ")[1].split()[0]) < MOST_USD


@WIRES
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (HttpFault(401), "key"),
        (HttpFault(404, "not_found_error", "model: no-such"), "model"),
        (HttpFault(503), "address"),
        (HttpFault(400, "invalid_request_error", "no"), "call"),
        (RawBody("<html>Not Found</html>", status=404, content_type="text/html"), "address"),
        (RawBody("<html>Welcome</html>", content_type="text/html"), "call"),
        (BreakStream("one, tw", by="end"), "call"),
        (BreakStream("one, tw", by="drop"), "call"),
    ],
)
def test_a_fault_is_of_one_side_and_what_is_behind_is_not_ticked(provider, fault, name):
    facts, error, _ = attempt(provider, fault)
    assert error is not None
    assert [fact.name for fact in facts.values() if fact.holds is False] == [name]
    assert list(facts)[-1] == name
    assert "speed" not in facts


def test_a_dear_model_is_tried_for_a_few_cents_too():
    dear = {"input": 150.0, "output": 600.0}
    _, error, told = attempt("openai", COUNTED, RED, prices=dear)
    assert error is None
    assert 0 < float(told[0].split("for ")[1].split()[0]) < 0.11
    cheap = attempt("openai", COUNTED, RED, prices={"input": 3.0, "output": 20.0})[2]
    assert float(cheap[0].split("for ")[1].split()[0]) < MOST_USD


def test_a_key_that_is_missing_sends_nothing():
    facts, error, told = attempt("openai", environ={})
    assert (facts["key"].holds, told) == (False, [])
    assert "OPENAI_API_KEY is not set" in str(error)


def test_a_server_that_does_not_stream_is_told_so():
    facts, error, _ = attempt("openai", RawBody(json.dumps(WHOLE)), RED)
    assert error is None
    assert facts["streaming"].holds is False


def test_a_server_without_schemas_is_told_so():
    refused = HttpFault(400, "invalid", "response_format json_schema is not supported")
    facts, error, _ = attempt("openai", refused, COUNTED, RED)
    assert error is None
    assert facts["JSON by schema"].holds is False
    assert "is refused" in facts["JSON by schema"].detail


@WIRES
@pytest.mark.parametrize(
    ("step", "says"),
    [
        (HttpFault(400, "invalid", "this model does not support image input"), "it sees none"),
        (Say("I see a dog."), "took a red square, and said 'I see a dog.'"),
    ],
)
def test_a_blind_model_is_told_so(provider, step, says):
    facts, error, _ = attempt(provider, COUNTED, step)
    assert error is None
    assert facts["pictures"].holds is False
    assert says in facts["pictures"].detail


def test_no_picture_leaves_where_none_is_to():
    facts, _, told = attempt("openai", COUNTED, has_picture=False)
    assert "pictures" not in facts
    assert "picture" not in told[0]


def invoke(*words: str, **environ: str):
    return CliRunner(env=KEYS | environ).invoke(app, ["doctor", *words])


def test_the_command_shows_what_failed_and_ends_with_its_error():
    with FakeLLMServer([HttpFault(401)]) as server:
        done = invoke("--provider=openai", f"--base-url={server.openai_url}", "--json")
    assert "does not accept the API key" in str(done.exception)
    shown = {row["name"]: row["holds"] for row in json.loads(done.stdout)}
    assert shown == {"address": True, "key": False}


def test_a_key_that_is_merely_set_has_no_tick():
    rows = {row["name"]: row for row in json.loads(invoke("--json").stdout)}
    assert rows["OPENAI_API_KEY"]["available"] is False
    assert rows["OPENAI_API_KEY"]["detail"] == "set, not tried: doctor --provider openai does"
