"""What a command answers: words, or a record under ``--json`` with a schema."""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.table import Table

from reward_agent.cli.output import answer_console, print_json, print_text
from reward_agent.cli.settings import Json

_KINDS = "answer_kinds"


@dataclass(frozen=True)
class CommandAnswer:
    """What a command has found, to be printed as its caller wants it.

    Args:
        record: a record or dataclass, or a list of them, for ``--json``; or what reads it.
        shown: the same for a person: words, a table, or what writes them.
        ending: what is raised once it is printed, such as ``typer.Exit``.
        is_verbatim: whether what looks like a credential stays in the record.
    """

    record: Any
    shown: str | Table | Callable[[], object]
    ending: Exception | None = None
    is_verbatim: bool = False

    def print(self, *, as_json: bool) -> None:
        """Print it, and end as it says."""
        if as_json:
            record = self.record() if callable(self.record) else self.record
            print_json(record, is_verbatim=self.is_verbatim)
        elif isinstance(self.shown, str):
            print_text(self.shown)
        elif isinstance(self.shown, Table):
            answer_console.print(self.shown)
        else:
            self.shown()
        if self.ending is not None:
            raise self.ending


def answers(*kinds: str) -> Callable[[Callable[..., CommandAnswer | None]], Callable[..., None]]:
    """Print what a command answers: give it ``--json`` and ``--json-schema``.

    One that declares ``as_json`` itself is told of it, and may print by itself.

    Args:
        kinds: ``module:Type`` below the package; ``module:Type[]`` for a list of them. Several if
            it depends on the call. They are imported when somebody asks for the schema.
    """

    def decorate(command: Callable[..., CommandAnswer | None]) -> Callable[..., None]:
        def show(is_asked: bool) -> None:
            if is_asked:
                print_json(make_schema(run), is_verbatim=True)
                raise typer.Exit

        option = typer.Option(
            "--json-schema", help="Print the schema of --json.", is_eager=True, callback=show
        )

        @functools.wraps(command)
        def run(
            *arguments: Any, as_json: bool = False, json_schema: bool = False, **options: Any
        ) -> None:
            told = {"as_json": as_json} if "as_json" in own.parameters else {}
            answer = command(*arguments, **told, **options)
            if answer is not None:
                answer.print(as_json=as_json)

        own = inspect.signature(command, eval_str=True)
        flags = {"as_json": Json, "json_schema": Annotated[bool, option]}
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for name, kind in flags.items()
            if name not in own.parameters
        ]
        parameters = [*own.parameters.values(), *added]
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
