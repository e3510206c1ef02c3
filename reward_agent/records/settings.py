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
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError
from pydantic.config import JsonDict

from reward_agent.definitions.card import TrainingBudget
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.types import Record, VideoQuality

CONFIG_FILE = "reward-agent.toml"
ENVIRONMENT_PREFIX = "REWARD_AGENT_"
# Variables with the prefix that are not settings of a run.
OTHER_VARIABLES = {"RUNS_DIR", "ENVS_DIR", "PROMPTS_DIR", "DEBUG"}

DEFAULT_REPLY_TOKENS = 16_000
Preset = Literal["quick", "standard", "thorough"]
Recall = Literal["rounds", "terms", "score"]

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"candidates": 3, "iterations": 2, "winner_seeds": 1},
    "standard": {"candidates": 6, "iterations": 4, "winner_seeds": 2},
    "thorough": {"candidates": 16, "iterations": 5, "winner_seeds": 5},
}


def setting(
    default: Any,
    description: str,
    *,
    is_personal: bool = False,
    changes_on_resume: bool = True,
    in_digest: bool = True,
    **bounds: Any,
) -> Any:
    """Declare a setting with what others have to know of it; ``list_settings`` asks for that.

    Args:
        default: its value where nobody says anything.
        description: what it is, for ``--help`` and for messages.
        is_personal: whether it is of this person and machine (isolation, addresses, keys, money)
            and not of the run; a run that is repeated takes the former from whoever repeats it.
        changes_on_resume: whether a run that is taken up again may have another value.
        in_digest: whether it decides what comes out of a run, and with it the identity of a job of
            a sweep; if not, only how and where it runs.
        bounds: limits of the value, as pydantic's ``Field`` takes them.
    """
    facts: JsonDict = {
        "is_personal": is_personal,
        "changes_on_resume": changes_on_resume,
        "in_digest": in_digest,
    }
    return Field(default, description=description, json_schema_extra=facts, **bounds)


def place_setting(default: Any, description: str, **bounds: Any) -> Any:
    """Declare a setting of this machine: it decides how and where jobs run, not what they find."""
    return setting(default, description, is_personal=True, in_digest=False, **bounds)


class SearchSettings(Record):
    """How programs are looked for: they decide what a run finds."""

    title: ClassVar[str] = "Search"

    preset: Preset = setting(
        "standard",
        "size of the run: candidates, iterations, steps and winner seeds at once",
        changes_on_resume=False,
    )
    candidates: int = setting(6, "programs an iteration", changes_on_resume=False, ge=1, le=64)
    iterations: int = setting(4, "rounds of design", ge=1, le=100)
    steps: int = setting(1_000_000, "env steps of one training", changes_on_resume=False, ge=1)
    algo: str | None = setting(
        None,
        "learner: ppo, sb3:SAC, sb3:TD3, …, or an installed one; the card's by default",
        changes_on_resume=False,
    )
    winner_seeds: int = setting(2, "fresh seeds for each of the two best", ge=0, le=50)
    seed: int = setting(0, "seed of the run", changes_on_resume=False, ge=0)
    racing: Literal["none", "halving", "bandit"] = setting(
        "halving", "which trainings go on after each slice"
    )
    warm_start: bool = setting(False, "trainings of later rounds begin with the best policy so far")
    eval_episodes: int = setting(16, "fresh episodes of the final score", ge=1, le=1024)
    target_score: float | None = setting(
        None, "stop a training that holds this task score, and with it the run"
    )
    max_repairs: int = setting(2, "repairs of one program after findings", ge=0, le=10)
    critic: bool = setting(True, "let the Critic review programs")
    analyzer: bool = setting(True, "let the Analyzer explain trainings")
    recall: Recall = setting(
        "rounds",
        "what the Designer is told of earlier programs: the last rounds, or of the last round's "
        "best only its terms, or only its score",
    )
    screens: bool = setting(
        True, "refuse programs that pay what earlier ones pay, try them on old episodes"
    )


class ModelSettings(Record):
    """Who writes, reviews and explains programs."""

    title: ClassVar[str] = "Language model"

    provider: str | None = setting(
        None, "who answers, one of these or an installed one", is_personal=True
    )
    model: str | None = setting(None, "model name; each provider has a default", is_personal=True)
    base_url: str | None = setting(None, "address of an OpenAI-compatible server", is_personal=True)
    reply_tokens: int = setting(DEFAULT_REPLY_TOKENS, "longest reply, reasoning included", ge=16)


