"""What commands print under ``--json`` has a schema that stays."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.answers import check_answer
from typer.testing import CliRunner

from reward_agent.cli.answers import has_answer
from reward_agent.cli.app import app
from scripts.docs_site import answers

GOLDEN = Path(__file__).resolve().parents[1] / "goldens" / "answers.txt"
RENEW = """\
what a command prints under --json has changed, and scripts rely on it. Is it meant? Then renew the
golden, `UPDATE_GOLDENS=1 pytest tests/cli/test_answers.py`, and add a line to CHANGELOG.md that
names the key."""


def test_every_json_of_a_command_has_a_type() -> None:
    commands = answers.list_json_commands()
    assert len(commands) > 30
    assert [words for words, one in commands if not has_answer(one.callback)] == []


def test_answers_stay_as_scripts_know_them() -> None:
    shapes = answers.render_shapes()
    if "UPDATE_GOLDENS" in os.environ:
        GOLDEN.write_text(shapes)
    if shapes != GOLDEN.read_text():
        pytest.fail(RENEW)


PROGRAM = """def compute_reward(state, action, next_state):
    return next_state.pole_angle, {"angle": next_state.pole_angle}
"""
ASKED = [
    ("envs", "list"), ("envs", "show", "hopper"), ("prompts", "list"), ("keys", "list"),
    ("prompts", "show", "critic/review"), ("doctor",), ("check", "p.py", "--env=inverted_pendulum"),
    ("design", "--env=hopper", "--task=back_flip", "--estimate"), ("skill", "install"),
    ("runs", "list"), ("runs", "list", "--full"), ("runs", "show", "last"), ("runs", "du"),
    ("runs", "show", "last", "--full"), ("runs", "costs", "last", "--calls"),
    ("runs", "costs", "last"), ("runs", "replies", "last"), ("runs", "replies", "last", "1"),
    ("runs", "curves", "last"), ("runs", "compare", "last", "last"), ("runs", "status", "last"),
    ("runs", "wait", "last"), ("runs", "stop", "last"), ("report", "last"), ("runs", "pack", "last"),
    ("runs", "events", "last"), ("feedback", "last", "--provider=offline"),
]  # fmt: skip
# The small ones, which an agent reads again and again.
SMALL = [words for words in ASKED if words[0] == "runs" and words[1] in ("list", "show", "status")]


@pytest.fixture
def folder(judged_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(judged_run / "runs", tmp_path / "runs")
    (tmp_path / "p.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(*words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code in (0, 1), (words, done.output, done.exception)
    return done.stdout


def read_answers(words: tuple[str, ...], told: str) -> list[Any]:
    return list(map(json.loads, told.splitlines())) if "events" in words else [json.loads(told)]


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_what_is_printed_is_as_the_schema_says(words: tuple[str, ...], folder: Path) -> None:
    found = read_answers(words, ask(*words))
    assert found
    for answer in found:
        check_answer(words, answer)
