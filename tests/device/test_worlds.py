"""Worlds on Warp's CPU device: they move, measure and end as MuJoCo's own simulations."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.errors import DataError, EnvironmentFailure
from reward_agent.simulation import mujoco_batch
from reward_agent.simulation.mujoco_batch import BatchSimulation

pytest.importorskip("mujoco_warp", reason="pip install 'reward-agent[gpu]'")

from reward_agent.device import worlds as device_worlds
from reward_agent.device.worlds import Room, Worlds

pytestmark = pytest.mark.gpu

# Largest difference of a velocity after one control step, m/s or rad/s, and of how many states.
TOLERANCES = {
    "hopper": 1e-4,
    "walker2d": 5e-4,
    "half_cheetah": 2e-3,
    "humanoid": 5e-3,
    "reacher": 1e-4,
    "inverted_pendulum": 1e-5,
}
N = 32


def make_states(card: EnvCard, n: int = N, steps: int = 12) -> BatchSimulation:
    """Return simulations that have moved at random."""
    simulation = BatchSimulation(card, n, seed=0)
    simulation.reset()
    generator = np.random.default_rng(1)
    low, high = card.action_range
    for _ in range(steps):
        simulation.step(generator.uniform(low, high, (n, card.n_actions)))
        simulation.reset(simulation.find_terminated())
    return simulation


def put(worlds: Worlds, simulation: BatchSimulation) -> None:
    worlds.put(torch.tensor(simulation.qpos).float(), torch.tensor(simulation.qvel).float())
    # Both begin at the same numbers, those of float32, and without a warm start.
    simulation.put(worlds.read("qpos").double().numpy(), worlds.read("qvel").double().numpy())


def step_both(worlds: Worlds, simulation: BatchSimulation) -> np.ndarray:
    """Return (N,): by how much velocities differ after a control step from the same states."""
    card = worlds.card
    action = np.random.default_rng(2).uniform(*card.action_range, (worlds.n_worlds, card.n_actions))
    simulation.step(action.astype(np.float32))
    worlds.advance(torch.tensor(action).float())
    return np.abs(worlds.read("qvel").numpy() - simulation.qvel).max(axis=1)


@pytest.mark.parametrize("name", TOLERANCES)
def test_a_control_step_is_that_of_mujoco(name: str) -> None:
    card = load_env(name)
    simulation, worlds = make_states(card), Worlds(card, N, seed=0, device="cpu")
    put(worlds, simulation)
    off = step_both(worlds, simulation)
    assert off.max() < TOLERANCES[name]
    assert not worlds.has_diverged.any()
    assert not worlds.is_overflown()
    assert bool(worlds.notes) == (name == "humanoid")


def test_the_ant_differs_by_the_frames_of_its_contacts_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = load_env("ant")
    simulation, worlds = make_states(card), Worlds(card, N, seed=0, device="cpu")
    put(worlds, simulation)
    assert step_both(worlds, simulation).max() > 1e-2

    def make_elliptic(*given: object) -> mujoco.MjModel:
        model = make_model(*given)
        model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        return model

    make_model = device_worlds.make_model
    monkeypatch.setattr(device_worlds, "make_model", make_elliptic)
    monkeypatch.setattr(mujoco_batch, "make_model", make_elliptic)
    simulation, worlds = make_states(card), Worlds(card, N, seed=0, device="cpu")
    put(worlds, simulation)
    assert step_both(worlds, simulation).max() < 2e-3


@pytest.mark.parametrize("name", ["hopper", "reacher"])
def test_worlds_part_from_mujoco_no_faster_than_mujoco_from_a_nudge(name: str) -> None:
    card, n = load_env(name), 16
    nudged, worlds = make_states(card, n), Worlds(card, n, seed=0, device="cpu")
    simulation = make_states(card, n)
    put(worlds, simulation)
    nudge = np.random.default_rng(3).uniform(-1e-6, 1e-6, nudged.qpos.shape)
    nudged.put(simulation.qpos + nudge, simulation.qvel)
    generator = np.random.default_rng(4)
    for _ in range(100):
        action = generator.uniform(*card.action_range, (n, card.n_actions)).astype(np.float32)
        simulation.step(action)
        nudged.step(action)
        worlds.advance(torch.tensor(action))
    ours = np.median(np.abs(worlds.read("qpos").numpy() - simulation.qpos).max(axis=1))
    theirs = np.median(np.abs(nudged.qpos - simulation.qpos).max(axis=1))
    assert ours < 3 * theirs


ARRAYS = ("xpos", "xmat", "xquat", "geom_xpos", "geom_xmat", "subtree_com", "cvel", "sensordata")


@pytest.mark.parametrize("name", ["hopper", "half_cheetah", "humanoid", "reacher"])
def test_what_fields_are_made_of_is_what_mujoco_measures(name: str) -> None:
    """Two of the cards say that they lag."""
    card = load_env(name)
    simulation, worlds = make_states(card), Worlds(card, N, seed=0, device="cpu")
    live = {array: simulation._batch.bind(array) for array in ARRAYS}
    put(worlds, simulation)
    step_both(worlds, simulation)
    for array, expected in live.items():
        found = worlds.read(array).numpy()
        assert found.shape == expected.shape
        off = np.abs(found - expected).reshape(N, -1)
        # A contact that is just made or lost shows in one and not in the other.
        if off.size:
            assert np.quantile(off, 0.99 if array == "sensordata" else 1.0) < 5e-3, array


@pytest.fixture(scope="module")
def hopper() -> Worlds:
    return Worlds(load_env("hopper"), N, seed=0, device="cpu")


def move(worlds: Worlds, steps: int, seed: int = 0) -> torch.Tensor:
    """Return where the worlds are after random actions, (N, nq + nv)."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        action = torch.rand((worlds.n_worlds, worlds.card.n_actions), generator=generator)
        worlds.advance(2.0 * action - 1.0)
    return torch.cat([worlds.read("qpos"), worlds.read("qvel")], dim=1).clone()


