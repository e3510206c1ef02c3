"""Stable-Baselines3 on our environments."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.learning.sb3 import Sb3VecEnv
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.vec_env import RewardVecEnv

SOURCE = """
def compute_reward(state, action, next_state):
    alive = np.ones(len(action))
    return alive, {"alive": alive}
"""


@pytest.fixture(scope="module")
def card() -> EnvCard:
    return load_env("inverted_pendulum")


def make_env(card: EnvCard, n_envs: int) -> RewardVecEnv:
    simulation = BatchSimulation(card, n_envs, seed=0, fields=["observation"])
    return RewardVecEnv(card, simulation, compile_program(SOURCE, card, 0.99))


def test_an_end_is_told_with_its_kind_its_last_observation_and_its_episode(card: EnvCard) -> None:
    env = Sb3VecEnv(make_env(card.model_copy(update={"max_episode_steps": 3}), 2))
    env.reset()
    steps = [env.step(np.zeros((2, 1), dtype=np.float32)) for _ in range(3)]
    assert [info for _, _, _, infos in steps[:2] for info in infos] == [{}] * 4
    observation, rewards, done, infos = steps[-1]
    assert (rewards.tolist(), done.tolist()) == ([1.0, 1.0], [True, True])
    assert rewards.dtype == observation.dtype == np.float32
    for info, first in zip(infos, observation, strict=True):
        assert info["TimeLimit.truncated"] is True
        assert info["episode"] == {"r": 3.0, "l": 3}
        assert np.abs(info["terminal_observation"] - first).max() > 0


def test_a_fall_is_no_time_limit(card: EnvCard) -> None:
    env = Sb3VecEnv(make_env(card, 1))
    env.reset()
    for _ in range(200):
        _, _, done, infos = env.step(np.full((1, 1), 3.0, dtype=np.float32))
        if done[0]:
            break
    assert infos[0]["TimeLimit.truncated"] is False


def test_stable_baselines_trains_on_it(card: EnvCard) -> None:
    env = VecNormalize(Sb3VecEnv(make_env(card, 4)))
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(256)
    assert model.num_timesteps == 256
    assert 1 <= np.mean([episode["l"] for episode in model.ep_info_buffer]) <= 64
