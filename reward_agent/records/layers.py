"""Where each setting of a run comes from: the layers of what is said, and who may say what.

Precedence: command line → ``REWARD_AGENT_*`` → the person's own configuration →
``reward-agent.toml`` in the working directory → the card → the preset → defaults. A run that is
taken up has its own settings of the search, and those of the person and machine from the person.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from reward_agent.definitions.card import TrainingBudget
from reward_agent.definitions.tables import MOST_TABLE_BYTES, parse_table
from reward_agent.errors import DataError, UnknownNameError, UsageError
from reward_agent.files import find_real, read_text
from reward_agent.records.settings import (
    CONFIG_FILE,
    PRESETS,
    ROLES,
    ClusterSettings,
    EndpointSettings,
    RunSettings,
    find_fact,
    list_settings,
    read_role,
    render_words,
)
from reward_agent.text import WITHHELD, hide_credentials

ENVIRONMENT_PREFIX = "REWARD_AGENT_"
# Variables with the prefix that are not settings of a run.
OTHER_VARIABLES = {
    "RUNS_DIR", "ENVS_DIR", "PROMPTS_DIR", "DOCS_DIR", "DEBUG", "VIA", "MCP_TOKEN",
}  # fmt: skip
# Of a header or of a field of a call; counts of tokens are none.
_SECRET_NAME = re.compile(r"(?i)key|token(?!s)|secret|passw|auth(?!or)|cookie|credential|signature")
_REFERENCE = re.compile(r"(?:[A-Za-z]+ )?\$\{\w+\}")


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings with the origin of each of its values."""

    settings: RunSettings
    sources: dict[str, str]


# Where settings come from, and what it says.
Layer = tuple[str, Mapping[str, Any]]


def resolve_settings(
    options: Mapping[str, Any],
    budget: TrainingBudget,
    card_name: str,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    repeated: Layer | None = None,
    used: Collection[str] = RunSettings.model_fields,
) -> ResolvedSettings:
    """Merge the layers of settings.

    Args:
        options: settings of the command line or the call; None means not given.
        budget: env steps of a training under each preset, from the card.
        card_name: the card's name, for the record.
        environ: environment variables; the process's own by default.
        directory: where ``reward-agent.toml`` is looked for; the working directory by default.
        repeated: name and settings of a run that is repeated; only the command line goes first.
        used: settings that decide something here; what a stranger says of others harms nobody.

    Raises:
        UsageError: an unknown setting or a value out of its range.
    """
    layers = _read_person(options, os.environ if environ is None else environ, directory)
    if repeated:
        layers.insert(1, repeated)
    preset, _ = _find_first(layers, "preset", RunSettings().preset)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise UnknownNameError("preset", str(preset), PRESETS)
    layers.append((f"card {card_name}", {"steps": getattr(budget, preset)}))
    layers.append((f"preset {preset}", PRESETS[preset]))
    return _merge(dict.fromkeys(RunSettings.model_fields, layers), used)


def _read_person(
    options: Mapping[str, Any], environ: Mapping[str, str], directory: Path | None
) -> list[Layer]:
    """Return what this person says, the first word first."""
    own = find_own_config(environ)
    layers: list[Layer] = [
        ("command line", {key: value for key, value in options.items() if value is not None}),
        ("environment", _read_environment(environ)),
        # The person's own may be a link to where they keep such files; one in a working directory,
        # which may be a stranger's, would have its lines told of a file that is not theirs.
        (str(own), _read_file(find_real(own))),
        (CONFIG_FILE, _read_file((directory or Path.cwd()) / CONFIG_FILE)),
    ]
    for origin, layer in layers:
        for name in layer:
            if name not in RunSettings.model_fields:
                raise UnknownNameError(f"setting (from {origin})", name, RunSettings.model_fields)
    return layers


def find_own_config(environ: Mapping[str, str]) -> Path:
    """Return where the person's own configuration is looked for."""
    home = environ.get("HOME") or environ.get("USERPROFILE") or "/nonexistent"
    folder = environ.get("XDG_CONFIG_HOME") or Path(home, ".config")
    return Path(folder) / "reward-agent" / CONFIG_FILE


def _merge(
    layers: Mapping[str, list[Layer]], used: Collection[str] = RunSettings.model_fields
) -> ResolvedSettings:
    """Return each setting by the first of its layers that has it."""
    values, sources = {}, {}
    for name, field in RunSettings.model_fields.items():
        values[name], sources[name] = _find_first(layers[name], name, field.default)
    _refuse_distrusted(values, {name: sources[name] for name in used}, sources["trust_config"])
    try:
        return ResolvedSettings(RunSettings.model_validate(values), sources)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{place} = {hide_secrets(first['input'])!r:.200} (from {sources[name]}): "
            f"{first['msg'].removeprefix('Value error, ')}",
            f"{name}: {RunSettings.model_fields[name].description}",
        ) from error


def _find_first(layers: list[Layer], name: str, default: Any) -> tuple[Any, str]:
    for origin, layer in layers:
        if name in layer:
            return layer[name], origin
    return default, "default"


def _refuse_distrusted(
    values: Mapping[str, Any], sources: Mapping[str, str], trusting: str
) -> None:
    """Refuse what the working directory's file must not decide unless the person trusts it.

    Args:
        values: of the settings.
        sources: of those that decide something.
        trusting: who says whether the file is trusted.
    """
    if str(values["trust_config"]).lower() in ("true", "1") and trusting != CONFIG_FILE:
        return
    told = {name: values[name] for name, origin in sources.items() if origin == CONFIG_FILE}
    for setting, name, value in _list_told(told):
        pattern = str(find_fact(name, "in_folder"))
        if pattern and not re.fullmatch(pattern, str(value), re.DOTALL):
            raise UsageError(
                f"{CONFIG_FILE} in the working directory sets {name} = {hide_secrets(value)!r}, "
                "which is for you to say: a key could leave this machine, or code run less "
                "isolated",
                f"say --{setting.replace('_', '-')}, put it into your own configuration, or trust "
                "the file with --trust-config",
            )


