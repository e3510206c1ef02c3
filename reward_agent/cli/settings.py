"""Settings of a run as command-line options, made from ``RunSettings`` and its groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from rich.markup import escape

from reward_agent.cli.output import progress_console
from reward_agent.llm.provider import PROVIDERS
from reward_agent.records.settings import RunSettings, find_group


def note_folder(env: str | None) -> str | None:
    """Say what an environment's folder may do, unless it is one of ours or this was said before.

    Nothing is asked: a script goes on.
    """
    from reward_agent.control.folders import describe_stranger, note_known

    words = describe_stranger(env) if env is not None else ""
    if env is not None and words:
        note_known(env)
        progress_console.print(
            f"note: {words} This is said once of a folder; SECURITY.md says more.",
            style="yellow",
            soft_wrap=True,
        )
    return env


# Typer reads help as markup, where a bracket begins a style unless it is escaped.
RunsDir = Annotated[Path | None, typer.Option(help="Where runs lie \\[default: ./runs].")]
Env = Annotated[str, typer.Option(help="Environment: a name or a folder.", callback=note_folder)]
RunName = Annotated[str, typer.Argument(help="A run: name, id, start of an id, path, or 'last'.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., object])


def add_settings(*names: str, also: Sequence[type] = ()) -> Callable[[C], C]:
    """Give a command an option for each named setting; all of them without names.

    The command receives those that were given as keyword arguments, None otherwise, and with them
    the fields of the dataclasses in ``also``, whose types say which options they are.
    """
    chosen = names or tuple(RunSettings.model_fields)

    def decorate(command: C) -> C:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        own += [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for options in also
            for parameter in inspect.signature(options, eval_str=True).parameters.values()
        ]
        own += [_make_parameter(name) for name in chosen]
        command.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in own}
        return command

    return decorate


def take_options(kind: type[T], given: dict[str, Any]) -> T:
    """Take the fields of a dataclass out of what a command was given."""
    return kind(**{name: given.pop(name) for name in inspect.signature(kind).parameters})


def _make_parameter(name: str) -> inspect.Parameter:
    field = RunSettings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    kind = _get_plain_type(field.annotation)
    declared = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    default = field.default
    shown = "" if default in (None, {}) else rf" \[default: {default}]"
    choices = [arg for arg in get_args(field.annotation) if isinstance(arg, str)]
    if name == "provider":
        choices = [row.name + row.argument for row in PROVIDERS.own]
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
