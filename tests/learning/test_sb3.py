"""Stable-Baselines3 on our environments: what it is given, what it leaves, and that it goes on."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.learner import LEARNERS, LearnerSettings
from reward_agent.errors import DataError
from reward_agent.learning import sb3
from reward_agent.learning.learner import TrainingFailure
from reward_agent.learning.policy import load_policy, save_policy
from reward_agent.learning.sb3 import Sb3Learner, Sb3VecEnv, make_learner
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.backends import make_simulation

SOURCE = """
def compute_reward(state, action, next_state):
    alive = np.ones(len(action))
    return alive, {"alive": alive}
"""
# What a table cannot say, or a policy file not hold.
LEFT_OUT = {
    "self", "policy", "env", "action_noise", "replay_buffer_class", "replay_buffer_kwargs",
    "optimize_memory_usage", "use_sde", "sde_sample_freq", "use_sde_at_warmup", "seed", "device",
    "rollout_buffer_class", "rollout_buffer_kwargs", "stats_window_size", "tensorboard_log",
    "verbose", "_init_setup_model",
}  # fmt: skip
ROWS = [row for row in LEARNERS.own if row.name.startswith("sb3:")]
TINY = {
    "SAC": {"policy_kwargs": {"net_arch": [16]}, "batch_size": 16, "ent_coef": "auto_0.1"},
    "TD3": {"policy_kwargs": {"net_arch": [16, 8]}, "batch_size": 16},
    "DDPG": {"policy_kwargs": {"net_arch": [8], "activation_fn": "tanh"}, "batch_size": 16},
    "PPO": {"policy_kwargs": {"net_arch": [16], "activation_fn": "relu"}, "n_steps": 64},
    "A2C": {"normalize_observation": False},
    "TQC": {"policy_kwargs": {"net_arch": [16], "n_quantiles": 5}, "batch_size": 16},
    "CrossQ": {"policy_kwargs": {"net_arch": [16, 16]}, "batch_size": 16},
    "TRPO": {"n_steps": 64},
}


@pytest.fixture(scope="module")
def card() -> EnvCard:
    return load_env("inverted_pendulum")


def make_env(card: EnvCard, n_envs: int, seed: int = 0) -> RewardVecEnv:
    simulation = make_simulation(card, n_envs, seed, fields=["observation"])
    return RewardVecEnv(card, simulation, compile_program(SOURCE, card, 0.99))


def make_tiny(card: EnvCard, name: str, seed: int = 0, **changes: Any) -> Sb3Learner:
    """Return a small learner of slices of 128 steps on two environments."""
    algo = f"sb3:{name}"
    if LEARNERS.find(algo).missing:
        pytest.skip("sb3-contrib is not installed")
    settings = LearnerSettings(algo=algo, **{"n_envs": 2, **TINY[name], **changes})
    settings.check()
    learner = make_learner(make_env(card, 2), settings, 1000, seed)
    if settings.kind.is_off_policy:
        learner._slice_steps = 128
    return learner


def act_by_torch(learner: Sb3Learner, observation: np.ndarray) -> np.ndarray:
    normal = learner._normalized.normalize_obs(observation.astype(np.float32))
    return learner._model.predict(normal, deterministic=True)[0]


def test_an_end_is_told_with_its_kind_and_its_last_observation(card: EnvCard) -> None:
    env = Sb3VecEnv(make_env(card.model_copy(update={"max_episode_steps": 3}), 2))
    env.reset()
    steps = [env.step(np.zeros((2, 1), dtype=np.float32)) for _ in range(3)]
    assert [info for _, _, _, infos in steps[:2] for info in infos] == [{}] * 4
    observation, rewards, done, infos = steps[-1]
    assert (rewards.tolist(), done.tolist()) == ([1.0, 1.0], [True, True])
    assert rewards.dtype == observation.dtype == np.float32
    for info, first in zip(infos, observation, strict=True):
        assert info["TimeLimit.truncated"] is True
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


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_hyper_parameters_are_those_of_the_librarys_constructor(row) -> None:
    if row.missing:
        pytest.skip("sb3-contrib is not installed")
    algorithm = getattr(importlib.import_module(row.package), row.title)
    parameters = inspect.signature(algorithm.__init__).parameters
    expected = {name: p.default for name, p in parameters.items() if name not in LEFT_OUT}
    found = {name: value for name, value in row.defaults.items() if name not in sb3._OWN}
    assert {**found, "policy_kwargs": None} == expected


def train(learner: Sb3Learner, until: int) -> None:
    while learner.num_timesteps < until:
        learner.learn()


def begin_new_episodes(learner: Sb3Learner, env: RewardVecEnv) -> None:
    learner._env._simulation = env._simulation
    learner._model._last_obs = None


@pytest.mark.parametrize("name", TINY)
def test_numpy_acts_as_torch_and_a_training_goes_on_as_if_undisturbed(
    card: EnvCard, name: str, tmp_path: Path
) -> None:
    learner = make_tiny(card, name)
    train(learner, 160)
    policy = learner.make_policy()
    save_policy(tmp_path / "policy.safetensors", policy)
    observation = np.random.default_rng(0).normal(size=(50, 4))
    found = load_policy(tmp_path / "policy.safetensors").act(observation)
    np.testing.assert_allclose(found, act_by_torch(learner, observation), atol=1e-5)
    assert np.abs(found).max() <= card.action_range[1] + 1e-6
    assert np.ptp(found) > 1e-3
    first = policy.layers[0].weight.copy()

    np.savez(tmp_path / "state.npz", **learner.read_state())
    begin_new_episodes(learner, make_env(card, 2, seed=5))
    train(learner, 260)
    resumed = make_tiny(card, name, seed=1)
    resumed.restore(np.load(tmp_path / "state.npz"))
    begin_new_episodes(resumed, make_env(card, 2, seed=5))
    train(resumed, 260)
    assert resumed.num_timesteps == learner.num_timesteps
    undisturbed = learner.make_policy()
    for own, other in zip(resumed.make_policy().layers, undisturbed.layers, strict=True):
        np.testing.assert_array_equal(own.weight, other.weight)
    assert not np.array_equal(undisturbed.layers[0].weight, first)
    np.testing.assert_array_equal(
        resumed.make_policy().observation_mean, undisturbed.observation_mean
    )


@pytest.mark.parametrize("name", TINY)
def test_start_policy_acts_in_another_training_as_in_its_own(card: EnvCard, name: str) -> None:
    trained = make_tiny(card, name)
    train(trained, 160)
    policy = trained.make_policy()
    learner = make_tiny(card, name, seed=1)
    learner.adopt(policy)
    observation = np.random.default_rng(0).normal(size=(50, 4))
    expected = policy.act(observation)
    np.testing.assert_allclose(learner.make_policy().act(observation), expected, atol=1e-5)
    np.testing.assert_allclose(act_by_torch(learner, observation), expected, atol=1e-5)


def test_trainings_of_one_seed_repeat(card: EnvCard) -> None:
    learners = [make_tiny(card, "SAC", seed) for seed in (3, 3, 4)]
    weights = []
    for learner, seed in zip(learners, (3, 3, 4), strict=True):
        learner._model.set_random_seed(seed)  # of generators that all learners share
        train(learner, 200)
        weights.append(learner.make_policy().layers[0].weight.copy())
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_start_policy_of_another_form_is_refused(card: EnvCard) -> None:
    with pytest.raises(DataError, match="has is_squashed True, expected False"):
        make_tiny(card, "PPO", policy_kwargs={"net_arch": [16], "activation_fn": "relu"}).adopt(
            make_tiny(card, "SAC").make_policy()
        )
    with pytest.raises(DataError, match=r"has net_arch \(16,\), expected \(8,\)"):
        make_tiny(card, "SAC", policy_kwargs={"net_arch": [8]}).adopt(
            make_tiny(card, "SAC").make_policy()
        )


def test_newest_old_steps_are_saved_where_all_would_be_too_many(
    card: EnvCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = make_tiny(card, "SAC", buffer_size=200)
    train(learner, 128)
    assert len(learner.read_state()["buffer.rewards"]) == 64  # steps of two environments each
    train(learner, 256)
    buffer = learner._model.replay_buffer
    assert buffer.full
    newest = np.roll(buffer.observations, -buffer.pos, axis=0)
    np.testing.assert_array_equal(learner.read_state()["buffer.observations"], newest)
    monkeypatch.setattr(sb3, "_MOST_SAVED_BYTES", 30 * 2 * (4 + 4 + 1 + 3) * 4)
    state = learner.read_state()
    np.testing.assert_array_equal(state["buffer.observations"], newest[-30:])
    resumed = make_tiny(card, "SAC", buffer_size=200)
    resumed.restore(state)
    buffer = resumed._model.replay_buffer
    assert (buffer.pos, buffer.full, buffer.size()) == (30, False, 30)
    # No return of several steps reaches from the last of them into the next episode.
    assert np.logical_or(buffer.timeouts[29], buffer.dones[29]).all()


def test_buffer_is_no_larger_than_the_training(card: EnvCard) -> None:
    assert make_tiny(card, "SAC")._model.buffer_size < 3000
    assert make_tiny(card, "SAC", buffer_size=64)._model.buffer_size == 64


def test_rewards_are_taken_as_they_are_by_those_that_learn_from_old_steps(card: EnvCard) -> None:
    learner = make_tiny(card, "SAC")
    train(learner, 128)
    assert set(learner.read_state()["buffer.rewards"].ravel()) == {1.0}
    assert make_tiny(card, "PPO")._normalized.norm_reward


def test_weights_that_blow_up_end_the_training(card: EnvCard) -> None:
    learner = make_tiny(card, "PPO", learning_rate=1e30)
    with np.errstate(all="ignore"), pytest.raises(TrainingFailure, match=r"blew up|failed"):
        train(learner, 1000)


def test_time_is_told_by_activity(card: EnvCard) -> None:
    learner = make_tiny(card, "SAC")
    train(learner, 256)
    assert learner.seconds["update"] > learner.seconds["policy"] > 0
