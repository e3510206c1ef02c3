"""What every command prints under ``--json``, from the types themselves."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import typer

from reward_agent.cli.answers import has_answer, make_schema
from reward_agent.cli.app import app
from reward_agent.records.events import Event

Schema = Mapping[str, Any]
_ROOT = "#/$defs/"


@dataclass(frozen=True)
class AnswerType:
    """An object that stands in answers.

    Args:
        description: what it is.
        keys: name to its type and what it is.
    """

    description: str
    keys: dict[str, tuple[str, str]]


@functools.cache
def list_schemas() -> dict[str, Schema]:
    """Return the schema of each command's answer, by its words: ``runs status``."""
    return {words: make_schema(one.callback) for words, one in list_json_commands()
            if has_answer(one.callback)}  # fmt: skip


def list_json_commands() -> list[tuple[str, Any]]:
    """Return every command that has ``--json``, with its words."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, one in getattr(command, "commands", {}).items():
            yield from walk(one, (*words, name))
        if any("--json" in parameter.opts for parameter in command.params):
            yield " ".join(words), command

    return list(walk(typer.main.get_command(app), ()))


def describe_answers() -> dict[str, str]:
    """Return the type of each command's answer: ``list of EnvRow``."""
    return {words: name_type(schema, is_root=True) for words, schema in list_schemas().items()}


def describe_types() -> dict[str, AnswerType]:
    """Return every object that stands in an answer, by its name.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, AnswerType] = {}
    for schema in list_schemas().values():
        objects = dict(schema.get("$defs", {}))
        if "properties" in schema:
            objects[schema["title"]] = schema
        for name, one in objects.items():
            if "properties" not in one:
                continue
            keys = {
                key: (name_type(value), value.get("description", ""))
                for key, value in one["properties"].items()
            }
            described = AnswerType(_first_line(one.get("description", "")), keys)
            if found.setdefault(name, described) != described:
                raise ValueError(f"two objects of answers are called {name}")
    return dict(sorted(found.items()))


def name_type(schema: Schema, *, is_root: bool = False) -> str:
    """Return a type in a few words."""
    match schema:
        case {"$ref": str(ref)}:
            return ref.removeprefix(_ROOT)
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(dict.fromkeys(map(name_type, options)))
        case {"enum": values}:
            return " or ".join(json.dumps(value, ensure_ascii=False) for value in values)
        case {"const": value}:
            return json.dumps(value, ensure_ascii=False)
        case {"title": str(title), "properties": _} if is_root:
            return title
        case {"type": "array", "prefixItems": items}:
            return f"[{', '.join(map(name_type, items))}]"
        case {"type": "array", "items": items} if items:
            return f"list of {_group(name_type(items))}"
        case {"type": "object", "additionalProperties": dict(values)} if values:
            return f"map to {_group(name_type(values))}"
        case {"type": str(name)}:
            return name
    return "anything"


def _group(name: str) -> str:
    return f"({name})" if " or " in name else name


def render_shapes() -> str:
    """Return all answers as lines without descriptions: what a script relies on."""
    lines = [f"{words}: {answer}" for words, answer in describe_answers().items()]
    for name, one in describe_types().items():
        lines += ["", name, *(f"  {key}: {kind}" for key, (kind, _) in one.keys.items())]
    return "\n".join(lines) + "\n"


def render_answers() -> str:
    """Return the reference: which command prints what, every object, every kind of event."""
    types = describe_types()
    parts = ["| command | prints |\n|---|---|\n" + "\n".join(
        f"| `{words}` | {_link(answer, types)} |" for words, answer in describe_answers().items()
    )]  # fmt: skip
    for name, one in types.items():
        rows = [
            f"| `{key}` | {_link(kind, types)} | {_escape(words)} |"
            for key, (kind, words) in one.keys.items()
        ]
        head = (
            f"## {name}\n\n{_escape(one.description)}\n\n| key | type | what it is |\n|---|---|---|"
        )
        parts.append("\n".join([head, *rows]))
    return "\n\n".join([*parts, _render_events()])


def _render_events() -> str:
    """Return a table of what a line of a run's log may hold, by its kind."""
    rows = [
        f"| `{kind.kind}` | {', '.join(f'`{name}`' for name in kind.__annotations__)} |"
        for kind in Event.__subclasses__()
        if kind.is_recorded and kind.__module__ == Event.__module__
    ]
    head = "## Kinds of events\n\n| `kind` | facts |\n|---|---|"
    return "\n".join([head, *rows])


def _link(words: str, types: Mapping[str, AnswerType]) -> str:
    shown = [f"[{word}](#{word.lower()})" if word in types else _escape(word)
             for word in words.replace("(", "( ").replace(")", " )").split(" ")]  # fmt: skip
    return " ".join(shown).replace("( ", "(").replace(" )", ")")


def _first_line(text: str) -> str:
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "`")


def _escape(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")
