"""Small robots of one's own: an MJCF and its card, written into a folder."""

from __future__ import annotations

from pathlib import Path

from reward_agent.definitions.card import EnvCard, load_env

# A base that stands on legs with position servos, an object, a target, a door, a mocap hand.
SCENE = """
<mujoco model="scene">
  <compiler angle="radian"/>
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody>
    <geom name="ground" type="plane" size="5 5 0.1"/>
    <site name="target" pos="0 0 0"/>
    <geom name="wall" type="box" size="0.1 0.1 0.5" pos="3 3 0.5"/>
    <geom name="pillar" type="box" size="0.1 0.1 0.5" pos="3 -3 0.5"/>
    <body name="table" pos="0 4 0" quat="0.7071067811865476 0 0 0.7071067811865476">
      <geom name="top" type="box" size="0.2 0.2 0.1"/>
      <site name="mark" pos="0 0 0.1"/>
    </body>
    <body name="door" pos="-3 0 0.5">
      <joint name="door_hinge" axis="0 0 1" damping="1"/>
      <geom name="leaf" type="box" size="0.3 0.02 0.4" mass="1"/>
    </body>
    <body name="hand" mocap="true" pos="0 0 2">
      <geom name="palm" size="0.05" contype="0" conaffinity="0"/>
    </body>
    <body name="arm" pos="0 0 1">
      <joint name="shoulder" axis="0 1 0" range="-2 2" damping="1"/>
      <geom name="upper" type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" mass="1"/>
      <body name="fore" pos="0.3 0 0">
        <joint name="elbow" axis="0 1 0" range="-2 2" damping="1"/>
        <geom name="lower" type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" mass="0.5"/>
        <site name="tip" pos="0.3 0 0"/>
      </body>
    </body>
    <body name="cube" pos="1 0 0.1">
      <freejoint name="cube_free"/>
      <geom name="cube_geom" type="box" size="0.05 0.05 0.05" mass="0.2"/>
    </body>
    <body name="ball" pos="0 -4 1">
      <joint name="socket" type="ball"/>
      <geom name="ball_geom" size="0.05" pos="0 0 -0.2" mass="0.1"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="shoulder" kp="200" kv="5" ctrlrange="-2 2"/>
    <position name="elbow_servo" joint="elbow" kp="50" kv="0.5" gear="2"/>
    <motor name="door_motor" joint="door_hinge" ctrlrange="-1 1"/>
  </actuator>
  <keyframe>
    <key qpos="0 0 0 1 0 0.05 1 0 0 0 1 0 0 0"/>
    <key name="raised" qpos="0.2 -0.8 0.5 1 0 0.05 1 0 0 0 1 0 0 0" ctrl="0.1 0.2 0.3"/>
  </keyframe>
</mujoco>
"""

_CARD = """
title = "Scene"
description = "An arm beside a cube and a door."
control_dt = 0.02
max_episode_steps = 50
actions = ["shoulder", "elbow", "door"{actions}]
observation = ["qpos", "qvel"]
observation_size = 26
{top}
[model]
file = "scene.xml"
frame_skip = 4
floor = "ground"
{model}
[state]
elbow = {{ source = "joint:elbow.qpos", unit = "rad", range = [-2.0, 2.0], doc = "of the elbow" }}
{tables}
"""


def write_scene(
    folder: Path, top: str = "", tables: str = "", model: str = "", actions: str = ""
) -> EnvCard:
    """Write the scene with more lines of its card: at the top, in ``[model]``, and after it."""
    (folder / "scene.xml").write_text(SCENE)
    text = _CARD.format(top=top, tables=tables, model=model, actions=actions)
    (folder / "env.toml").write_text(text)
    return load_env(folder)
