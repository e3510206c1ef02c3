"""Small models of every kind that a draft has to know, by name."""

from __future__ import annotations

FLOOR = '<geom name="ground" type="plane" size="10 10 .1"/>'


def _leg(name: str, x: float, y: float) -> str:
    return f"""
    <body name="{name}_thigh" pos="{x} {y} 0">
      <joint name="{name}_hip" axis="0 1 0" range="-1.2 1.2" damping="0.5" armature="0.02"/>
      <geom type="capsule" fromto="0 0 0 -0.08 0 -0.14" size="0.025" mass="0.4"/>
      <body name="{name}_shin" pos="-0.08 0 -0.14">
        <joint name="{name}_knee" axis="0 1 0" range="-1.5 1.5" damping="0.5" armature="0.02"/>
        <geom type="capsule" fromto="0 0 0 0.08 0 -0.14" size="0.02" mass="0.2"/>
        <body name="{name}_foot" pos="0.08 0 -0.14">
          <geom type="sphere" size="0.025" mass="0.05"/>
        </body>
      </body>
    </body>"""


def _quadruped(servo: bool) -> str:
    names = {"FL": (0.2, 0.12), "FR": (0.2, -0.12), "RL": (-0.2, 0.12), "RR": (-0.2, -0.12)}
    legs = "".join(_leg(name, x, y) for name, (x, y) in names.items())
    joints = [f"{name}_{joint}" for name in names for joint in ("hip", "knee")]
    kind = '<position kp="60" kv="2" ctrlrange="-1.2 1.2"' if servo else '<motor ctrlrange="-20 20"'
    actuators = "".join(f'{kind} name="{j}" joint="{j}"/>' for j in joints)
    return f"""<mujoco><compiler angle="radian"/><option timestep="0.004"/><worldbody>{FLOOR}
    <body name="trunk" pos="0 0 0.35"><freejoint/>
      <geom type="box" size="0.25 0.1 0.05" mass="4"/>{legs}</body></worldbody>
    <actuator>{actuators}</actuator></mujoco>"""


def _planar_leg(name: str, y: float) -> str:
    return f"""
    <body name="{name}_thigh" pos="0 {y} -0.2">
      <joint name="{name}_hip" axis="0 1 0" range="-1 1"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.04"/>
      <body name="{name}_foot" pos="0 0 -0.4">
        <joint name="{name}_ankle" axis="0 1 0" range="-0.6 0.6"/>
        <geom type="capsule" fromto="-0.05 0 -0.03 0.18 0 -0.03" size="0.03"/>
      </body>
    </body>"""


PLANAR = f"""<mujoco><compiler angle="radian"/><option timestep="0.005"/><worldbody>{FLOOR}
  <body name="hull" pos="0 0 0.68">
    <joint name="slide_x" type="slide" axis="1 0 0"/><joint name="slide_z" type="slide" axis="0 0 1"/>
    <joint name="turn" axis="0 1 0"/>
    <geom type="capsule" fromto="0 0 -0.2 0 0 0.3" size="0.06"/>
    {_planar_leg("left", 0.0)}{_planar_leg("right", 0.0)}</body></worldbody>
  <actuator><motor joint="left_hip" gear="60"/><motor joint="left_ankle" gear="30"/>
  <motor joint="right_hip" gear="60"/><motor joint="right_ankle" gear="30"/></actuator></mujoco>"""


def _biped_leg(side: str, x: float) -> str:
    """Return a leg in a frame whose y is up, x to the left, z ahead."""
    return f"""
    <body name="{side}femur" pos="{x} -0.1 0">
      <joint name="{side}hip" axis="1 0 0" range="-1 1" stiffness="20" damping="3"/>
      <geom type="capsule" fromto="0 0 0 0 -0.35 0" size="0.05"/>
      <body name="{side}foot" pos="0 -0.4 0">
        <joint name="{side}ankle" axis="1 0 0" range="-0.5 0.5" stiffness="20" damping="2"/>
        <geom type="box" pos="0 -0.02 0.05" size="0.05 0.02 0.12"/>
      </body>
    </body>"""


BIPED = f"""<mujoco><compiler angle="radian"/><option timestep="0.005"/><worldbody>{FLOOR}
  <body name="root" pos="0 0 0.54" quat="0.7071068 0.7071068 0 0"><freejoint name="root"/>
    <geom type="capsule" fromto="0 -0.1 0 0 0.3 0" size="0.09"/>
    <geom name="head" type="sphere" pos="0 0.45 0.02" size="0.08" mass="1"/>
    <body name="lhand" pos="0.25 0.2 0"><joint name="lshoulder" axis="1 0 0" range="-2 2" damping="1"/>
      <geom type="sphere" size="0.04" mass="0.3"/></body>
    <body name="rhand" pos="-0.25 0.2 0"><joint name="rshoulder" axis="1 0 0" range="-2 2" damping="1"/>
      <geom type="sphere" size="0.04" mass="0.3"/></body>
    {_biped_leg("l", 0.1)}{_biped_leg("r", -0.1)}</body></worldbody>
  <actuator>{
    "".join(
        f'<motor joint="{s}{j}" gear="40" ctrlrange="-1 1"/>'
        for s in "lr"
        for j in ("hip", "ankle", "shoulder")
    )
}</actuator></mujoco>"""

