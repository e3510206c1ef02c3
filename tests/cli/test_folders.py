"""What a stranger's environment may do is said once, on standard error, and asks nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reward_agent.cli.app import app
from reward_agent.definitions.card import find_env_dir
from reward_agent.definitions.paths import find_envs_dir

PROGRAM = """
def compute_reward(state, action, next_state):
    upright = np.cos(next_state.pole_angle)
    return upright, {"upright": upright}
"""
WORDS = "did not come with reward-agent"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "of a stranger"
    shutil.copytree(find_env_dir("inverted_pendulum"), own)
    (tmp_path / "reward.py").write_text(PROGRAM)
    return own


def ask(tmp_path: Path, *arguments: str, **environ: str) -> Result:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        return CliRunner(env=state | environ).invoke(app, arguments)


def check(tmp_path: Path, env: str, **environ: str) -> Result:
    return ask(tmp_path, "check", "reward.py", "--env", env, "--json", **environ)


def test_a_folder_is_told_of_once_and_the_answer_is_undisturbed(
    folder: Path, tmp_path: Path
) -> None:
    first, second = check(tmp_path, str(folder)), check(tmp_path, str(folder))
    assert WORDS in first.stderr
    assert str(folder) in first.stderr
    assert "whole folder" in first.stderr
    assert second.stderr == ""
    assert json.loads(first.stdout) == json.loads(second.stdout)
    relative = check(tmp_path, f"./{folder.name}")
    assert relative.stderr == ""
    moved = tmp_path / "another"
    folder.rename(moved)
    assert WORDS in check(tmp_path, str(moved)).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("design", "--task", "balance", "--estimate", "--provider", "offline"),
        ("envs", "check"),
        ("train", "--task", "no such task"),
    ],
)
def test_every_command_that_runs_something_tells_of_it(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    given = (str(folder),) if arguments[0] == "envs" else ("--env", str(folder))
    assert WORDS in ask(tmp_path, *arguments, *given).stderr


def test_what_came_with_it_is_not_told_of(folder: Path, tmp_path: Path) -> None:
    for env in ("inverted_pendulum", str(find_envs_dir() / "inverted_pendulum")):
        assert check(tmp_path, env).stderr == ""
    envs = {"REWARD_AGENT_ENVS_DIR": str(tmp_path)}
    folder.rename(tmp_path / "inverted_pendulum")
    assert check(tmp_path, "inverted_pendulum", **envs).stderr == ""


def test_a_list_that_cannot_be_kept_is_no_error(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine\n")
    (tmp_path / "state" / "reward-agent").mkdir(parents=True)
    (tmp_path / "state" / "reward-agent" / "env-folders.jsonl").symlink_to(precious)
    for _ in range(2):
        told = check(tmp_path, str(folder))
        assert told.exit_code == 0
        assert WORDS in told.stderr
    assert precious.read_text() == "mine\n"
    told = check(tmp_path, str(folder), XDG_STATE_HOME="/proc/nowhere")
    assert told.exit_code == 0
    assert WORDS in told.stderr


def test_a_name_that_steers_a_terminal_is_shown_and_not_obeyed(
    folder: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd\x1b[2Jname\nerror: gone"
    folder.rename(odd)
    told = check(tmp_path, str(odd))
    assert WORDS in told.stderr
    assert "\x1b" not in told.stderr
    assert check(tmp_path, str(odd)).stderr == ""
