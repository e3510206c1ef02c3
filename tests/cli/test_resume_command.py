"""A run goes on by the command that it names, from wherever that is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app

SMALL = "--steps 2000 --candidates 1 --iterations 1 --winner-seeds 0 --eval-episodes 1 --no-video"


def design(*arguments: str, cwd: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        done = CliRunner().invoke(app, ["design", *arguments], catch_exceptions=False)
    # 3: it ended below its target score, as so short a one does.
    assert done.exit_code in (0, 3), done.output
    return done.output


def test_a_run_in_a_folder_of_its_own_goes_on_by_its_path(tmp_path: Path) -> None:
    task = ("--env", "inverted_pendulum", "--task", "balance", "--provider", "offline")
    design(*task, *SMALL.split(), "--runs-dir", str(tmp_path / "mine"), cwd=tmp_path)
    [folder] = (tmp_path / "mine").glob("*_inverted-pendulum_balance")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shown = design("--resume", str(folder), "--iterations", "2", cwd=elsewhere)
    assert "winner" in shown
    assert (folder / "iterations" / "1").is_dir()
    assert not list(elsewhere.iterdir())
