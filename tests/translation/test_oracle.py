"""The file itself, run by Python, is what its translation is compared with, where it can run."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.people import make_ground
from translation.styles import TAKEN

from reward_agent.translation import robots
from reward_agent.translation.translate import translate_file


def test_a_wrapper_is_run_around_recorded_steps() -> None:
    env, _, text = TAKEN["a wrapper whose step fills a deque"]
    ground = replace(make_ground(env), runs_python=True)
    result = translate_file(text.encode(), ground)
    assert result.original == "the file"


CAUGHT = """\
def reward(obs, action, next_obs):
    try:
        assert next_obs[0] < 0
        r = 1.0
    except AssertionError:
        r = 2.0
    return r
"""


def test_what_python_pays_otherwise_is_kept_as_it_is_row_by_row() -> None:
    result = translate_file(CAUGHT.encode(), replace(make_ground("hopper"), runs_python=True))
    assert (result.form, result.original) == ("rows", "the file")
    assert all(row.original == row.ours == 2.0 for row in result.parity)


TORCH = """\
import torch
from torch import Tensor

@torch.jit.script
def compute_reward(torso_height: Tensor, joint_velocities: Tensor, actions: Tensor):
    up = torch.where(torso_height > 1.0, torch.ones_like(torso_height), 0.5 * torso_height)
    slow = torch.exp(-joint_velocities.square().sum(dim=-1)).clamp(max=0.8)
    worst, _ = torch.max(torch.abs(actions), dim=-1)
    return up + slow - 0.1 * torch.norm(actions, p=2, dim=-1) - worst
"""


def test_torch_is_run_by_a_stand_in() -> None:
    result = translate_file(TORCH.encode(), replace(make_ground("hopper"), runs_python=True))
    assert (result.form, result.original) == ("arrays", "the file"), result.notes
    assert max(row.difference for row in result.parity) < 1e-9


def test_nothing_runs_where_it_may_not() -> None:
    text = "def reward(obs, action, next_obs):\n    return next_obs[0]\n"
    assert translate_file(text.encode(), make_ground("hopper")).original == "as read"


def test_a_loop_without_end_is_not_run_to_its_end() -> None:
    text = "def slow():\n    while True:\n        pass\ntry:\n    slow()\nfinally:\n    pass\n"
    text += "def reward(obs, action, next_obs):\n    return next_obs[0]\n"
    result = translate_file(text.encode(), replace(make_ground("hopper"), runs_python=True))
    assert (result.program, result.parity) == (None, ())


def test_a_number_that_is_none_is_told_by_its_line() -> None:
    text = "import numpy as np\ndef reward(obs, action, next_obs):\n    r = np.log(action[0] - 5.0)\n    return r\n"
    result = translate_file(text.encode(), replace(make_ground("hopper"), runs_python=True))
    [finding] = result.findings
    assert (finding.line, finding.remedy.startswith("guard what it is given")) == (3, True)


def test_the_body_s_frame_is_the_world_s_turned_back() -> None:
    names: dict[str, Any] = {"np": np}
    exec(robots.MOTION, names)
    whole = np.array([0.5, -0.1, 0.7, 0.2])
    of = SimpleNamespace(orientation=tuple(whole / np.linalg.norm(whole)))
    v = np.array([1.0, -2.0, 0.5])
    assert names["turn"](of, names["turn_back"](of, v)) == pytest.approx(v)
    down = names["turn"](of, names["projected_gravity_b"](of))
    assert down == pytest.approx([0.0, 0.0, -1.0])
    plane = SimpleNamespace(orientation=None, pitch=0.3)
    like = SimpleNamespace(orientation=(np.cos(0.15), 0.0, np.sin(0.15), 0.0))
    assert names["turn_back"](plane, v) == pytest.approx(names["turn_back"](like, v))


OWN = """\
import gymnasium as gym
class W(gym.Wrapper):
    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, info
"""
ENVS = ("ant", "half_cheetah", "hopper", "humanoid", "inverted_pendulum", "reacher", "walker2d")


@pytest.mark.parametrize("env", ENVS)
def test_the_environments_own_reward_is_read_from_its_source(env: str) -> None:
    """Its speed, health, distance and costs; what it pays is held by ``envs check``."""
    result = translate_file(OWN.encode(), make_ground(env))
    assert result.form == "arrays", result.findings


def test_a_position_that_lags_is_told_with_the_line_that_can_be_read() -> None:
    text = "def reward(data, action):\n    return data.qpos[0]\n"
    [finding] = translate_file(text.encode(), make_ground("ant")).findings
    assert "up to 0.01 s before" in finding.message
    assert "data.body('torso').xpos[0]" in finding.remedy
