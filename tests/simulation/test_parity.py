"""Every card with a Gymnasium name moves as Gymnasium's own environment does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard, list_envs, load_env
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.mujoco_check import compare_with_gymnasium, make_gymnasium_env
from reward_agent.simulation.state import FloatArray

CARDS = [load_env(name) for name in list_envs()]
CARDS = [card for card in CARDS if card.gymnasium_id]
N_SIMS, N_STEPS = 4, 260


def stack(envs: list[Any], name: str) -> FloatArray:
    return np.array([getattr(env.unwrapped.data, name) for env in envs])


def is_close(ours: FloatArray, theirs: FloatArray) -> bool:
    return bool(np.allclose(ours, theirs, rtol=0, atol=1e-9))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_same_seeds_and_actions_give_gymnasiums_motion(card: EnvCard) -> None:
    envs = [make_gymnasium_env(card) for _ in range(N_SIMS)]
    simulation = BatchSimulation(card, N_SIMS, seed=42, n_threads=2, fields=["observation"])
    simulation.reset()
    observation = np.array([env.reset(seed=42 + i)[0] for i, env in enumerate(envs)])
    rng, n_resets = np.random.default_rng(1), 0
    for _ in range(N_STEPS):
        assert is_close(simulation.qpos, stack(envs, "qpos"))
        assert is_close(simulation.qvel, stack(envs, "qvel"))
        assert is_close(simulation.observation, observation)
        low, high = envs[0].action_space.low, envs[0].action_space.high
        # Beyond the range too: MuJoCo clips, Gymnasium does not.
        action = (1.2 * rng.uniform(low, high, (N_SIMS, len(low)))).astype(np.float32)
        outcomes = [env.step(row) for env, row in zip(envs, action, strict=True)]
        simulation.step(action)
        terminated = np.array([outcome[2] for outcome in outcomes])
        assert simulation.find_terminated().tolist() == terminated.tolist()
        observation = np.array([outcome[0] for outcome in outcomes])
        ended = np.flatnonzero(terminated | np.array([outcome[3] for outcome in outcomes]))
        simulation.reset(ended)
        for i in ended:
            observation[i] = envs[i].reset()[0]
        n_resets += len(ended)
    assert n_resets > 0 or not card.termination


@pytest.mark.parametrize(
    ("name", "field", "body"),
    [
        ("ant", "torso_position", "torso"),
        ("reacher", "fingertip_position", "fingertip"),
        ("half_cheetah", None, None),
    ],
)
def test_positions_of_bodies_are_those_that_gymnasium_pays_for(
    name: str, field: str | None, body: str | None
) -> None:
    card = load_env(name)
    env = make_gymnasium_env(card)
    env.reset(seed=5)
    simulation = BatchSimulation(card, 1, seed=5)
    simulation.reset()
    for _ in range(20):
        action = env.action_space.sample()
        env.step(action)
        simulation.step(action[None])
        state = simulation.read_state()
        if field is None:
            assert is_close(state.x_position, env.unwrapped.data.qpos[:1])
        else:
            assert is_close(state.fields[field][0], env.unwrapped.data.body(body).xpos)


def test_humanoids_centre_of_mass_is_the_one_that_gymnasium_pays_for() -> None:
    card = load_env("humanoid")
    env = make_gymnasium_env(card)
    env.reset(seed=5)
    simulation = BatchSimulation(card, 1, seed=5, fields=["com_position"])
    simulation.reset()
    mass = env.unwrapped.model.body_mass
    for _ in range(20):
        action = env.action_space.sample()
        env.step(action)
        simulation.step(action[None])
        expected = mass @ env.unwrapped.data.xipos / mass.sum()
        assert is_close(simulation.read_state().com_position[0], expected)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"max_episode_steps": 999}, "max_episode_steps is 999, Hopper-v5 has 1000"),
        ({"termination": ()}, "Hopper-v5 terminates at other states"),
        (
            {"observation": ("qpos[1:]", "clip(qvel, -1, 1)")},
            "observation differs from Hopper-v5's",
        ),
        ({"observation": ("qpos",), "observation_size": 6}, "observation has 6 numbers, not 11"),
    ],
)
def test_a_difference_from_gymnasium_is_found(change: dict[str, Any], finding: str) -> None:
    parity = compare_with_gymnasium(load_env("hopper").model_copy(update=change))
    assert any(finding in each.message for each in parity.findings), parity.findings
