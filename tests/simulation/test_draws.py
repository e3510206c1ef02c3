"""Places and commands are drawn anew for each episode, of each simulation by itself."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from pydantic import ValidationError
from support.scene import SCENE, write_scene

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.start import Draw, Randomise
from reward_agent.errors import DataError
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.mujoco_draws import PoseLayout, draw_point
from reward_agent.worker.check_env import check_card

BOX = "center = [0.5, 1.0, 0.8]\nsize = [0.2, 0.3, 0.1]\n"
PLACED = ["site:target", "geom:wall", "body:table", "body:door", "body:hand", "body:cube"]
PLACED += ["site:mark", "joint:cube_free"]


def _start(card: EnvCard, n_sims: int = 3, seed: int = 0) -> BatchSimulation:
    simulation = BatchSimulation(card, n_sims, seed)
    simulation.reset()
    return simulation


def _find(simulation: BatchSimulation, what: str) -> np.ndarray:
    kind, name = what.split(":")
    if kind == "joint":
        return simulation.qpos[:, 3:6]
    batch = simulation._batch
    getattr(batch, kind)(name).xpos  # noqa: B018  (bound before it is computed)
    batch.forward()
    return np.array(getattr(batch, kind)(name).xpos)


@pytest.mark.parametrize("what", PLACED)
def test_a_thing_is_where_it_was_drawn(tmp_path: Path, what: str) -> None:
    card = write_scene(tmp_path, tables=f'[draws.place]\nwhat = "{what}"\n{BOX}')
    simulation = _start(card, 20)
    place = simulation.draws["place"]
    np.testing.assert_allclose(_find(simulation, what), place, atol=1e-9)
    assert (np.abs(place - [0.5, 1.0, 0.8]) <= [0.2, 0.3, 0.1]).all()
    assert (np.ptp(place, axis=0) > [0.2, 0.3, 0.1]).all()
    first = place.copy()
    simulation.reset([3])
    assert (np.abs(first - place).max(axis=1) > 0).tolist() == [i == 3 for i in range(20)]


@pytest.mark.parametrize("what", PLACED)
def test_a_thing_is_turned_about_the_vertical(tmp_path: Path, what: str) -> None:
    card = write_scene(tmp_path, tables=f'[draws.place]\nwhat = "{what}"\nturn = true\n{BOX}')
    simulation = _start(card, 20)
    kind, name = what.split(":")
    kind, name = ("body", "cube") if kind == "joint" else (kind, name)
    batch = simulation._batch
    getattr(batch, kind)(name).xmat  # noqa: B018
    batch.forward()
    rotation = np.array(getattr(batch, kind)(name).xmat).reshape(-1, 3, 3)
    np.testing.assert_allclose(rotation[:, 2], [[0, 0, 1]] * 20, atol=1e-9)
    assert np.ptp(np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])) > 3
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-9)


def test_a_free_body_is_placed_at_rest(tmp_path: Path) -> None:
    tables = f'[reset]\nqvel_normal = 1.0\n[draws.place]\nwhat = "body:cube"\n{BOX}'
    simulation = _start(write_scene(tmp_path, tables=tables))
    assert not simulation.qvel[:, 3:9].any()
    assert simulation.qvel[:, :3].all()


@pytest.mark.parametrize("shape", ["disc", "annulus", "sphere", "box"])
def test_shapes_are_filled_and_their_middle_left_out(tmp_path: Path, shape: str) -> None:
    draw = Draw.model_validate(
        {"what": "site:target", "shape": shape, "center": (1, 2, 3), "size": 0.5, "inner": 0.2}
    )
    generator = np.random.default_rng(0)
    offset = np.array([draw_point(draw, generator) for _ in range(2000)]) - [1, 2, 3]
    distance = np.linalg.norm(offset, axis=1)
    if shape == "box":
        assert 0.45 < np.abs(offset).max() <= 0.5
        return
    assert 0.2 <= distance.min() < 0.25
    assert 0.48 < distance.max() <= 0.5
    assert (np.ptp(offset, axis=0) > 0.8).tolist() == [True, True, shape == "sphere"]
    power = 3 if shape == "sphere" else 2
    share = (distance**power - 0.2**power) / (0.5**power - 0.2**power)
    assert share.mean() == pytest.approx(0.5, abs=0.03)


def test_the_middle_of_a_box_is_left_out(tmp_path: Path) -> None:
    table = '[draws.place]\nwhat = "site:target"\nsize = 0.5\ninner = 0.4\n'
    place = _start(write_scene(tmp_path, tables=table), 200).draws["place"]
    assert np.linalg.norm(place, axis=1).min() >= 0.4


def test_things_keep_their_distance(tmp_path: Path) -> None:
    table = """
