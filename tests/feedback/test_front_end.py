"""The terminal: options for scripts, and the prompt fed by a pipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from support.commands import run_command
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.cli.conversation import Conversation
from reward_agent.cli.feedback_script import parse_preference
from reward_agent.errors import UsageError
from reward_agent.feedback.session import Session
from reward_agent.records.store import SESSION_FILE


@pytest.fixture
def folder(judged_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(judged_run, tmp_path, dirs_exist_ok=True)
    return tmp_path


def feedback(folder: Path, *arguments: str, text: str = "", code: int = 0, **environ: str) -> str:
    own = () if "--provider" in arguments else ("--provider", f"scripted:{folder / 'replies.md'}")
    words = ("feedback", "last", *own, *arguments)
    done = run_command(*words, cwd=folder, text=text, environ=environ)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def read_entries(folder: Path) -> list[dict[str, Any]]:
    [path] = folder.glob(f"runs/*/{SESSION_FILE}")
    return [json.loads(line) for line in path.read_text().splitlines()]


def list_candidates(folder: Path) -> list[str]:
    shown = json.loads(feedback(folder, "--json"))
    return [item["candidate"] for item in shown["candidates"]]


def test_options_prefer_note_and_accept_are_recorded_in_order(folder: Path) -> None:
    a, b = list_candidates(folder)
    shown = feedback(folder, "--accept", b, "--prefer", f"{b}:{a}", "--note", "good", "--json")
    data = json.loads(shown)
    kinds = [entry["kind"] for entry in data["entries"]]
    assert kinds[-3:] == ["noted", "preferred", "decided"]
    assert data["accepted"] == data["current"] == b
    ratings = {item["candidate"]: item["rating"]["mean"] for item in data["candidates"]}
    assert ratings[b] > ratings[a]


@pytest.mark.parametrize("words", [["--say", "It wobbles."], ["--web", "--no-browser"]])
def test_without_a_terminal_what_may_cost_money_needs_a_limit_or_a_yes(
    folder: Path, words: list[str]
) -> None:
    runs = ["--runs-dir", str(folder / "runs")]
    environ = {"ANTHROPIC_API_KEY": "sk-test-0123456789"}
    command = ["feedback", "last", "--provider", "anthropic", *words, *runs]
    error = CliRunner(env=environ).invoke(app, command).exception
    assert isinstance(error, UsageError)
    assert "this may cost money, and no limit is set: each round: likely" in error.message
    assert "--yes" in error.remedy
    assert "remarked" not in [entry["kind"] for entry in read_entries(folder)]


def test_an_edit_by_option_shows_findings_at_their_lines(folder: Path) -> None:
    bad = folder / "bad.py"
    bad.write_text(
        "def compute_reward(state, action, next_state):\n"
        "    upright = next_state.pole_angel\n"
        '    return upright, {"upright": upright}\n'
    )
    message = feedback(folder, "--edit", str(bad), code=1)
    assert "bad.py is refused" in message


def test_the_prompt_takes_words_and_commands_from_a_pipe(folder: Path) -> None:
    _, b = list_candidates(folder)
    editor = folder / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/margin=0.[25]/margin=0.77/ "$1"\n')
    editor.chmod(0o755)
    lines = [
        "/nosuch",
        f"/choose {b}",
        "/note hello",
        "/show",
        "/metric",
        "/edit",
        "/list",
        "/quit",
    ]
    shown = feedback(folder, text="\n".join(lines) + "\n", EDITOR=str(editor))
    assert "after" in shown
    assert "edited-by-hand-" in shown
    assert b in shown
    record = json.loads(feedback(folder, "--json"))
    kinds = [entry["kind"] for entry in record["entries"]]
    assert {"decided", "noted", "edited", "round_started", "round_ended"} <= set(kinds)
    assert len(record["candidates"]) == 3


def test_who_edited_the_metric_is_not_told_that_it_is_unread(
    open_unjudged: Callable[..., AbstractContextManager[Session]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = MagicMock()
    monkeypatch.setattr("builtins.input", MagicMock(side_effect=EOFError))
    with open_unjudged() as session:
        Conversation(session, display, is_terminal=False).run()
        assert "a metric that was not taken: /metric" in "".join(capsys.readouterr())
        assert not session.edit_metric(session.metric.source.replace("0.1", "0.02")).refusal
        Conversation(session, display, is_terminal=False).run()
        assert "The Designer proposed" not in "".join(capsys.readouterr())


def test_a_comparison_at_the_prompt_names_nobody_until_it_is_answered(
    open_unjudged: Callable[..., AbstractContextManager[Session]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_unjudged() as session:
        names = [item.candidate.id for item in session.list_standings()]
        for name in names:
            (tmp_path / f"{name}.webp").write_bytes(b"a film")
        shown = ""

        def answer(*_: object) -> str:
            nonlocal shown
            shown = "".join(capsys.readouterr())
            return "q"

        conversation = Conversation(session, MagicMock(), is_terminal=False)
        monkeypatch.setattr(session, "film", lambda name: "")
        monkeypatch.setattr(session, "find_film", lambda name, **_: tmp_path / f"{name}.webp")
        monkeypatch.setattr("builtins.input", answer)
        conversation._compare("")
        assert "A.webp" in shown
        assert "B.webp" in shown
        assert not any(name in shown for name in names)


def test_a_wrong_command_names_the_closest_one(folder: Path) -> None:
    words = ("feedback", "last", "--provider", f"scripted:{folder / 'replies.md'}")
    done = run_command(*words, cwd=folder, text="/acept\n")
    assert "did you mean 'accept'?" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a:b", ("a", "b", "a")), ("a=b", ("a", "b", "same")), (" a ! b ", ("a", "b", "both bad"))],
)
def test_preferences_are_read(text: str, expected: tuple[str, str, str]) -> None:
    assert parse_preference(text) == expected


@pytest.mark.parametrize("text", ["", "a", "a:", "a b", "a:b:c"])
def test_what_is_no_preference_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no preference"):
        parse_preference(text)


def test_the_page_names_the_extra_that_it_needs(folder: Path) -> None:
    blocked = folder / "blocked"
    (blocked / "uvicorn").mkdir(parents=True)
    (blocked / "uvicorn" / "__init__.py").write_text(
        "raise ModuleNotFoundError('no uvicorn', name='uvicorn')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "reward_agent", "feedback", "last", "--web", "--provider", "offline"],
        cwd=folder, capture_output=True, text=True, timeout=100,
        env=os.environ | {"PYTHONPATH": str(blocked)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "uvicorn" in done.stderr
    assert "pip install 'reward-agent[web]'" in done.stderr


def test_options_of_a_script_do_not_mix_with_the_page(folder: Path) -> None:
    assert "--web takes no" in feedback(folder, "--web", "--note", "x", code=2)
