"""What a card measures equals what MuJoCo says, simulation by simulation."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard, StateField, list_envs, load_env
from reward_agent.definitions.sources import Measure, find_measures, parse_source
from reward_agent.errors import DataError
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.state import State

ENVS = [name for name in list_envs() if load_env(name).gymnasium_id]


def roll(card: EnvCard, n_steps: int = 60) -> Iterator[tuple[State, list[mujoco.MjData]]]:
    """Yield states of three simulations, with MuJoCo's own view of each at the same instant."""
    current = card.model.model_copy(update={"derived_fields": "current"})
    simulation = BatchSimulation(card.model_copy(update={"model": current}), 3, seed=0)
    simulation.reset()
    rng = np.random.default_rng(0)
    for step in range(n_steps):
        if step % 12 == 0:
            action = rng.uniform(*card.action_range, (3, card.n_actions))
        simulation.step(action)
        if step % 4 == 0:
            yield simulation.read_state(), [make_data(simulation, i) for i in range(3)]


def make_data(simulation: BatchSimulation, sim: int) -> mujoco.MjData:
    data = mujoco.MjData(simulation.model)
    data.qpos[:], data.qvel[:] = simulation.qpos[sim], simulation.qvel[sim]
    mujoco.mj_forward(simulation.model, data)
    mujoco.mj_subtreeVel(simulation.model, data)
    return data


def find_touching(data: mujoco.MjData, floor: str) -> set[str]:
    """Names of the geoms and bodies, the latter after 'body:', in contact with the floor."""
    model, names = data.model, set()
    for contact in data.contact:
        pair = [model.geom(int(geom)) for geom in contact.geom]
        for this, other in (pair, pair[::-1]):
            if other.name == floor:
                names |= {this.name, f"body:{model.body(this.bodyid[0]).name}"}
    return names


@pytest.mark.parametrize("name", ["hopper", "walker2d", "half_cheetah", "ant", "humanoid"])
def test_contact_flags_are_mujocos_contacts_with_the_floor(name: str) -> None:
    card = load_env(name)
    flags = {
        field.name: measure
        for field in card.state
        if isinstance(measure := parse_source(field.source), Measure)
        and measure.measure == "contact"
    }
    seen = set()
    for state, datas in roll(card):
        for sim, data in enumerate(datas):
            touching = find_touching(data, card.model.floor or "")
            for field, measure in flags.items():
                key = measure.name if measure.kind == "geom" else f"body:{measure.name}"
                assert state.fields[field][sim] == float(key in touching)
                seen.add(state.fields[field][sim])
    assert seen == {0.0, 1.0}


@pytest.mark.parametrize("name", ["hopper", "ant"])
def test_centre_of_mass_and_its_velocity_are_mujocos(name: str) -> None:
    for state, datas in roll(load_env(name), n_steps=20):
        for sim, data in enumerate(datas):
            torso = data.body("torso")
            assert state.com_position[sim] == pytest.approx(torso.subtree_com)
            assert state.com_velocity[sim] == pytest.approx(torso.subtree_linvel)
            assert state.com_height[sim] == torso.subtree_com[2]


def test_angular_momentum_is_mujocos_about_the_centre_of_mass() -> None:
    card = load_env("hopper")
    source = "angular_momentum:torso"
    field = card.field("com_velocity").model_copy(
        update={"source": source, "unit": "kg m2/s", "role": "angular_momentum"}
    )
    card = card.model_copy(
        update={"state": tuple(field if f.name == field.name else f for f in card.state)}
    )
    for state, datas in roll(card, n_steps=20):
        for sim, data in enumerate(datas):
            assert state.com_velocity[sim] == pytest.approx(data.body("torso").subtree_angmom)


