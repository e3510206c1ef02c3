"""Settings of a run as command-line options, made from ``RunSettings`` and its groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.markup import escape

from reward_agent.llm.provider import PROVIDERS
from reward_agent.records.settings import RunSettings, find_group

# Typer reads help as markup, where a bracket begins a style unless it is escaped.
RunsDir = Annotated[Path | None, typer.Option(help="Where runs lie \\[default: ./runs].")]


def add_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each named setting; all of them without names.

    The command receives those that were given as keyword arguments, None otherwise.
    """
    chosen = names or tuple(RunSettings.model_fields)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [_make_parameter(name) for name in chosen]
        command.__signature__ = signature.replace(parameters=own + options)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in own + options}
        return command

    return decorate


def _make_parameter(name: str) -> inspect.Parameter:
    field = RunSettings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    kind = _get_plain_type(field.annotation)
    declared = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    default = field.default
    shown = "" if default is None else rf" \[default: {default}]"
    choices = _get_choices(field.annotation)
    if name == "provider":
        choices = tuple(row.name + row.argument for row in PROVIDERS.own)
    listed = escape(f" ({', '.join(choices)})") if choices else ""
    help_text = (field.description or name) + listed + shown
    option = typer.Option(
        declared, help=help_text, show_default=False, rich_help_panel=find_group(name)
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _get_plain_type(annotation: Any) -> Any:
    """Return the type that typer parses: the setting's own, choices as text."""
    for kind in (bool, int, float):
        if annotation is kind or kind in get_args(annotation):
            return kind
    return str


def _get_choices(annotation: Any) -> tuple[str, ...]:
    return tuple(arg for arg in get_args(annotation) if isinstance(arg, str))