_ARM = """
  <body name="base">
    <geom type="cylinder" size="0.06 0.05" pos="0 0 0.05" contype="0" conaffinity="0"/>
    <body name="turret" pos="0 0 0.1"><joint name="pan" armature="0.1" axis="0 0 1" range="-2.5 2.5" damping="2"/>
      <geom type="capsule" fromto="0 0 0 0 0 0.05" size="0.03" mass="1"/>
      <body name="upper" pos="0 0 0.1"><joint name="shoulder" armature="0.1" axis="0 1 0" range="-1 2" damping="2"/>
        <geom type="capsule" fromto="0.05 0 0.02 0.2 0 0.08" size="0.03" mass="0.5"/>
        <body name="lower" pos="0.25 0 0.1"><joint name="elbow" armature="0.1" axis="0 1 0" range="-2 2" damping="1"/>
          <geom type="capsule" fromto="0.03 0 0 0.16 0 -0.04" size="0.02" mass="0.3"/>
          {hand}
        </body></body></body></body>"""
_HAND = """<body name="hand" pos="0.22 0 -0.05">
  <geom type="box" size="0.02 0.05 0.02" mass="0.1"/><site name="pinch" pos="0.06 0 0"/>
  <body name="left_finger" pos="0.04 0.03 0">
    <joint name="left_finger" type="slide" axis="0 1 0" range="-0.02 0.02" damping="5" armature="0.1"/>
    <geom type="box" size="0.03 0.005 0.015" mass="0.02"/></body>
  <body name="right_finger" pos="0.04 -0.03 0">
    <joint name="right_finger" type="slide" axis="0 -1 0" range="-0.02 0.02" damping="5" armature="0.1"/>
    <geom type="box" size="0.03 0.005 0.015" mass="0.02"/></body></body>"""
_SERVOS = "".join(
    f'<position name="{j}" joint="{j}" kp="80" kv="8" ctrlrange="{low} {high}"/>'
    for j, low, high in (("pan", -2.5, 2.5), ("shoulder", -1, 2), ("elbow", -2, 2))
)
_GRIP = "".join(
    f'<position name="{s}_grip" joint="{s}_finger" kp="200" ctrlrange="-0.02 0.02"/>'
    for s in ("left", "right")
)

ARM = f"""<mujoco><compiler angle="radian"/><option timestep="0.002"/><worldbody>
  {_ARM.format(hand='<body name="wrist" pos="0.22 0 -0.05"><geom type="sphere" size="0.03"/></body>')}
  </worldbody><actuator>{_SERVOS}</actuator></mujoco>"""
ARM_AND_OBJECT = f"""<mujoco><compiler angle="radian"/><option timestep="0.002"/><worldbody>{FLOOR}
  {_ARM.format(hand=_HAND)}
  <body name="cube" pos="0.4 0 0.02"><freejoint name="cube"/>
    <geom type="box" size="0.02 0.02 0.02" mass="0.05"/></body>
  <site name="goal" pos="0.35 0.1 0.15" size="0.02"/></worldbody>
  <actuator>{_SERVOS}{_GRIP}</actuator></mujoco>"""
DOOR = f"""<mujoco><compiler angle="radian"/><option timestep="0.002"/><worldbody>{FLOOR}
  {_ARM.format(hand=_HAND)}
  <body name="frame" pos="0.6 -0.2 0.3"><body name="door">
    <joint name="door_hinge" axis="0 0 1" range="-1.6 0" damping="0.2"/>
    <geom type="box" pos="0 0.2 0" size="0.02 0.2 0.25" mass="1"/>
    <geom name="handle" type="capsule" fromto="-0.06 0.35 -0.05 -0.06 0.35 0.05" size="0.015"/>
  </body></body></worldbody><actuator>{_SERVOS}{_GRIP}</actuator></mujoco>"""
SWIMMER = """<mujoco><compiler angle="radian"/><option timestep="0.01" density="4000" viscosity="0.1"/><worldbody>
  <body name="nose" pos="0 0 0"><joint name="x" type="slide" axis="1 0 0"/>
    <joint name="y" type="slide" axis="0 1 0"/><joint name="yaw" axis="0 0 1"/>
    <geom type="capsule" fromto="0.5 0 0 -0.5 0 0" size="0.1"/>
    <body name="mid" pos="-0.5 0 0"><joint name="bend1" axis="0 0 1" range="-1.7 1.7"/>
      <geom type="capsule" fromto="0 0 0 -1 0 0" size="0.1"/>
      <body name="back" pos="-1 0 0"><joint name="bend2" axis="0 0 1" range="-1.7 1.7"/>
        <geom type="capsule" fromto="0 0 0 -1 0 0" size="0.1"/></body></body></body></worldbody>
  <actuator><motor joint="bend1" gear="150" ctrlrange="-1 1"/>
  <motor joint="bend2" gear="150" ctrlrange="-1 1"/></actuator></mujoco>"""
