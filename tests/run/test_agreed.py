"""Money is asked for once, before anything is sent; what leaves the machine is said before it does."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from support.robots import DOG
from typer.testing import CliRunner

import reward_agent
from reward_agent.cli import output
from reward_agent.cli.app import app
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import load_task
from reward_agent.errors import Interrupted, UsageError
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunRecord, RunStore
from reward_agent.run import spending
from reward_agent.run.estimate import estimate_design
from reward_agent.run.spending import agree_to_spend, disclose
from reward_agent.testing import FakeLLMServer, HttpFault

KEYS = {"OPENAI_API_KEY": "sk-test-0123456789", "ANTHROPIC_API_KEY": "sk-test-0123456789"}
FREE = {"input": 0.0, "output": 0.0}


def ask(settings: RunSettings) -> list[Any]:
    """Return the estimates that a person is asked about."""
    asked: list[Any] = []

    def agree(estimate: Any) -> bool:
        asked.append(estimate)
        return True

    options = settings.model_dump(exclude_unset=True)
    expect = partial(estimate_design, "hopper", "hop_forward", environ=KEYS, **options)
    agree_to_spend(settings, KEYS, agree, expect)
    return asked


@pytest.mark.parametrize(
    ("given", "n_asked"),
    [
        ({"provider": "anthropic"}, 1),
        ({"provider": "openai", "model": "no-such-model"}, 1),
        ({"provider": "openai-compatible", "model": "m", "base_url": "https://h.example/v1"}, 1),
        ({"provider": "ollama", "model": "m", "judge": "film", "judge_model": {
            "provider": "anthropic"}}, 1),
        ({"provider": "anthropic", "max_usd": 2.0}, 0),
        ({"provider": "anthropic", "max_calls": 9}, 0),
        ({"provider": "anthropic", "max_tokens": 9}, 0),
        ({"provider": "anthropic", "prices": FREE}, 0),
        ({"provider": "openai", "base_url": "http://127.0.0.1:8000/v1"}, 0),
        ({"provider": "openai-compatible", "model": "m", "base_url": "localhost:8000"}, 0),
        ({"provider": "ollama", "model": "m"}, 0),
        ({"provider": "offline"}, 0),
        ({"provider": "manual"}, 0),
    ],
)  # fmt: skip
def test_who_may_spend_without_a_limit_is_asked(given, n_asked):
    assert len(ask(RunSettings.model_validate(given))) == n_asked


def test_a_run_that_is_not_agreed_to_sends_nothing_and_leaves_nothing(tmp_path):
    with pytest.raises(Interrupted, match="before the first call"):
        reward_agent.design(
            "hopper", "hop_forward", provider="anthropic", runs_dir=tmp_path / "runs",
            environ=KEYS, agree=lambda expected: False,
        )  # fmt: skip
    assert not (tmp_path / "runs").exists()


def invoke(tmp_path, *more: str):
    command = ["design", "--env=inverted_pendulum", "--task=balance", "--provider=anthropic",
               f"--runs-dir={tmp_path}/runs", *more]  # fmt: skip
    return CliRunner(env=KEYS).invoke(app, command)


def test_without_a_terminal_a_limit_is_asked_for(tmp_path):
    error = invoke(tmp_path).exception
    assert isinstance(error, UsageError)
    assert "no limit is set: likely" in error.message
    assert "USD" in error.message
    assert error.remedy == "give --max-usd or --max-calls; --yes agrees to whatever it costs"


@pytest.mark.parametrize(("said", "kind"), [("n", Interrupted), ("", Interrupted)])
def test_at_a_terminal_a_person_is_asked(tmp_path, monkeypatch, said, kind):
    monkeypatch.setattr(output, "is_somebody_there", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: said)
    assert isinstance(invoke(tmp_path).exception, kind)


def test_yes_and_a_limit_begin_unasked(tmp_path):
    with FakeLLMServer([HttpFault(401)] * 9) as server:
        for flag in ("--yes", "--max-calls=3"):
            address = f"--base-url={server.anthropic_url}"
            error = invoke(tmp_path, flag, address, "--candidates=1").exception
            assert "does not accept the API key" in str(error)


@pytest.mark.parametrize(
    ("given", "what", "addresses"),
    [
        ({"provider": "offline"}, None, None),
        ({"provider": "ollama", "model": "m"}, None, None),
        ({"provider": "anthropic"}, "statistics of trainings", ("https://api.anthropic.com",)),
        (
            {"provider": "ollama", "model": "m", "critic_model": {"provider": "openai"}},
            "programs",
            ("https://api.openai.com/v1",),
        ),
        (
            {"provider": "anthropic", "judge": "film"},
            "pictures of films",
            ("https://api.anthropic.com",),
        ),
    ],
)
def test_what_leaves_the_machine_is_said(given, what, addresses):
    told = disclose(RunSettings.model_validate(given), KEYS)
    if what is None:
        assert told is None
    else:
        assert what in told.what
        assert told.addresses == addresses


def test_no_pictures_leave_where_none_are_to():
    given = RunSettings(provider="anthropic", judge="film", pictures=False)
    assert "pictures of films" not in disclose(given, KEYS, n_given=1).what
    assert "the rewards that it starts from" in disclose(given, KEYS, n_given=1).what


REWARD = """def compute_reward(state, action, next_state):
    return next_state.forward_velocity, {"speed": next_state.forward_velocity}