def test_a_reset_begins_new_episodes_where_it_is_told_to(hopper: Worlds) -> None:
    before = move(hopper, 5)
    mask = torch.arange(N) % 3 == 0
    hopper.reset(mask)
    after = torch.cat([hopper.read("qpos"), hopper.read("qvel")], dim=1)
    assert torch.equal(after[~mask], before[~mask])
    start = torch.tensor(hopper.model.qpos0).float()
    assert (after[mask, : len(start)] - start).abs().max() < 0.0051
    assert len(after[mask].unique(dim=0)) == mask.sum()
    # What is derived is of the new states.
    expected = BatchSimulation(hopper.card, N, seed=0)
    xpos = expected._batch.bind("geom_xpos")
    expected.reset()
    expected.put(hopper.read("qpos").double().numpy(), hopper.read("qvel").double().numpy())
    assert np.abs(hopper.read("geom_xpos").numpy() - xpos).max() < 1e-5


def test_worlds_whose_physics_breaks_are_found_and_healed(hopper: Worlds) -> None:
    hopper.reset(torch.ones(N, dtype=torch.bool))
    hopper.read("qvel")[3] = float("nan")
    hopper.read("qvel")[5] = 1e12
    move(hopper, 1)
    assert hopper.has_diverged.nonzero().flatten().tolist() == [3, 5]
    hopper.reset(hopper.has_diverged)
    moved = move(hopper, 1)
    assert not hopper.has_diverged.any()
    assert moved.isfinite().all()


def test_a_captured_step_is_that_of_single_launches_to_the_bit() -> None:
    card = load_env("hopper")
    captured, eager = (
        Worlds(card, N, seed=0, device="cpu", is_captured=flag) for flag in (True, False)
    )
    assert torch.equal(move(captured, 8), move(eager, 8))
    mask = torch.arange(N) % 2 == 0
    captured.reset(mask)
    eager.reset(mask)
    assert torch.equal(move(captured, 3), move(eager, 3))


def lie_down(worlds: Worlds, ids: slice) -> None:
    """Put some hoppers flat on the floor."""
    worlds.read("qpos")[ids, 1] = 0.1
    worlds.read("qpos")[ids, 2] = 1.57


def test_a_robot_that_lies_down_does_not_take_anothers_contacts() -> None:
    alone, beside = (Worlds(load_env("hopper"), n, seed=0, device="cpu") for n in (4, 8))
    for worlds in (alone, beside):
        start = worlds.read("qpos")
        start[:] = start[:1].clone()
        worlds.read("qvel").zero_()
    lie_down(beside, slice(4, 8))
    for _ in range(20):
        alone.advance(torch.zeros(4, 3))
        beside.advance(torch.zeros(8, 3))
    assert not beside.is_overflown()
    assert (alone.read("qpos") - beside.read("qpos")[:4]).abs().max() < 1e-4


def test_a_full_buffer_is_found_also_after_a_reset_and_grows() -> None:
    card = load_env("hopper")
    worlds = Worlds(card, 8, seed=0, device="cpu", room=Room(contacts=1, rows=8))
    saved = worlds.save()
    lie_down(worlds, slice(0, 8))
    move(worlds, 3)
    worlds.reset(torch.ones(8, dtype=torch.bool))
    assert worlds.is_overflown()
    for _ in range(4):
        worlds.grow()
        worlds.restore(saved)
        assert torch.equal(worlds.read("qpos"), saved.arrays["qpos"])
        assert not worlds.is_overflown()
    lie_down(worlds, slice(0, 8))
    move(worlds, 3)
    assert not worlds.is_overflown()
    with pytest.raises(EnvironmentFailure, match="too few"):
        worlds.grow()


def test_a_rollout_that_is_repeated_meets_the_same_starts(hopper: Worlds) -> None:
    hopper.reset(torch.ones(N, dtype=torch.bool))
    saved = hopper.save()
    everyone = torch.ones(N, dtype=torch.bool)
    hopper.reset(everyone)
    first = hopper.read("qpos").clone()
    hopper.restore(saved)
    hopper.reset(everyone)
    assert torch.equal(hopper.read("qpos"), first)


def test_cards_that_cannot_run_here_say_why() -> None:
    with pytest.raises(DataError, match="simulated by crafter"):
        Worlds(load_env("crafter"), 4, seed=0, device="cpu")