class MoneySettings(Record):
    """What a language model may cost, and which of its replies are paid for again."""

    title: ClassVar[str] = "Money and cache"

    max_usd: float | None = setting(
        None, "hard limit of the run in US dollars", is_personal=True, gt=0
    )
    max_tokens: int | None = setting(
        None, "hard limit of the run in tokens", is_personal=True, gt=0
    )
    max_calls: int | None = setting(
        None, "hard limit of the run in model calls", is_personal=True, gt=0
    )
    cache: Literal["read-write", "read-only", "refresh", "off"] = place_setting(
        "read-write", "whether replies of the run are used again, the new ones too"
    )


class ClusterSettings(Record):
    """Which machines run trainings, and what a job takes of them."""

    executor: str = place_setting(
        "local", "where trainings run: local, ray, slurm, or an installed one"
    )
    ray_address: str | None = place_setting(
        None, "Ray cluster, host:port or auto; without it one starts on this machine"
    )
    job_cpus: int = place_setting(1, "processors reserved for a job on a cluster", ge=1)
    job_gpus: float = place_setting(0.0, "accelerators reserved for a job on a cluster", ge=0)


class PlaceSettings(ClusterSettings):
    """Where jobs run, behind which border, within which limits, and what is filmed."""

    title: ClassVar[str] = "Place and sandbox"

    slots: int = place_setting(
        0, "trainings side by side; 0: cores minus one, or all of a cluster", ge=0
    )
    sandbox: Literal["strict", "default", "any", "off"] = place_setting(
        "default", "isolation of generated code; any: whatever is to be had"
    )
    training_timeout_s: float = place_setting(7200, "wall-clock limit of one job", gt=0)
    memory_mib: int = place_setting(4096, "memory limit of one child", ge=256)
    video: bool = setting(True, "render a video of the best policies", in_digest=False)
    video_quality: VideoQuality = setting(
        "normal", "size of the video; high shows four episodes side by side"
    )


# The last base comes first in pydantic's order of fields.
class RunSettings(PlaceSettings, MoneySettings, ModelSettings, SearchSettings):
    """Every number and switch behind a run: all four groups, each name once.

    What needs one group takes that group; the settings of a run are one of each.
    """

    title: ClassVar[str] = "Settings"


GROUPS = (SearchSettings, ModelSettings, MoneySettings, PlaceSettings)


def find_group(name: str) -> str:
    """Return the title of the group that a setting is in."""
    return next(group.title for group in GROUPS if name in group.model_fields)


def list_settings(**facts: bool) -> tuple[str, ...]:
    """Return the settings of which all these facts are told, such as ``is_personal=False``."""
    return tuple(
        name
        for name, field in RunSettings.model_fields.items()
        if isinstance(field.json_schema_extra, dict)
        and all(field.json_schema_extra[fact] is told for fact, told in facts.items())
    )


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings with the origin of each of its values."""

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
    prefix = ENVIRONMENT_PREFIX
    given = {key.removeprefix(prefix): environ[key] for key in environ if key.startswith(prefix)}
    return {name.lower(): given[name] for name in given if name not in OTHER_VARIABLES}


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not valid TOML: {error}", "correct or remove the file"
        ) from error


def change_settings(
    settings: Mapping[str, Any], changes: Mapping[str, Any], place: str
) -> RunSettings:
    """Return the settings of a run that is taken up again.

    Args:
        settings: those that it was made with, by their names.
        changes: those that are to be others.
        place: where the former are written, for messages.

    Raises:
        UsageError: a setting is unknown, out of its range, or decided the run so far.
    """
    fixed = sorted(set(changes) & set(list_settings(changes_on_resume=False)))
    if fixed:
        raise UsageError(
            f"{', '.join(fixed)} cannot change when a run is resumed",
            "start a new run, or leave the setting out",
        )
    try:
        return RunSettings.model_validate({**settings, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{name} = {first['input']!r}: {first['msg']}",
            f"correct the option; the run's own settings are in {place}",
        ) from error
