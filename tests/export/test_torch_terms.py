"""A reward over torch tensors, in an environment that holds its simulations as mjlab's does."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import reward_agent.export
from reward_agent.definitions.card import load_env
from reward_agent.export.compose import compose_reward, is_markov

SOURCE = '''
def compute_reward(state, action, next_state):
    """Hop."""
    gain = next_state.x_position - state.x_position
    upright = tolerance(next_state.torso_pitch, bounds=(-0.2, 0.2), margin=0.6)
    legs = np.stack([next_state.thigh_angle, next_state.leg_angle], axis=0)
    speed = np.clip(next_state.forward_velocity, 0.0, 3.0)
    terms = {
        "gain": 10.0 * gain * np.where(upright > 0.5, 1.0, 0.1),
        "speed": upright * speed,
        "calm": np.exp(-np.max(np.abs(legs), axis=0)) * (next_state.torso_height > 0.8),
        "effort": -0.001 * np.sum(np.square(action), axis=-1),
        "alive": np.ones(len(action)),
    }
    return sum(terms.values()), terms
'''
FIELDS = (
    "x_position", "torso_pitch", "thigh_angle", "leg_angle", "forward_velocity", "torso_height",
)  # fmt: skip
TERMS = ("gain", "speed", "calm", "effort", "alive")


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    metadata = {"task": "hop", "fields": list(FIELDS), "terms": list(TERMS)}
    (tmp_path / "reward.py").write_text(compose_reward(load_env("hopper"), SOURCE, metadata, False))
    folder = Path(reward_agent.export.__file__).parent
    shutil.copy(folder / "torch_terms.py", tmp_path)
    names = ("reward", "torch_terms")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield importlib.import_module("torch_terms")  # torch looks for it by this name
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_its_terms_pay_what_the_program_pays(exported: Any) -> None:
    rng = np.random.default_rng(0)
    states = {name: rng.normal(0, 1, (6, 32)).astype(np.float32) for name in FIELDS}
    actions = rng.normal(0, 1, (6, 32, 3)).astype(np.float32)
    env = SimpleNamespace(common_step_counter=0, episode_length_buf=torch.zeros(32))
    terms = exported.make_terms(
        lambda env: {n: torch.from_numpy(v[env.common_step_counter]) for n, v in states.items()},
        lambda env: torch.from_numpy(actions[env.common_step_counter]),
    )
    assert exported.FIELDS == FIELDS
    assert tuple(terms) == TERMS
    reward = sys.modules["reward"]
    for step in range(6):
        env.common_step_counter = step
        env.episode_length_buf += 1
        if step == 3:  # these begin anew, where nothing came before
            env.episode_length_buf[:10] = 1
        now = {name: values[step] for name, values in states.items()}
        before = {n: values[max(step - 1, 0)].copy() for n, values in states.items()}
        for name in FIELDS if step == 3 else ():
            before[name][:10] = now[name][:10]
        _, expected = reward.compute_reward(
            reward.make_state(before), actions[step], reward.make_state(now)
        )
        for name, term in terms.items():
            paid = term(env, weight=1.0)
            assert paid.shape == (32,)
            np.testing.assert_allclose(paid.numpy(), expected[name], rtol=1e-5, atol=1e-5)


def test_a_program_that_remembers_has_none() -> None:
    assert is_markov(SOURCE)
    assert not is_markov(SOURCE + "\ndef potential(state):\n    return state.torso_height\n")
    assert not is_markov("def compute_reward(state, action, next_state, memory):\n    return 1\n")
