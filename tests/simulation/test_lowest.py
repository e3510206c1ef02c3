"""The lowest point equals that of a cloud of points on the surface, for every shape."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from reward_agent.errors import DataError
from reward_agent.simulation.mujoco_batch import compile_lowest
from reward_agent.simulation.state import FloatArray

SHAPES = {
    "sphere": 'type="sphere" size="0.2"',
    "capsule": 'type="capsule" size="0.1 0.3"',
    "cylinder": 'type="cylinder" size="0.2 0.3"',
    "box": 'type="box" size="0.1 0.2 0.3"',
    "ellipsoid": 'type="ellipsoid" size="0.1 0.2 0.3"',
    "mesh": 'type="mesh" mesh="wedge"',
}
MJCF = """
<mujoco>
  <asset><mesh name="wedge" vertex="0 0 0  0.4 0 0  0 0.3 0  0 0 0.5  0.2 0.2 0.1"/></asset>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" pos="0.3 0 0.2" {tilt}/>
    <body name="arm" pos="0 0 1">
      <freejoint/>
      <geom name="upper" {upper} pos="0.1 0 0.05"/>
      <body name="hand" pos="0.2 0.1 -0.3">
        <joint axis="0 1 0"/>
        <geom name="lower" {lower}/>
        <geom name="ghost" type="sphere" size="3" contype="0" conaffinity="0"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
RNG = np.random.default_rng(0)
UNIT = RNG.normal(size=(20000, 3))
UNIT /= np.linalg.norm(UNIT, axis=1, keepdims=True)


def sample_surface(model: mujoco.MjModel, geom: int) -> FloatArray:
    """Return points (M, 3) of a geom in its own frame, extreme ones among them."""
    first, second, third = model.geom_size[geom]
    ends = np.array([[0.0, 0.0, second], [0.0, 0.0, -second]])
    ring = np.pad(
        first * UNIT[:, :2] / np.linalg.norm(UNIT[:, :2], axis=1)[:, None], ((0, 0), (0, 1))
    )
    signs = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    kinds = mujoco.mjtGeom
    mesh = model.geom_dataid[geom]
    start = model.mesh_vertadr[mesh]
    points: dict[int, FloatArray] = {
        kinds.mjGEOM_SPHERE: first * UNIT,
        kinds.mjGEOM_CAPSULE: (first * UNIT[None] + ends[:, None]).reshape(-1, 3),
        kinds.mjGEOM_CYLINDER: (ring[None] + ends[:, None]).reshape(-1, 3),
        kinds.mjGEOM_BOX: signs * model.geom_size[geom],
        kinds.mjGEOM_ELLIPSOID: UNIT * np.array([first, second, third]),
        kinds.mjGEOM_MESH: model.mesh_vert[start : start + model.mesh_vertnum[mesh]],
    }
    return points[kinds(model.geom_type[geom])]


def make_batch(upper: str, lower: str, tilt: str = "") -> Batch:
    text = MJCF.format(upper=SHAPES[upper], lower=SHAPES[lower], tilt=tilt)
    batch = Batch(mujoco.MjModel.from_xml_string(text), 6, 1)
    compile_lowest(batch, "body", "arm", ["floor"])  # binds what a step must copy out
    batch.reset()
    batch.bind("qpos")[:, 2:] = RNG.normal(size=(6, 6))
    batch.forward()
    return batch


def find_lowest(batch: Batch, names: list[str]) -> list[float]:
    """The lowest of many points above the plane, simulation by simulation."""
    lowest = []
    for sim in range(batch.nsim):
        data = batch.get_data(sim)
        mujoco.mj_forward(batch.model, data)
        floor = data.geom("floor")
        normal = floor.xmat.reshape(3, 3)[:, 2]
        heights = []
        for name in names:
            geom = batch.model.geom(name).id
            rotation = data.geom_xmat[geom].reshape(3, 3)
            points = sample_surface(batch.model, geom) @ rotation.T + data.geom_xpos[geom]
            heights.append(((points - floor.xpos) @ normal).min())
        lowest.append(min(heights))
    return lowest


