"""Our PPO is Stable-Baselines3's, with the work done elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as SB3PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import Logger

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.learner import LearnerSettings, PPOSettings
from reward_agent.errors import DataError
from reward_agent.learning import ppo
from reward_agent.learning.heads import Gaussian
from reward_agent.learning.ppo import PPO, Networks, estimate_advantages
from reward_agent.learning.sb3 import Sb3VecEnv
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.mujoco_batch import BatchSimulation

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


def make_env(card: EnvCard, settings: PPOSettings = SETTINGS) -> RewardVecEnv:
    simulation = BatchSimulation(card, settings.n_envs, seed=0)
    return RewardVecEnv(card, simulation, compile_program(SOURCE, card, settings.gamma))


def make_model(card: EnvCard, total_timesteps: int = 10_000, seed: int = 0, **changes: Any) -> PPO:
    settings = SETTINGS.model_copy(update=changes)
    return make_ppo(make_env(card, settings), settings, total_timesteps, seed)


def make_ppo(env: RewardVecEnv, settings: PPOSettings, total_timesteps: int, seed: int) -> PPO:
    return PPO(env, LearnerSettings(**settings.model_dump()), total_timesteps, seed)


def test_action_that_is_held_is_paid_and_discounted_as_its_steps_are(card: EnvCard) -> None:
    model = make_model(card, action_repeat=3, gamma=0.9, n_steps=4)
    rewards = np.arange(12.0).reshape(6, 2)
    paid = ppo.sum_held(rewards, model.settings)
    np.testing.assert_allclose(paid[1], rewards[3] + 0.9 * rewards[4] + 0.81 * rewards[5])
    assert model._gamma == pytest.approx(0.729)
    model.learn()
    # Some wait for the others at the end of an episode: no env step of theirs.
    assert 4 * 4 * 3 * 0.8 < model.num_timesteps == model._env.n_steps < 4 * 4 * 3
    assert model.make_policy().repeat == 3


def list_torch_weights(policy: torch.nn.Module, networks: Networks) -> list[tuple[Any, np.ndarray]]:
    """Pair each parameter of torch's policy with the array of ours that it answers to."""
    nets = policy.mlp_extractor
    modules = [*nets.policy_net, policy.action_net, *nets.value_net, policy.value_net]
    linear = [module for module in modules if isinstance(module, torch.nn.Linear)]
    layers = (*networks.actor, *networks.critic)
    pairs = [(module.weight, layer.weight) for module, layer in zip(linear, layers, strict=True)]
    pairs += [(module.bias, layer.bias) for module, layer in zip(linear, layers, strict=True)]
    return [*pairs, (policy.log_std, networks.log_std)]


def make_reference(ours: PPO) -> SB3PPO:
    """Return Stable-Baselines3's PPO with the weights and the rollout of ours."""
    kept = ours.settings.model_dump(include={
        "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range", "ent_coef",
        "vf_coef", "max_grad_norm", "learning_rate",
    })  # fmt: skip
    shape = {"net_arch": list(SETTINGS.net_arch), "activation_fn": torch.nn.Tanh}
    env = Sb3VecEnv(ours._env)
    reference = SB3PPO("MlpPolicy", env, policy_kwargs=shape, device="cpu", seed=0, **kept)
    reference.set_logger(Logger(folder=None, output_formats=[]))
    for parameter, values in list_torch_weights(reference.policy, ours.networks):
        parameter.data = torch.from_numpy(values.copy())
    for name, values in vars(ours.rollout).items():
        getattr(reference.rollout_buffer, name)[:] = values
    reference.rollout_buffer.full = True
    return reference


def test_update_equals_stable_baselines(card: EnvCard) -> None:
    model = make_model(card)
    model.collect_rollout()
    reference = make_reference(model)
    before = model.networks.flat.copy()
    model.update(SETTINGS.learning_rate)
    # One minibatch holds the whole rollout: its order does not matter.
    reference.train()
    for expected, values in list_torch_weights(reference.policy, model.networks):
        np.testing.assert_allclose(values, expected.detach().numpy(), rtol=2e-3, atol=2e-5)
    assert np.abs(model.networks.flat - before).max() > 5e-3


