"""What an agent may give a tool: read from the command's own function, checked, made words again.

A command says once what its options are, of which type and what for. Nothing of it is written
again here: the schema of a tool is made of the same annotations as the command line.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from reward_agent.errors import UsageError
from reward_agent.records.settings import RunSettings
from reward_agent.text import read_docstring


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a command.

    Args:
        name: of the function's parameter, and of the tool's argument.
        type: what its values are.
        default: its value where none is given; ``...`` where one must be.
        help: what it is for.
        flags: the option, and the one that says no; () for an argument.
        bounds: of a number, as pydantic names them.
    """

    name: str
    type: Any
    default: Any
    help: str
    flags: tuple[str, ...]
    bounds: Mapping[str, float]

    def require(self) -> Parameter:
        """Return it as one that must be given."""
        kinds = [kind for kind in get_args(self.type) if kind is not type(None)]
        return replace(self, type=kinds[0] if len(kinds) == 1 else self.type, default=...)

    def render(self, value: Any) -> list[str]:
        """Return the words of a command line that give it a value."""
        if isinstance(value, bool):
            positive, *negative = self.flags
            return [positive] if value else negative
        if isinstance(value, list | tuple):
            return [f"{self.flags[0]}={item}" for item in value]
        return [f"{self.flags[0]}={value}" if self.flags else str(value)]


def read_parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return what a command takes, by name, in order."""
    signature = inspect.signature(function, eval_str=True)
    return {
        name: _read_parameter(name, parameter)
        for name, parameter in signature.parameters.items()
        if get_origin(parameter.annotation) is Annotated
    }


def _read_parameter(name: str, parameter: inspect.Parameter) -> Parameter:
    kind, info = get_args(parameter.annotation)[:2]
    flags: tuple[str, ...] = ()
    if isinstance(info, typer.models.OptionInfo):
        # In an annotation, the first flag stands where a default would.
        declared = [str(flag) for flag in (info.default, *(info.param_decls or ()))]
        said = [flag for flag in declared if flag.startswith("--")]
        flags = tuple((said or [_name_flag(name, kind)])[0].split("/"))
    ends = {"ge": info.min, "le": info.max}
    bounds = {key: value for key, value in ends.items() if value is not None}
    default = ... if parameter.default is parameter.empty else parameter.default
    words = re.sub(r"\\\[", "[", info.help or "")
    setting = RunSettings.model_fields.get(name)
    if setting is not None and parameter.kind is parameter.KEYWORD_ONLY:
        kind = _read_setting(setting)
    return Parameter(name, kind, default, words, flags, bounds)


def _name_flag(name: str, kind: Any) -> str:
    flag = "--" + name.replace("_", "-")
    is_switch = kind is bool or bool in get_args(kind)
    return f"{flag}/--no-{flag[2:]}" if is_switch else flag


def _read_setting(setting: FieldInfo) -> Any:
    """Return the type of a setting with its bounds, which a command line learns of later."""
    own: Any = setting.annotation
    return (Annotated[own, *setting.metadata] if setting.metadata else own) | None


def make_model(name: str, parameters: Iterable[Parameter]) -> type[BaseModel]:
    """Return what checks the arguments of a tool, and makes their schema."""
    fields: dict[str, Any] = {}
    for one in parameters:
        bounds: dict[str, Any] = dict(one.bounds)
        field = Field(one.default, description=one.help, **bounds)
        fields[one.name] = (_replace_path(one.type), field)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def make_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a tool's arguments: short, since agents read all of them."""
    schema = model.model_json_schema()
    told = {name: _shorten(field) for name, field in schema.get("properties", {}).items()}
    required = {"required": schema["required"]} if "required" in schema else {}
    return {"type": "object", "properties": told, **required, "additionalProperties": False}


def _shorten(field: dict[str, Any]) -> dict[str, Any]:
    """Return an argument's schema without its title, and without saying that it may be left out."""
    kept = {key: value for key, value in field.items() if key not in ("title", "anyOf")}
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        kept |= kinds[0]
    elif kinds:
        kept["anyOf"] = kinds
    return {key: value for key, value in kept.items() if (key, value) != ("default", None)}


def _replace_path(kind: Any) -> Any:
    """Return the type with paths as texts: JSON has no others."""
    if kind is Path:
        return str
    if kind == Path | None:
        return str | None
    if kind == list[Path]:
        return list[str]
    return list[str] | None if kind == list[Path] | None else kind


def read_arguments(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that were given, checked.

    Raises:
        UsageError: one is unknown, missing or not what it must be.
    """
    try:
        read = model.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        known = ", ".join(model.model_fields)
        takes = f"the tool takes: {known or 'nothing'}"
        raise UsageError(f"{place}: {first['msg']}", takes) from error
    told = {name: getattr(read, name) for name in read.model_fields_set}
    return {name: value for name, value in told.items() if value is not None}


def describe(function: Callable[..., Any]) -> str:
    """Return what a command does, as its help says."""
    return inspect.cleandoc(read_docstring(function))