def test_a_point_turns_with_its_geom() -> None:
    for state, datas in roll(load_env("ant"), n_steps=8):
        for sim, data in enumerate(datas):
            geom = data.geom("left_ankle_geom")
            tip = geom.xpos + geom.xmat.reshape(3, 3) @ [0, 0, -np.hypot(0.2, 0.2)]
            assert state.front_left_foot_position[sim] == pytest.approx(tip, abs=1e-6)


@pytest.mark.parametrize("name", ENVS)
def test_a_joints_velocity_is_the_rate_of_the_angle_beside_it(name: str) -> None:
    card = load_env(name)
    pairs = {
        field.name: field.name.replace("_velocity", "_angle")
        for field in card.state
        if field.name.endswith("_velocity")
        and field.name.replace("_velocity", "_angle") in {f.name for f in card.state}
    }
    for rate, angle in pairs.items():
        joint = parse_source(card.field(angle).source).name  # type: ignore[union-attr]
        assert parse_source(card.field(rate).source).name == joint  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["hopper", "walker2d", "half_cheetah"])
def test_pitch_is_positive_when_the_front_goes_down_or_the_head_forward(name: str) -> None:
    """Seen from the torso's middle, a point above it moves to +x as the pitch grows."""
    card = load_env(name)
    above = make_field("above", "subtract(body:torso.point(0, 0, 0.2), body:torso.xpos)", 3)
    fields = {"state": (*card.state, above)}
    simulation = BatchSimulation(card.model_copy(update=fields), 8, seed=0)
    simulation.reset()
    rng = np.random.default_rng(0)
    for _ in range(60):
        simulation.step(rng.uniform(-1, 1, (8, card.n_actions)))
    state = simulation.read_state()
    assert np.abs(state.torso_pitch).max() > 0.1
    assert state.above[:, 0] == pytest.approx(0.2 * np.sin(state.torso_pitch), abs=1e-9)
    assert state.torso_up == pytest.approx(np.cos(state.torso_pitch), abs=1e-9)


def make_field(name: str, source: str, size: int | None = None) -> StateField:
    return StateField(name=name, source=source, size=size, unit="m", range=(0.0, 1.0), doc="x")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("joint:thigh_join.qpos", "no joint named 'thigh_join'; did you mean 'thigh_joint'"),
        ("contact:foot_gom", "no geom named 'foot_gom'; did you mean 'foot_geom'"),
        ("contact:body:fot", "no body named 'fot'; did you mean 'foot'"),
        ("lowest:tors", "no body named 'tors'; did you mean 'torso'"),
        ("com:tors", "no body named 'tors'"),
        ("com_velocity:tors", "no body named 'tors'"),
        ("sensor:gyro", "no sensor named 'gyro'"),
        ("qposs", "no array 'qposs'; did you mean 'qpos'"),
        ("body:torso.xposs", "xposs"),
        ("body:torso.__class__", "__class__ is not a field of a body"),
        ("actuator:#0.length_range", "length_range"),
        ("qpos[6]", "index 6 is out of range: there are 6 entries"),
        ("qpos[6:]", "empty"),
        ("joint:rooty.qpos[0]", "out of range"),
        ("qpos", "the card gives size none"),
    ],
)
def test_a_source_that_the_model_does_not_have_is_refused(source: str, message: str) -> None:
    card = load_env("hopper")
    card = card.model_copy(update={"state": (*card.state, make_field("extra", source))})
    with pytest.raises(DataError) as caught:
        BatchSimulation(card, 1, seed=0)
    assert message in str(caught.value)


def test_contacts_need_a_floor() -> None:
    card = load_env("hopper")
    card = card.model_copy(update={"model": card.model.model_copy(update={"floor": None})})
    with pytest.raises(DataError, match="names no floor"):
        BatchSimulation(card, 1, seed=0)


def test_every_measure_is_used_by_some_card() -> None:
    used = {
        measure.measure
        for name in ENVS
        for field in load_env(name).fields
        for measure in find_measures(parse_source(field.source))
    }
    assert used >= {"contact", "lowest", "com", "com_velocity"}
