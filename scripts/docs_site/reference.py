"""The reference, from the program itself: its commands, settings and Python functions."""

from __future__ import annotations

import functools
import html
import importlib
import re
from collections.abc import Iterable
from typing import Any, get_args

import griffe
import typer
from typer.cli import get_docs_for_click

from reward_agent.cli.app import app
from reward_agent.records.settings import GROUPS


def render_commands() -> str:
    """Return every command with its options, as typer itself describes them, by their groups."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="reward-agent")
    text = get_docs_for_click(obj=command, ctx=context, name="reward-agent")
    parts = re.split(r"^(#+ `[^`]+`)$", text, flags=re.MULTILINE)
    for number in range(1, len(parts), 2):
        own = _find_command(command, parts[number].split("`")[1].split()[1:])
        parts[number + 1] = _group_options(own, parts[number + 1])
    text = "".join(parts)
    text = html.unescape(text).replace("<", "&lt;")
    # The page has a heading of its own.
    return re.sub(r"^#", "##", re.sub(r"`[^`\n]+`", _keep, text), flags=re.MULTILINE)


def _find_command(command: Any, words: Iterable[str]) -> Any:
    return functools.reduce(lambda group, word: group.commands[word], words, command)


def _group_options(command: Any, text: str) -> str:
    """Put a command's options under the titles that ``--help`` has for them."""
    head, is_there, rest = text.partition("**Options**:\n\n")
    if not is_there:
        return text
    listed, _, rest = rest.partition("\n\n")
    context = typer.Context(command, info_name=command.name)
    options = [
        option
        for option in command.get_params(context)
        if option.param_type_name == "option" and not option.hidden
    ]
    groups: dict[str, list[str]] = {}
    for option, line in zip(options, listed.splitlines(), strict=True):
        title = getattr(option, "rich_help_panel", None) or "Options"
        groups.setdefault(title, []).append(line)
    if list(groups) == ["Options"]:
        return text
    shown = [f"**{title}**:\n\n" + "\n".join(lines) for title, lines in groups.items()]
    return head + "\n\n".join([*shown, rest])


def _keep(found: re.Match[str]) -> str:
    return found[0].replace("&lt;", "<")


def render_settings() -> str:
    """Return every setting of a run in tables, a group each."""
    parts = []
    for group in GROUPS:
        rows = [_render_setting(name, field) for name, field in group.model_fields.items()]
        head = f"## {group.title}\n\n| setting | by default | what it is |\n|---|---|---|"
        parts.append("\n".join([head, *rows]))
    return "\n\n".join(parts)


def _render_setting(name: str, field: Any) -> str:
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    words = field.description + (f" ({', '.join(choices)})" if choices else "")
    default = "" if field.default in (None, {}) else f"`{field.default}`"
    return f"| `{name}` | {default} | {_escape(words)} |"


def _escape(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")


@functools.cache  # reading the whole package takes seconds
def render_functions() -> str:
    """Return the functions of ``reward_agent``, and what they hand back."""
    package = importlib.import_module("reward_agent")
    loader = griffe.GriffeLoader()
    root = loader.load("reward_agent")
    homes = {name: getattr(package, name).__module__ for name in package.__all__}
    functions = [
        root[home.removeprefix("reward_agent.") + "." + name] for name, home in homes.items()
    ]
    parts = ["## Functions", *(_render_function(function) for function in functions)]
    parts += ["## What they hand back", *map(_render_class, _find_classes(functions))]
    return "\n\n".join(parts)


def _render_function(function: Any) -> str:
    shown = [p for p in function.parameters if p.name not in ("self", "cls")]
    lines = [f"    {_render_parameter(parameter)}," for parameter in shown]
    star = next(
        (i for i, p in enumerate(shown) if p.kind is griffe.ParameterKind.keyword_only), None
    )
    if star is not None:
        lines.insert(star, "    *,")
    code = "\n".join([f"{function.name}(", *lines, f") -> {function.returns}"])
    return f"### {function.name}\n\n```python\n{code}\n```\n\n{_render_docstring(function)}"


def _render_parameter(parameter: Any) -> str:
    stars = {griffe.ParameterKind.var_keyword: "**", griffe.ParameterKind.var_positional: "*"}
    name = stars.get(parameter.kind, "") + parameter.name
    default = "" if parameter.default is None or name[0] == "*" else f" = {parameter.default}"
    return f"{name}: {parameter.annotation}{default}"


def _render_docstring(item: Any) -> str:
    if item.docstring is None:
        return ""
    parts = []
    for section in item.docstring.parse("google", warnings=False):
        if section.kind is griffe.DocstringSectionKind.text:
            parts.append(_fix_code(section.value))
        elif isinstance(section.value, list):
            title = section.title or section.kind.value.replace("_", " ").capitalize()
            rows = [_render_row(row) for row in section.value]
            parts.append(f"**{title}**\n\n" + "\n".join(rows))
    return "\n\n".join(parts)


def _render_row(row: Any) -> str:
    name = getattr(row, "name", "") or (row.annotation if _is_error(row) else "")
    words = _fix_code(" ".join(row.description.split()))
    return f"- `{name}`: {words}" if name else f"- {words}"


def _is_error(row: Any) -> bool:
    return isinstance(row, griffe.DocstringRaise)


def _fix_code(text: str) -> str:
    return str(text).replace("``", "`")


def _find_classes(functions: Iterable[Any]) -> list[Any]:
    """Return the classes that functions return, each once."""
    found = {}
    for function in functions:
        name = str(function.returns)
        home = function.module
        if name in home.members:
            item = home[name]
            item = item.final_target if item.is_alias else item
            found[name] = item
    return list(found.values())


def _render_class(item: Any) -> str:
    known = {**item.inherited_members, **item.members}
    parts = [f"### {item.name}", _render_docstring(item)]
    rows = [
        f"| `{name}` | `{member.annotation}` |"
        for name, member in known.items()
        if member.is_attribute and member.annotation is not None and not name.startswith("_")
        and "ClassVar" not in str(member.annotation)
    ]  # fmt: skip
    if rows:
        parts.append("\n".join(["| attribute | type |", "|---|---|", *rows]))
    methods = [
        f"- `{name}`: {_first_line(member)}"
        for name, member in known.items()
        if member.is_function and not name.startswith("_") and member.docstring
    ]
    if methods:
        parts.append("\n".join(methods))
    return "\n\n".join(part for part in parts if part)


def _first_line(member: Any) -> str:
    return _fix_code(member.docstring.value.splitlines()[0])
