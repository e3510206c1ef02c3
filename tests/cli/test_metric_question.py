"""What a person is asked about a proposed metric, at a terminal and without one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from support.commands import run_command
from support.runs import PROGRAM, PROPOSAL, write_script

from reward_agent.records.store import load_run


def make_command(folder: Path, *more: str) -> list[str]:
    provider = write_script(folder, PROPOSAL, PROGRAM % 0.2)
    return [
        sys.executable, "-m", "reward_agent", "design", "--env", "inverted_pendulum",
        "--task", "留在轨道中间", "--candidates", "1", "--iterations", "1", "--steps", "2048",
        "--winner-seeds", "0", "--eval-episodes", "2", "--no-video",
        "--provider", provider, "--runs-dir", str(folder / "runs"), *more,
    ]  # fmt: skip


def start(command: list[str], folder: Path, **options: Any) -> subprocess.Popen[Any]:
    environ = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    return subprocess.Popen(command, cwd=folder, env=environ | {"COLUMNS": "200"}, **options)


def talk(command: list[str], folder: Path, *answers: bytes) -> tuple[int, str]:
    """Run at a terminal, answer each question; return the exit code and what was shown."""
    ours, theirs = pty.openpty()
    process = start(command, folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, left = b"", list(answers)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        if left and shown.rstrip().endswith(b">"):
            os.write(ours, left.pop(0))
            shown += b" "
    os.close(ours)
    return process.wait(30), re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode("utf-8", "replace"))


def test_enter_at_the_question_pauses_and_says_how_to_go_on(tmp_path: Path) -> None:
    code, shown = talk(make_command(tmp_path), tmp_path, b"c\n", b"\n")
    store = load_run("last", tmp_path / "runs")
    assert code == 2
    assert "share of the time near the middle" in shown
    assert "Enter  pause: nothing is trained" in shown
    question, _, after = shown.partition("Enter  pause")
    assert "def score" not in question
    assert "def score" in after
    for option in ("--yes", "--metric FILE", "--unranked"):
        assert option in after
    assert store.read_run().status == "paused"
    assert not list(store.dir.glob("iterations/*"))


def test_yes_at_the_question_trains(tmp_path: Path) -> None:
    code, _ = talk(make_command(tmp_path), tmp_path, b"what\n", b"y\n")
    run = load_run("last", tmp_path / "runs").read_run()
    assert (code, run.metric_origin) == (0, "proposed: accepted")
    assert run.task.description == "留在轨道中间"
    assert run.winner is not None


def test_without_a_terminal_the_run_is_paused_whatever_is_said(tmp_path: Path) -> None:
    _, _, _, *words = make_command(tmp_path, "--json")
    done = run_command(*words, cwd=tmp_path, text="y\n")
    assert done.returncode == 2
    run = json.loads(done.stdout)
    assert run["status"] == "paused"
    assert run["question"]["criterion"] == "within 0.1 m"
    assert "def score(episode)" in run["question"]["program"]
    assert run["question"]["answers"] == ["accept", "own", "unranked"]
    error = json.loads(done.stderr.splitlines()[-1])
    assert error["commands"]["accept"].endswith("--yes")
    assert "Traceback" not in done.stderr
