"""``envs init``: the answer on standard output, one line of error, what comes next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from drafts.models import LEG, write
from support.commands import run_command


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"MUJOCO_GL": "disable", "XDG_STATE_HOME": str(cwd)}
    return run_command(*arguments, cwd=cwd, environ=environ)


def test_a_draft_is_told_with_what_was_guessed_and_what_comes_next(tmp_path: Path) -> None:
    write(tmp_path / "robots" / "leg.xml", LEG)
    done = run(tmp_path, "envs", "init", "robots/leg.xml", "-o", "my leg")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"copied: 1 file, {len(LEG)} B, to ./my leg/model/leg.xml" in lines
    assert "guessed, to be confirmed:" in lines
    assert "  reward-agent envs check './my leg'" in lines
    assert any(line.startswith("  reward-agent design --env './my leg' --task ") for line in lines)
    shown = run(tmp_path, "envs", "check", "./my leg")
    assert "did not come with reward-agent" not in shown.stderr, "it was drafted for this person"
    again = run(tmp_path, "envs", "init", "robots/leg.xml", "-o", "my leg")
    assert again.returncode == 2
    assert again.stdout == ""
    assert "--force" in again.stderr


def test_a_function_runs_in_the_python_that_is_named_and_the_answer_is_json(tmp_path: Path) -> None:
    write(
        tmp_path / "mine.py",
        f"import mujoco\n\ndef make():\n    return mujoco.MjSpec.from_string('''{LEG}''')\n",
    )
    done = run(tmp_path, "envs", "init", "mine:make", "--python", sys.executable, "--json")
    assert done.returncode == 0, done.stderr
    assert (
        f"note: mine:make runs in {sys.executable}, not confined: it is your own code"
        in done.stderr
    )
    answer = json.loads(done.stdout)
    assert answer["folder"] == str(tmp_path / "leg")
    assert answer["model"] == "model/model.xml"
    assert answer["tasks"]


@pytest.mark.parametrize("source", ["gone.xml", "gone:make", "part.xml", "C:\\robots\\dog.xml"])
def test_what_stands_in_the_way_is_one_line_and_leaves_nothing(tmp_path: Path, source: str) -> None:
    write(tmp_path / "part.xml", "<mujocoinclude/>")
    done = run(tmp_path, "envs", "init", source)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["part.xml"]
