"""A coding agent that has a shell alone: exit codes and JSON, from a model to an exported reward."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.answers import check_answer
from support.commands import run_command

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
ARM = """<mujoco model="arm"><option timestep="0.01"/><worldbody>
<body name="upper" pos="0 0 1"><joint name="shoulder" axis="0 1 0" damping="0.5"/>
<geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.03" mass="1"/></body></worldbody>
<actuator><motor joint="shoulder" name="shoulder" gear="10" ctrlrange="-1 1" ctrllimited="true"/>
</actuator></mujoco>"""
MACHINE = ("--provider", "offline", "--no-video")
Call = Callable[..., subprocess.CompletedProcess[str]]


class ShellAgent:
    """It remembers nothing but its folder, and reads nothing but JSON and exit codes."""

    def __init__(self, folder: Path, call: Call) -> None:
        self.folder, self._call = folder, call

    def ask(self, *words: str, code: int = 0) -> Any:
        done = self._call(*words, "--json", cwd=self.folder)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        if not done.stdout:
            return json.loads(done.stderr.splitlines()[-1])
        answer = json.loads(done.stdout)
        check_answer(words, answer)
        return answer

    def find_run(self) -> str:
        """Return the run that is going on, or was: what an agent does that was killed."""
        [row] = self.ask("runs", "list")
        return str(row["id"])

    def begin(self, steps: int) -> str:
        """Draft an environment and start a run of a sentence."""
        env = self.ask("envs", "init", "arm.xml", "-o", "arm")
        assert env["folder"] == str(self.folder / "arm")
        assert self.ask("envs", "check", "./arm")["findings"] == []
        size = ("--steps", str(steps), "--candidates", "1", "--iterations", "1")
        sentence = ("--env", "./arm", "--task", "hold still for 1 s")
        extra = ("--winner-seeds", "1", "--eval-episodes", "2", "--detach")
        return str(self.ask("design", *sentence, *size, *MACHINE, *extra)["id"])

    def answer(self) -> None:
        """Accept the metric that the run asks about, as an error says how."""
        run = self.find_run()
        asked = self.ask("runs", "wait", run, "--for", "question", "--timeout", "300")["question"]
        assert "accept" in asked["answers"]
        assert asked["criterion"]
        assert asked["behaviours"]
        wrong = self.ask("runs", "answer", run, "perhaps", code=2)
        assert (wrong["code"], wrong["exit"]) == ("usage", 2)
        refused = self.ask("runs", "answer", run, "accept", "--provider", "offline", code=2)
        assert "--env FOLDER" in refused["remedy"]
        self.ask("runs", "answer", run, "accept", "--provider", "offline", "--env", "./arm")

    def stop(self, *, is_training: bool) -> str:
        """Stop the run, and return the command that goes on with it."""
        run = self.find_run()
        while is_training and not self.ask("runs", "status", run)["at_work"]:
            time.sleep(0.2)
        stopped = self.ask("runs", "stop", run)
        # Before a training it may wait for its question by then.
        assert stopped["status"] in ({"interrupted"} if is_training else {"interrupted", "paused"})
        return str(stopped["resume"])

    def go_on(self, command: str) -> None:
        """Take the run up again by the command that it says."""
        _, *words = shlex.split(command)
        assert self.ask(*words, *MACHINE, "--detach")["id"] == self.find_run()

    def end(self) -> None:
        """Wait for the end, and take the reward away."""
        over = self.ask("runs", "wait", self.find_run(), "--timeout", "400")
        assert over["status"] == "finished"
        assert over["winner"]["of_seeds"]
        told = self.ask("export", "last", "-o", "out")
        assert "reward.py" in told["files"]
        assert (self.folder / "out" / "reward.py").is_file()


def run_process(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reward_agent", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_from_a_model_to_an_exported_reward_by_a_shell_alone(tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(ARM)
    ShellAgent(tmp_path, run_command).begin(steps=2048)
    goes_on = ShellAgent(tmp_path, run_command).stop(is_training=False)
    ShellAgent(tmp_path, run_command).go_on(goes_on)
    ShellAgent(tmp_path, run_command).answer()
    ShellAgent(tmp_path, run_command).end()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_agent_that_is_killed_finds_its_run_again(tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(ARM)
    first = ShellAgent(tmp_path, run_process)
    run = first.begin(steps=200_000)
    first.answer()
    command = [sys.executable, "-m", "reward_agent", "runs", "wait", run, "--json"]
    waiting = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    time.sleep(3.0)
    os.killpg(waiting.pid, signal.SIGKILL)
    assert waiting.wait() == -signal.SIGKILL
    again = ShellAgent(tmp_path, run_process)
    assert again.find_run() == run
    assert again.ask("runs", "status", run)["status"] == "running"
    again.go_on(again.stop(is_training=True))
    again.end()
    tried = [sys.executable, "-m", "pytest", "-q", "test_reward.py"]
    subprocess.run(tried, cwd=tmp_path / "out", check=True)