@pytest.mark.parametrize("tilt", ["", 'euler="20 30 0"'], ids=["level", "tilted"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_lowest_point_is_that_of_the_surface(shape: str, tilt: str) -> None:
    batch = make_batch(shape, "capsule", tilt)
    arm = compile_lowest(batch, "body", "arm", ["floor"])
    geom = compile_lowest(batch, "geom", "upper", ["floor"])
    assert arm() == pytest.approx(find_lowest(batch, ["upper", "lower"]), abs=2e-3)
    assert geom() == pytest.approx(find_lowest(batch, ["upper"]), abs=2e-3)


def test_a_geom_that_never_collides_is_counted_only_if_asked_for() -> None:
    batch = make_batch("sphere", "sphere")
    hand = compile_lowest(batch, "body", "hand", ["floor"])()
    assert hand == pytest.approx(find_lowest(batch, ["lower"]), abs=2e-3)
    ghost = compile_lowest(batch, "geom", "ghost", ["floor"])()
    assert ghost == pytest.approx(find_lowest(batch, ["ghost"]), abs=2e-2)


def test_without_a_floor_height_is_above_zero() -> None:
    batch = make_batch("sphere", "sphere")
    above_plane = compile_lowest(batch, "body", "arm", ["floor"])()
    above_zero = compile_lowest(batch, "body", "arm", [])()
    assert above_zero == pytest.approx(above_plane + 0.2)


def test_a_plane_has_no_lowest_point() -> None:
    batch = make_batch("sphere", "sphere")
    with pytest.raises(DataError, match="'floor' is a plane"):
        compile_lowest(batch, "geom", "floor", [])


def test_a_floor_that_moves_is_refused() -> None:
    batch = make_batch("sphere", "sphere")
    with pytest.raises(DataError, match="'upper' of the floor can move"):
        compile_lowest(batch, "body", "arm", ["upper"])


FLOORS = """
<mujoco>
  <asset>
    <hfield name="hills" nrow="2" ncol="2" size="1 1 0.5 0.1" elevation="0 1 1 0"/>
    <mesh name="wedge" vertex="0 0 0  0.4 0 0  0 0.3 0  0 0 0.5"/>
  </asset>
  <worldbody>
    <geom name="ground" type="plane" size="5 5 1" pos="0 0 0.1"/>
    <geom name="ramp" type="plane" size="5 5 1" euler="0 45 0"/>
    <geom name="hills" type="hfield" hfield="hills" pos="0 0 0.3"/>
    <body pos="0 0 0.5" euler="90 0 0"><geom name="step" type="box" size="0.5 0.2 0.3"/></body>
    <geom name="wedge" type="mesh" mesh="wedge"/>
    <body mocap="true"><geom name="lift" type="box" size="0.1 0.1 0.1"/></body>
    <body name="ball" pos="{x} 0 1"><freejoint/><geom size="0.2"/></body>
  </worldbody>
</mujoco>
"""


@pytest.mark.parametrize(
    ("floors", "x", "height"),
    [
        (["ground"], 1.0, 0.7),
        (["step", "ground"], 1.0, 0.7),
        (["ground", "ramp"], -1.0, -0.2),
        (["ground", "ramp"], 1.0, 0.7),
        (["step", "hills"], 0.0, 1.0 - 0.2 - 0.7),
        (["hills", "step"], 0.0, 1.0 - 0.2 - 0.3),
        ([], 0.0, 0.8),
    ],
)
def test_the_floor_is_its_nearest_plane_or_the_top_of_its_first_geom(
    floors: list[str], x: float, height: float
) -> None:
    batch = Batch(mujoco.MjModel.from_xml_string(FLOORS.format(x=x)), 2, 1)
    ball = compile_lowest(batch, "body", "ball", floors)
    batch.reset()
    assert ball() == pytest.approx(height)


def test_the_top_of_a_mesh_is_its_highest_vertex() -> None:
    batch = Batch(mujoco.MjModel.from_xml_string(FLOORS.format(x=0)), 1, 1)
    ball = compile_lowest(batch, "body", "ball", ["wedge"])
    batch.reset()
    assert ball() == pytest.approx(0.8 - 0.5, abs=1e-6)


def test_a_mocap_body_is_no_still_floor() -> None:
    batch = Batch(mujoco.MjModel.from_xml_string(FLOORS.format(x=0)), 1, 1)
    with pytest.raises(DataError, match="'lift' of the floor can move"):
        compile_lowest(batch, "body", "ball", ["lift"])
