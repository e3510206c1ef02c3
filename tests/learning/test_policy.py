"""A policy survives its file and acts as torch's does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reward_agent.export.policy import Policy
from reward_agent.learning.policy import Layer, NumpyPolicy, PolicyHeader, load_policy, save_policy


@pytest.fixture
def policy() -> NumpyPolicy:
    generator = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype(np.float32)

    header = PolicyHeader(
        card="hopper", n_actions=2, observation_size=3, net_arch=(4,), activation="tanh",
        action_range=(-0.5, 0.5),
    )  # fmt: skip
    layers = (Layer(draw(4, 3), draw(4)), Layer(draw(2, 4), draw(2)))
    return NumpyPolicy(header, layers, draw(3), np.abs(draw(3)), draw(2))


def test_loaded_policy_acts_as_the_saved_one(policy: NumpyPolicy, tmp_path: Path) -> None:
    save_policy(tmp_path / "policy.safetensors", policy)
    loaded = load_policy(tmp_path / "policy.safetensors")
    observation = np.random.default_rng(1).normal(size=(7, 3))
    assert loaded.header == policy.header
    np.testing.assert_array_equal(loaded.act(observation), policy.act(observation))
    assert [path.name for path in tmp_path.iterdir()] == ["policy.safetensors"]


def test_action_is_within_the_range_and_the_observation_clipped(policy: NumpyPolicy) -> None:
    huge = np.full((1, 3), 1e30)
    clipped = policy.observation_mean + 10.0 / policy.observation_scale
    assert np.abs(policy.act(huge)).max() <= 0.5
    np.testing.assert_allclose(policy.act(huge), policy.act(clipped[None]), rtol=1e-4)


def test_each_row_is_acted_on_alone(policy: NumpyPolicy) -> None:
    observation = np.random.default_rng(1).normal(size=(5, 3))
    rows = np.concatenate([policy.act(row[None]) for row in observation])
    np.testing.assert_allclose(policy.act(observation), rows, rtol=1e-5, atol=1e-7)


def test_policy_that_squashes_leads_into_the_range_without_a_deviation(
    policy: NumpyPolicy, tmp_path: Path
) -> None:
    header = policy.header.model_copy(update={"is_squashed": True, "action_range": (-1.0, 3.0)})
    squashing = replace(policy, header=header, log_std=None)
    save_policy(tmp_path / "policy.safetensors", squashing)
    loaded = load_policy(tmp_path / "policy.safetensors")
    assert loaded.log_std is None
    observation = np.random.default_rng(1).normal(0, 3, size=(50, 3))
    wide = replace(policy, header=policy.header.model_copy(update={"action_range": (-1e9, 1e9)}))
    expected = 1.0 + 2.0 * np.tanh(wide.act(observation))
    np.testing.assert_allclose(loaded.act(observation), expected, atol=1e-6)
    exported = Policy(tmp_path / "policy.safetensors")
    np.testing.assert_allclose(exported.act(observation), expected, atol=1e-5)


def test_file_of_an_earlier_version_is_of_ppo(policy: NumpyPolicy, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(path, policy)
    header = json.loads(policy.header.model_dump_json())
    del header["algo"], header["is_squashed"]
    save_file(load_file(path), path, metadata={"policy": json.dumps(header)})
    loaded = load_policy(path)
    assert (loaded.header.algo, loaded.header.is_squashed) == ("ppo", False)


def test_policy_that_is_not_finite_is_not_saved(policy: NumpyPolicy, tmp_path: Path) -> None:
    broken = replace(policy, log_std=np.array([np.nan, 0.0], dtype=np.float32))
    with pytest.raises(ValueError, match="log_std of the policy is not finite"):
        save_policy(tmp_path / "policy.safetensors", broken)
    assert not list(tmp_path.iterdir())
