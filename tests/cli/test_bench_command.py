"""``reward-agent bench`` on the command line."""

import json

import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.errors import UnknownNameError, UsageError


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(key, raising=False)

    def run(*words):
        result = CliRunner().invoke(app, ["bench", *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_dry_run_shows_jobs_steps_time_and_money_and_runs_nothing(call, tmp_path):
    text = call("run", "smoke", "--dry-run", "--methods", "reference,offline", "--seeds", "4")
    assert "inverted_pendulum/balance  reference     4" in text
    assert text.splitlines()[-1].startswith("16 jobs, ")
    assert text.splitlines()[-1].endswith(" h on 1 slot, 0.00 USD")
    assert list(tmp_path.iterdir()) == []


def test_a_method_that_needs_a_model_says_so(call):
    with pytest.raises(UsageError, match="needs a language model"):
        call("run", "smoke", "--methods", "full", "--dry-run")
    with pytest.raises(UnknownNameError, match="did you mean 'reference'"):
        call("run", "smoke", "--methods", "referense", "--dry-run")


def test_a_sweep_is_run_shown_and_compared(call):
    words = ["--methods", "sparse", "--seeds", "1", "--budget", "1024", "-o", "one"]
    text = call("run", "smoke", *words)
    assert "| inverted_pendulum/balance | s |" in text
    assert json.loads(call("status", "one", "--json")) == {
        "jobs": 2, "finished": 2, "failed": 0, "open": 0,
    }  # fmt: skip
    assert "2 finished" in call("status", "one")
    assert len(json.loads(call("report", "one", "--json"))["cells"]) == 2
    [first, _] = json.loads(call("compare", "one", "one", "--json"))
    assert first["improvement"] == 0.5
