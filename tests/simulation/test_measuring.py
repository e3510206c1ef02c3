"""Contacts, forces, frames and angles are what MuJoCo and plain geometry say, on any names."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.simulation.measures import (
    measure_pitch,
    measure_roll,
    measure_rotation,
    measure_yaw,
    turn_level,
    turn_local,
)
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.state import FloatArray

SCENE = """
<mujoco model="scene">
  <option timestep="0.004" integrator="implicitfast"/>
  <worldbody>
    <geom name="floor" type="plane" size="9 9 1"/>
    <geom name="table top" type="box" size="0.5 0.5 0.1" pos="3 0 0.3"/>
    <geom type="box" size="0.5 0.5 0.1" pos="-3 0 0.1"/>
    <body name="torso" pos="0 0 0.6">
      <freejoint/>
      <geom name="it's" type="box" size="0.3 0.1 0.1" mass="3"/>
      <site name="tip" pos="0.3 0 0.1" euler="20 40 60"/>
      <body name="left/leg" pos="0.2 0.1 -0.1">
        <joint name="колено" axis="0 1 0" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.04" mass="0.5"/>
        <geom name="FOOT 1" type="sphere" size="0.06" pos="0 0 -0.3" mass="0.2"/>
      </body>
    </body>
    <body name="cube" pos="3 0 0.5">
      <freejoint/>
      <geom name="cube" type="box" size="0.1 0.1 0.1" mass="2"/>
      <body name="knob" pos="0 0 0.15"><geom type="sphere" size="0.05" mass="0.5"/></body>
    </body>
    <body name="lid" pos="3 0 0.76">
      <joint type="slide" axis="0 0 1"/><geom name="lid" type="box" size="0.3 0.3 0.05" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="колено" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""
G = 9.81


def make_card(folder: Path, sources: dict[str, str], floor: object = "floor", **changes) -> EnvCard:
    """Return a card of ``SCENE``, or of other text that is given, with a scalar field or more."""
    (folder / "scene.xml").write_text(changes.pop("mjcf", SCENE))
    sizes = changes.pop("sizes", {})
    state = [
        {"name": name, "source": text, "size": sizes.get(name), "unit": "1", "range": [0, 1],
         "doc": "x"}
        for name, text in sources.items()
    ]  # fmt: skip
    given = {
        "name": "scene", "title": "x", "description": "x", "control_dt": 0.02, "state": state,
        "folder": str(folder), "actions": ["knee"], "max_episode_steps": 100,
        "model": {"file": "scene.xml", "frame_skip": 5, "floor": floor},
        "observation": ["qvel[0:1]"], "observation_size": 1,
    }  # fmt: skip
    return EnvCard.model_validate(given | changes)


Roll = Callable[..., tuple[dict[str, FloatArray], list[mujoco.MjData]]]


@pytest.fixture
def roll(tmp_path: Path) -> Roll:
    """Fields of three simulations somewhere in an episode, and MuJoCo's data at the same states."""

    def run(sources: dict[str, str], n_steps: int = 30, noise: float = 0.3, **given):
        reset = {"qpos_uniform": noise, "qvel_uniform": 3 * noise}
        simulation = BatchSimulation(make_card(tmp_path, sources, reset=reset, **given), 3, seed=1)
        simulation.reset()
        for _ in range(n_steps):
            simulation.step(np.full((3, 1), 0.1))
        datas = []
        for sim in range(3):
            data = mujoco.MjData(simulation.model)
            data.qpos[:], data.qvel[:] = simulation.qpos[sim], simulation.qvel[sim]
            mujoco.mj_forward(simulation.model, data)
            datas.append(data)
        return dict(simulation.read_state().fields), datas

    return run


# --- contacts ------------------------------------------------------------------------------------


