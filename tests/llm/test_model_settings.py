"""Settings of a model: what goes out on the wire, and what is recorded of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.chat import make_chat_model

from reward_agent.definitions.card import TrainingBudget
from reward_agent.errors import ContextTooLongError, ModelError, UnknownNameError, UsageError
from reward_agent.llm.calls import CallPolicy
from reward_agent.llm.chat import ChatMessage, ChatRequest
from reward_agent.llm.models import find_model, price_usage
from reward_agent.llm.provider import PROVIDERS
from reward_agent.records.layers import hide_in_settings, render_option, resolve_settings
from reward_agent.records.settings import PriceTable, RunSettings
from reward_agent.testing import FakeLLMServer, HttpFault, Say
from reward_agent.types import Usage

KEYS = {name: "sk-test-0123456789abcdef" for row in PROVIDERS.own for name in row.key_variables}
BUDGET = TrainingBudget(quick=1, standard=1, thorough=1)


def send(request_: ChatRequest, provider: str = "openai-compatible", **options: Any) -> Any:
    """Return the request that a server receives."""
    with FakeLLMServer([Say("here")]) as server:
        url = server.anthropic_url if provider == "anthropic" else server.openai_url
        model = make_chat_model(
            provider, model="m", base_url=url, environ=KEYS | options.pop("environ", {}), **options
        )
        model.complete(request_)
        return server.requests[0]


@pytest.mark.parametrize(
    ("provider", "effort", "sent"),
    [
        ("openai", "high", {"reasoning_effort": "high"}),
        ("ollama", "none", {"reasoning_effort": "none"}),
        ("openrouter", "low", {"reasoning": {"effort": "low"}}),
        (
            "anthropic",
            "max",
            {"output_config": {"effort": "max"}, "thinking": {"type": "adaptive"}},
        ),
        ("anthropic", "none", {"thinking": {"type": "disabled"}}),
    ],
)
def test_effort_is_sent_as_each_endpoint_takes_it(provider, effort, sent, request_):
    body = send(request_, provider, effort=effort).body
    assert {name: body.get(name) for name in sent} == sent
    plain = send(request_, provider).body
    assert not plain.keys() & {"reasoning_effort", "reasoning", "output_config", "thinking"}


def test_temperature_body_headers_and_reply_limit_are_on_the_wire(request_):
    request = send(
        request_,
        temperature=0.3,
        headers={"X-Title": "me", "X-Gate": "Bearer ${GATE}"},
        body={"options": {"num_ctx": 16384}, "provider": {"order": ["a"]}},
        policy=CallPolicy(reply_tokens=500),
        environ={"GATE": "s3cret-0123"},
    )
    assert request.body["temperature"] == 0.3
    assert request.body["options"] == {"num_ctx": 16384}
    assert request.body["provider"] == {"order": ["a"]}
    assert request.body["max_tokens"] == 500
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert (sent["x-title"], sent["x-gate"]) == ("me", "Bearer s3cret-0123")
    assert sent["accept-encoding"] == "identity"


def test_what_a_header_takes_from_a_variable_is_in_no_error(request_):
    fault = HttpFault(500, message="who is Bearer s3cret-0123?")
    with FakeLLMServer([fault]) as server:
        model = make_chat_model(
            "openai-compatible", model="m", base_url=server.openai_url, environ={"G": "s3cret-0123"},
            headers={"X-Gate": "Bearer ${G}"}, policy=CallPolicy(n_attempts=1),
        )  # fmt: skip
        with pytest.raises(ModelError) as caught:
            model.complete(request_)
    assert "s3cret" not in caught.value.message
    with pytest.raises(UsageError, match="names the variable NONE, which is not set"):
        send(request_, headers={"X-Gate": "${NONE}"})


@pytest.mark.parametrize(
    ("options", "said", "flag"),
    [
        ({"effort": "huge"}, "unsupported value 'huge' for reasoning_effort", "--effort"),
        ({"temperature": 1.5}, "temperature is not supported with this model", "--temperature"),
        ({"body": {"num_ctx": 1}}, "unknown field: num_ctx", "--body num_ctx"),
    ],
)
def test_a_setting_that_the_server_refuses_is_named(options, said, flag, request_, connect):
    with (
        FakeLLMServer([HttpFault(400, "invalid_request_error", said)]) as server,
        pytest.raises(ModelError, match=f"refuses {flag}") as caught,
    ):
        connect("openai-compatible", server, **options).complete(request_)
    assert flag in caught.value.remedy


def test_anthropic_takes_no_temperature_and_says_so_before_a_call(request_):
    with pytest.raises(UsageError, match="anthropic takes no temperature"):
        send(request_, "anthropic", temperature=0.5)


def test_the_kind_of_thinking_is_left_out_where_a_model_has_only_one(request_, connect):
    fault = HttpFault(400, "invalid_request_error", "adaptive thinking is not supported")
    with FakeLLMServer([fault, Say("here")]) as server:
        connect("anthropic", server, effort="low").complete(request_)
        first, second = server.requests
    assert "thinking" in first.body
    assert "thinking" not in second.body
    assert second.body["output_config"] == {"effort": "low"}


def test_a_reply_is_asked_no_longer_than_the_window_leaves(request_):
    assert send(request_, context_tokens=4096).body["max_tokens"] < 4096
    long = ChatRequest("designer", "designer/first", (ChatMessage("user", "word " * 9000),))
    with pytest.raises(ContextTooLongError, match="the window of m 4,096"):
        send(long, context_tokens=4096)


# --- prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("openai", "gpt-6.2-sol"), ("openai", "gpt-6.2-astra"), ("openai", "gpt-6.1-terra"),
        ("anthropic", "claude-opus-5-5"), ("anthropic", "claude-fable-5-2"),
        ("anthropic", "claude-haiku-5-5"), ("google", "gemini-3.8-flash"),
        ("openrouter", "anthropic/claude-sonnet-5.5"), ("groq", "openai/gpt-oss-120b"),
        ("aws", "us.anthropic.claude-opus-5-5"), ("azure", "gpt-6.1-sol"),
        ("google", "claude-sonnet-5-5"),
    ],
)  # fmt: skip
def test_flagships_have_a_price(vendor, name):
    card = find_model(name, vendor)
    assert card is not None
    assert 0 < card.rates[0].input < card.rates[0].output


@pytest.mark.parametrize("name", ["gpt-6.1-sol", "gpt-6.2-sol"])
def test_above_the_threshold_the_whole_call_costs_its_tier(name):
    card = find_model(name, "openai")
    short, long = Usage(input_tokens=272_000), Usage(input_tokens=272_001, output_tokens=10**6)
    assert price_usage(short, card) == pytest.approx(0.272 * 2)
    assert price_usage(long, card) == pytest.approx(0.272001 * 4 + 15)


def test_ones_own_prices_go_before_the_kept_ones_and_hold_a_limit(request_):
    own = PriceTable(input=100, output=1000)
    card = find_model("gpt-6.2-sol", "openai", prices=own)
    assert (card.rates[0].input, card.rates[0].cached_input, card.context) == (100, 100, 1_050_000)
    with FakeLLMServer([Say("here", input_tokens=10, output_tokens=10)]) as server:
        model = make_chat_model(
            "openai-compatible", model="mine", base_url=server.openai_url, prices=own
        )
        assert model.complete(request_).usage.usd == pytest.approx((10 * 100 + 10 * 1000) / 1e6)


def test_a_vendor_is_known_by_its_address():
    card = find_model("deepseek-v4-pro", base_url="https://api.deepseek.com/v1")
    assert card is not None
    assert card.vendor == "deepseek"
    assert find_model("no-such-model", base_url="http://127.0.0.1:1/v1") is None


# --- the file, the command line, the record -------------------------------------------------------


def resolve(folder: Path, text: str = "", **options: Any) -> Any:
    (folder / "reward-agent.toml").write_text(text)
    return resolve_settings(options, BUDGET, "hopper", {}, folder)


def test_the_table_of_a_model_and_of_a_role_are_read(tmp_path):
    text = """
    [model]
    provider = "openai-compatible"
    effort = "high"
    [model.critic]
    effort = "low"
    [model.judge]
    provider = "ollama"
    [model.body.options]
    num_ctx = 8192
    """
    resolved = resolve(tmp_path, text, model="m")
    settings = resolved.settings
    critic, judge = settings.choose_endpoint("critic"), settings.choose_endpoint("judge")
    assert (critic.effort, critic.model, critic.body) == (
        "low",
        "m",
        {"options": {"num_ctx": 8192}},
    )
    # Another provider's model, and what belongs to it, is not asked for.
    assert (judge.provider, judge.model, judge.effort, judge.body) == ("ollama", None, None, {})
    assert settings.choose_endpoint("analyzer").effort == "high"
    assert resolved.sources["effort"] == "reward-agent.toml"
    assert settings.model_dump()["critic_model"] == {"effort": "low"}
    assert RunSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("text", "closest"),
    [
        ("[model]\nefort = 'low'", "effort"),
        ("[model.critick]\neffort = 'low'", "critic"),
        ("[model.judge]\nmodle = 'm'", "model"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_closest_name(text, closest, tmp_path):
    with pytest.raises(UnknownNameError, match=f"did you mean {closest!r}"):
        resolve(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "[model.judge]\nprovider = 'openai'",
        "[model.judge]\nbase_url = 'http://evil/v1'",
        "[model.headers]\nX-Leak = '${AWS_SECRET_ACCESS_KEY}'",
        "[model.prices]\ninput = 0\noutput = 0",
    ],
)
def test_a_strangers_folder_does_not_say_where_keys_go_or_what_is_paid(text, tmp_path):
    with pytest.raises(UsageError, match="which is for you to say"):
        resolve(tmp_path, text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"body": "stream=false"}, "stream is for the program to say"),
        ({"headers": "X-A=1"}, "is no header with a text"),
        ({"body": "num_ctx"}, "is no name=value"),
        ({"prices": "input=2"}, "output"),
        ({"effort": "very high"}, "effort"),
    ],
)
def test_what_is_no_setting_is_refused_in_one_line(options, said, tmp_path):
    with pytest.raises(UsageError, match=said) as refused:
        resolve(tmp_path, **options)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("body", {"options": {"num_ctx": 16384}, "keep_alive": "1h", "text": "a b"}),
        ("headers", {"X-Title": "my tool", "X-N": "7"}),
        ("judge_model", {"provider": "gemini", "model": "gemini-3.8-flash"}),
        ("prices", {"input": 2.0, "output": 10.0}),
    ],
)
def test_a_table_is_written_as_the_command_line_reads_it(name, value, tmp_path):
    import shlex

    flag, text = shlex.split(render_option(name, value))
    assert flag == f"--{name.replace('_', '-')}"
    dumped = resolve(tmp_path, **{name: text}).settings.model_dump()[name]
    assert {key: item for key, item in dumped.items() if item is not None} == value


def test_no_secret_of_a_header_or_body_is_recorded():
    config = {
        "headers": {"Authorization": "Bearer abcdef", "X-Gate": "${GATE}", "X-Title": "me"},
        "body": {"options": {"num_ctx": 1}, "user_token": "abcdef", "max_tokens": 7},
        "judge_model": {"headers": {"api-key": "abcdef"}},
    }
    hidden = hide_in_settings(config)
    assert "abcdef" not in str(hidden)
    assert hidden["headers"]["X-Gate"] == "${GATE}"
    assert hidden["headers"]["X-Title"] == "me"
    assert hidden["body"]["max_tokens"] == 7


def test_runs_show_tells_the_settings_and_where_they_are_from(capsys):
    from types import SimpleNamespace

    from reward_agent.cli.display import _show_settings

    config = {"effort": "low", "seed": 0, "headers": {"X-Gate": "${GATE}"}, "model": None}
    _show_settings(SimpleNamespace(config=config, config_sources={"effort": "reward-agent.toml"}))
    told = capsys.readouterr().out
    assert "low  (reward-agent.toml)" in told
    assert "X-Gate='${GATE}'  (default)" in told
    assert "seed" not in told


# --- which calls begin alike ----------------------------------------------------------------------


def test_calls_that_begin_alike_say_so_where_the_row_says_that_it_is_read(request_, connect):
    other = replace(request_, messages=(ChatMessage("system", "You review."), *request_.messages))
    with FakeLLMServer([Say("a")] * 4) as server:
        model = connect("openai", server)
        for asked in (request_, replace(request_, sample_index=1), other):
            model.complete(asked)
        connect("openai-compatible", server).complete(request_)
        keys = [item.body.get("prompt_cache_key") for item in server.requests]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] is None


def test_a_server_that_knows_no_cache_key_is_asked_without(request_, connect):
    refused = HttpFault(400, "invalid", "Unrecognized request argument: prompt_cache_key")
    with FakeLLMServer([refused, Say("a"), Say("b")]) as server:
        model = connect("openai", server)
        assert model.complete(request_).reply == "a"
        model.complete(replace(request_, sample_index=1))
        assert ["prompt_cache_key" in item.body for item in server.requests] == [True, False, False]
