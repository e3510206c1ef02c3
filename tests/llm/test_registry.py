from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from support.chat import make_chat_model

from reward_agent import plugins
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.llm.chat import ALL_AGENTS, Completion
from reward_agent.llm.models import find_model
from reward_agent.llm.provider import PROVIDERS, choose_provider


class EchoModel:
    """A third party's model."""

    provider = "echo"
    agents = ALL_AGENTS
    max_concurrency = 1

    def __init__(self, name):
        self.name = name

    def complete(self, request):
        return Completion(
            reply=request.messages[-1].content, stop_reason="stop", model=self.name, provider="echo"
        )


def make_echo(options):
    return EchoModel(f"{options.argument}/{options.model}")


@pytest.fixture
def echo(monkeypatch):
    entries = [
        EntryPoint("echo", f"{__name__}:make_echo", PROVIDERS.group),
        EntryPoint("openai", f"{__name__}:make_echo", PROVIDERS.group),
        EntryPoint("broken", "no_such_package:make", PROVIDERS.group),
    ]
    monkeypatch.setattr(plugins, "list_entry_points", lambda group: entries)


def test_third_party_provider_is_found_by_its_entry_point(echo, request_):
    model = make_chat_model("echo:loud", model="m")
    assert model.name == "loud/m"
    assert model.complete(request_).reply == "Hop."


def test_third_party_cannot_replace_a_provider_of_ours(echo):
    assert PROVIDERS.names.count("openai") == 1
    assert make_chat_model("openai", environ={"OPENAI_API_KEY": "k"}).provider == "openai"


def test_provider_that_cannot_be_loaded_is_named(echo):
    with pytest.raises(UsageError, match=r"'broken' \(no_such_package:make\) cannot be loaded"):
        make_chat_model("broken")


def test_the_page_of_models_has_the_table_of_providers():
    rows = [f"| `{p.name}{p.argument}` | {p.help} | {p.needs} |" for p in PROVIDERS.own]
    page = Path(__file__).parents[2] / "docs" / "how-to" / "models.md"
    assert "\n".join(rows) in page.read_text("utf-8")


def test_unknown_provider_gets_the_closest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'anthropic'"):
        make_chat_model("antropic")


@pytest.mark.parametrize(
    ("environ", "spec", "says"),
    [
        ({}, "offline", "no language model"),
        ({"OPENAI_API_KEY": " "}, "offline", "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "k"}, "openai", "because OPENAI_API_KEY is set"),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic", "because ANTHROPIC_API_KEY is set"),
        (
            {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"},
            "anthropic",
            "also set: OPENAI_API_KEY",
        ),
    ],
)
def test_provider_is_the_one_whose_key_is_set(environ, spec, says):
    choice = choose_provider(environ)
    assert choice.spec == spec
    assert says in choice.sentence
    assert "\n" not in choice.sentence


def test_every_default_model_has_a_price_and_every_price_is_plausible():
    for row in PROVIDERS.own:
        card = find_model(row.default_model, row.vendor) if row.default_model else None
        for rates in card.rates if card else ():
            assert 0 < rates.cached_input < rates.input < rates.cache_write < rates.output < 1000
        assert bool(card) == bool(row.default_model)


def test_dated_model_name_has_the_price_of_its_model():
    assert find_model("gpt-6.1-sol-2026-09-29", "openai") == find_model("gpt-6.1-sol", "openai")
    assert find_model("gpt-6.2-sol-2026-11-17", "openai") == find_model("gpt-6.2-sol", "openai")
    assert find_model("gpt-6.2-solar", "openai") is None


def test_registry_imports_no_sdk():
    code = "import sys, reward_agent.llm.calls; print(sorted({'openai', 'anthropic', 'numpy'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


THIRD_PARTY = """
from reward_agent.llm.chat import ALL_AGENTS, Completion

class Parrot:
    provider, name, agents, max_concurrency = "parrot", "parrot-1", ALL_AGENTS, 1

    def complete(self, request):
        text = request.messages[-1].content
        return Completion(reply=text, stop_reason="stop", model=self.name, provider=self.provider)

def make_model(options):
    return Parrot()
"""


def test_installed_package_of_a_third_party_is_a_provider(tmp_path):
    (tmp_path / "parrot.py").write_text(THIRD_PARTY)
    info = tmp_path / "parrot-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[reward_agent.providers]\nparrot = parrot:make_model\n")
    code = (
        "from reward_agent.llm.chat import ChatMessage, ChatRequest\n"
        "from reward_agent.llm.provider import PROVIDERS\n"
        "from reward_agent.llm.calls import make_chat_model\n"
        "request = ChatRequest('designer', 'designer/first', (ChatMessage('user', 'Hop.'),))\n"
        "print('parrot' in PROVIDERS.names, make_chat_model('parrot').complete(request).reply)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert result.stdout == "True Hop.\n"