CART_POLE = """<mujoco><compiler angle="radian"/><option timestep="0.01"/><worldbody>
  <body name="cart"><joint name="slider" type="slide" axis="1 0 0" range="-1.8 1.8" damping="0.1"/>
    <geom type="box" size="0.2 0.1 0.05" mass="1"/>
    <body name="pole"><joint name="hinge" axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0 0 0 1" size="0.04" mass="0.1"/></body></body></worldbody>
  <actuator><motor name="slide" joint="slider" gear="10" ctrlrange="-1 1"/></actuator></mujoco>"""


def _wheel(name: str, x: float, y: float) -> str:
    return f"""<body name="{name}_wheel" pos="{x} {y} 0" quat="0.7071068 0.7071068 0 0">
    <joint name="{name}" axis="0 0 -1" damping="0.02"/>
    <geom type="cylinder" size="0.08 0.03" mass="0.3"/></body>"""


_WHEELS = {"fl": (0.15, 0.15), "fr": (0.15, -0.15), "rl": (-0.15, 0.15), "rr": (-0.15, -0.15)}
CART = f"""<mujoco><compiler angle="radian"/><option timestep="0.004"/><worldbody>{FLOOR}
  <body name="chassis" pos="0 0 0.085"><freejoint name="base"/>
    <geom type="box" size="0.2 0.1 0.04" mass="3"/>
    {"".join(_wheel(name, x, y) for name, (x, y) in _WHEELS.items())}</body></worldbody>
  <actuator>{"".join(f'<velocity name="{n}" joint="{n}" kv="0.5"/>' for n in _WHEELS)}</actuator></mujoco>"""

# Two wheels that are driven, and a skid behind.
_TWO = {"left": 0.15, "right": -0.15}
SCOOTER = f"""<mujoco><compiler angle="radian"/><option timestep="0.004"/><worldbody>{FLOOR}
  <body name="base" pos="0 0 0.085"><freejoint name="root"/>
    <geom type="box" size="0.15 0.1 0.03" mass="3"/>
    <geom name="skid" type="sphere" size="0.03" pos="-0.12 0 -0.05" friction="0.01" mass="0.1"/>
    {"".join(_wheel(name, 0.05, y) for name, y in _TWO.items())}</body></worldbody>
  <actuator>{"".join(f'<velocity name="{n}" joint="{n}" kv="0.5"/>' for n in _TWO)}</actuator></mujoco>"""

_ROTORS = {"fl": (0.1, 0.1), "fr": (0.1, -0.1), "rl": (-0.1, 0.1), "rr": (-0.1, -0.1)}
DRONE = f"""<mujoco><compiler angle="radian"/><option timestep="0.005"/><worldbody>{FLOOR}
  <body name="frame" pos="0 0 0.5"><freejoint/>
    <geom type="box" size="0.1 0.1 0.02" mass="0.5"/>
    {"".join(f'<site name="{n}" pos="{x} {y} 0"/>' for n, (x, y) in _ROTORS.items())}
  </body></worldbody><actuator>
  {"".join(f'<general name="{n}" site="{n}" ctrlrange="0 4" gear="0 0 1"/>' for n in _ROTORS)}
  </actuator><keyframe><key name="hover" qpos="0 0 0.5 1 0 0 0" ctrl="1.226 1.226 1.226 1.226"/>
  </keyframe></mujoco>"""


def _segment(n: int) -> str:
    below = _segment(n - 1) if n > 1 else ""
    return f"""<body name="part_{n}" pos="-0.1 0 0"><joint name="bend_{n}" axis="0 0 1" range="-1 1"
    damping="0.05" armature="0.002"/><geom type="capsule" fromto="0 0 0 -0.1 0 0" size="0.02"/>
    {below}</body>"""


SNAKE = f"""<mujoco><compiler angle="radian"/><option timestep="0.004"/><worldbody>{FLOOR}
  <body name="head" pos="0 0 0.02"><freejoint/>
  <geom type="capsule" fromto="0 0 0 -0.1 0 0" size="0.02"/>{_segment(5)}</body></worldbody>
  <actuator>{"".join(f'<position joint="bend_{n}" kp="1" ctrlrange="-1 1"/>' for n in range(1, 6))}
  </actuator></mujoco>"""

KINDS = {
    "quadruped": _quadruped(servo=False),
    "servo_quadruped": _quadruped(servo=True),
    "planar_walker": PLANAR,
    "biped": BIPED,
    "arm": ARM,
    "arm_and_object": ARM_AND_OBJECT,
    "door": DOOR,
    "swimmer": SWIMMER,
    "cart_pole": CART_POLE,
    "cart": CART,
    "scooter": SCOOTER,
    "drone": DRONE,
    "snake": SNAKE,
}
