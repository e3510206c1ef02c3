"""The fake server that ships: what it answers, by plain HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from reward_agent.testing import FakeLLMServer, HttpFault, Say


def post(url: str) -> dict:
    request = urllib.request.Request(url, b'{"model": "m"}', {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def test_each_path_speaks_its_wire():
    with FakeLLMServer([Say("a"), Say("b")]) as server:
        completion = post(f"{server.openai_url}/chat/completions")
        message = post(f"{server.anthropic_url}/v1/messages")
    assert completion["choices"][0]["message"]["content"] == "a"
    assert message["content"] == [{"type": "text", "text": "b"}]
    assert [request.body for request in server.requests] == [{"model": "m"}] * 2


def test_script_that_ended_is_said():
    with FakeLLMServer([Say("a")]) as server:
        post(f"{server.openai_url}/chat/completions")
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(f"{server.openai_url}/chat/completions")
        with caught.value:
            assert "the script has 1 steps" in caught.value.read().decode()


def test_faults_have_the_form_of_the_wire():
    with FakeLLMServer(
        [HttpFault(529, "overloaded_error", "busy", {"retry-after": "3"})]
    ) as server:
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(f"{server.anthropic_url}/v1/messages")
        with caught.value:
            assert caught.value.headers["retry-after"] == "3"
            assert json.load(caught.value)["error"] == {
                "type": "overloaded_error",
                "message": "busy",
            }
