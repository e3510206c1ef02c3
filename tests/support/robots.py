"""Small models of robots, and what is true of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_LEG = """
<body name="{name}_leg" pos="{x} {y} -0.05">
  <joint name="{name}_hip" axis="0 1 0" range="-1 1" damping="1"/>
  <geom name="{name}_shin" type="capsule" fromto="0 0 0 0 0 -0.2" size="0.02" mass="0.2"/>
  <geom name="{name}" type="sphere" pos="0 0 -0.22" size="0.03" mass="0.05"/>
</body>"""
LEGS = {"fl": (0.2, 0.1), "fr": (0.2, -0.1), "rl": (-0.2, 0.1), "rr": (-0.2, -0.1)}

# A dog with a ball and a bowl; x is forward, y left, z up.
DOG = f"""
<mujoco model="dog">
  <compiler angle="radian"/>
  <option timestep="0.002"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 .1"/>
    <site name="bowl" pos="1 0 0.05"/>
    <site name="lamp" pos="1 1 2"/>
    <body name="ball" pos="0.6 0.3 0.05">
      <freejoint name="ball"/>
      <geom name="ball" size="0.05" mass="0.1"/>
    </body>
    <body name="gate" pos="2 0 0">
      <joint name="gate_hinge" axis="0 0 1" range="0 1.5" damping="1"/>
      <geom name="gate" type="box" size="0.02 0.3 0.2" pos="0 0.3 0.25" mass="1"/>
    </body>
    <body name="trunk" pos="0 0 0.31">
      <freejoint name="root"/>
      <geom name="trunk" type="box" size="0.25 0.1 0.05" mass="3"/>
      <site name="mouth" pos="0.3 0 0.02"/>
      <body name="jaw" pos="0.3 0 0">
        <joint name="jaw" type="slide" axis="0 0 -1" range="0 0.05" damping="5"/>
        <geom name="jaw" type="box" size="0.03 0.02 0.01" pos="0 0 -0.02" mass="0.05"/>
      </body>
      {"".join(_LEG.format(name=name, x=x, y=y) for name, (x, y) in LEGS.items())}
    </body>
  </worldbody>
  <tendon>
    <fixed name="gait"><joint joint="fl_hip" coef="0.5"/><joint joint="rr_hip" coef="0.5"/></fixed>
    <spatial name="leash"><site site="mouth"/><site site="bowl"/></spatial>
  </tendon>
  <actuator>
    {"".join(f'<position name="{n}" joint="{n}_hip" kp="40" ctrlrange="-1 1"/>' for n in LEGS)}
    <position name="jaw" joint="jaw" kp="200" ctrlrange="0 0.05"/>
  </actuator>
  <sensor>
    <framepos name="lamp_position" objtype="site" objname="lamp"/>
    <velocimeter name="speed" site="mouth"/>
    <gyro name="gyro" site="mouth"/>
    <accelerometer name="acceleration" site="mouth"/>
    <jointpos name="hip_angle" joint="fl_hip"/>
  </sensor>
  <keyframe>
    <key name="stand" qpos="0.6 0.3 0.05 1 0 0 0 0 0 0 0.31 1 0 0 0 0 0 0 0 0"/>
  </keyframe>
</mujoco>"""

_SIDES = {"fl": "front_left", "fr": "front_right", "rl": "rear_left", "rr": "rear_right"}
DOG_MEANING: dict[str, Any] = {
    "description": "A dog of four legs with one hinge each, a ball, a bowl and a gate.",
    "start": "stand",
    "torso": "body:trunk",
    "up": "+z",
    "forward": "+x",
    "feet": [f"geom:{name}" for name in LEGS],
    "hands": ["body:jaw"],
    "tool": "site:mouth",
    "object": "body:ball",
    "target": "site:bowl",
    "fixture": "joint:gate_hinge",
    "limbs": [{"place": f"geom:{n}", "limb": f"{side}_foot"} for n, side in _SIDES.items()],
    "joints": [
        {"joint": "fl_hip", "moves": "geom:fl", "positive": "backward"},
        {"joint": "jaw", "moves": "geom:jaw", "positive": "down"},
    ],
    "measures": [
        {
            "source": "tendon:gait",
            "quantity": "angle",
            "unit": "rad",
            "doc": "Mean of two opposite hips.",
        },
        {
            "source": "tendon:leash",
            "quantity": "distance",
            "unit": "m",
            "doc": "From the mouth to the bowl.",
        },
        {
            "source": "distance(site:mouth, body:ball)",
            "quantity": "distance",
            "unit": "m",
            "doc": "From the mouth to the ball.",
        },
        {"source": "sensor:speed", "quantity": "speed", "unit": "m/s", "doc": "Of the mouth."},
        {"source": "sensor:gyro", "quantity": "turning_rate", "unit": "rad/s", "doc": "Of it."},
        {
            "source": "sensor:acceleration",
            "quantity": "other",
            "unit": "m/s^2",
            "doc": "Of the mouth.",
        },
    ],
    "gripper": {"fingers": ["site:mouth", "body:jaw"], "actuator": "jaw", "opens": "high"},
    "tasks": [
        {"kind": "travel", "number": 0.5, "description": "Walk forward at 0.5 m/s."},
        {"kind": "place", "number": 0.1, "description": "Bring the ball to the bowl."},
        {
            "kind": "stand_on",
            "feet": ["geom:rl", "geom:rr"],
            "description": "Stand on the rear feet.",
        },
    ],
}

DOG_CARD = """
title = "A dog"
description = "Found in a drawer."
control_dt = 0.02
max_episode_steps = 200
actions = ["fl", "fr", "rl", "rr", "jaw"]
action_range = [-1.0, 1.0]
action_mapping = "rescaled"
observation = ["qpos", "qvel"]
observation_size = 38
[model]
file = "dog.xml"
frame_skip = 10
floor = "floor"
[reset]
keyframe = "stand"
qpos_uniform = 0.001
[[state]]
name = "torso_height"
source = "body:trunk.xpos[2]"
unit = "m"
range = [0.0, 1.0]
doc = "Height of the trunk."
"""


def write_dog(folder: Path) -> Path:
    """Write an environment of the dog and return its folder."""
    folder.mkdir()
    (folder / "env.toml").write_text(DOG_CARD)
    (folder / "dog.xml").write_text(DOG)
    return folder
