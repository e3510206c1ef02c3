"""Our PPO is Stable-Baselines3's, with the work done elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from reward_agent.definitions.card import EnvCard, PPOSettings, load_env
from reward_agent.learning.policy import NumpyPolicy, PolicyHeader
from reward_agent.learning.ppo import BatchPPO
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.batch import BatchSimulation
from reward_agent.simulation.vec_env import RewardVecEnv

SOURCE = """
def compute_reward(state, action, next_state):
    upright = 1.0 - np.abs(next_state.pole_angle)
    return upright, {"upright": upright}
"""
SETTINGS = PPOSettings(
    n_envs=4, n_steps=16, batch_size=64, n_epochs=3, ent_coef=0.01, net_arch=(16, 8),
    learning_rate=3e-3, normalize_observation=False, normalize_reward=False,
)  # fmt: skip


@pytest.fixture
def card() -> EnvCard:
    return load_env("inverted_pendulum")


def make_env(card: EnvCard) -> RewardVecEnv:
    simulation = BatchSimulation(card, SETTINGS.n_envs, seed=0)
    return RewardVecEnv(card, simulation, compile_program(SOURCE, card, SETTINGS.gamma))


def make_reference(ours: BatchPPO) -> PPO:
    """Return Stable-Baselines3's PPO with the weights and the rollout of ours."""
    kept = SETTINGS.model_dump(include={
        "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range", "ent_coef",
        "vf_coef", "max_grad_norm", "learning_rate",
    })  # fmt: skip
    shape = {"net_arch": list(SETTINGS.net_arch), "activation_fn": torch.nn.Tanh}
    reference = PPO("MlpPolicy", ours.env, policy_kwargs=shape, device="cpu", **kept)
    reference.set_logger(Logger(folder=None, output_formats=[]))
    reference.policy.load_state_dict(ours.policy.state_dict())
    for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
        getattr(reference.rollout_buffer, name)[:] = getattr(ours.rollout_buffer, name)
    reference.rollout_buffer.full = True
    return reference


def collect(model: BatchPPO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collect a rollout without an update."""
    with monkeypatch.context() as patch:
        patch.setattr(model, "train", lambda: None)
        model.learn_rollout()


def test_update_equals_stable_baselines(card: EnvCard, monkeypatch: pytest.MonkeyPatch) -> None:
    model = BatchPPO(make_env(card), SETTINGS, 10_000, seed=0)
    collect(model, monkeypatch)
    reference = make_reference(model)
    before = model.networks.flat.copy()
    model.train()
    # One minibatch holds the whole rollout: its order does not matter.
    reference.train()
    expected = reference.policy.state_dict()
    for name, values in model.policy.state_dict().items():
        np.testing.assert_allclose(values.numpy(), expected[name].numpy(), rtol=2e-3, atol=2e-5)
    assert np.abs(model.networks.flat - before).max() > 5e-3


def test_rollout_holds_what_torch_computes(card: EnvCard, monkeypatch: pytest.MonkeyPatch) -> None:
    model = BatchPPO(make_env(card), SETTINGS, 10_000, seed=0)
    collect(model, monkeypatch)
    buffer = model.rollout_buffer
    observations = torch.from_numpy(buffer.observations.reshape(64, -1))
    actions = torch.from_numpy(buffer.actions.reshape(64, -1))
    with torch.no_grad():
        values, log_probs, _ = model.policy.evaluate_actions(observations, actions)
    np.testing.assert_allclose(buffer.values.ravel(), values.numpy().ravel(), atol=1e-5)
    np.testing.assert_allclose(buffer.log_probs.ravel(), log_probs.numpy(), atol=1e-4)


def test_truncated_episode_is_paid_the_value_of_its_last_state(
    card: EnvCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = card.model_copy(update={"max_episode_steps": 2})
    env = make_env(short)
    model, seen, paid = BatchPPO(env, SETTINGS, 10_000, seed=0), [], []
    advance, pay = env.advance, env.pay
    monkeypatch.setattr(env, "advance", lambda action: seen.append(advance(action)) or seen[-1])
    monkeypatch.setattr(env, "pay", lambda: paid.append(pay()) or paid[-1])
    collect(model, monkeypatch)
    rewards = paid[0].astype(np.float32)
    np.testing.assert_array_equal(model.rollout_buffer.rewards[0::2], rewards[0::2])
    last = np.array([ended.observation for _, _, ended in seen[1::2]])
    with torch.no_grad():
        values = model.policy.predict_values(torch.from_numpy(last.reshape(32, -1))).numpy()
    bonus = model.rollout_buffer.rewards[1::2] - rewards[1::2]
    np.testing.assert_allclose(bonus.ravel(), SETTINGS.gamma * values.ravel(), atol=1e-5)
    assert np.abs(bonus).max() > 0.1


def test_numpy_policy_equals_the_deterministic_output_of_torch(card: EnvCard) -> None:
    model = BatchPPO(make_env(card), SETTINGS.model_copy(update={"normalize_observation": True}),
                     10_000, seed=0)  # fmt: skip
    for _ in range(5):
        model.learn_rollout()
    normalizer = model.observation_normalizer
    header = PolicyHeader(
        card=card.name, n_actions=1, observation_size=4, net_arch=SETTINGS.net_arch,
        activation="tanh", action_range=card.action_range, observation_clip=normalizer.clip,
    )  # fmt: skip
    policy = NumpyPolicy(
        header, model.networks.actor, normalizer.mean, normalizer.scale, model.networks.log_std
    )
    observation = np.random.default_rng(0).normal(size=(50, 4))
    expected, _ = model.predict(normalizer(observation.astype(np.float32)), deterministic=True)
    np.testing.assert_allclose(policy.act(observation), expected, rtol=1e-5, atol=1e-6)
    assert normalizer.scale.max() > 2.0


def test_learning_rate_falls_over_the_whole_training(card: EnvCard) -> None:
    settings = SETTINGS.model_copy(update={"final_learning_rate_share": 0.1})
    model = BatchPPO(make_env(card), settings, 128, seed=0)
    rates = []
    for _ in range(3):
        model.learn_rollout()
        rates.append(model.lr_schedule(model._current_progress_remaining))
    assert rates == pytest.approx([3e-3, 1.65e-3, 3e-4])


def test_target_kl_ends_the_update_early(card: EnvCard) -> None:
    moved = []
    for target_kl in (None, 1e-6):
        settings = SETTINGS.model_copy(update={"target_kl": target_kl, "n_epochs": 20})
        model = BatchPPO(make_env(card), settings, 10_000, seed=0)
        before = model.networks.flat.copy()
        model.learn_rollout()
        moved.append(np.abs(model.networks.flat - before).mean())
    assert moved[1] < 0.2 * moved[0]


def test_stable_baselines_learn_still_works(card: EnvCard) -> None:
    model = BatchPPO(make_env(card), SETTINGS, 128, seed=0)
    model.learn(128)
    assert model.num_timesteps == 128
