"""What commands print under ``--json`` has a schema that stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reward_agent.cli.answers import has_answer
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