def test_the_force_of_what_rests_is_its_weight(roll: Roll) -> None:
    sources = {
        "of_cube": "contact_force:cube",
        "of_body": "contact_force:body:cube",
        "of_all": "contact_force:subtree:cube",
        "lid_on_knob": "contact_force(body:lid, subtree:cube)",
        "lid_on_cube_alone": "contact_force(geom:lid, geom:cube)",
        "robot": "contact_force:subtree:torso",
        "robot_on_floor": "contact(subtree:torso, geom:floor)",
        "apart": "contact_force(body:torso, body:cube)",
    }
    fields, _ = roll(sources, n_steps=600, noise=0.0, floor=["floor", "table top"])
    weight = 3.5 * G  # of the cube with its knob and the lid
    assert fields["of_cube"] == pytest.approx(weight, rel=1e-3)
    assert fields["of_body"] == pytest.approx(fields["of_cube"])
    assert fields["of_all"] == pytest.approx(fields["of_cube"])
    assert fields["lid_on_knob"] == pytest.approx(G, rel=1e-3)
    assert (fields["lid_on_cube_alone"] == 0).all()
    assert fields["robot"] == pytest.approx(3.7 * G, rel=1e-2)
    assert (fields["robot_on_floor"] == 1).all()
    assert (fields["apart"] == 0).all()


def test_a_wedge_between_two_floors_has_the_net_force_of_both(roll: Roll) -> None:
    mjcf = """
    <mujoco><option timestep="0.004"/><worldbody>
      <geom name="left" type="plane" size="5 5 1" euler="0 45 0" friction="0.01"/>
      <geom name="right" type="plane" size="5 5 1" euler="0 -45 0" friction="0.01"/>
      <body pos="0 0 0.5"><freejoint/><geom name="ball" type="sphere" size="0.3" mass="2"/></body>
    </worldbody>
    <actuator><general site="s"/></actuator></mujoco>
    """.replace('mass="2"/>', 'mass="2"/><site name="s"/>')
    names = ["left", "right"]
    sources = {name: f"contact_force(geom:ball, geom:{name})" for name in names}
    sources |= {"net": "contact_force:ball", "one_body": "contact_force:body:#1"}
    fields, _ = roll(sources, n_steps=400, noise=0.0, mjcf=mjcf, floor=[*names, "left"])
    assert fields["net"] == pytest.approx(2 * G, rel=1e-3)
    assert fields["one_body"] == pytest.approx(fields["net"])
    assert fields["left"] == pytest.approx(2 * G / np.sqrt(2), rel=1e-2)
    assert fields["right"] == pytest.approx(2 * G / np.sqrt(2), rel=1e-2)


def test_contacts_and_forces_are_those_of_mujocos_own_steps(tmp_path: Path) -> None:
    """A fall is stepped beside the simulation; after mj_step its contacts are the last step's."""
    pairs = {
        "leg": ({"#4", "FOOT 1"}, {"floor"}, "contact_force:body:left/leg"),
        "box": ({"it's"}, {"floor"}, "contact_force:'it''s'"),
        "lid": ({"lid"}, {"cube", "#7"}, "contact_force(geom:lid, subtree:cube)"),
    }
    touch = {
        f"{name}_touches": source.replace("contact_force", "contact")
        for name, (_, _, source) in pairs.items()
    }
    sources = {name: source for name, (_, _, source) in pairs.items()} | touch
    card = make_card(tmp_path, {**sources, "unnamed": "contact:#4"})
    simulation = BatchSimulation(card, 1, seed=0)
    simulation.reset()
    model, data = simulation.model, mujoco.MjData(simulation.model)
    seen = set()
    for _ in range(60):
        simulation.step([[0.5]])
        data.ctrl[:] = 0.5
        mujoco.mj_step(model, data, 5)
        state = simulation.read_state()
        assert state.fields["observation"][0, 0] == data.qvel[0]
        expected = {name: np.zeros(3) for name in pairs}
        for number, contact in enumerate(data.contact):
            first, second = (model.geom(int(geom)).name for geom in contact.geom)
            force = np.zeros(6)
            mujoco.mj_contactForce(model, data, number, force)
            for name, (ours, theirs, _) in pairs.items():
                if (first in ours and second in theirs) or (second in ours and first in theirs):
                    sign = 1 if first in ours else -1
                    expected[name] += sign * force[:3] @ contact.frame.reshape(3, 3)
        for name, force in expected.items():
            assert state.fields[name][0] == pytest.approx(np.linalg.norm(force), abs=1e-6)
            seen.add((name, bool(force.any()), bool(state.fields[f"{name}_touches"][0])))
    assert {(name, True, True) for name in pairs} <= seen


