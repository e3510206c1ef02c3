"""Physics that differ by episode, where the card asks for them and a training does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scene import write_scene

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.errors import DataError
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.mujoco_batch import BatchSimulation

ALL = """
[randomise]
mass = [0.5, 1.5]
friction = [0.8, 1.2]
gain = [0.9, 1.1]
damping = [0.5, 2.0]
"""
CUBE = '[roles]\ntorso = "geom:cube_geom"\n'


def _start(card: EnvCard, n_sims: int = 3, seed: int = 0) -> BatchSimulation:
    simulation = BatchSimulation(card, n_sims, seed)
    simulation.reset()
    return simulation


def _factors(simulation: BatchSimulation, field: str) -> np.ndarray:
    own = getattr(simulation.model, field)
    with np.errstate(invalid="ignore"):
        return np.array(simulation._batch.expand(field)) / own


def test_each_episode_has_masses_of_its_own(tmp_path: Path) -> None:
    simulation = _start(write_scene(tmp_path, tables=ALL), 100)
    moves = simulation.model.body_weldid > 0
    mass, inertia = _factors(simulation, "body_mass"), _factors(simulation, "body_inertia")
    assert 0.5 <= mass[:, moves].min() < 0.55
    assert 1.45 < mass[:, moves].max() <= 1.5
    assert len(np.unique(mass[0, moves])) == moves.sum()
    np.testing.assert_allclose(inertia[:, moves, 2], mass[:, moves])
    first = mass.copy()
    simulation.reset([1])
    changed = (first != _factors(simulation, "body_mass"))[:, moves].any(axis=1)
    assert np.flatnonzero(changed).tolist() == [1]


def test_what_follows_from_masses_is_computed_anew(tmp_path: Path) -> None:
    simulation = _start(write_scene(tmp_path, tables=ALL), 4)
    total = np.array(simulation._batch.expand("body_mass")).sum(axis=1)
    np.testing.assert_allclose(simulation._batch.expanded("body_subtreemass")[:, 0], total)


def test_a_servo_is_weaker_and_goes_to_the_same_place(tmp_path: Path) -> None:
    simulation = _start(write_scene(tmp_path, tables=ALL), 50)
    gain = _factors(simulation, "actuator_gainprm")[:, :, 0]
    bias = _factors(simulation, "actuator_biasprm")[:, :2, 1:3]
    assert 0.9 <= gain.min() < 0.92 < 1.08 < gain.max() <= 1.1
    np.testing.assert_allclose(bias, np.repeat(gain[:, :2, None], 2, axis=2))


def test_friction_has_one_factor_and_damping_one_a_joint(tmp_path: Path) -> None:
    simulation = _start(write_scene(tmp_path, tables=ALL), 20)
    friction = _factors(simulation, "geom_friction")
    np.testing.assert_allclose(friction, np.broadcast_to(friction[:, :1, :1], friction.shape))
    assert np.ptp(friction[:, 0, 0]) > 0.2
    assert np.ptp(_factors(simulation, "dof_damping")[:, :3], axis=1).min() > 0


def test_episodes_start_as_they_would_without(tmp_path: Path) -> None:
    noise = "[reset]\nqpos_uniform = 0.1\n[draws.speed]\ncommand = [0.0, 1.0]\nevery_s = 0.04\n"
    plain = _start(write_scene(tmp_path, tables=noise))
    changed = _start(write_scene(tmp_path, tables=noise + ALL))
    for _ in range(2):
        np.testing.assert_array_equal(plain.qpos, changed.qpos)
        for simulation in (plain, changed):
            for _ in range(5):
                simulation.step(np.full((3, 3), 0.3))
        np.testing.assert_array_equal(plain.draws["speed"], changed.draws["speed"])
        assert (plain.qpos != changed.qpos).any(axis=1).all()
        plain.reset()
        changed.reset()


def test_physics_do_not_depend_on_how_many_simulations_there_are(tmp_path: Path) -> None:
    card = write_scene(tmp_path, tables=ALL + "push_m_per_s = 1.0\npush_every_s = 0.1\n" + CUBE)
    many, one = _start(card, 5, seed=10), _start(card, 1, seed=13)
    for _ in range(30):
        many.step(np.full((5, 3), 0.3))
        one.step(np.full((1, 3), 0.3))
    np.testing.assert_array_equal(many.qpos[3], one.qpos[0])
    assert len(np.unique(many.qpos[:, 3])) == 5


def test_only_who_asks_gets_changed_physics(tmp_path: Path) -> None:
    card = write_scene(tmp_path, tables=ALL)
    own, changed = make_simulation(card, 1, 0), make_simulation(card, 1, 0, is_randomised=True)
    assert own.card.randomise is None
    assert changed.card.randomise is not None
    own.reset()
    assert own._batch.expanded("body_mass") is None


def test_the_root_is_pushed_aside_at_intervals(tmp_path: Path) -> None:
    push = "[randomise]\npush_m_per_s = 0.5\npush_every_s = 0.2\n" + CUBE
    lifted = "[home]\njoints = { cube_free = [1, 0, 4, 1, 0, 0, 0] }\n"
    card = write_scene(tmp_path, tables=push + lifted)
    path = tmp_path / "scene.xml"
    path.write_text(path.read_text().replace("<option ", '<option gravity="0 0 0" '))
    simulation = _start(card, 200)
    velocity = [simulation.qvel[:, 3:6]]
    for _ in range(20):
        simulation.step(np.zeros((200, 3)))
        velocity.append(simulation.qvel[:, 3:6])
    change = np.linalg.norm(np.diff(np.array(velocity), axis=0), axis=2)
    pushed = change > 1e-9
    assert (pushed.sum(axis=0) == 2).all()
    assert (pushed[:10].sum(axis=0) == 1).all()
    assert 0.49 < change.max() <= 0.5
    assert np.abs(np.array(velocity)[..., 2]).max() < 1e-9


def test_a_planar_root_is_pushed_along_its_slide(slider_dir: Path) -> None:
    path = slider_dir / "env.toml"
    path.write_text(path.read_text() + "\n[randomise]\npush_m_per_s = 0.5\npush_every_s = 0.02\n")
    simulation = _start(load_env(slider_dir), 50)
    before = simulation.qvel
    simulation._physics.push(None)
    change = simulation.qvel - before
    assert not change[:, 0].any()
    assert 0.3 < np.abs(change[:, 1]).max() <= 0.5


def test_what_stands_fast_cannot_be_pushed(tmp_path: Path) -> None:
    push = '[randomise]\npush_m_per_s = 0.5\n[roles]\ntorso = "body:fore"\n'
    with pytest.raises(DataError, match="no joint that lets it be pushed"):
        BatchSimulation(write_scene(tmp_path, tables=push), 1, 0)
