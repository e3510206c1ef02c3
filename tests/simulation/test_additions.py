"""A card adds what its model lacks: a floor, servos, control ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scene import write_scene

from reward_agent.definitions.card import EnvCard, ModelSource, load_env
from reward_agent.errors import DataError
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.mujoco_model import make_model


def _write_bare(folder: Path, model: str) -> EnvCard:
    """Write the scene without floor and actuators, what touches has bits of its own."""
    write_scene(folder, model=model)
    path, env = folder / "scene.xml", folder / "env.toml"
    text = path.read_text()
    start, end = text.index("  <actuator>"), text.index("  <keyframe>")
    text = text[:start] + text[end:].replace(' ctrl="0.1 0.2 0.3"', "")
    text = text.replace('<geom name="ground" type="plane" size="5 5 0.1"/>', "")
    text = text.replace(
        "<worldbody>", '<default><geom contype="4" conaffinity="8"/></default><worldbody>'
    )
    path.write_text(text)
    env.write_text(env.read_text().replace('floor = "ground"\n', ""))
    return load_env(folder)


SERVOS = """add_floor = 0.0
add_servos.shoulder = { kp = 200.0, kv = 5.0 }
add_servos.elbow = { kp = 200.0, kv = 5.0, range = [-1.0, 1.0], force = 90.0 }
add_servos.door_hinge = { kp = 1.0 }
"""


def test_servos_move_their_joints(tmp_path: Path) -> None:
    simulation = BatchSimulation(_write_bare(tmp_path, SERVOS), 1, 0)
    model = simulation.model
    assert [model.actuator(i).name for i in range(3)] == ["shoulder", "elbow", "door_hinge"]
    assert model.actuator_ctrlrange.tolist() == [[-2.0, 2.0], [-1.0, 1.0], [0.0, 0.0]]
    assert model.actuator_ctrllimited.tolist() == [True, True, False]
    assert model.actuator_forcerange[1].tolist() == [-90.0, 90.0]
    assert model.actuator_forcelimited.tolist() == [False, True, False]
    simulation.reset()
    for _ in range(100):
        simulation.step([[-0.5, 0.5, 0.3]])
    assert simulation.qpos[0, :3].tolist() == pytest.approx([0.3, -0.5, 0.5], abs=0.1)


def test_an_added_floor_holds_what_touches_anything(tmp_path: Path) -> None:
    card = _write_bare(tmp_path, SERVOS)
    assert card.model.floors == ("floor",)
    simulation = BatchSimulation(card, 1, 0)
    assert simulation.model.nlight == 1
    simulation.reset()
    for _ in range(100):
        simulation.step(np.zeros((1, 3)))
    assert simulation.qpos[0, 5] == pytest.approx(0.05, abs=0.01)


def test_floors_are_named_once() -> None:
    source = {"file": "a.xml", "frame_skip": 1, "add_floor": 0.0}
    assert ModelSource(**source, floor="floor").floors == ("floor",)
    assert ModelSource(**source, floor=("box", "step")).floors == ("box", "step", "floor")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("add_servos.socket = { kp = 1.0 }", "joint 'socket' is neither a hinge nor a slide"),
        ("add_servos.elbw = { kp = 1.0 }", "no joint named 'elbw'; did you mean 'elbow'"),
        ("add_servos.shoulder = { kp = 1.0 }", "has an actuator 'shoulder' already"),
        ("control_ranges = { elbow_sevro = [0.0, 1.0] }", "no actuator named 'elbow_sevro'"),
    ],
)
def test_what_cannot_be_added_is_refused(tmp_path: Path, line: str, message: str) -> None:
    card = write_scene(tmp_path, model=line)
    path = tmp_path / "scene.xml"
    path.write_text(
        path.read_text().replace(
            '<position joint="shoulder"', '<position name="shoulder" joint="shoulder"'
        )
    )
    with pytest.raises(DataError, match=message):
        make_model(card)


def test_a_second_floor_is_refused(tmp_path: Path) -> None:
    card = write_scene(tmp_path, model="add_floor = 0.0")
    path = tmp_path / "scene.xml"
    path.write_text(path.read_text().replace('"ground"', '"floor"'))
    with pytest.raises(DataError, match="model has a geom 'floor'") as caught:
        make_model(card)
    assert "model.floor = 'floor'" in caught.value.remedy
