"""``reward-agent envs describe``: a form from a provider, tried in the sandboxed child."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import run_command
from support.robots import DOG, DOG_MEANING, write_dog
from typer.testing import CliRunner, Result

from reward_agent.cli.app import app
from reward_agent.drafts import folder
from reward_agent.executors import slots
from reward_agent.records.drafting_jobs import DraftJob, TryMeaningJob


def ask(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "MUJOCO_GL": "disable"}
    return run_command("envs", "describe", *arguments, cwd=tmp_path, environ=environ)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, whose jobs are forked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(folder, "run_job", slots.run_job)
    for job in (DraftJob, TryMeaningJob):
        monkeypatch.setattr(job, "starts_warm", True)
    return lambda *words: CliRunner().invoke(app, ["envs", *words], catch_exceptions=False)


@pytest.fixture
def dog(tmp_path: Path) -> str:
    return str(write_dog(tmp_path / "dog"))


def write_script(tmp_path: Path, *replies: str) -> str:
    text = "\n--- reply ---\n".join(replies)
    (tmp_path / "replies.md").write_text(text)
    return "scripted:replies.md"


def test_a_form_is_tried_and_told_claim_by_claim(
    tmp_path: Path, dog: str, call: Callable[..., Result]
) -> None:
    lie, truth = DOG_MEANING | {"up": "+y", "forward": "+x"}, DOG_MEANING
    script = write_script(tmp_path, json.dumps(lie), json.dumps(truth))
    answer = call("describe", dog, "--provider", script)
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    assert "holds     up +z: 1.00 at the start, -1.00 turned over" in answer.stdout
    assert [line for line in lines if line.startswith("refused")] == []
    assert "scripted: replies.md" in answer.stderr
    assert "2 calls" in answer.stderr
    [run] = (tmp_path / "runs").iterdir()
    assert (run / "replies.sqlite").is_file()


def test_no_form_is_one_line(tmp_path: Path, dog: str) -> None:
    answer = ask(tmp_path, dog, "--provider", write_script(tmp_path, "No.", "No."))
    assert answer.returncode == 1
    assert "filled no form: the reply holds no JSON object" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_without_a_language_model_there_is_nobody_to_ask(tmp_path: Path, dog: str) -> None:
    answer = ask(tmp_path, dog, "--provider", "offline")
    assert answer.returncode == 2
    assert "offline asks no language model" in answer.stderr


def test_a_model_becomes_an_environment_with_what_holds(
    tmp_path: Path, call: Callable[..., Result]
) -> None:
    (tmp_path / "rex.xml").write_text(DOG)
    script = write_script(tmp_path, json.dumps(DOG_MEANING), json.dumps(DOG_MEANING | {"up": "-z"}))
    made = call("init", "rex.xml", "--describe", "--provider", script)
    assert made.exit_code == 0, made.output
    assert "holds     forward +x: pushed along it" in made.stdout
    assert 'design --env ./rex --task "go_forward"' in made.stdout
    card = tmp_path / "rex" / "env.toml"
    first = card.read_text()
    assert 'up = "+z"  # tested: 1.00 at the start' in first
    assert "# tested: held for 1 s" in first
    # The script's second form lies of up: written anew, the card keeps what is no lie.
    (tmp_path / "replies.md").write_text(json.dumps(DOG_MEANING | {"up": "-z"}))
    told = call("describe", "./rex", "--write", "--provider", script)
    assert told.exit_code == 0, told.output
    assert "refused   up -z: at the start -z of body:trunk is -1.00 upward" in told.stdout
    second = card.read_text()
    assert 'up = "+z"\n' in second
    assert 'forward = "+x"  # tested' in second


def test_a_card_of_a_person_is_not_written_over(tmp_path: Path, dog: str) -> None:
    before = (tmp_path / "dog" / "env.toml").read_text()
    script = write_script(tmp_path, json.dumps(DOG_MEANING))
    answer = ask(tmp_path, dog, "--write", "--provider", script)
    assert answer.returncode == 2
    assert "was not drafted by `envs init`" in answer.stderr
    assert (tmp_path / "dog" / "env.toml").read_text() == before