def test_update_in_minibatches_of_one_order_equals_stable_baselines(
    card: EnvCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(card, batch_size=16)
    model.collect_rollout()
    reference = make_reference(model)
    # Stable-Baselines3 counts environment by environment, we count step by step.
    orders = [np.random.default_rng(k).permutation(64) for k in range(SETTINGS.n_epochs)]
    theirs = iter([order % 4 * 16 + order // 4 for order in orders])
    monkeypatch.setattr(np.random, "permutation", lambda _: next(theirs))

    class Ordered:
        def __init__(self) -> None:
            self._orders = iter(orders)

        def permutation(self, _: int) -> np.ndarray:
            return next(self._orders)

    model._generator = Ordered()
    model.update(SETTINGS.learning_rate)
    reference.train()
    for expected, values in list_torch_weights(reference.policy, model.networks):
        np.testing.assert_allclose(values, expected.detach().numpy(), rtol=2e-3, atol=2e-5)


def test_first_weights_are_drawn_as_stable_baselines_draws_them(card: EnvCard) -> None:
    """Orthogonal rows or columns of the same length, biases of zero; the same moments."""
    models = [make_model(card, seed=seed) for seed in range(40)]
    references = [make_reference(model) for model in models[:1]]
    drawn = [
        SB3PPO("MlpPolicy", references[0].get_env(), seed=seed, device="cpu",
               policy_kwargs={"net_arch": [16, 8], "log_std_init": -1.0})
        for seed in range(40)
    ]  # fmt: skip
    pairs = zip(
        zip(
            *(list_torch_weights(model.policy, models[0].networks) for model in drawn), strict=True
        ),
        zip(
            *(list_torch_weights(drawn[0].policy, model.networks) for model in models), strict=True
        ),
        strict=True,
    )
    for theirs, ours in pairs:
        expected = np.array([parameter.detach().numpy() for parameter, _ in theirs])
        found = np.array([values for _, values in ours])
        if found.ndim == 2:
            np.testing.assert_array_equal(found, expected)
            continue
        few = found if found.shape[1] <= found.shape[2] else found.transpose(0, 2, 1)
        many = expected if few is found else expected.transpose(0, 2, 1)
        np.testing.assert_allclose(
            few @ few.transpose(0, 2, 1), many @ many.transpose(0, 2, 1), atol=1e-4
        )
        spread = expected.std()
        assert abs(found.mean()) < 0.3 * spread
        assert found.std() == pytest.approx(spread, rel=0.1)


def test_advantages_equal_stable_baselines(card: EnvCard) -> None:
    generator = np.random.default_rng(0)
    env = Sb3VecEnv(make_env(card))
    buffer = RolloutBuffer(
        16, env.observation_space, env.action_space, device="cpu", gamma=0.97, gae_lambda=0.9,
        n_envs=4,
    )  # fmt: skip
    done = generator.random((16, 4)) < 0.2
    buffer.rewards[:], buffer.values[:] = generator.normal(size=(2, 16, 4))
    buffer.episode_starts[1:] = done[:-1]
    last = generator.normal(size=4).astype(np.float32)
    buffer.compute_returns_and_advantage(torch.from_numpy(last), dones=done[-1])
    found = estimate_advantages(buffer.rewards, buffer.values, last, done, 0.97, 0.9)
    np.testing.assert_allclose(found, buffer.advantages, rtol=1e-5, atol=1e-5)


def collect(model: PPO, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Collect a rollout and return what its advantages were estimated from."""
    seen: dict[str, np.ndarray] = {}

    def estimate(rewards, values, last_values, done, gamma, gae_lambda):
        seen.update(rewards=rewards, values=values)
        return estimate_advantages(rewards, values, last_values, done, gamma, gae_lambda)

    monkeypatch.setattr(ppo, "estimate_advantages", estimate)
    model.collect_rollout()
    return seen


def test_rollout_holds_what_torch_computes(card: EnvCard, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(card)
    seen = collect(model, monkeypatch)
    policy = make_reference(model).policy
    observations = torch.from_numpy(model.rollout.observations.reshape(64, -1))
    actions = torch.from_numpy(model.rollout.actions.reshape(64, -1))
    with torch.no_grad():
        values, log_probs, _ = policy.evaluate_actions(observations, actions)
    np.testing.assert_allclose(seen["values"].ravel(), values.numpy().ravel(), atol=1e-5)
    np.testing.assert_allclose(model.rollout.log_probs.ravel(), log_probs.numpy(), atol=1e-4)
    np.testing.assert_array_equal(model.rollout.returns, model.rollout.advantages + seen["values"])


def test_truncated_episode_is_paid_the_value_of_its_last_state(
    card: EnvCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = card.model_copy(update={"max_episode_steps": 2})
    env = make_env(short)
    model, seen, paid = make_ppo(env, SETTINGS, 10_000, seed=0), [], []
    advance, pay = env.advance, env.pay
    monkeypatch.setattr(env, "advance", lambda *given: seen.append(advance(*given)) or seen[-1])
    monkeypatch.setattr(env, "pay", lambda: paid.append(pay()) or paid[-1])
    credited = collect(model, monkeypatch)["rewards"]
    rewards = paid[0].astype(np.float32)
    np.testing.assert_array_equal(credited[0::2], rewards[0::2])
    last = np.array([ended.observation for _, _, ended in seen[1::2]])
    with torch.no_grad():
        policy = make_reference(model).policy
        values = policy.predict_values(torch.from_numpy(last.reshape(32, -1))).numpy()
    bonus = credited[1::2] - rewards[1::2]
    np.testing.assert_allclose(bonus.ravel(), SETTINGS.gamma * values.ravel(), atol=1e-5)
    assert np.abs(bonus).max() > 0.1


def test_numpy_policy_equals_the_deterministic_output_of_torch(card: EnvCard) -> None:
    model = make_model(card, normalize_observation=True)
    for _ in range(5):
        model.learn()
    policy = model.make_policy()
    observation = np.random.default_rng(0).normal(size=(50, 4))
    normal = model.observations(observation.astype(np.float32))
    expected, _ = make_reference(model).predict(normal, deterministic=True)
    np.testing.assert_allclose(policy.act(observation), expected, rtol=1e-5, atol=1e-6)
    assert policy.observation_scale.max() > 2.0


def test_learning_rate_falls_over_the_whole_training(card: EnvCard) -> None:
    model = make_model(card, 128, final_learning_rate_share=0.1)
    rates = []
    for _ in range(3):
        rates.append(model.learning_rate)
        model.learn()
    assert rates == pytest.approx([3e-3, 1.65e-3, 3e-4])


def test_target_kl_ends_the_update_early(card: EnvCard) -> None:
    moved = []
    for target_kl in (None, 1e-6):
        model = make_model(card, target_kl=target_kl, n_epochs=20)
        before = model.networks.flat.copy()
        model.learn()
        moved.append(np.abs(model.networks.flat - before).mean())
    assert moved[1] < 0.2 * moved[0]


def test_trainings_of_one_seed_repeat_bit_for_bit(card: EnvCard) -> None:
    models = [make_model(card, seed=seed, normalize_observation=True) for seed in (3, 3, 4)]
    for model in models:
        for _ in range(3):
            model.learn()
    first, again, other = (model.networks.flat for model in models)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_training_goes_on_from_its_state_as_if_its_episodes_had_begun_anew(
    card: EnvCard, tmp_path: Path
) -> None:
    changes = {"normalize_observation": True, "normalize_reward": True}
    model = make_model(card, **changes)
    for _ in range(3):
        model.learn()
    np.savez(tmp_path / "state.npz", **model.read_state())
    resumed = make_model(card, seed=1, **changes)
    resumed.restore(np.load(tmp_path / "state.npz"))
    # What an undisturbed training does that begins new episodes at this point.
    model._env = make_env(card)
    model._last_observation = model._env.reset()
    model._rewards._returns[:] = 0.0
    for _ in range(2):
        model.learn()
        resumed.learn()
    assert resumed.num_timesteps == model.num_timesteps == 320
    found, expected = resumed.read_state(), model.read_state()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_start_policy_is_adopted_with_its_statistics_and_without_a_critic(card: EnvCard) -> None:
    trained = make_model(card, normalize_observation=True)
    for _ in range(3):
        trained.learn()
    model = make_model(card, seed=1, normalize_observation=True)
    critic = model.networks.critic[0].weight.copy()
    model.adopt(trained.make_policy())
    observation = np.random.default_rng(0).normal(size=(5, 4))
    found, expected = model.make_policy(), trained.make_policy()
    np.testing.assert_allclose(found.act(observation), expected.act(observation), rtol=1e-5)
    np.testing.assert_array_equal(model.networks.critic[0].weight, critic)
    with pytest.raises(DataError, match=r"has net_arch \(16, 8\), expected \(64, 64\)"):
        make_model(card, net_arch=(64, 64)).adopt(trained.make_policy())


def test_noise_is_as_correlated_as_asked_for_and_of_unit_deviation() -> None:
    head, generator = Gaussian(1, correlation=0.8), np.random.default_rng(0)
    drawn = [head.draw_noise((64, 64), np.zeros(1, np.float32), generator) for _ in range(20)]
    noise = np.concatenate(drawn)[..., 0]
    assert noise[1:].std() == pytest.approx(1.0, abs=0.03)
    assert np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1] == pytest.approx(0.8, abs=0.02)


def test_actions_vary_no_less_while_their_deviation_is_held(card: EnvCard) -> None:
    def train(share: float) -> list[float]:
        model = make_model(card, 640, std_hold_share=share, ent_coef=-0.5)
        course = []
        for _ in range(10):
            model.learn()
            course.append(float(model.networks.log_std[0]))
        return course

    free, held = train(0.0), train(0.5)
    assert free[3] < -1.0
    assert min(held[:4]) >= -1.0
    assert held[-1] < -1.0
