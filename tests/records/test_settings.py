"""Settings: precedence, provenance, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reward_agent.definitions.card import TrainingBudget
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.records.settings import ResolvedSettings, RunSettings, resolve_settings

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
    with pytest.raises(UsageError, match="not valid TOML"):
        resolve(tmp_path)