[reset]
joints = { shoulder = 1.0 }
[draws.cube]
what = "body:cube"
shape = "disc"
size = 0.4
center = [0.0, 0.0, 0.05]
[draws.target]
what = "site:target"
size = 0.6
center = [0.3, 0.0, 1.0]
apart_from = { "body:cube" = 0.5, "site:tip" = 0.3 }
"""
    simulation = _start(write_scene(tmp_path, tables=table), 200)
    target, cube = simulation.draws["target"], simulation.draws["cube"]
    assert np.linalg.norm(target - cube, axis=1).min() >= 0.5
    assert np.linalg.norm(target - _find(simulation, "site:tip"), axis=1).min() >= 0.3


def test_a_place_that_cannot_be_is_refused_and_says_so(tmp_path: Path) -> None:
    table = '[draws.far]\nwhat = "site:target"\nsize = 0.1\napart_from = { "site:mark" = 9.0 }'
    with pytest.raises(DataError, match=r"of 1000 places .* none is 9 m from site:mark"):
        _start(write_scene(tmp_path, tables=table))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("site:tip", "hangs on body 'fore', which moves"),
        ("geom:palm", "hangs on body 'hand', which moves"),
        ("body:fore", "hangs on body 'arm', which moves"),
        ("joint:elbow", "'elbow' is no free joint"),
        ("site:tagret", "draws.place: the model has no site named 'tagret'; did you mean 'target'"),
    ],
)
def test_what_cannot_be_placed_is_refused(tmp_path: Path, what: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        BatchSimulation(write_scene(tmp_path, tables=f'[draws.place]\nwhat = "{what}"'), 1, 0)


@pytest.mark.parametrize(
    "table",
    [
        {"what": "site:a", "shape": "disc", "size": (1.0, 1.0, 1.0)},
        {"what": "site:a", "size": (1.0, -1.0, 1.0)},
        {"what": "site:a", "shape": "annulus", "size": 0.2, "inner": 0.2},
        {"what": "site:a", "command": (0.0, 1.0)},
        {"what": "site:a", "every_s": 1.0},
    ],
)
def test_a_draw_that_makes_no_sense_is_refused(table: dict) -> None:
    with pytest.raises(ValidationError):
        Draw.model_validate(table)


def test_contacts_are_found_where_a_geom_was_put(tmp_path: Path) -> None:
    """One of many geoms of the world is moved under a cube of many, which must rest on it."""
    table = '[draws.wall]\nwhat = "geom:wall"\nsize = 0.01\ncenter = [1.0, 0.0, 0.5]\n'
    table += '[draws.cube]\nwhat = "body:cube"\nsize = 0.01\ncenter = [1.0, 0.0, 1.1]\n'
    card, path = write_scene(tmp_path, tables=table), tmp_path / "scene.xml"
    many = "".join(f'<geom size="0.05" pos="{i} -2 0"/>' for i in range(20))
    text = path.read_text().replace("<worldbody>", "<worldbody>" + many)
    grains = "".join(f'<geom size="0.01" pos="0 0 {i / 100}"/>' for i in range(6))
    path.write_text(text.replace('<geom name="cube_geom"', grains + '<geom name="cube_geom"'))
    simulation = _start(card)
    for _ in range(50):
        simulation.step(np.zeros((3, 3)))
    np.testing.assert_allclose(
        simulation.qpos[:, 5], simulation.draws["wall"][:, 2] + 0.55, atol=0.01
    )


COMMANDS = """
[draws.speed]
command = [-1.0, 2.0]
[draws.turn]
command = [0.0, 1.0]
every_s = 0.1
"""


def test_commands_are_drawn_within_their_limits(tmp_path: Path) -> None:
    speed = _start(write_scene(tmp_path, tables=COMMANDS), 500).draws["speed"]
    assert speed.shape == (500,)
    assert -1.0 <= speed.min() < -0.9
    assert 1.9 < speed.max() <= 2.0


def test_fields_read_what_is_drawn(tmp_path: Path) -> None:
    field = '= { source = "draw:place", size = 3, unit = "m", range = [-9, 9], doc = "of it" }'
    speed = '= { source = "draw:speed", unit = "m/s", range = [-9, 9], doc = "wanted" }'
    tables = f"wanted_place {field}\nwanted_speed {speed}\n[draws.place]\n{BOX}{COMMANDS}"
    simulation = _start(write_scene(tmp_path, tables=tables))
    state = simulation.read_state()
    np.testing.assert_array_equal(state.wanted_place, simulation.draws["place"])
    np.testing.assert_array_equal(state.wanted_speed, simulation.draws["speed"])
    assert np.ptp(state.wanted_place, axis=0).all()


def test_a_command_changes_within_the_episode(tmp_path: Path) -> None:
    simulation = _start(write_scene(tmp_path, tables=COMMANDS), 2)
    seen = [simulation.draws["turn"].copy()]
    for step in range(12):
        simulation.step(np.zeros((2, 3)), ids=[0] if step < 2 else None)
        seen.append(simulation.draws["turn"].copy())
    changes = np.diff(np.array(seen), axis=0) != 0
    assert np.flatnonzero(changes[:, 0]).tolist() == [4, 9]
    assert np.flatnonzero(changes[:, 1]).tolist() == [6, 11]


def test_draws_do_not_depend_on_how_many_simulations_there_are(tmp_path: Path) -> None:
    tables = f'[reset]\nqpos_uniform = 0.1\n[draws.place]\nwhat = "body:cube"\nturn = true\n{BOX}'
    card = write_scene(tmp_path, tables=tables + COMMANDS)
    many, one = _start(card, 5, seed=10), _start(card, 1, seed=13)
    for _ in range(2):
        np.testing.assert_array_equal(many.qpos[3], one.qpos[0])
        for name, values in one.draws.items():
            np.testing.assert_array_equal(many.draws[name][3], values[0])
        many.reset([3])
        one.reset()


def test_a_pose_holds_what_was_drawn(tmp_path: Path) -> None:
    tables = [
        f'[draws.d{i}]\nwhat = "{what}"\nturn = true\n{BOX}'
        for i, what in enumerate(
            ["site:target", "geom:wall", "body:door", "body:hand", "body:cube"]
        )
    ]
    card = write_scene(tmp_path, tables="\n".join(tables))
    simulation = _start(card)
    pose = simulation.pose
    assert pose.shape == (3, 14 + 7 + 3 * 7)
    model = mujoco.MjModel.from_xml_string(SCENE)
    model.site_sameframe[:] = 0
    data = mujoco.MjData(model)
    PoseLayout(card, model).apply(pose[1], model, data)
    mujoco.mj_kinematics(model, data)
    expected = {name: values[1] for name, values in simulation.draws.items()}
    np.testing.assert_allclose(data.site("target").xpos, expected["d0"])
    np.testing.assert_allclose(data.geom("wall").xpos, expected["d1"])
    np.testing.assert_allclose(data.body("door").xpos, expected["d2"])
    np.testing.assert_allclose(data.body("hand").xpos, expected["d3"])
    np.testing.assert_allclose(data.body("cube").xpos, expected["d4"])


def test_a_draw_that_the_policy_does_not_see_is_a_finding(tmp_path: Path) -> None:
    table = '[draws.place]\nwhat = "site:target"\n'
    blind = check_card(write_scene(tmp_path, tables=table))
    assert any("nothing of what [draws] draw" in finding.message for finding in blind.findings)
    path = tmp_path / "env.toml"
    text = path.read_text().replace('["qpos", "qvel"]', '["qpos", "qvel", "draw:place"]')
    path.write_text(text.replace("observation_size = 26", "observation_size = 29"))
    assert not [
        finding for finding in check_card(load_env(tmp_path)).findings if finding.rule == "noise"
    ]


def test_a_back_end_that_draws_nothing_refuses_to(tmp_path: Path) -> None:
    card = load_env("metaworld")
    changes = {"draws": {"speed": Draw(command=(0.0, 1.0))}, "randomise": Randomise()}
    with pytest.raises(DataError, match=r"EnvPool, which does not know \[draws\], \[randomise\]"):
        make_simulation(card.model_copy(update=changes), 1, 0)


def test_without_draws_a_pose_is_qpos(tmp_path: Path) -> None:
    simulation = _start(write_scene(tmp_path))
    np.testing.assert_array_equal(simulation.pose, simulation.qpos)
