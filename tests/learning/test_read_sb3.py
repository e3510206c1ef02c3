"""Zips of Stable-Baselines3's: what can be read acts as the library does, the rest ends in a line."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.learning.policy import load_policy
from reward_agent.learning.read_sb3 import read_policy, run
from reward_agent.records.drafting_jobs import ReadSb3Job, ReadSb3Result
from reward_agent.records.job import GIVEN_FILE, POLICY_FILE, STATISTICS_FILE
from reward_agent.run.foreign import read_any_policy

CARD = load_env("hopper")
RELU = {"activation_fn": torch.nn.ReLU, "net_arch": [16, 8]}
TANH = {"activation_fn": torch.nn.Tanh, "net_arch": [16]}


def make_env(low: Any = -1.0, high: Any = 1.0, observation: Any = None, action: Any = None) -> Any:
    env: Any = gymnasium.Env()
    low, high = (np.broadcast_to(np.float32(value), 3) for value in (low, high))
    env.observation_space = observation or spaces.Box(-np.inf, np.inf, (11,), np.float64)
    env.action_space = action or spaces.Box(low, high, (3,), np.float32)
    return env


def make_model(kind: Any = PPO, env: Any = None, policy: str = "MlpPolicy", **kwargs: Any) -> Any:
    env = DummyVecEnv([lambda: env or make_env()])
    own: dict[str, Any] = {"buffer_size": 10} if kind not in (PPO, A2C) else {}
    own |= {"use_sde": kwargs.pop("use_sde", False)} if kind in (PPO, SAC) else {}
    model = kind(policy, env, device="cpu", policy_kwargs=kwargs or None, **own)
    with torch.no_grad():  # of a new one the last layer is near 0
        for value in model.policy.parameters():
            value.add_(0.2 * torch.randn(value.shape))
    return model


def save(model: Any) -> bytes:
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


SEEN = np.random.default_rng(0).normal(0, 2, (40, 11))


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        (PPO, {}),
        (PPO, RELU),
        (A2C, TANH),
        (SAC, {}),
        (SAC, TANH),
        (TD3, RELU),
        (DDPG, {}),
        (PPO, {"use_sde": True}),
        (PPO, {"use_sde": True, "squash_output": True}),
    ],
    ids=str,
)
def test_a_saved_policy_acts_as_the_library_has_it_act(kind: Any, kwargs: dict[str, Any]) -> None:
    model = make_model(kind, **dict(kwargs))
    policy = read_policy(save(model), CARD)
    expected, _ = model.predict(SEEN, deterministic=True)
    np.testing.assert_allclose(policy.act(SEEN), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [PPO, SAC])
def test_actions_of_another_range_become_those_of_the_card(kind: Any) -> None:
    low, high = np.array([-0.4, 0.0, -2.0]), np.array([0.4, 3.0, -1.0])
    model = make_model(kind, make_env(low, high))
    policy = read_policy(save(model), CARD)
    expected, _ = model.predict(SEEN, deterministic=True)
    np.testing.assert_allclose(
        low + (policy.act(SEEN) + 1.0) / 2.0 * (high - low), expected, atol=2e-5
    )


def test_what_vecnormalize_does_is_done_with_its_statistics() -> None:
    model = make_model()
    venv = VecNormalize(DummyVecEnv([make_env]), clip_obs=3.0)
    venv.obs_rms.mean, venv.obs_rms.var = np.arange(11.0), np.arange(11.0) + 0.1
    file = io.BytesIO()
    np.savez(file, mean=venv.obs_rms.mean, var=venv.obs_rms.var, clip=3.0)
    policy = read_policy(save(model), CARD, None, file.getvalue())
    expected, _ = model.predict(venv.normalize_obs(SEEN), deterministic=True)
    np.testing.assert_allclose(policy.act(SEEN), expected, atol=1e-5)


class Elu(torch.nn.ELU):
    pass


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: make_model(activation_fn=torch.nn.ELU), "its activation is ELU"),
        (lambda: make_model(activation_fn=Elu), "its activation is <class"),
        (lambda: make_model(SAC, use_sde=True), "what acts in it is no plain MLP"),
        (
            lambda: make_model(DQN, make_env(action=spaces.Discrete(3))),
            "its action_space is a Discrete, and hopper's is numbers (Box)",
        ),
        (
            lambda: make_model(
                env=make_env(observation=spaces.Box(0, 255, (3, 36, 36), np.uint8)),
                policy="CnnPolicy",
            ),
            "its observations go through a network of their own",
        ),
        (
            lambda: make_model(
                env=make_env(observation=spaces.Dict({"a": spaces.Box(-1, 1, (3,))})),
                policy="MultiInputPolicy",
            ),
            "its observation_space is a Dict",
        ),
        (
            lambda: make_model(env=make_env(observation=spaces.Box(-1, 1, (5,)))),
            "the policy takes 5 numbers",
        ),
    ],
)
def test_what_is_no_plain_policy_is_refused_in_a_line(
    make: Callable[[], Any], words: str, tmp_path: Path
) -> None:
    result = read(save(make()), tmp_path)
    assert result.refusal.startswith(words)
    assert result.remedy


def read(content: bytes, folder: Path, statistics: bytes | None = None) -> ReadSb3Result:
    (folder / GIVEN_FILE).write_bytes(content)
    if statistics is not None:
        (folder / STATISTICS_FILE).write_bytes(statistics)
    result = run(ReadSb3Job(card=CARD), folder)
    assert (folder / POLICY_FILE).exists() is not bool(result.refusal)
    assert "\n" not in result.refusal + result.remedy
    return result


def test_an_activation_that_nobody_can_tell_is_asked_for() -> None:
    content = save(make_model())
    entries = unpack(content)
    data = json.loads(entries["data"])
    data["policy_class"]["__module__"] = "of.their.own"
    unknown = pack(entries | {"data": json.dumps(data).encode()})
    with pytest.raises(DataError) as caught:
        read_policy(unknown, CARD)
    assert "--activation" in caught.value.remedy
    asked, told = read_policy(unknown, CARD, "tanh"), read_policy(content, CARD)
    np.testing.assert_array_equal(asked.act(SEEN), told.act(SEEN))


# --- files of a stranger --------------------------------------------------------------------------


def unpack(content: bytes) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    return {name: archive.read(name) for name in archive.namelist()}


def pack(entries: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch pwned",)


def save_tensors(weights: Any) -> bytes:
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def entries() -> dict[str, bytes]:
    return unpack(save(make_model()))


WEIGHTS: dict[str, Any] = {
    "mlp_extractor.policy_net.0.weight": torch.ones(4, 11),
    "mlp_extractor.policy_net.0.bias": torch.ones(4),
    "action_net.weight": torch.ones(3, 4), "action_net.bias": torch.ones(3),
}  # fmt: skip
HUGE = torch.ones(1).expand(10**7, 10**6)
HOSTILE: dict[str, dict[str, bytes | None]] = {
    "nothing in it": {"data": None, "policy.pth": None},
    "no JSON": {"data": pickle.dumps(Evil())},
    "deep": {"data": b"[" * 10**6},
    "no table": {"data": b"[1]"},
    "a bomb": {"data": b" " * (17 * 2**20)},
    "a pickle": {"policy.pth": pickle.dumps(Evil())},
    "a pickle in torch's file": {"policy.pth": save_tensors({"action_net.weight": Evil()})},
    "no tensors": {"policy.pth": save_tensors([1])},
    "huge": {"policy.pth": save_tensors(WEIGHTS | {"action_net.weight": HUGE})},
    "no numbers": {"policy.pth": save_tensors(WEIGHTS | {"action_net.bias": torch.ones(3) / 0})},
    "sparse": {"policy.pth": save_tensors(WEIGHTS | {"action_net.weight": torch.eye(3).to_sparse()})},
    "whole numbers": {"policy.pth": save_tensors(WEIGHTS | {"action_net.bias": torch.arange(3)})},
    "sizes that do not fit": {
        "policy.pth": save_tensors(WEIGHTS | {"action_net.weight": torch.ones(3, 5)})
    },
    "a layer too many": {"policy.pth": save_tensors(WEIGHTS | {"extra.weight": torch.ones(3)})},
    "no actor": {"policy.pth": save_tensors({})},
    "cut": {"policy.pth": save_tensors(WEIGHTS)[:500]},
}  # fmt: skip


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_zip_is_refused_in_a_line_and_runs_nothing(
    changes: dict[str, bytes | None],
    entries: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = {name: content for name, content in (entries | changes).items() if content is not None}
    result = read(pack(whole, zipfile.ZIP_DEFLATED), tmp_path)
    assert result.refusal
    assert not (tmp_path / "pwned").exists()


def test_a_packed_or_doubled_or_broken_entry_is_refused(
    entries: dict[str, bytes], tmp_path: Path
) -> None:
    repacked = pack(unpack(entries["policy.pth"]), zipfile.ZIP_DEFLATED)
    refusal = read(pack(entries | {"policy.pth": repacked}), tmp_path).refusal
    assert refusal.startswith("its 'policy.pth' is packed")
    file = io.BytesIO(pack(entries))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("data", b"{}")
    assert "2 entries 'data'" in read(file.getvalue(), tmp_path).refusal
    content = pack(entries)
    for cut in (content[:200], content[:-30]):
        assert read(cut, tmp_path).refusal


def test_names_of_entries_become_no_files(entries: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    whole = pack(entries | {"../../evil": b"x", "/tmp/evil-sb3": b"x", "evil": b"x"})
    assert not read(whole, tmp_path / "job").refusal
    assert load_policy(tmp_path / "job" / POLICY_FILE).header.n_actions == 3
    assert {path.name for path in tmp_path.iterdir()} == {"job"}
    assert {path.name for path in (tmp_path / "job").iterdir()} == {GIVEN_FILE, POLICY_FILE}


@pytest.mark.parametrize(
    "arrays",
    [
        {}, {"mean": np.zeros(11)}, {"mean": np.zeros(3), "var": np.ones(11)},
        {"mean": np.zeros(11), "var": -np.ones(11)}, {"mean": np.zeros(11), "var": np.full(11, np.inf)},
        {"mean": np.zeros(11), "var": np.ones(11), "clip": -1.0},
        {"mean": np.array([SimpleNamespace()] * 11), "var": np.ones(11)},
    ],
)  # fmt: skip
def test_statistics_that_are_none_are_refused(
    arrays: dict[str, Any], entries: dict[str, bytes], tmp_path: Path
) -> None:
    file = io.BytesIO()
    np.savez(file, **arrays)
    assert read(pack(entries), tmp_path, file.getvalue()).refusal


def test_of_a_zip_that_cannot_be_read_nothing_is_assumed_aloud(tmp_path: Path) -> None:
    refused = SimpleNamespace(result=ReadSb3Result(refusal="its activation is ELU", remedy="say"))
    lab: Any = SimpleNamespace(card=CARD, run_job=lambda *_: refused)
    (tmp_path / "model.zip").write_bytes(b"PK")
    told: list[str] = []
    with pytest.raises(DataError, match="ELU"):
        read_any_policy(tmp_path / "model.zip", lab, None, None, told.append)
    assert told == []
