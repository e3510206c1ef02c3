"""Policies of Stable-Baselines3 whose actions are choices, and ours in its form and in others."""

from __future__ import annotations

import importlib.util
import io
import json
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.errors import DataError
from reward_agent.learning.policy import Layer, NumpyPolicy, PolicyHeader, load_policy, save_policy
from reward_agent.learning.read_sb3 import read_policy

CART_POLE = load_env(Path(__file__).parents[1] / "support" / "envs" / "cart_pole")
EXPORT = Path(__file__).parents[2] / "reward_agent" / "export"
SEEN = np.random.default_rng(0).normal(0, 1, (60, 4)).astype(np.float32)


def make_card(n_choices: list[int]) -> EnvCard:
    actions = [f"a{i}" for i in range(len(n_choices))]
    plain = CART_POLE.model_dump(exclude={"action_range"})
    return EnvCard.model_validate({**plain, "actions": actions, "choices": n_choices})


def save_sb3(kind: Any, action: spaces.Space[Any]) -> tuple[Any, bytes]:
    env: Any = gymnasium.Env()
    env.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    env.action_space = action
    own = {"buffer_size": 10} if kind is DQN else {}
    model = kind("MlpPolicy", DummyVecEnv([lambda: env]), device="cpu", **own)
    with torch.no_grad():
        for value in model.policy.parameters():
            value.add_(0.2 * torch.randn(value.shape))
    file = io.BytesIO()
    model.save(file)
    return model, file.getvalue()


@pytest.mark.parametrize(
    ("kind", "space", "n_choices"),
    [
        (PPO, spaces.Discrete(3), [3]),
        (A2C, spaces.MultiDiscrete([2, 4]), [2, 4]),
        (PPO, spaces.MultiBinary(3), [2, 2, 2]),
        (DQN, spaces.Discrete(2), [2]),
    ],
)
def test_choices_are_those_of_the_library(kind: Any, space: Any, n_choices: list[int]) -> None:
    model, content = save_sb3(kind, space)
    policy = read_policy(content, make_card(n_choices))
    theirs, _ = model.predict(SEEN, deterministic=True)
    np.testing.assert_array_equal(policy.act(SEEN), theirs.reshape(len(SEEN), -1))


def test_policy_of_other_choices_is_refused() -> None:
    _, content = save_sb3(PPO, spaces.Discrete(3))
    with pytest.raises(DataError, match=r"its actions are 3 scores, cart_pole has choices \[2\]"):
        read_policy(content, CART_POLE)
    with pytest.raises(DataError, match=r"its action_space is a Discrete, and hopper's is numbers"):
        read_policy(content, load_env("hopper"))


def make_policy(n_choices: list[int]) -> NumpyPolicy:
    rng, sizes = np.random.default_rng(1), [4, 8, sum(n_choices)]
    layers = tuple(
        Layer(rng.normal(size=(b, a)).astype(np.float32), rng.normal(size=b).astype(np.float32))
        for a, b in pairwise(sizes)
    )
    header = PolicyHeader.for_card(make_card(n_choices), net_arch=(8,), activation="tanh")
    mean = rng.normal(size=4).astype(np.float32)
    return NumpyPolicy(header, layers, mean, np.full(4, 0.7, np.float32))


def load_module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"exported_{name}", EXPORT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("n_choices", [[3], [2, 4, 3]])
def test_every_form_of_a_policy_chooses_the_same(tmp_path: Path, n_choices: list[int]) -> None:
    path, policy = tmp_path / "policy.safetensors", make_policy(n_choices)
    save_policy(path, policy)
    expected = load_policy(path).act(SEEN)
    assert {tuple(row) for row in expected} > {tuple(expected[0])}
    exported, convert = load_module("policy").Policy(path), load_module("convert")
    np.testing.assert_array_equal(exported.act(SEEN), expected)
    np.testing.assert_array_equal(exported.act(SEEN[0]), expected[0])
    with torch.no_grad():
        np.testing.assert_array_equal(convert.make_module(exported)(torch.tensor(SEEN)), expected)
    model, venv = convert.make_sb3(exported)
    chosen, _ = model.predict(venv.normalize_obs(SEEN), deterministic=True)
    np.testing.assert_array_equal(chosen.reshape(len(SEEN), -1), expected)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(convert.make_onnx(exported, {}).SerializeToString())
    np.testing.assert_array_equal(session.run(None, {"observation": SEEN})[0], expected)


def test_policy_file_whose_choices_do_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(path, make_policy([3]))
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    told = header["__metadata__"]["policy"]
    header["__metadata__"]["policy"] = told.replace('"n_choices":[3]', '"n_choices":[3,3]')
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(DataError, match="is not a policy"):
        load_policy(path)
