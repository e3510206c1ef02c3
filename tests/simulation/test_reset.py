"""Episodes start in the card's noise, from the model's initial state or a keyframe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.simulation.mujoco_batch import BatchSimulation


def test_reachers_goal_lies_in_the_disc_at_rest() -> None:
    simulation = BatchSimulation(load_env("reacher"), 200, seed=0)
    simulation.reset()
    distance = np.linalg.norm(simulation.qpos[:, 2:], axis=1)
    assert distance.max() < 0.2
    assert np.mean(distance) == pytest.approx(2 / 3 * 0.2, rel=0.1)
    assert not simulation.qvel[:, 2:].any()
    assert simulation.qvel[:, :2].all()


def test_the_next_episode_starts_elsewhere() -> None:
    simulation = BatchSimulation(load_env("hopper"), 1, seed=0)
    simulation.reset()
    first = simulation.qpos
    simulation.reset()
    assert np.abs(first - simulation.qpos).max() > 1e-4
    assert np.abs(simulation.qpos[0] - [0, 1.25, 0, 0, 0, 0]).max() <= 0.005


def test_an_episode_can_start_from_a_keyframe(slider_dir: Path) -> None:
    path = slider_dir / "env.toml"
    path.write_text(path.read_text().replace("qpos_uniform = 0.1", 'keyframe = "high"'))
    simulation = BatchSimulation(load_env(slider_dir), 2, seed=0)
    simulation.reset()
    assert simulation.qpos.tolist() == [[1.0, 0.5], [1.0, 0.5]]


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ('keyframe = "hihg"', "no keyframe named 'hihg'"),
        ('goal = { joints = ["run", "lfit"], radius = 1.0 }', "no joint named 'lfit'"),
    ],
)
def test_a_reset_that_the_model_does_not_have_is_refused(
    slider_dir: Path, noise: str, message: str
) -> None:
    path = slider_dir / "env.toml"
    path.write_text(path.read_text().replace("qpos_uniform = 0.1", noise))
    with pytest.raises(DataError, match=message):
        BatchSimulation(load_env(slider_dir), 1, seed=0)
