"""``reward-agent envs describe``: a form from a provider, tried in the sandboxed child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.robots import DOG_MEANING, write_dog


def ask(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reward_agent", "envs", "describe", *arguments],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")},
        timeout=120,
        check=False,
    )


@pytest.fixture
def dog(tmp_path: Path) -> str:
    return str(write_dog(tmp_path / "dog"))


def write_script(tmp_path: Path, *replies: str) -> str:
    text = "\n--- reply ---\n".join(replies)
    (tmp_path / "replies.md").write_text(text)
    return "scripted:replies.md"


def test_a_form_is_tried_and_told_claim_by_claim(tmp_path: Path, dog: str) -> None:
    lie, truth = DOG_MEANING | {"up": "+y", "forward": "+x"}, DOG_MEANING
    script = write_script(tmp_path, json.dumps(lie), json.dumps(truth))
    answer = ask(tmp_path, dog, "--provider", script)
    assert answer.returncode == 0, answer.stderr
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