"""


@pytest.mark.parametrize(
    "words",
    [
        ["demo"],
        ["bench", "run", "smoke", "--methods=zero_shot", "--budget=1024"],
        ["envs", "describe", "hopper"],
        ["envs", "init", "robot.xml", "--describe"],
        ["diagnose", "reward.py", "--env=hopper", "--task=hop_forward"],
        ["diagnose", "reward.py", "--env=hopper"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_command_that_pays_asks_as_design_does(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reward.py").write_text(REWARD)
    (tmp_path / "robot.xml").write_text(DOG)
    done = CliRunner(env=KEYS | {"MUJOCO_GL": "disable"}).invoke(
        app, [*words, "--provider=anthropic"]
    )
    error = done.exception
    assert isinstance(error, UsageError)
    assert "this may cost money, and no limit is set: likely" in error.message
    assert "USD" in error.message
    assert error.remedy.startswith(
        "give --max-usd or --max-calls; --yes agrees to whatever it costs"
    )
    if "init" in words:  # what was drafted is not drafted again
        assert "is there: `reward-agent envs describe " in error.remedy


@pytest.mark.parametrize("command", [["feedback"], ["design"], ["demo"], ["diagnose"],
    ["envs", "describe"], ["envs", "init"], ["bench", "run"]], ids=" ".join)  # fmt: skip
def test_every_command_that_pays_takes_a_limit_or_a_yes(command):
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command, "--help"]).stdout
    for flag in ("--max-usd", "--max-calls", "--yes"):
        assert flag in shown


def test_a_typed_y_begins(tmp_path, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(output, "is_somebody_there", lambda: True)
    monkeypatch.setattr(spending, "_is_here", lambda address: False)
    monkeypatch.setattr("builtins.input", lambda: asked.append("") or "y")
    with FakeLLMServer([HttpFault(401)] * 9) as server:
        error = invoke(tmp_path, f"--base-url={server.anthropic_url}").exception
        assert "does not accept the API key" in str(error)
    assert len(asked) == 1


@pytest.mark.parametrize(("status", "is_asked"), [("interrupted", True), ("finished", False)])
def test_a_run_that_is_taken_up_asks_where_it_goes_on(tmp_path, status, is_asked):
    store = RunStore(tmp_path / "2026-11-23T00-00-00Z_hopper_hop-forward")
    store.write_run(
        RunRecord(
            id=store.dir.name, created="2026-11-23T00:00:00Z", status=status,
            card=load_env("hopper"), task=load_task("hopper", "hop_forward"),
            metric_origin="task", config=RunSettings().model_dump(), config_sources={},
            designer="anthropic", sandbox_level="full", versions={},
        )
    )  # fmt: skip
    asked: list[Any] = []

    def refuse(estimate: Any) -> bool:
        asked.append(estimate)
        return False

    # A finished one is refused for another reason, so that nothing is done here.
    with pytest.raises((Interrupted, UsageError)):
        reward_agent.resume_run(
            str(store.dir), provider="anthropic", environ=KEYS, agree=refuse, unranked=True
        )
    assert bool(asked) == is_asked
