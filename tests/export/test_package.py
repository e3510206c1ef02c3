"""The exported folder of a real run, used as a stranger would."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.errors import DataError, UnknownNameError, UsageError
from reward_agent.export.package import POLICY_FILE, convert_policy, export_run
from reward_agent.learning.policy import load_policy, save_policy
from reward_agent.records.disk import write_record
from reward_agent.records.store import RunStore
from reward_agent.run.single import evaluate


@pytest.fixture(scope="module")
def exported(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(run_dir, tmp_path_factory.mktemp("exported") / "hop").folder


@pytest.fixture(scope="module")
def module(exported: Path, import_exported) -> ModuleType:
    return import_exported(exported / "reward.py")


def test_the_folders_own_test_passes_and_sees_a_changed_reward(exported: Path, tmp_path) -> None:
    import shutil

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
    good = subprocess.run([*command, "test_reward.py"], cwd=exported, **run)
    assert good.returncode == 0, good.stdout
    assert "5 passed" in good.stdout
    # Python would take the bytecode of a source that is as long and as old, to the second.
    leave = shutil.ignore_patterns("__pycache__")
    wrong = shutil.copytree(exported, tmp_path / "wrong", ignore=leave)
    text = (wrong / "reward.py").read_text()
    assert "contact * 0.1" in text
    (wrong / "reward.py").write_text(text.replace("contact * 0.1", "contact * 0.2"))
    bad = subprocess.run([*command, "test_reward.py"], cwd=wrong, **run)
    assert "4 failed, 1 passed" in bad.stdout


def test_stable_baselines3_trains_with_it_on_gymnasiums_own_environment(module) -> None:
    from stable_baselines3 import PPO
    from stable_baselines3.common.monitor import Monitor

    env = Monitor(module.make_env())
    model = PPO("MlpPolicy", env, n_steps=256, batch_size=64, n_epochs=2, seed=0, device="cpu")
    model.learn(512)
    paid = [episode["r"] for episode in model.ep_info_buffer]
    assert len(paid) > 2
    assert all(np.isfinite(paid))
    assert type(env.unwrapped).__name__ == "HopperEnv"


def test_a_cleanrl_style_loop_takes_it_in_a_vector(module) -> None:
    import gymnasium as gym

    envs = gym.vector.SyncVectorEnv([module.make_env for _ in range(2)])
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
    observation, _ = envs.reset(seed=1)
    envs.action_space.seed(1)
    n_ended = 0
    for _ in range(150):
        observation, reward, _, _, info = envs.step(envs.action_space.sample())
        assert reward.shape == (2,)
        assert np.isfinite(reward).all()
        assert info["reward_terms"]["upright"].shape == (2,)
        n_ended += int(info.get("_episode", np.zeros(2)).sum())
    assert observation.shape == (2, 11)
    assert n_ended > 1
    envs.close()


def test_the_policy_loader_is_short_and_acts_as_ours(
    run_dir: Path, exported: Path, import_exported
) -> None:
    from reward_agent.learning.policy import load_policy

    loader = import_exported(exported / "policy.py")
    body = (exported / "policy.py").read_text().split("class Policy")[1]
    assert len([line for line in body.splitlines() if line.strip()]) <= 32
    observation = np.random.default_rng(0).normal(0, 3, (20, 11))
    run = RunStore(run_dir).read_run()
    assert run.winner is not None
    ours = load_policy(run_dir / run.winner.policy_file)
    theirs = loader.Policy(exported / "policy.safetensors")
    np.testing.assert_allclose(theirs.act(observation), ours.act(observation), atol=1e-5)


def run_episode(env: Any, act: Any) -> list[Any]:
    """Return the observations of an episode of a policy that takes one at a time."""
    observation, _ = env.reset(seed=3)
    seen = [observation]
    ended = False
    while not ended and len(seen) < 300:
        observation, _, terminated, truncated, _ = env.step(act(observation))
        ended = terminated or truncated
        seen.append(observation)
    return seen


def test_other_forms_of_the_policy_act_as_it_does_and_train_on(
    run_dir: Path, module: ModuleType, import_exported, tmp_path: Path, monkeypatch, capsys
) -> None:
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    out = tmp_path / "hop"
    arguments = ["export", str(run_dir), "-o", str(out), "--json"]
    forms = ["--also", "onnx", "--also", "torch", "--also", "sb3"]
    done = CliRunner().invoke(app, [*arguments, *forms])
    assert done.exit_code == 0, done.output
    files = json.loads(done.stdout)["files"]
    zipped = ["policy.zip", "vecnormalize.pkl", "vecnormalize.npz"]
    assert files[-5:] == ["policy.onnx", "policy.pt2", *zipped]
    policy = import_exported(out / "policy.py").Policy(out / "policy.safetensors")
    seen = np.array(run_episode(module.make_env(), lambda o: policy.act(o)))
    assert len(seen) > 10
    expected = policy.act(seen)

    session = runtime.InferenceSession(out / "policy.onnx")
    [action] = session.run(None, {"observation": seen.astype(np.float32)})
    np.testing.assert_allclose(action, expected, atol=1e-5)
    [prop] = onnx.load(out / "policy.onnx").metadata_props
    assert json.loads(prop.value)["observation"]["size"] == 11

    page = (Path(__file__).parents[2] / "docs/how-to/take-away.md").read_text()
    [runner] = re.findall(r"```python\n(import gymnasium.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(runner, "take-away.md", "exec"), {})
    assert re.fullmatch(r"-?[\d.]+ m\n", capsys.readouterr().out)

    program = torch.export.load(out / "policy.pt2").module()
    action = program(torch.from_numpy(seen.astype(np.float32))).detach().numpy()
    np.testing.assert_allclose(action, expected, atol=1e-5)

    venv = VecNormalize.load(str(out / "vecnormalize.pkl"), DummyVecEnv([module.make_env] * 2))
    model = PPO.load(out / "policy.zip", env=venv, n_steps=64, batch_size=32, n_epochs=1)
    action, _ = model.predict(venv.normalize_obs(seen), deterministic=True)
    np.testing.assert_allclose(action, expected, atol=1e-5)
    assert model.num_timesteps > 0
    before = model.policy.action_net.weight.detach().clone()
    model.learn(128)
    assert not torch.equal(before, model.policy.action_net.weight)

    given = {"video": False, "eval_episodes": 2}
    scores = [
        evaluate(out / name, "hopper", "hop_forward", folder=tmp_path / name, **given).best.parts
        for name in ("policy.safetensors", "policy.zip")
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)
    (out / "vecnormalize.npz").unlink()
    with pytest.raises(UsageError, match="a pickle is not read here") as caught:
        evaluate(out / "policy.zip", "hopper", "hop_forward", **given)
    run_in_shell = caught.value.remedy.partition("python")[2]
    subprocess.run(f"{sys.executable}{run_in_shell}", shell=True, check=True)
    assert np.load(out / "vecnormalize.npz")["mean"].shape == (11,)


def test_a_squashed_policy_becomes_one_of_sac(tmp_path: Path, import_exported) -> None:
    from reward_agent.definitions.card import load_env
    from reward_agent.export import convert
    from reward_agent.export import policy as loader
    from reward_agent.learning.policy import Layer, NumpyPolicy, PolicyHeader, save_policy

    rng = np.random.default_rng(0)
    card = load_env("hopper")
    sizes = [card.observation_size, 8, 8, card.n_actions]
    layers = tuple(
        Layer(rng.normal(0, 0.5, (n, m)).astype(np.float32), np.zeros(n, np.float32) + 0.1)
        for m, n in itertools.pairwise(sizes)
    )
    values = {"net_arch": (8, 8), "activation": "relu", "is_squashed": True, "algo": "sb3:SAC"}
    header = PolicyHeader.for_card(card, **values)
    mean, scale = rng.normal(size=sizes[0]), rng.uniform(0.5, 2, sizes[0])
    ours = NumpyPolicy(header, layers, np.float32(mean), np.float32(scale))
    save_policy(tmp_path / "policy.safetensors", ours)
    policy = loader.Policy(tmp_path / "policy.safetensors")
    seen = rng.normal(0, 2, (50, sizes[0]))
    model, venv = convert.make_sb3(policy)
    action, _ = model.predict(venv.normalize_obs(seen), deterministic=True)
    assert type(model).__name__ == "SAC"
    np.testing.assert_allclose(action, ours.act(seen), atol=1e-5)


def test_a_policy_that_holds_its_actions_says_so_or_is_not_converted(
    exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "held"
    shutil.copytree(exported, folder)
    policy = load_policy(folder / POLICY_FILE)
    header = policy.header.model_copy(update={"action_repeat": 4})
    save_policy(folder / POLICY_FILE, replace(policy, header=header))
    for form in ("torch", "sb3"):
        with pytest.raises(UsageError, match="holds each action for 4 control steps") as refused:
            convert_policy(folder, form)
        assert refused.value.remedy == "use policy.py, or onnx"
    assert json.loads((exported / "policy.json").read_text())["action_repeat"] == 1


def test_a_form_that_is_none_is_refused(run_dir: Path, tmp_path: Path) -> None:
    arguments = ["export", str(run_dir), "-o", str(tmp_path / "out"), "--also", "onyx"]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, UnknownNameError)
    assert "did you mean 'onnx'" in str(done.exception)


def test_the_file_says_where_it_came_from(run_dir: Path, module: ModuleType) -> None:
    run = RunStore(run_dir).read_run()
    assert run.winner is not None
    assert module.METADATA["run"] == run.id
    assert module.METADATA["candidate"] == run.winner.candidate
    assert module.METADATA["task_score"] == run.winner.task_score
    assert module.METADATA["designer"].startswith("scripted")
    assert module.METADATA["fields"] == [
        "x_position", "torso_height", "torso_pitch", "foot_floor_contact",
    ]  # fmt: skip
    assert (module.__doc__ or "").startswith(run.task.description)


def test_a_run_without_a_winner_names_its_candidates(run_dir: Path, tmp_path: Path) -> None:
    import shutil

    copy = RunStore(shutil.copytree(run_dir, tmp_path / "copy"))
    run = copy.read_run()
    assert run.winner is not None
    changes = {"winner": None, "status": "interrupted", "note": "stopped by the user"}
    write_record(copy.dir / "run.json", run.model_copy(update=changes))
    with pytest.raises(UsageError, match=r"interrupted \(stopped by the user\)") as caught:
        export_run(copy.dir, tmp_path / "out")
    assert run.winner.candidate in caught.value.remedy
    export = export_run(copy.dir, tmp_path / "out", candidate=run.winner.candidate[:6])
    assert export.candidate == run.winner.candidate
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(export.files)


def test_a_candidate_that_was_not_trained_or_is_not_there_is_refused(run_dir, tmp_path) -> None:
    [iteration] = [RunStore(run_dir).read_iteration(0)]
    [rejected] = [item for item in iteration.candidates if item.evaluation is None]
    with pytest.raises(DataError, match=f"{rejected.id} has no policy: rejected"):
        export_run(run_dir, tmp_path / "out", candidate=rejected.id)
    with pytest.raises(UnknownNameError, match="unknown candidate 'zzz'"):
        export_run(run_dir, tmp_path / "out", candidate="zzz")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        export_run(run_dir, tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_the_folder_and_says_what_is_in_it(run_dir: Path, tmp_path) -> None:
    arguments = ["export", str(run_dir), "-o", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    shown = json.loads(result.stdout)
    assert all((tmp_path / "out" / name).is_file() for name in shown["files"])


def test_a_whole_name_is_not_taken_for_the_beginning_of_its_twins() -> None:
    from types import SimpleNamespace

    from reward_agent.export.package import _find_candidate

    entries = [SimpleNamespace(candidate=SimpleNamespace(id=name)) for name in ("ab12-1", "ab12")]
    run = SimpleNamespace(winner=SimpleNamespace(candidate="ab12"))
    assert _find_candidate(run, entries, None).candidate.id == "ab12"  # type: ignore[arg-type]
    assert _find_candidate(run, entries, "ab12-1").candidate.id == "ab12-1"  # type: ignore[arg-type]
