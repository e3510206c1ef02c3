"""Simulations in a batch are independent, repeatable, and survive their own divergence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mujoco.batch import SimulationError

from reward_agent.definitions.card import FieldRange, StateField, list_envs, load_env
from reward_agent.errors import DataError, UnknownNameError
from reward_agent.simulation.mujoco_batch import UNSTABLE, BatchSimulation
from reward_agent.simulation.simulation import FUNCTIONS
from reward_agent.simulation.state import State

ENVS = [name for name in list_envs() if load_env(name).gymnasium_id]


def make_started(name: str = "hopper", n_sims: int = 3, **options: object) -> BatchSimulation:
    simulation = BatchSimulation(load_env(name), n_sims, seed=0, **options)  # type: ignore[arg-type]
    simulation.reset()
    return simulation


def assert_same(one: State, two: State) -> None:
    assert set(one.fields) == set(two.fields)
    for name, values in one.fields.items():
        assert np.array_equal(values, two.fields[name]), name


@pytest.mark.parametrize("name", ENVS)
def test_shapes_are_those_of_the_card(name: str) -> None:
    state = make_started(name, n_sims=2).read_state()
    for field in load_env(name).fields:
        assert state.fields[field.name].shape == ((2,) if field.size is None else (2, field.size))
        assert state.fields[field.name].dtype == np.float64


@pytest.mark.parametrize("name", ["hopper", "ant"])
def test_a_subset_of_fields_has_the_values_of_all(name: str) -> None:
    few = ["torso_height", "com_velocity", "lowest_point", "torso_floor_contact"]
    full, part = make_started(name), make_started(name, fields=few)
    for _ in range(30):
        action = np.full((3, full.card.n_actions), 0.3)
        full.step(action)
        part.step(action)
    state, subset = full.read_state(), part.read_state()
    assert list(subset.fields) == few
    for field in few:
        assert np.array_equal(subset.fields[field], state.fields[field])
    assert np.array_equal(part.observation, state.observation)
    assert part.model.nsensor < full.model.nsensor


def test_an_unknown_field_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'torso_pitch'"):
        BatchSimulation(load_env("hopper"), 1, seed=0, fields=["torso_pich"])


def test_a_state_stays_as_it_was_when_the_simulation_goes_on() -> None:
    simulation = make_started()
    state = simulation.read_state()
    before = {name: values.copy() for name, values in state.fields.items()}
    simulation.step(np.ones((3, 3)))
    for name, values in before.items():
        assert np.array_equal(state.fields[name], values)
    assert not np.array_equal(simulation.read_state().torso_height, state.torso_height)


def test_derived_fields_are_of_the_newest_instant() -> None:
    simulation = make_started()
    for _ in range(10):
        simulation.step(np.ones((3, 3)))
        state = simulation.read_state()
        assert state.torso_up == pytest.approx(np.cos(state.torso_pitch))


@pytest.mark.parametrize("name", ["half_cheetah", "hopper"])  # Euler's integrator, Runge-Kutta's
def test_going_on_from_what_was_measured_changes_no_motion(name: str) -> None:
    measuring, blind = make_started(name), make_started(name, fields=["observation"])
    for step in range(30):
        action = np.full((3, measuring.card.n_actions), np.sin(step))
        ids = np.array([0, 2], np.int32) if step % 5 == 4 else None
        for simulation in (measuring, blind):
            simulation.step(action, ids)
            if step % 9 == 8:
                simulation.reset([1])
        assert np.array_equal(measuring.qpos, blind.qpos)
        assert np.array_equal(measuring.qvel, blind.qvel)


def test_what_several_fields_measure_is_computed_once_an_instant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    monkeypatch.setitem(FUNCTIONS, "sin", lambda part: calls.append("sin") or np.sin(part))
    card = load_env("hopper")
    fields = [
        StateField(name=name, source=f"sin(qpos)[{i}]", unit="1", range=(-1.0, 1.0), doc=name)
        for i, name in enumerate(("first", "second"))
    ]
    changes = {"state": (*card.state, *fields), "observation": ("sin(qpos)",)}
    card = card.model_copy(update=changes | {"observation_size": 6})
    simulation = BatchSimulation(card, 2, seed=0, fields=["first", "second"])
    simulation.reset()
    for _ in range(2):
        calls.clear()
        simulation.step(np.ones((2, 3)))
        state = simulation.read_state()
        assert np.array_equal(simulation.observation, np.sin(simulation.qpos))
        assert np.array_equal(state.second, np.sin(simulation.qpos)[:, 1])
        assert calls == ["sin"]


def test_one_seed_repeats_and_threads_do_not_matter() -> None:
    one, two = make_started(n_sims=5), make_started(n_sims=5, n_threads=2)
    for _ in range(20):
        for simulation in (one, two):
            simulation.step(np.full((5, 3), 0.7))
            simulation.reset(simulation.find_terminated())
    assert_same(one.read_state(), two.read_state())


def test_simulation_i_is_the_one_that_starts_with_seed_plus_i() -> None:
    many, third = make_started(n_sims=4), BatchSimulation(load_env("hopper"), 1, seed=2)
    third.reset()
    assert np.array_equal(many.read_state().observation[2], third.read_state().observation[0])


def test_only_the_chosen_simulations_move_and_reset() -> None:
    simulation = make_started()
    start = simulation.read_state()
    simulation.step(np.ones((3, 3)), ids=np.array([1]))
    moved = np.any(simulation.read_state().observation != start.observation, axis=1)
    assert moved.tolist() == [False, True, False]
    simulation.reset(np.array([False, False, True]))
    reset = np.any(simulation.read_state().observation != start.observation, axis=1)
    assert reset.tolist() == [False, True, True]


def test_the_first_range_that_was_left_is_the_reason() -> None:
    simulation = make_started("walker2d", n_sims=2)
    assert simulation.find_terminated().tolist() == [False, False]
    assert simulation.termination_reason(0) is None
    for _ in range(300):
        simulation.step(np.zeros((2, 6)))
    assert simulation.find_terminated().tolist() == [True, True]
    assert simulation.termination_reason(0) == "torso_height"


def test_every_entry_of_a_vector_must_be_within() -> None:
    card = load_env("hopper").model_copy(
        update={"termination": (FieldRange(field="joint_angles", min=-0.004),)}
    )
    simulation = BatchSimulation(card, 64, seed=0)
    simulation.reset()
    expected = np.any(simulation.read_state().joint_angles <= -0.004, axis=1)
    assert simulation.find_terminated().tolist() == expected.tolist()
    assert 0 < expected.sum() < 64


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros((3, 2)), r"shape \(3, 3\), got \(3, 2\)"),
        (np.full((3, 3), np.nan), "must be finite"),
    ],
)
def test_an_action_of_wrong_shape_or_not_finite_is_refused(
    action: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_started().step(action)


@pytest.mark.parametrize("option", ["", '<option><flag autoreset="disable"/></option>'])
def test_physics_that_diverge_end_one_episode_and_no_other(slider_dir: Path, option: str) -> None:
    mjcf = slider_dir / "slider.xml"
    text = mjcf.read_text().replace('joint="run"', 'joint="run" gear="1e15"')
    mjcf.write_text(text.replace("<worldbody>", f"{option}<worldbody>"))
    simulation = BatchSimulation(load_env(slider_dir), 3, seed=0)
    simulation.reset()
    action = np.zeros((3, 2))
    action[1, 1] = 1.0
    for _ in range(3):
        simulation.step(action)
    assert simulation.find_terminated().tolist() == [False, True, False]
    assert simulation.termination_reason(1) == UNSTABLE
    assert all(np.isfinite(values).all() for values in simulation.read_state().fields.values())
    simulation.reset(np.array([1]))
    simulation.step(np.zeros((3, 2)))
    assert not simulation.find_terminated().any()


def test_an_error_of_mujoco_ends_only_the_simulations_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulation = make_started()

    def fail(*_: object) -> None:
        raise SimulationError(np.array([2]), "mj_stackAlloc: out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(simulation._batch, "step", fail)
        simulation.step(np.zeros((3, 3)))
    assert simulation.find_terminated().tolist() == [False, False, True]
    assert simulation.termination_reason(2) == UNSTABLE
    simulation.reset()
    assert not simulation.find_terminated().any()


def test_an_environment_is_one_folder_anywhere(slider_dir: Path) -> None:
    simulation = BatchSimulation(load_env(str(slider_dir)), 2, seed=0)
    simulation.reset()
    for _ in range(100):
        simulation.step(np.array([[-1.0, 1.0], [1.0, 0.0]]))
    state = simulation.read_state()
    assert state.floor_contact.tolist() == [1.0, 0.0]
    assert state.x_position[0] > 0.5
    assert abs(state.velocity[1, 0]) < 0.5
    assert simulation.find_terminated().tolist() == [False, True]
    assert simulation.termination_reason(1) == "height"


def test_rescaled_actions_span_each_actuators_own_range(slider_dir: Path) -> None:
    simulation = BatchSimulation(load_env(slider_dir), 3, seed=0)
    simulation.reset()
    simulation.step(np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]))
    ctrl = simulation._batch.bind("ctrl")
    assert ctrl.tolist() == [[0.0, -5.0], [15.0, 0.0], [30.0, 5.0]]


def test_actions_must_be_as_many_as_actuators(slider_dir: Path) -> None:
    path = slider_dir / "env.toml"
    path.write_text(path.read_text().replace('["lift_force", "run_force"]', '["lift_force"]'))
    with pytest.raises(DataError, match="names 1 actions, the model has 2 actuators"):
        BatchSimulation(load_env(slider_dir), 1, seed=0)
