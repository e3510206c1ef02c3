"""Keys that are kept: for the person alone, unseen, and behind what the environment says."""

from __future__ import annotations

import stat

import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.errors import MissingKeyError, UsageError
from reward_agent.llm.keys import find_key, keep_key, read_env_file_from_now
from reward_agent.llm.provider import ProviderOptions, choose_provider, find_provider
from reward_agent.llm.sdk import make_endpoint

KEY = "sk-kept-0123456789"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def run(*words: str, given: str = "") -> str:
    result = CliRunner().invoke(app, ["keys", *words], input=given, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_key_is_kept_from_standard_input_for_the_person_alone(home, tmp_path):
    told = run("set", "OPENAI_API_KEY", given=f"{KEY}\n") + run("list") + run("list", "--json")
    assert "OPENAI_API_KEY" in told
    assert KEY not in told
    [file] = (tmp_path / "config" / "reward-agent").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert find_key("OPENAI_API_KEY", home) == (KEY, str(file))
    assert choose_provider(home).spec == "openai"
    assert "no longer" in run("rm", "OPENAI_API_KEY")
    assert choose_provider(home).spec == "offline"


def test_the_environment_goes_first(home):
    keep_key("GEMINI_API_KEY", KEY, home)
    row = find_provider("gemini")
    assert row.choose_key(home) == ("GEMINI_API_KEY", KEY)
    assert row.choose_key(home | {"GOOGLE_API_KEY": "set"}) == ("GOOGLE_API_KEY", "set")
    assert row.choose_key({}) == ("GEMINI_API_KEY", "")


def test_an_env_file_is_read_only_on_the_persons_word_and_of_it_keys_alone(home, tmp_path):
    (tmp_path / ".env").write_text(
        f'# mine\nexport OPENAI_API_KEY="{KEY}"  # work\nOPENAI_BASE_URL=http://evil/v1\n'
    )
    assert find_key("OPENAI_API_KEY", home) == ("", "")
    assert "read from now on" in run("env-file", "on")
    assert find_key("OPENAI_API_KEY", home) == (KEY, ".env")
    assert find_provider("openai").choose_url(None, home) == "https://api.openai.com/v1"
    assert "not read" in run("env-file", "off") + run("list")
    assert find_key("OPENAI_API_KEY", home) == ("", "")


def test_a_header_may_name_a_kept_key(home):
    keep_key("GATE", KEY, home)
    options = ProviderOptions(headers={"X-Gate": "Bearer ${GATE}"}, environ=home)
    assert options.fill_headers() == ({"X-Gate": f"Bearer {KEY}"}, (KEY,))


@pytest.mark.parametrize(("name", "value"), [("lower", KEY), ("A=B", KEY), ("A", ""), ("A", "x y")])
def test_what_is_no_key_is_refused_without_showing_it(name, value, home):
    with pytest.raises(UsageError, match="is no") as refused:
        keep_key(name, value, home)
    assert KEY not in refused.value.message
    read_env_file_from_now(False, home)


def test_a_missing_key_names_the_command(home):
    with pytest.raises(MissingKeyError) as missing:
        make_endpoint("groq", ProviderOptions(environ=home))
    assert "reward-agent keys set GROQ_API_KEY" in missing.value.remedy