def _list_told(values: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Yield settings, those of a role one by one: what it was said as, its name, its value."""
    for setting, value in values.items():
        is_role = setting in ROLES.values() and isinstance(value, str | dict)
        told = read_role(value) if is_role else {setting: value}
        yield from ((setting, name, inner) for name, inner in told.items())


def _read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    prefix = ENVIRONMENT_PREFIX
    given = {key.removeprefix(prefix): environ[key] for key in environ if key.startswith(prefix)}
    return {name.lower(): given[name] for name in given if name not in OTHER_VARIABLES}


def _read_file(path: Path) -> dict[str, Any]:
    try:
        told = parse_table(read_text(path, "", MOST_TABLE_BYTES), path)
    except DataError as error:
        raise UsageError(
            error.message,
            "correct or remove it (text stands in quotes), or put the file itself there",
        ) from error
    if not isinstance(told.get("model"), dict):
        return told
    # The table of the model, with one of each role that has its own.
    for name, value in told.pop("model").items():
        is_role = name in ROLES and isinstance(value, dict)
        if not (is_role or name in EndpointSettings.model_fields):
            known = [*EndpointSettings.model_fields, *ROLES]
            raise UnknownNameError(f"setting (from [model] of {path.name})", name, known)
        told[ROLES[name] if is_role else name] = value
    return told


def change_settings(
    made_with: Mapping[str, Any],
    options: Mapping[str, Any],
    run: str,
    environ: Mapping[str, str],
    default_provider: str = "offline",
    directory: Path | None = None,
) -> ResolvedSettings:
    """Return the settings of a run that is taken up again.

    Those of the search are the run's, but for what is changed; those of the person and the machine
    come from this person alone.

    Args:
        made_with: settings of the run, as its directory says.
        options: those that are given now; None means not given.
        run: its name, for messages.
        environ: environment variables.
        default_provider: who answers where the person says nothing.
        directory: where ``reward-agent.toml`` is looked for; the working directory by default.

    Raises:
        UsageError: a setting is unknown, out of its range, or decided the run so far; or the run
            was made with another provider, address or executor than this person has.
    """
    person = _read_person(options, environ, directory)
    given = person[0][1]
    decisive = set(given) & set(list_settings(changes_on_resume=False))
    fixed = sorted(name for name in decisive if given[name] != made_with.get(name))
    if fixed:
        raise UsageError(
            f"{', '.join(fixed)} cannot change when a run is resumed",
            "start a new run, or leave the setting out",
        )
    place = f"run {run}"
    harmless = {
        name: cast("dict[str, str]", find_fact(name, "taken_as")).get(str(value), value)
        for name, value in made_with.items()
        if _is_harmless(name, value)
    }
    layers = {name: [*person, (place, harmless)] for name in list_settings(is_personal=True)}
    layers |= {name: [person[0], (place, made_with)] for name in list_settings(is_personal=False)}
    resolved = _merge(layers)
    now = resolved.settings.model_dump() | {
        "provider": resolved.settings.provider or default_provider
    }
    others = [
        name for name in list_settings(is_said_again=True) if _is_lost(name, made_with, now, given)
    ]
    if others:
        said = " ".join(render_option(name, made_with[name]) for name in others)
        raise UsageError(
            f"run {run} was made with {said}: who answers and where jobs run is for you to say, "
            "not for a run's directory",
            f"say it again, {said}, or say another with {_name_flag(others[0])}",
        )
    return resolved


def _is_harmless(name: str, value: object) -> bool:
    """Whether a run may decide a personal setting; of another version's settings none."""
    if name not in RunSettings.model_fields or value is None:
        return False
    return re.fullmatch(str(find_fact(name, "from_run")), str(value)) is not None


def _is_lost(
    name: str, made_with: Mapping[str, Any], now: Mapping[str, Any], given: Mapping[str, Any]
) -> bool:
    """Whether a run was made with something that nobody says now."""
    then = made_with.get(name)
    head = "executor" if name in ClusterSettings.model_fields else "provider"
    is_another = head in given and hide_secrets(given[head]) != made_with.get(head)
    if then in (None, RunSettings.model_fields[name].default) or name in given or is_another:
        return False
    return bool(hide_secrets(now[name]) != then)


def hide_in_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings whose addresses and headers hold no credentials: those are the person's."""
    return {name: hide_secrets(value) for name, value in config.items()}


def hide_secrets(value: Any, name: str = "") -> Any:
    """Return a setting's value without credentials.

    In a table, what stands under the name of a secret goes whole; the name of a variable stays.
    """
    if isinstance(value, Mapping):
        return {key: hide_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide_secrets(item, name) for item in value]
    if not isinstance(value, str) or _REFERENCE.fullmatch(value):
        return value
    if _SECRET_NAME.search(name):
        return WITHHELD
    return hide_credentials(value) if name or "://" in value else value


def render_option(name: str, value: object) -> str:
    """Return a setting as it is written on a command line."""
    if isinstance(value, bool):
        return _name_flag(name) if value else _name_flag(f"no_{name}")
    return f"{_name_flag(name)} {shlex.quote(render_value(value))}"


def render_value(value: object) -> str:
    """Return a setting's value as a command line takes it; a table in words."""
    if not isinstance(value, dict):
        return str(value)
    return render_words({key: item for key, item in value.items() if item is not None})


def _name_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
