"""Credentials in an address are used by the calls, and neither stored nor shown."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from support.chat import make_chat_model

from reward_agent.designers.team import make_team
from reward_agent.errors import ModelError, UsageError
from reward_agent.llm.budget import Budget
from reward_agent.llm.calls import CalledChatModel, CallPolicy
from reward_agent.llm.chat import ALL_AGENTS
from reward_agent.llm.provider import find_address
from reward_agent.llm.replies import Replies
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunRecord
from reward_agent.testing import BreakStream, FakeLLMServer, HttpFault, RawBody, Say

USER, PASSWORD, QUERY, FRAGMENT = "walter", "hunter2-s3cret", "q-k3y-0123456789", "frag-0123456"
KEY = "zz-0123456789abcdef"
SECRETS = (PASSWORD, QUERY, FRAGMENT, KEY, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
PROVIDERS = ("openai", "anthropic", "openai-compatible")


def address(server: FakeLLMServer, provider: str) -> str:
    plain = server.anthropic_url if provider == "anthropic" else server.openai_url
    scheme, _, rest = plain.partition("://")
    return (
        f"{scheme}://{USER}:{quote(PASSWORD)}@{rest}?key={QUERY}&api-version=2026-01-01#{FRAGMENT}"
    )


def connect(provider: str, base_url: str, folder: Path, **options):
    environ = dict.fromkeys(
        ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_COMPATIBLE_API_KEY"), KEY
    )
    budget = Budget(replies=Replies(folder / "replies.sqlite"))
    given = {"model": "m", "environ": environ, "timeout_s": 5.0, "deadline_s": 20.0}
    given |= {"policy": CallPolicy(n_attempts=2, first_pause_s=0.01)} | options
    return make_chat_model(provider, base_url=base_url, budget=budget, **given), budget


def assert_hidden(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


ECHOES = [
    lambda said: HttpFault(400, "invalid_request_error", f"cannot serve {said}"),
    lambda said: HttpFault(404, "not_found", f"no route {said}"),
    lambda said: RawBody(f"<html>{said}</html>", "text/html", 403),
    lambda said: RawBody(json.dumps({"error": said})),
    lambda said: RawBody(json.dumps({"error": {"message": said, "code": said}})),
    lambda said: BreakStream("x", by=HttpFault(400, "invalid_request_error", said)),
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_quotes_the_address_and_the_key(provider, echo, tmp_path, request_) -> None:
    with FakeLLMServer(lambda received: step) as server:
        url = address(server, provider)
        headers = f"Authorization: Bearer {KEY} x-api-key={KEY} Basic {SECRETS[-1]}"
        step = echo(f"{url} {headers}")
        model, budget = connect(provider, url, tmp_path)
        with pytest.raises(ModelError) as caught:
            model.complete(request_)
    assert_hidden(caught.value.message + caught.value.remedy + repr(caught.value.__cause__))
    assert_hidden("".join(call.model_dump_json() for call in budget.replies.calls))
    budget.replies.close()
    assert_hidden((tmp_path / "replies.sqlite").read_bytes().decode("latin-1"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_call_uses_them_and_the_stored_reply_lacks_them(provider, tmp_path, request_) -> None:
    with FakeLLMServer(lambda received: Say(f"your key is {KEY}, {PASSWORD}, {QUERY}")) as server:
        model, budget = connect(provider, address(server, provider), tmp_path)
        completion = model.complete(request_)
        [received] = server.requests
    assert f"key={QUERY}" in received.path
    assert "api-version=2026-01-01" in received.path
    path = received.path.partition("?")[0]
    assert path == ("/v1/messages" if provider == "anthropic" else "/v1/chat/completions")
    assert received.headers["Authorization"] == f"Basic {SECRETS[-1]}"
    assert completion.reply == "your key is [hidden], [hidden], [hidden]"
    budget.replies.close()
    assert_hidden((tmp_path / "replies.sqlite").read_bytes().decode("latin-1"))


def test_a_password_that_is_a_word_of_programs_changes_none(tmp_path, request_) -> None:
    with FakeLLMServer([Say("def compute_reward(state): ...")]) as server:
        url = server.openai_url.replace("//", "//walter:reward@")
        model, _ = connect("openai-compatible", url, tmp_path, environ={})
        assert model.complete(request_).reply == "def compute_reward(state): ..."


def test_an_error_of_another_packages_model_is_shown_without(tmp_path, request_) -> None:
    class Model:
        provider, name, agents, max_concurrency = "theirs", "m", ALL_AGENTS, 1

        def complete(self, request):
            raise ModelError(f"http://u:{PASSWORD}@host/?key={QUERY} is down")

    budget = Budget(replies=Replies(tmp_path / "replies.sqlite"))
    with pytest.raises(ModelError, match="http://host/ is down") as caught:
        CalledChatModel(Model(), budget=budget).complete(request_)
    [call] = budget.replies.calls
    assert_hidden(caught.value.message + call.outcome)


@pytest.mark.parametrize(
    "url",
    [
        f"http://{USER}:{PASSWORD}@127.0.0.1:1/v1?key={QUERY}",
        f"https://{USER}:{PASSWORD}@no-such-host.invalid/v1#{FRAGMENT}",
        f"http://{PASSWORD}@127.0.0.1:1/v1?x={QUERY}&{QUERY}",
    ],
)
def test_an_address_where_nobody_answers(url, tmp_path, request_) -> None:
    told: list[str] = []
    model, _ = connect("openai-compatible", url, tmp_path, on_retry=told.append)
    with pytest.raises(ModelError) as caught:
        model.complete(request_)
    assert told
    assert_hidden(" ".join([caught.value.message, caught.value.remedy, *told]))


@pytest.mark.parametrize(
    "url",
    [
        f"{USER}:{PASSWORD}@host/v1", f"ftp://{USER}:{PASSWORD}@host", f"file:///{PASSWORD}",
        f"http://{USER}:{PASSWORD} x@host/v1", f"http://{USER}:{PASSWORD}@host:99999/v1",
        f"http://[{USER}:{PASSWORD}@::1/v1", f"http://?key={QUERY}", f"http://{PASSWORD}@\n/v1",
        f"http://host/v1\r\nx-key: {QUERY}",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_quoted(url, tmp_path) -> None:
    with pytest.raises(UsageError) as caught:
        connect("openai-compatible", url, tmp_path)
    assert_hidden(caught.value.message + caught.value.remedy)


@pytest.mark.parametrize("key", [f"{KEY}\r\nx: y", f"{KEY}\x00", f"{KEY}é", f"a\n{KEY}"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_that_cannot_be_sent_is_refused_and_not_quoted(provider, key, tmp_path) -> None:
    environ = dict.fromkeys(
        ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_COMPATIBLE_API_KEY"), key
    )
    with pytest.raises(UsageError, match="no key has") as caught:
        connect(provider, "http://127.0.0.1:1/v1", tmp_path, environ=environ)
    assert_hidden(caught.value.message + caught.value.remedy)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_key_is_not_carried_on_to_another_address(provider, status, tmp_path, request_) -> None:
    with FakeLLMServer([Say("mine now")]) as thief:
        step = HttpFault(status, headers={"location": f"{thief.url}/v1/messages?{QUERY}"})
        with FakeLLMServer([step]) as server:
            model, _ = connect(provider, address(server, provider), tmp_path)
            with pytest.raises(ModelError, match="on to another address") as caught:
                model.complete(request_)
        assert thief.n_requests == 0
    assert_hidden(caught.value.message)


@pytest.mark.parametrize("named", ["provider", "base_url"])
def test_neither_the_run_nor_the_first_line_of_output_has_them(named, tmp_path) -> None:
    url = f"http://{USER}:{PASSWORD}@127.0.0.1:1/v1?key={QUERY}#{FRAGMENT}"
    given = {"provider": f"openai-compatible:{url}"}
    if named == "base_url":
        given = {"provider": "openai-compatible", "base_url": url}
    settings = RunSettings(model="m", **given)
    team = make_team(settings, tmp_path, {}, threading.Event())
    assert team.address == "http://127.0.0.1:1/v1"
    assert team.introduction == "openai-compatible: m; asked at http://127.0.0.1:1/v1"
    assert_hidden(team.introduction + team.description)
    [hide] = RunRecord.model_fields["config"].metadata
    assert_hidden(str(hide.func(settings.model_dump())))


def test_those_who_ask_nobody_have_no_address(tmp_path) -> None:
    team = make_team(RunSettings(provider="offline"), tmp_path, {}, threading.Event())
    assert (team.address, team.introduction) == ("", team.description)


@pytest.mark.parametrize(
    ("spec", "base_url", "environ", "address"),
    [
        ("openai", None, {}, "https://api.openai.com/v1"),
        ("openai", None, {"OPENAI_BASE_URL": f"http://u:{PASSWORD}@h/v1?k={QUERY}"}, "http://h/v1"),
        ("anthropic", f"https://{PASSWORD}@h/", {}, "https://h"),
        (f"openai:http://u:{PASSWORD}@h", None, {}, "https://api.openai.com/v1"),
        (f"openai-compatible:http://u:{PASSWORD}@h:1/v1", None, {}, "http://h:1/v1"),
        ("offline", None, {"OPENAI_BASE_URL": "http://h"}, ""),
        ("scripted:replies.md", "http://h", {}, ""),
    ],
)
def test_where_a_sweep_asks_is_told_of_each_job(spec, base_url, environ, address) -> None:
    assert find_address(spec, base_url, environ) == address
