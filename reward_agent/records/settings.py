"""What a user can set for a run, and where each value came from.

Precedence: command line → ``REWARD_AGENT_*`` → ``reward-agent.toml`` in the working directory →
the card → the preset → defaults.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from reward_agent.definitions.card import TrainingBudget
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.types import Record, VideoQuality

CONFIG_FILE = "reward-agent.toml"
ENVIRONMENT_PREFIX = "REWARD_AGENT_"
# Variables with the prefix that are not settings of a run.
OTHER_VARIABLES = {"RUNS_DIR", "ENVS_DIR", "PROMPTS_DIR", "DEBUG"}

Preset = Literal["quick", "standard", "thorough"]
Recall = Literal["rounds", "terms", "score"]

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"candidates": 3, "iterations": 2, "winner_seeds": 1},
    "standard": {"candidates": 6, "iterations": 4, "winner_seeds": 2},
    "thorough": {"candidates": 16, "iterations": 5, "winner_seeds": 5},
}


class RunSettings(Record):
    """Every number and switch behind a design run."""

    preset: Preset = "standard"
    candidates: int = Field(6, ge=1, le=64, description="programs an iteration")
    iterations: int = Field(4, ge=1, le=100, description="rounds of design")
    steps: int = Field(1_000_000, ge=1, description="env steps of one training")
    winner_seeds: int = Field(2, ge=0, le=50, description="fresh seeds for each of the two best")
    seed: int = Field(0, ge=0, description="seed of the run")
    racing: Literal["none", "halving", "bandit"] = Field(
        "halving", description="which trainings go on after each slice"
    )
    warm_start: bool = Field(
        False, description="trainings of later rounds begin with the best policy so far"
    )
    slots: int = Field(
        0, ge=0, description="trainings side by side; 0: cores minus one, or all of a cluster"
    )
    executor: str = Field(
        "local", description="where trainings run: local, ray, slurm, or an installed one"
    )
    ray_address: str | None = Field(
        None, description="Ray cluster, host:port or auto; without it one starts on this machine"
    )
    job_cpus: int = Field(1, ge=1, description="processors reserved for a job on a cluster")
    job_gpus: float = Field(0.0, ge=0, description="accelerators reserved for a job on a cluster")
    eval_episodes: int = Field(16, ge=1, le=1024, description="fresh episodes of the final score")
    max_repairs: int = Field(2, ge=0, le=10, description="repairs of one program after findings")
    target_score: float | None = Field(
        None, description="stop a training that holds this task score, and with it the run"
    )
    provider: str | None = Field(
        None, description="openai, anthropic, local:FILE, manual, offline, … (see README)"
    )
    model: str | None = Field(None, description="model name; each provider has a default")
    base_url: str | None = Field(None, description="address of an OpenAI-compatible server")
    reply_tokens: int = Field(16_000, ge=16, description="longest reply, reasoning included")
    max_usd: float | None = Field(None, gt=0, description="hard limit of the run in US dollars")
    max_tokens: int | None = Field(None, gt=0, description="hard limit of the run in tokens")
    max_calls: int | None = Field(None, gt=0, description="hard limit of the run in model calls")
    cache: Literal["read-write", "read-only", "refresh", "off"] = Field(
        "read-write", description="whether stored replies of the run are used, new ones stored"
    )
    critic: bool = Field(True, description="let the Critic review programs")
    analyzer: bool = Field(True, description="let the Analyzer explain trainings")
    recall: Recall = Field(
        "rounds",
        description="what the Designer is told of earlier programs: the last rounds, or of the "
        "last round's best only its terms, or only its score",
    )
    screens: bool = Field(
        True, description="refuse programs that pay what earlier ones pay, try them on old episodes"
    )
    sandbox: Literal["strict", "default", "any", "off"] = Field(
        "default", description="isolation of generated code; any: whatever is to be had"
    )
    training_timeout_s: float = Field(7200, gt=0, description="wall-clock limit of one training")
    memory_mib: int = Field(4096, ge=256, description="memory limit of one child")
    video: bool = Field(True, description="render a video of the best policies")
    video_quality: VideoQuality = Field(
        "normal", description="size of the video; high shows four episodes side by side"
    )


@dataclass(frozen=True)
class ResolvedSettings:
    """A configuration with the origin of each of its values."""

    settings: RunSettings
    sources: dict[str, str]


def resolve_settings(
    options: Mapping[str, Any],
    budget: TrainingBudget,
    card_name: str,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    repeated: tuple[str, Mapping[str, Any]] | None = None,
) -> ResolvedSettings:
    """Merge the layers of settings.

    Args:
        options: settings of the command line or the call; None means not given.
        budget: env steps of a training under each preset, from the card.
        card_name: the card's name, for the record.
        environ: environment variables; the process's own by default.
        directory: where ``reward-agent.toml`` is looked for; the working directory by default.
        repeated: name and settings of a run that is repeated; only the command line goes first.

    Raises:
        UsageError: an unknown setting or a value out of its range.
    """
    environment = _read_environment(os.environ if environ is None else environ)
    file_settings = _read_file((directory or Path.cwd()) / CONFIG_FILE)
    given = {key: value for key, value in options.items() if value is not None}
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("command line", given),
        *([repeated] if repeated else []),
        ("environment", environment),
        (CONFIG_FILE, file_settings),
    ]
    for origin, layer in layers:
        _refuse_unknown_settings(origin, layer)
    preset, _ = _find_first(layers, "preset", RunSettings().preset)
    if preset not in PRESETS:
        raise UnknownNameError("preset", str(preset), PRESETS)
    layers.append((f"card {card_name}", {"steps": getattr(budget, preset)}))
    layers.append((f"preset {preset}", PRESETS[preset]))
    return _merge(layers)


def _merge(layers: list[tuple[str, Mapping[str, Any]]]) -> ResolvedSettings:
    values, sources = {}, {}
    for name, field in RunSettings.model_fields.items():
        values[name], sources[name] = _find_first(layers, name, field.default)
    try:
        return ResolvedSettings(RunSettings.model_validate(values), sources)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(
            f"{name} = {first['input']!r} (from {sources[name]}): {first['msg']}",
            f"{name}: {RunSettings.model_fields[name].description}",
        ) from error


def _find_first(
    layers: list[tuple[str, Mapping[str, Any]]], name: str, default: Any
) -> tuple[Any, str]:
    for origin, layer in layers:
        if name in layer:
            return layer[name], origin
    return default, "default"


def _refuse_unknown_settings(origin: str, layer: Mapping[str, Any]) -> None:
    for name in layer:
        if name not in RunSettings.model_fields:
            raise UnknownNameError(f"setting (from {origin})", name, RunSettings.model_fields)


def _read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    names = (
        key.removeprefix(ENVIRONMENT_PREFIX)
        for key in environ
        if key.startswith(ENVIRONMENT_PREFIX)
    )
    return {
        name.lower(): environ[ENVIRONMENT_PREFIX + name]
        for name in names
        if name not in OTHER_VARIABLES
    }


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not valid TOML: {error}", "correct or remove the file"
        ) from error
