"""Every endpoint by name: called over its SDK's own client, and its typical mistakes in one line."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from support.chat import make_chat_model

from reward_agent.errors import MissingKeyError, ModelError, RejectedKeyError, UsageError
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.provider import PROVIDERS
from reward_agent.testing import FakeLLMServer, HttpFault, Say

KEY = "sk-test-0123456789abcdef"
ASKED = {row.name: row for row in PROVIDERS.own if row.base_url or row.address_variable}
PLACES = {
    "AWS_REGION": "us-east-1",
    "ANTHROPIC_VERTEX_PROJECT_ID": "proj",
    "CLOUD_ML_REGION": "global",
    "OPENAI_API_VERSION": "2024-10-21",
}
PATHS = {
    "anthropic": "/v1/messages",
    "azure": "/openai/deployments/m/chat/completions?api-version=2024-10-21",
    "bedrock": "/model/m/invoke-with-response-stream",
    "vertex": "/projects/proj/locations/global/publishers/anthropic/models/m:streamRawPredict",
}
LISTING = sorted(name for name, row in ASKED.items() if row.lists_models)


def connect(name: str, server: FakeLLMServer, **given: Any) -> Any:
    row = ASKED[name]
    if row.package and find_spec(row.package.partition(".")[0]) is None:
        pytest.skip(f"needs {row.package}")
    environ = PLACES | dict.fromkeys(row.key_variables, KEY) | given.pop("environ", {})
    is_bare = name in ("anthropic", "azure", "bedrock", "vertex")
    options = {
        "base_url": server.url if is_bare else server.openai_url,
        "environ": environ,
        "model": "m",
        "provider": name,
        "policy": CallPolicy(n_attempts=1),
    }
    return make_chat_model(name, **(options | given))


@pytest.mark.parametrize("name", ASKED)
def test_a_row_is_called_with_its_key_and_model(name, request_):
    with FakeLLMServer([Say("here", output_tokens=7)]) as server:
        completion = connect(name, server).complete(request_)
        [received] = server.requests
    assert (completion.reply, completion.model, completion.usage.output_tokens) == ("here", "m", 7)
    assert received.path == PATHS.get(name, "/v1/chat/completions")
    assert received.model == "m"
    assert received.is_streamed
    assert any(KEY in value for value in received.headers.values())


@pytest.mark.parametrize("name", [name for name, row in ASKED.items() if row.needs_key])
def test_without_a_key_the_variable_and_the_command_are_named(name):
    with FakeLLMServer([]) as server, pytest.raises(MissingKeyError) as missing:
        connect(name, server, environ=dict.fromkeys(ASKED[name].key_variables, ""))
    for variable in ASKED[name].key_variables:
        assert variable in missing.value.message
    assert "reward-agent keys set" in missing.value.remedy
    assert server.n_requests == 0


@pytest.mark.parametrize("name", ASKED)
def test_a_wrong_key_is_told_as_one(name, request_):
    fault = HttpFault(401, "authentication_error", f"who is {KEY}?")
    with FakeLLMServer([fault]) as server, pytest.raises(RejectedKeyError) as refused:
        connect(name, server).complete(request_)
    assert KEY not in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("name", ASKED)
def test_an_unknown_model_is_named(name, request_):
    fault = HttpFault(404, "model_not_found", "the model m does not exist")
    with FakeLLMServer([fault]) as server, pytest.raises(ModelError, match="m") as unknown:
        connect(name, server).complete(request_)
    assert "--model" in unknown.value.remedy
    assert "\n" not in unknown.value.message


@pytest.mark.parametrize("name", LISTING)
def test_of_several_models_those_of_the_server_are_listed(name):
    with FakeLLMServer([], models=("b", "a")) as server, pytest.raises(UsageError) as several:
        connect(name, server, model=None)
    assert several.value.message.endswith("has 2: a, b")
    assert several.value.remedy == "give one of them, such as --model a"


@pytest.mark.parametrize("name", LISTING)
def test_the_only_model_is_taken(name):
    with FakeLLMServer([], models=("a", "text-embed")) as server:
        assert connect(name, server, model=None).name == "a"


@pytest.mark.parametrize(
    ("name", "unset", "said"),
    [
        ("azure", "OPENAI_API_VERSION", "OPENAI_API_VERSION is not set"),
        ("bedrock", "AWS_REGION", "AWS_REGION is not set"),
        ("vertex", "CLOUD_ML_REGION", "CLOUD_ML_REGION is not set"),
        ("vertex", "ANTHROPIC_VERTEX_PROJECT_ID", "ANTHROPIC_VERTEX_PROJECT_ID is not set"),
    ],
)
def test_what_else_a_row_needs_is_named(name, unset, said):
    with FakeLLMServer([]) as server, pytest.raises(UsageError, match=said) as lacking:
        connect(name, server, environ={unset: ""})
    assert "export" in lacking.value.remedy


@pytest.mark.parametrize("name", ["azure", "bedrock", "vertex", "github"])
def test_without_a_model_a_row_that_lists_none_asks_for_it(name):
    with FakeLLMServer([]) as server, pytest.raises(UsageError, match="needs the name") as lacking:
        connect(name, server, model=None)
    assert "--model" in lacking.value.remedy


@pytest.mark.parametrize("name", ["azure", "openai-compatible"])
def test_without_an_address_the_variable_is_named(name):
    with FakeLLMServer([]) as server, pytest.raises(UsageError, match="needs the address") as bare:
        connect(name, server, base_url=None)
    assert ASKED[name].address_variable in bare.value.remedy


@pytest.mark.parametrize("name", [name for name, row in ASKED.items() if row.extra])
def test_without_its_extra_the_command_that_installs_it_is_named(name, monkeypatch):
    monkeypatch.setattr("reward_agent.plugins.find_spec", lambda package: None)
    with FakeLLMServer([]) as server, pytest.raises(UsageError) as missing:
        make_chat_model(name, base_url=server.url, environ=PLACES, model="m")
    assert f"reward-agent[{ASKED[name].extra}]" in missing.value.remedy


@pytest.mark.parametrize(
    ("path", "model", "received"),
    [
        ("/openai/v1", "m", "/openai/v1/chat/completions"),
        ("/openai/v1/", "m", "/openai/v1/chat/completions"),
        ("/openai", "m", PATHS["azure"]),
        ("/openai/deployments/m/chat/completions?api-version=2024-10-21", None, PATHS["azure"]),
    ],
)
def test_an_address_of_azure_may_be_any_that_its_portal_shows(path, model, received, request_):
    with FakeLLMServer([Say("here")]) as server:
        connect("azure", server, base_url=server.url + path, model=model).complete(request_)
        assert server.requests[0].path == received
