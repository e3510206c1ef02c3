"""A small environment of one's own: an MJCF beside its card, in a folder outside the package."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

MJCF = """
<mujoco model="slider">
  <option timestep="0.01"/>
  <worldbody>
    <geom name="ground" type="plane" size="5 5 0.1" friction="0.1"/>
    <body name="puck" pos="0 0 0.3">
      <joint name="lift" type="slide" axis="0 0 1" damping="1"/>
      <joint name="run" type="slide" axis="1 0 0" damping="1"/>
      <geom name="puck_geom" type="box" size="0.1 0.2 0.05" mass="1" friction="0.1"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="lift" joint="lift" ctrlrange="0 30" ctrllimited="true"/>
    <motor name="run" joint="run" ctrlrange="-5 5" ctrllimited="true"/>
  </actuator>
  <keyframe>
    <key name="high" qpos="1.0 0.5" qvel="0 0"/>
  </keyframe>
</mujoco>
"""

CARD = """
title = "Slider"
description = "A puck that is lifted and pushed."
control_dt = 0.02
max_episode_steps = 100
actions = ["lift_force", "run_force"]
action_mapping = "rescaled"
observation = ["qpos", "qvel"]
observation_size = 4
termination = [{ field = "height", max = 3.0 }]

[model]
file = "slider.xml"
frame_skip = 2
floor = "ground"

[reset]
qpos_uniform = 0.1

[state.puck]
height = { source = "lowest:puck", unit = "m", range = [-0.1, 20.0], doc = "of its lower face" }
x_position = { source = "joint:run.qpos", unit = "m", range = [-5.0, 5.0], doc = "along x" }
floor_contact = { source = "contact:puck_geom", unit = "0/1", range = [0.0, 1.0], doc = "1 on it" }
velocity = { source = "com_velocity:puck", size = 3, unit = "m/s", range = [-5.0, 5.0], doc = "x, y, z" }
"""


@pytest.fixture(autouse=True)
def _leave_mujocos_log_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo writes its warnings, such as of an old attribute, into the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def slider_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "slider"
    folder.mkdir()
    (folder / "slider.xml").write_text(textwrap.dedent(MJCF))
    (folder / "env.toml").write_text(CARD)
    return folder
