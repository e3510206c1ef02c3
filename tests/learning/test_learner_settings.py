"""Which learner trains, and what is refused before any training."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import reward_agent
from reward_agent.cli.app import app
from reward_agent.definitions.card import EnvCard, find_env_dir, load_env
from reward_agent.definitions.learner import LEARNERS, LearnerKind, LearnerSettings, PPOSettings
from reward_agent.definitions.task import apply_task, load_task
from reward_agent.errors import DataError, UnknownNameError, UsageError
from reward_agent.plugins import Plugin


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The pendulum's folder, to be changed."""
    return shutil.copytree(find_env_dir(load_env("inverted_pendulum")), tmp_path / "own")


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def name_learner(folder: Path, text: str) -> None:
    """Put another learner into the place of the card's own."""
    path = folder / "env.toml"
    path.write_text(
        path.read_text().replace("[learner]\n", f"{text}\n[[other_learners]]\nalgo = 'ppo'\n")
    )


def test_a_card_without_a_name_of_a_learner_is_trained_by_ppo_with_its_table() -> None:
    card = load_env("hopper")
    assert card.learner.algo == "ppo"
    settings = PPOSettings.model_validate(card.learner.given)
    assert (settings.clip_range, settings.log_std_init) == (0.3, 0.0)
    assert (card.learner.gamma, card.learner.title) == (settings.gamma, "PPO")
    assert card.learner.slice_steps == settings.n_envs * settings.n_steps


def test_a_table_ppo_of_an_earlier_card_is_read(own: Path) -> None:
    path, now = own / "env.toml", load_env(str(own))
    path.write_text(path.read_text().replace("[learner]\n", "[ppo]\n"))
    assert load_env(str(own)) == now
    add(path, "\n[learner]\nn_epochs = 3\n")
    assert load_env(str(own)).learner.given == {**now.learner.given, "n_epochs": 3}
    path.write_text(path.read_text().replace("n_epochs = 3", 'algo = "sb3:SAC"'))
    card = load_env(str(own))
    assert (card.learner.algo, card.learner.given) == ("sb3:SAC", {})
    assert card.choose_learner("ppo").learner.given == now.learner.given
    path.write_text(path.read_text().replace("n_steps = 64", "n_stpes = 64"))
    with pytest.raises(DataError, match=r"env\.toml.*'n_stpes'.*'n_steps'"):
        load_env(str(own))


def test_a_card_names_a_learner_and_a_task_adds_to_it_or_replaces_it(own: Path) -> None:
    name_learner(own, '[learner]\nalgo = "sb3:SAC"\ngamma = 0.95\nbatch_size = 64\n')
    task = own / "tasks" / "balance" / "task.toml"
    plain = task.read_text()
    task.write_text(plain + '\n[learner]\nalgo = "sb3:SAC"\nbatch_size = 128\n')
    card = load_env(str(own))
    added = apply_task(card, load_task(card, "balance")).learner
    assert (added.algo, added.given) == ("sb3:SAC", {"gamma": 0.95, "batch_size": 128})
    assert (added.gamma, added.get("tau"), added.get("n_envs")) == (0.95, 0.005, 1)
    task.write_text(plain + '\n[learner]\nalgo = "sb3:TD3"\n')
    replaced = apply_task(card, load_task(card, "balance")).learner
    assert (replaced.algo, replaced.given) == ("sb3:TD3", {})


