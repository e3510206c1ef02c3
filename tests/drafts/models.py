"""Small models that drafts are tried on, written for that."""

from __future__ import annotations

import struct
from pathlib import Path

LEG = """\
<mujoco model="leg">
  <worldbody>
    <light pos="0 0 3"/>
    <geom name="floor" type="plane" size="0 0 1"/>
    <body name="trunk" pos="0 0 0.5">
      <freejoint name="root"/>
      <geom type="box" size="0.2 0.1 0.05" mass="3"/>
      <body name="foot" pos="0 0 -0.2">
        <joint name="hip" axis="0 1 0" range="-1 1" limited="true"/>
        <geom name="sole" type="capsule" fromto="0 0 0 0 0 -0.2" size="0.03" mass="0.5"/>
      </body>
    </body>
  </worldbody>
  <actuator><position name="hip" joint="hip" kp="50" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""
ARM = """\
<mujoco model="arm">
  <worldbody>
    <body name="base">
      <geom type="cylinder" size="0.05 0.1" mass="2"/>
      <body name="upper" pos="0 0 0.1">
        <joint name="shoulder" axis="0 1 0" range="-2 2" limited="true"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" mass="1"/>
        <body name="hand" pos="0.3 0 0">
          <joint name="elbow" axis="0 1 0" range="-2 2" limited="true"/>
          <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02" mass="0.5"/>
        </body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
BALL = """\
    <body name="ball" pos="1 0 0.1">
      <freejoint name="ball"/>
      <geom size="0.1" mass="0.1"/>
    </body>
"""
URDF = """\
<?xml version="1.0"?>
<robot name="lever">
  <link name="base_link">
    <inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><geometry><mesh filename="{mesh}"/></geometry></collision>
  </link>
  <link name="lever">
    <inertial><origin xyz="0 0 0.2"/><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="0 0 0.2"/><geometry><box size="0.05 0.05 0.4"/></geometry></collision>
  </link>
  <joint name="hinge" type="revolute">
    <parent link="base_link"/><child link="lever"/><origin xyz="0 0 0.3"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" effort="20" velocity="1"/>
  </joint>
  <gazebo><plugin filename="libgazebo_ros.so" name="other"/></gazebo>
</robot>
"""


def write(path: Path, text: str | bytes) -> Path:
    """Write a file, and the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_stl(path: Path, size: float = 0.1) -> Path:
    """Write a tetrahedron."""
    corners = [(0, 0, 0), (size, 0, 0), (0, size, 0), (0, 0, size)]
    data = b"\0" * 80 + struct.pack("<I", 4)
    for face in ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)):
        points = [value for corner in face for value in corners[corner]]
        data += struct.pack("<12fH", 0, 0, 0, *points, 0)
    return write(path, data)


def write_png(path: Path, size: int = 2) -> Path:
    """Write a picture."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size)).save(path)
    return path
