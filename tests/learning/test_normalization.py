"""Statistics equal those of the data, and rewards those of VecNormalize's formula."""

from __future__ import annotations

import numpy as np

from reward_agent.learning.ppo import ObservationNormalizer, RewardNormalizer


def test_observation_is_centred_and_scaled_by_all_that_was_seen() -> None:
    generator = np.random.default_rng(0)
    data = generator.normal(3.0, 0.5, size=(4, 200, 6, 2)).astype(np.float32)
    normalizer = ObservationNormalizer(2, is_on=True)
    for rollout in data:
        normalizer.update(rollout)
    normal = normalizer(data.reshape(-1, 2))
    np.testing.assert_allclose(normal.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(normal.std(axis=0), 1.0, atol=1e-3)
    assert normalizer(np.full((1, 2), 1e9, dtype=np.float32)).max() == 10.0


def test_normalizer_that_is_off_changes_nothing() -> None:
    normalizer = ObservationNormalizer(2, is_on=False)
    values = np.array([[50.0, -3.0]], dtype=np.float32)
    normalizer.update(values[None])
    np.testing.assert_array_equal(normalizer(values), values)
    rewards = np.ones((3, 1), dtype=np.float32)
    off = RewardNormalizer(1, 0.9, is_on=False)
    assert off(rewards, np.zeros((3, 1), dtype=bool)) is rewards


def test_reward_is_divided_by_the_spread_of_the_discounted_return() -> None:
    rewards = np.random.default_rng(0).normal(1.0, 2.0, size=(500, 1)).astype(np.float32)
    done = np.zeros((500, 1), dtype=bool)
    done[::50] = True
    returns, running = [], 0.0
    for reward, ended in zip(rewards[:, 0], done[:, 0], strict=True):
        running = 0.9 * running + reward
        returns.append(running)
        running = 0.0 if ended else running
    found = RewardNormalizer(1, 0.9, is_on=True)(rewards, done)
    expected = np.clip(rewards / np.std(returns), -10, 10)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