def test_the_command_line_goes_before_the_card(own: Path) -> None:
    ppo = load_env(str(own)).learner
    name_learner(own, '[learner]\nalgo = "sb3:SAC"\ngamma = 0.95\n')
    card = load_env(str(own))
    assert card.choose_learner(None).learner.gamma == 0.95
    assert card.choose_learner("sb3:SAC").learner.gamma == 0.95
    assert card.choose_learner("sb3:TD3").learner.given == {}
    assert card.choose_learner("ppo").learner == ppo


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('algo = "sb3:SAK"', "unknown learner 'sb3:SAK'; did you mean 'sb3:SAC'"),
        ('algo = "sb3:SAC"\ntauu = 0.1', "unknown hyper-parameter of sb3:SAC 'tauu'; .*'tau'"),
        (
            'algo = "sb3:SAC"\nbatch_size = "big"',
            "batch_size = 'big', a hyper-parameter of sb3:SAC: .* 256",
        ),
        ('algo = "sb3:SAC"\n[learner.policy_kwargs]\nnet_arc = [8]', "'net_arc'; .*'net_arch'"),
        (
            'algo = "sb3:SAC"\n[learner.policy_kwargs]\nactivation_fn = "elu"',
            "unknown activation_fn 'elu'; did you mean 'relu'",
        ),
        ("learning_rat = 0.1", "unknown hyper-parameter of ppo 'learning_rat'; .*'learning_rate'"),
        ("final_learning_rate_share = 2.0", "less than or equal to 1"),
    ],
)
def test_what_no_learner_knows_is_refused_with_its_file(
    own: Path, table: str, message: str
) -> None:
    plain = (own / "env.toml").read_text()
    name_learner(own, f"[learner]\n{table}\n")
    with pytest.raises(DataError, match=message) as refused:
        load_env(str(own))
    assert "env.toml" in str(refused.value)
    (own / "env.toml").write_text(plain)
    task = own / "tasks" / "balance" / "task.toml"
    add(task, f"\n[learner]\n{table}\n")
    card = load_env(str(own))
    with pytest.raises(DataError, match=message) as refused:
        load_task(card, "balance")
    assert "task.toml" in str(refused.value)


def test_a_learner_that_is_not_there_is_refused_before_a_run_begins(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown learner 'sb3:SAK'.*sb3:SAC"):
        reward_agent.design(
            "hopper", "hop_forward", provider="offline", algo="sb3:SAK", runs_dir=tmp_path
        )
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnknownNameError, match="unknown learner 'sb3:SAK'"):
        reward_agent.train("hopper", "hop_forward", algo="sb3:SAK", folder=tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from reward_agent import plugins

    monkeypatch.setattr(plugins, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="sb3:TQC needs the package sb3_contrib") as refused:
        reward_agent.train("hopper", "hop_forward", algo="sb3:TQC", folder=tmp_path / "folder")
    assert "pip install 'reward-agent[contrib]'" in refused.value.remedy


def test_settings_survive_the_file(own: Path) -> None:
    settings = LearnerSettings(algo="sb3:SAC", gamma=0.9, policy_kwargs={"net_arch": [8, 8]})
    assert LearnerSettings.model_validate_json(settings.model_dump_json()) == settings
    card = load_env("hopper").model_copy(update={"learner": settings})
    again = EnvCard.model_validate_json(card.model_dump_json())
    assert again.learner == settings


def test_a_record_without_a_learner_is_of_ppo() -> None:
    data = json.loads(load_env("hopper").model_dump_json())
    del data["other_learners"]
    data["ppo"] = data.pop("learner")
    del data["ppo"]["algo"]
    assert EnvCard.model_validate(data) == load_env("hopper")
    data["learner"] = {"algo": "ppo"}
    assert EnvCard.model_validate(data) == load_env("hopper")


def test_a_stranger_of_which_only_the_factory_is_known_takes_any_hyper_parameter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = LearnerKind("mine", "my_package:make")
    monkeypatch.setattr(type(LEARNERS), "find", lambda self, name: row)
    settings = LearnerSettings(algo="mine", warmth=3)
    settings.check()
    assert (settings.title, settings.gamma, settings.get("warmth")) == ("mine", 0.99, 3)
    assert isinstance(row, Plugin)


def test_no_library_is_imported_to_refuse(own: Path) -> None:
    name_learner(own, '[learner]\nalgo = "sb3:SAC"\ntauu = 0.1\n')
    code = (
        "import sys\nfrom reward_agent.definitions.card import load_env\n"
        f"try:\n    load_env({str(own)!r})\nexcept Exception as error:\n    print(error)\n"
        "print({'torch', 'stable_baselines3', 'numpy'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tauu" in shown.stdout
    assert "torch" not in shown.stdout
    assert "stable_baselines3" not in shown.stdout


def test_the_command_line_has_the_option() -> None:
    for command in ("design", "train"):
        assert "--algo" in CliRunner().invoke(app, [command, "--help"]).output
