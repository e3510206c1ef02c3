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
        """Draft an environment, start a run of a sentence, and accept the metric that it asks about."""
        env = self.ask("envs", "init", "arm.xml", "-o", "arm")
        assert env["folder"] == str(self.folder / "arm")
        assert self.ask("envs", "check", "./arm")["findings"] == []
        size = ("--steps", str(steps), "--candidates", "1", "--iterations", "1")
        sentence = ("--env", "./arm", "--task", "hold still for 1 s")
        extra = ("--winner-seeds", "1", "--eval-episodes", "2", "--detach")
        run = str(self.ask("design", *sentence, *size, *MACHINE, *extra)["id"])
        question = self.ask("runs", "wait", run, "--for", "question", "--timeout", "300")[
            "question"
        ]
        assert "accept" in question["answers"]
        assert question["criterion"]
        assert question["behaviours"]
        wrong = self.ask("runs", "answer", run, "perhaps", code=2)
        assert (wrong["code"], wrong["exit"]) == ("usage", 2)
        refused = self.ask("runs", "answer", run, "accept", "--provider", "offline", code=2)
        assert "--env FOLDER" in refused["remedy"]
        self.ask("runs", "answer", run, "accept", "--provider", "offline", "--env", "./arm")
        return run

    def stop_in_a_training(self) -> dict[str, Any]:
        run = self.find_run()
        while not self.ask("runs", "status", run)["at_work"]:
            time.sleep(0.2)
        return dict(self.ask("runs", "stop", run))

    def end(self, goes_on: str) -> None:
        """Go on with a stopped run by the command that it says, wait for it, take the reward away."""
        _, *words = shlex.split(goes_on)
        run = self.find_run()
        assert self.ask(*words, *MACHINE, "--detach")["id"] == run
        over = self.ask("runs", "wait", run, "--timeout", "400")
        assert over["status"] == "finished"
        assert over["winner"]["of_seeds"]
        told = self.ask("export", run, "-o", "out")
        assert "reward.py" in told["files"]
        assert (self.folder / "out" / "reward.py").is_file()


def run_process(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reward_agent", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_from_a_model_to_an_exported_reward_by_a_shell_alone(tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(ARM)
    ShellAgent(tmp_path, run_command).begin(steps=60_000)
    stopped = ShellAgent(tmp_path, run_command).stop_in_a_training()
    assert stopped["status"] == "interrupted"
    ShellAgent(tmp_path, run_command).end(stopped["resume"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_agent_that_is_killed_finds_its_run_again(tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(ARM)
    run = ShellAgent(tmp_path, run_process).begin(steps=200_000)
    command = [sys.executable, "-m", "reward_agent", "runs", "wait", run, "--json"]
    waiting = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    time.sleep(3.0)
    os.killpg(waiting.pid, signal.SIGKILL)
    assert waiting.wait() == -signal.SIGKILL
    again = ShellAgent(tmp_path, run_process)
    assert again.find_run() == run
    assert again.ask("runs", "status", run)["status"] == "running"
    stopped = again.stop_in_a_training()
    assert stopped["status"] == "interrupted"
    again.end(stopped["resume"])
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_reward.py"], cwd=tmp_path / "out", check=True
    )
