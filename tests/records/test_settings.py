"""Settings: precedence, provenance, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reward_agent.definitions.card import TrainingBudget
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.records.layers import ResolvedSettings, change_settings, resolve_settings
from reward_agent.records.settings import GROUPS, RunSettings, list_settings

BUDGET = TrainingBudget(quick=1_000, standard=2_000, thorough=3_000)


def resolve(
    tmp_path: Path, options: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> ResolvedSettings:
    return resolve_settings(options or {}, BUDGET, "hopper", environ or {}, tmp_path)


def test_command_line_goes_before_environment_before_file_before_card(tmp_path: Path) -> None:
    (tmp_path / "reward-agent.toml").write_text("seed = 3\ncandidates = 4\niterations = 9\n")
    environ = {"REWARD_AGENT_SEED": "2", "REWARD_AGENT_CANDIDATES": "5"}
    resolved = resolve(tmp_path, {"seed": 1}, environ)
    assert (resolved.settings.seed, resolved.settings.candidates) == (1, 5)
    assert (resolved.settings.iterations, resolved.settings.steps) == (9, 2_000)
    assert resolved.sources["seed"] == "command line"
    assert resolved.sources["candidates"] == "environment"
    assert resolved.sources["iterations"] == "reward-agent.toml"
    assert resolved.sources["steps"] == "card hopper"
    assert resolved.sources["winner_seeds"] == "preset standard"
    assert resolved.sources["critic"] == "default"


def test_preset_of_the_file_chooses_the_card_s_budget(tmp_path: Path) -> None:
    (tmp_path / "reward-agent.toml").write_text('preset = "quick"\n')
    settings = resolve(tmp_path).settings
    assert (settings.steps, settings.candidates, settings.iterations) == (1_000, 3, 2)


def test_unknown_setting_is_refused_with_the_closest_name(tmp_path: Path) -> None:
    (tmp_path / "reward-agent.toml").write_text("iteratons = 2\n")
    with pytest.raises(UnknownNameError, match=r"reward-agent.toml.*did you mean 'iterations'"):
        resolve(tmp_path)


def test_unknown_environment_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="environment"):
        resolve(tmp_path, environ={"REWARD_AGENT_SEEDS": "2"})


def test_folders_of_the_environment_are_no_settings(tmp_path: Path) -> None:
    assert resolve(tmp_path, environ={"REWARD_AGENT_RUNS_DIR": "/tmp"}).settings == RunSettings(
        steps=2_000
    )


def test_value_out_of_range_names_the_setting_and_its_origin(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"candidates = '0' \(from environment\)"):
        resolve(tmp_path, environ={"REWARD_AGENT_CANDIDATES": "0"})


def test_unknown_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        resolve(tmp_path, {"preset": "quik"})


def test_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reward-agent.toml").write_text("seed = = 1")
    with pytest.raises(UsageError, match="is not TOML"):
        resolve(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "preset = []",
        "[preset]\na = 1",
        "steps = " + "[" * 5000 + "]" * 5000,
        "steps = " + "9" * 5000,
        "steps = [" + "\n[" * 5000,
        "# " + "x" * 300_000,
        'algo = "../x\\u0007"',
        "target_score = nan",
        "training_timeout_s = inf",
        "memory_mib = 99999999999999999999",
        "slots = 99999999999",
        "seed = 99999999999999999999999999",
    ],
    ids=lambda text: text[:24],
)
def test_whatever_a_file_of_settings_holds_is_refused_in_one_line(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "reward-agent.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        resolve(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", RunSettings.model_fields)
def test_every_setting_says_its_group_its_sort_and_what_it_is(name: str) -> None:
    field = RunSettings.model_fields[name]
    assert [name in group.model_fields for group in GROUPS].count(True) == 1
    facts = field.json_schema_extra
    assert isinstance(facts, dict)
    assert set(facts) == {
        "is_personal", "from_run", "taken_as", "is_said_again", "in_folder", "changes_on_resume",
        "in_digest",
    }  # fmt: skip
    assert field.description


def test_a_run_decides_nothing_about_this_person_and_machine() -> None:
    assert set(list_settings(is_personal=True)) == {
        "provider", "model", "base_url", "headers", "body", "prices", "context_tokens", "silence_timeout_s", "call_timeout_s",
        "attempts", "concurrency", "critic_model", "analyzer_model", "judge_model", "pictures", "max_usd", "max_tokens", "max_calls", "cache",
        "executor", "ray_address", "job_cpus", "job_gpus", "slots", "device", "sandbox",
        "training_timeout_s", "memory_mib", "trust_config", "python",
    }  # fmt: skip


def test_where_and_how_a_run_is_carried_out_is_not_in_the_digest_of_a_sweep() -> None:
    assert set(list_settings(in_digest=False)) == {
        "executor", "ray_address", "job_cpus", "job_gpus", "slots", "device", "sandbox",
        "training_timeout_s", "memory_mib", "video", "cache", "trust_config", "python",
        "silence_timeout_s", "call_timeout_s", "attempts", "concurrency", "context_tokens",
        "pictures", "own_reward",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["preset", "candidates", "steps", "seed"])
def test_what_decided_the_run_so_far_does_not_change_on_resume(name: str) -> None:
    config = RunSettings().model_dump()
    assert change_settings(config, {name: config[name]}, "r", {}).settings == RunSettings(
        provider=None
    )
    with pytest.raises(UsageError, match=f"{name} cannot change when a run is resumed"):
        change_settings(config, {name: 7}, "r", {})


def test_settings_of_an_older_run_take_the_defaults_of_newer_ones() -> None:
    changed = change_settings({"steps": 3}, {"iterations": 7}, "r", {}).settings
    assert changed == RunSettings(steps=3, iterations=7)


@pytest.mark.parametrize("target", ["private.toml", "/dev/zero", "missing", "folder", "pipe"])
def test_a_file_of_settings_in_a_working_directory_is_a_plain_one(
    tmp_path: Path, target: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "private.toml").write_text('hunter2 = "s3cret"\n')
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (place / "reward-agent.toml").symlink_to(tmp_path / target)
    with pytest.raises(UsageError, match=r"reward-agent.toml cannot be read") as refused:
        resolve(place)
    assert "hunter2" not in refused.value.message + refused.value.remedy
    if target in ("folder", "pipe"):
        (place / "reward-agent.toml").unlink()
        (tmp_path / target).rename(place / "reward-agent.toml")
        with pytest.raises(UsageError, match="not a plain file"):
            resolve(place)


def test_the_persons_own_configuration_may_be_a_link(tmp_path: Path) -> None:
    own = tmp_path / "config/reward-agent/reward-agent.toml"
    own.parent.mkdir(parents=True)
    (tmp_path / "dotfile").write_text("seed = 7\n")
    own.symlink_to(tmp_path / "dotfile")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert resolve(tmp_path, environ=environ).settings.seed == 7
    (tmp_path / "dotfile").unlink()
    (tmp_path / "dotfile").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="not a plain file"):
        resolve(tmp_path, environ=environ)