# --- frames --------------------------------------------------------------------------------------


def rotate(axis: int, angle: float) -> FloatArray:
    """Return a rotation (3, 3) about an axis of the world."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


UNIT = {sign * (i + 1): sign * np.eye(3)[i] for i in range(3) for sign in (-1, 1)}
AXES = [(f, u) for f, u in itertools.permutations(UNIT, 2) if abs(f) != abs(u)]


@pytest.mark.parametrize(("forward", "up"), AXES)
def test_angles_are_those_that_turned_a_frame_of_any_axes(forward: int, up: int) -> None:
    own = np.array([UNIT[forward], np.cross(UNIT[up], UNIT[forward]), UNIT[up]])
    rng = np.random.default_rng(abs(10 * forward + up))
    angles = rng.uniform([-3.1, -1.5, -3.1], [3.1, 1.5, 3.1], (50, 3))
    turns = [rotate(2, yaw) @ rotate(1, pitch) @ rotate(0, roll) for roll, pitch, yaw in angles]
    xmat = np.array([(turn @ own).ravel() for turn in turns])
    assert measure_roll(xmat, forward, up) == pytest.approx(angles[:, 0])
    assert measure_pitch(xmat, forward, up) == pytest.approx(angles[:, 1])
    assert measure_yaw(xmat, forward, up) == pytest.approx(angles[:, 2])
    vectors = rng.normal(size=(50, 3))
    local = [turn.T @ vector for turn, vector in zip(turns, vectors, strict=True)]
    level = [rotate(2, yaw).T @ vector for (_, _, yaw), vector in zip(angles, vectors, strict=True)]
    assert turn_local(xmat, vectors, forward, up) == pytest.approx(np.array(local))
    assert turn_level(xmat, vectors, forward, up) == pytest.approx(np.array(level))
    # One alone, as an exported file reads it.
    assert turn_level(xmat[0], vectors[0], forward, up) == pytest.approx(level[0])
    assert measure_roll(xmat[0], forward, up) == pytest.approx(angles[0, 0])


@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.0])
@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
def test_what_faces_straight_down_or_up_keeps_its_heading(yaw: float, pitch: float) -> None:
    matrix = rotate(2, yaw) @ rotate(1, pitch)
    matrix[np.abs(matrix) < 1e-12] = 0.0
    xmat = matrix.ravel()[None]
    assert measure_yaw(xmat, 1, 3) == pytest.approx(yaw)
    assert measure_pitch(xmat, 1, 3) == pytest.approx(pitch)
    ahead = np.array([[np.cos(yaw), np.sin(yaw), 0.5]])
    assert turn_level(xmat, ahead, 1, 3)[0] == pytest.approx([1.0, 0.0, 0.5])


def test_a_frame_of_nothing_yet_has_finite_angles() -> None:
    nothing = np.zeros((2, 9))
    for measure in (measure_roll, measure_pitch, measure_yaw):
        assert np.isfinite(measure(nothing, 1, 3)).all()
    assert np.isfinite(turn_level(nothing, np.ones((2, 3)), 1, 3)).all()
    assert np.isfinite(measure_rotation(nothing, nothing)).all()


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 1.0, 3.0, np.pi - 1e-6, np.pi])
def test_a_rotation_is_the_vector_that_made_it(angle: float) -> None:
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(20, 3))
    axes = np.concatenate([axes, np.eye(3)])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    first = [rotate(2, a) @ rotate(0, b) for a, b in rng.uniform(-3, 3, (len(axes), 2))]
    turns = []
    for axis in axes:  # Rodrigues' formula
        x, y, z = axis
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        turns.append(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
    a = np.array([matrix.ravel() for matrix in first])
    b = np.array([(m @ turn).ravel() for m, turn in zip(first, turns, strict=True)])
    found = measure_rotation(a, b)
    assert np.linalg.norm(found, axis=1) == pytest.approx(angle, abs=1e-7)
    sign = np.sign(np.sum(found * axes, axis=1, keepdims=True)) if angle == np.pi else 1.0
    assert sign * found == pytest.approx(angle * axes, abs=1e-7)
    assert measure_rotation(a[0], b[0]) == pytest.approx(found[0])


def test_velocities_are_mujocos_of_any_frame(roll: Roll) -> None:
    frames = {"torso": "torso", "leg": "left/leg", "tip": "site:tip", "foot": "geom:'FOOT 1'"}
    sources = {name: f"velocity:{frame}" for name, frame in frames.items()}
    sources |= {f"{name}_spin": f"angular_velocity:{frame}" for name, frame in frames.items()}
    fields, datas = roll(sources, sizes=dict.fromkeys(sources, 3))
    objects = {
        "torso": (mujoco.mjtObj.mjOBJ_XBODY, "torso"),
        "leg": (mujoco.mjtObj.mjOBJ_XBODY, "left/leg"),
        "tip": (mujoco.mjtObj.mjOBJ_SITE, "tip"),
        "foot": (mujoco.mjtObj.mjOBJ_GEOM, "FOOT 1"),
    }
    for sim, data in enumerate(datas):
        for name, (kind, item) in objects.items():
            both, number = np.zeros(6), mujoco.mj_name2id(data.model, kind, item)
            mujoco.mj_objectVelocity(data.model, data, kind, number, both, 0)
            assert fields[name][sim] == pytest.approx(both[3:])
            assert fields[f"{name}_spin"][sim] == pytest.approx(both[:3])
        assert fields["torso"][sim] == pytest.approx(data.qvel[:3])


def test_sources_of_frames_are_what_mujoco_says(roll: Roll) -> None:
    sources = {
        "apart": "distance(body:torso, site:tip)",
        "above": "distance(geom:'table top', body:cube.point(0, 0, 0.1))",
        "spin": "local(body:torso, angular_velocity:torso)",
        "ahead": "level(body:torso, velocity:torso)[0]",
        "roll": "roll(body:torso)",
        "pitch": "pitch(body:torso, +x, +z)",
        "yaw": "yaw(site:tip, -y, +z)",
        "bend": "relative(body:torso, body:left/leg)",
        "gap": "norm(add(scale(body:torso.xpos, -1), body:left/leg.xpos))",
    }
    fields, datas = roll(sources, sizes={"spin": 3, "bend": 3})
    for sim, data in enumerate(datas):
        torso, tip, leg = data.body("torso"), data.site("tip"), data.body("left/leg")
        assert fields["apart"][sim] == pytest.approx(np.linalg.norm(tip.xpos - torso.xpos))
        top = data.body("cube").xpos + data.body("cube").xmat.reshape(3, 3) @ [0, 0, 0.1]
        expected = np.linalg.norm(top - data.geom("table top").xpos)
        assert fields["above"][sim] == pytest.approx(expected)
        # MuJoCo's own angular velocity of a free joint is in the body's frame.
        assert fields["spin"][sim] == pytest.approx(data.qvel[3:6])
        x, _, z = torso.xmat.reshape(3, 3).T
        heading = np.arctan2(x[1], x[0])
        ahead = data.qvel[0] * np.cos(heading) + data.qvel[1] * np.sin(heading)
        assert fields["ahead"][sim] == pytest.approx(ahead)
        assert fields["pitch"][sim] == pytest.approx(-np.arcsin(x[2]))
        left = np.cross(z, x)
        assert fields["roll"][sim] == pytest.approx(np.arctan2(left[2], z[2]))
        back = -tip.xmat.reshape(3, 3)[:, 1]
        assert fields["yaw"][sim] == pytest.approx(np.arctan2(back[1], back[0]))
        knee = float(data.joint("колено").qpos[0])
        wrapped = (knee + np.pi) % (2 * np.pi) - np.pi
        assert fields["bend"][sim] == pytest.approx([0.0, wrapped, 0.0], abs=1e-9)
        assert fields["gap"][sim] == pytest.approx(np.linalg.norm(leg.xpos - torso.xpos))


# --- names ---------------------------------------------------------------------------------------


def test_what_has_no_name_is_said_by_its_number(roll: Roll) -> None:
    sources = {
        "base": "joint:#0.qpos",
        "height": "geom:#4.xpos[2]",
        "low": "lowest:geom:#4",
        "touches": "contact(geom:#7, geom:lid)",
        "pull": "actuator:#0.force",
        "same": "geom:'FOOT 1'.xpos[2]",
    }
    fields, datas = roll(sources, sizes={"base": 7}, noise=0.1)
    for sim, data in enumerate(datas):
        assert fields["base"][sim] == pytest.approx(data.qpos[:7])
        assert fields["height"][sim] == data.geom_xpos[4][2]
        assert fields["pull"][sim] == 0.1
        touching = {frozenset(pair) for pair in data.contact.geom.tolist()}
        assert fields["touches"][sim] == float(frozenset((7, 8)) in touching)


def test_a_number_stands_for_a_name_everywhere_in_a_card(tmp_path: Path) -> None:
    sources = {
        "base_height": "joint:#0.qpos[2]",
        "cube_height": "lowest:cube",
        "goal": "draw:'Where To'[:2]",
        "cube_place": "joint:#2.qpos[:2]",
        "gap": "distance(draw:'Where To', geom:#7)",
    }
    card = make_card(
        tmp_path,
        sources,
        sizes={"goal": 2, "cube_place": 2},
        mjcf=SCENE.replace(' ctrlrange="-1 1" ctrllimited="true"', ""),
        model={"file": "scene.xml", "frame_skip": 5, "floor": "#2",
               "control_ranges": {"#0": [-2.0, 2.0]}},
        home={"joints": {"#0": [0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0]}},
        reset={"joints": {"#0": 0.05}},
        draws={"Where To": {"what": "joint:#2", "center": [-3.0, 0.0, 1.0], "size": [0.2, 0.2, 0.0],
                            "apart_from": {"geom:#4": 0.1}}},
    )  # fmt: skip
    simulation = BatchSimulation(card, 3, seed=0)
    simulation.reset()
    state = simulation.read_state()
    assert state.base_height == pytest.approx(2.0, abs=0.05)
    assert state.goal == pytest.approx(state.cube_place)
    assert state.cube_height == pytest.approx(0.9 - 0.2)  # above the top of the box without a name
    assert state.gap == pytest.approx(0.15, abs=1e-6)
    assert simulation.model.actuator("#0").ctrlrange.tolist() == [-2.0, 2.0]


def test_a_floor_that_is_added_shifts_no_number(tmp_path: Path) -> None:
    mjcf = SCENE.replace('<geom name="floor" type="plane" size="9 9 1"/>', "")
    model = {"file": "scene.xml", "frame_skip": 5, "add_floor": 0.0}
    sources = {"knob": "distance(geom:#6, body:knob)", "touches": "contact:subtree:torso"}
    simulation = BatchSimulation(make_card(tmp_path, sources, mjcf=mjcf, model=model), 1, seed=0)
    simulation.reset()
    for _ in range(100):
        simulation.step([[0.0]])
    state = simulation.read_state()
    assert (state.knob[0], state.touches[0]) == (0.0, 1.0)
    plain = mujoco.MjModel.from_xml_string(mjcf)
    for kind, count in (("body", plain.nbody), ("geom", plain.ngeom), ("joint", plain.njnt)):
        names = [getattr(plain, kind)(i).name for i in range(count)]
        added = [getattr(simulation.model, kind)(i).name for i in range(count)]
        assert [name or f"#{i}" for i, name in enumerate(names)] == added


def test_names_by_numbers_leave_the_motion_as_it_is(tmp_path: Path) -> None:
    positions = []
    for source in ("geom:#4.xpos[2]", "geom:'FOOT 1'.xpos[2]"):
        simulation = BatchSimulation(make_card(tmp_path, {"x": source}), 1, seed=0)
        simulation.reset()
        for _ in range(50):
            simulation.step([[1.0]])
        positions.append(simulation.qpos)
    assert np.array_equal(*positions)


WRONG = [
    ("contact(body:torso, geom:tabletop)", "no geom named 'tabletop'; did you mean 'table top'"),
    ("contact(subtree:trso, geom:floor)", "no body named 'trso'; did you mean 'torso'"),
    ("contact_force:flor", "no geom named 'flor'; did you mean 'floor'"),
    ("distance(body:torsoo, site:tip)", "no body named 'torsoo'; did you mean 'torso'"),
    ("velocity:site:tp", "no site named 'tp'; did you mean 'tip'"),
    ("geom:#0.xpos[0]", "geom #0 has a name: 'floor'"),
    ("geom:#99.xpos[0]", "no geom named '#99'"),
    ("add(qpos, qvel)", "add takes two of one size, is given 16 and 14"),
    ("norm(joint:колено.qpos)", "norm takes a vector, is given a scalar"),
    ("local(body:torso, qvel)", "local takes a vector of 3, is given 14"),
    ("level(body:torso, joint:колено.qpos)", "level takes a vector of 3, is given a scalar"),
]


@pytest.mark.parametrize(("source", "message"), WRONG)
def test_what_the_model_has_not_is_told_in_one_line(
    tmp_path: Path, source: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        BatchSimulation(make_card(tmp_path, {"extra": source}), 1, seed=0)
    assert message in caught.value.message
    assert f"field 'extra' ({source}): " in caught.value.message
    assert "\n" not in str(caught.value)


def test_what_has_no_name_is_told_beside_the_names(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        BatchSimulation(make_card(tmp_path, {"x": "geom:leg.xpos[0]"}), 1, seed=0)
    assert "its geom names: FOOT 1, cube, floor, it's, lid, table top; " in caught.value.remedy
    assert "without a name, by number: 3, such as #2" in caught.value.remedy


def test_contacts_are_measured_where_the_file_turns_sensors_off(roll: Roll) -> None:
    mjcf = SCENE.replace('"implicitfast"/>', '"implicitfast"><flag sensor="disable"/></option>')
    sources = {"touches": "contact:cube", "force": "contact_force:cube"}
    fields, _ = roll(sources, noise=0.0, mjcf=mjcf, floor="table top")
    assert (fields["touches"] == 1).all()
    assert (fields["force"] > 1).all()


def test_a_floor_that_the_model_has_not_is_told(tmp_path: Path) -> None:
    card = make_card(tmp_path, {"x": "qpos[0]"}, floor=["floor", "grund"])
    with pytest.raises(DataError, match=r"no geom named 'grund'.*model\.floor"):
        BatchSimulation(card, 1, seed=0)


def test_a_card_that_reads_what_it_does_not_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"field 'goal': the card has no \[draws\.target\]"):
        make_card(tmp_path, {"goal": "draw:target[0]"})
