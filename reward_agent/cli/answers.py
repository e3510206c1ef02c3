"""What a command prints under ``--json``: a type, and its schema by ``--json-schema``."""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from reward_agent.cli.output import print_json

_KINDS = "answer_kinds"


def answers(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Say what a command prints under ``--json``, and give it ``--json-schema``.

    Args:
        kinds: ``module:Type`` below the package; ``module:Type[]`` for a list of them. Several if
            it depends on the call. They are imported when somebody asks for the schema.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def show(is_asked: bool) -> None:
            if is_asked:
                print_json(make_schema(run), is_verbatim=True)
                raise typer.Exit

        option = typer.Option(
            "--json-schema", help="Print the schema of --json.", is_eager=True, callback=show
        )

        @functools.wraps(command)
        def run(*arguments: Any, json_schema: bool = False, **options: Any) -> None:
            command(*arguments, **options)

        own = inspect.signature(command, eval_str=True)
        added = inspect.Parameter(
            "json_schema",
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[bool, option],
        )
        parameters = [*own.parameters.values(), added]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        setattr(run, _KINDS, kinds)
        return run

    return decorate


def has_answer(command: Callable[..., None]) -> bool:
    """Whether a command says what it prints under ``--json``."""
    return hasattr(command, _KINDS)


def make_schema(command: Callable[..., None]) -> dict[str, Any]:
    """Return the JSON schema of what a command prints under ``--json``."""
    kinds = [_find_kind(kind) for kind in getattr(command, _KINDS)]
    kind: Any = functools.reduce(operator.or_, kinds)
    return TypeAdapter(kind).json_schema(mode="serialization")


def _find_kind(name: str) -> Any:
    module, _, kind = name.removesuffix("[]").partition(":")
    found = getattr(import_module(f"reward_agent.{module}"), kind)
    return types.GenericAlias(list, found) if name.endswith("[]") else found
