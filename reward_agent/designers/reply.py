"""From the text of a reply to what was asked for: a program, a metric, or a JSON record.

What a model writes around its code differs (prose, several fences, helpers apart, a fence that is
never closed), so the code is searched for. Nothing here runs it; it is parsed within bounds, and
whatever a reply makes of a parser is the reason why it holds nothing.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from reward_agent.errors import DataError
from reward_agent.llm.chat import MAX_REPLY_CHARS
from reward_agent.rewards.source import parse_source
from reward_agent.text import clean_text
from reward_agent.types import Record

R = TypeVar("R", bound=Record)

MAX_JSON_STARTS = 200
_MAX_FENCES = 200
# Of a text and of a list in a record: prompts quote them.
_MAX_TEXT_CHARS, _MAX_ITEMS = 4000, 50

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
_CODE_LANGUAGES = frozenset({"", "python", "python3", "py", "py3", "ipython", "pycon", "code"})
_REASONING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_CODE_LINE = re.compile(
    r"^(?:import |from \w+ import |def \w|[A-Za-z_]\w*(?:, ?\w+)* *(?::.*)?=[^=])"
)
# A line at the margin that code may have in it, once it has begun.
_MARGIN_LINE = re.compile(
    r"^(?:import |from |def |@|#|\)|\]|\}|\"\"\"|'''|[A-Za-z_][\w.,\[\] ]*=[^=])"
)


@dataclass(frozen=True)
class Fence:
    """A fenced block of a reply."""

    language: str
    body: str
    is_closed: bool

    @property
    def is_code(self) -> bool:
        """Whether its language tag allows it to be Python."""
        return self.language in _CODE_LANGUAGES


@dataclass(frozen=True)
class ParsedCode:
    """Source text found in a reply, or the reason why there is none."""

    source: str | None
    reason: str = ""


def parse_code(reply: str, entry: str) -> ParsedCode:
    """Find the Python source that defines a function.

    Of several fences that define it, the last one that can be parsed is taken, else the last one;
    definitions that it uses and that stand in other fences are put before it. The source is not
    checked for anything but this function.
    """
    try:
        return _find_code(_normalise(reply), entry)
    except Exception as error:
        return ParsedCode(None, f"the reply cannot be read ({type(error).__name__})")


def _find_code(text: str, entry: str) -> ParsedCode:
    fences = [fence for fence in find_fences(text) if fence.body.strip()][-_MAX_FENCES:]
    mains = [fence for fence in fences if _defines(fence.body, entry)]
    if mains:
        return _join_fences(mains, fences, entry)
    bare = _find_bare_code(_remove_fences(text), entry)
    if bare is not None:
        return ParsedCode(bare)
    if any(fence.is_code for fence in fences):
        return ParsedCode(None, f"the reply holds code, but no function {entry}")
    return ParsedCode(None, f"the reply holds no code (expected a function {entry})")


def parse_record(reply: str, kind: type[R]) -> R:
    """Find the JSON object of a reply and validate it.

    Raises:
        DataError: no object, or one that is not valid; the message says what is wrong.
    """
    try:
        return _find_record(_normalise(reply), kind)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"the reply cannot be read as JSON ({type(error).__name__})") from None


def _find_record(text: str, kind: type[R]) -> R:
    parts = [fence.body for fence in find_fences(text) if fence.language in ("json", "")]
    objects = [item for part in parts[-_MAX_FENCES:] for item in _find_objects(part)]
    objects = objects or list(_find_objects(text))
    if not objects:
        raise DataError(f"the reply holds no JSON object ({kind.__name__} was asked for)")
    problems: list[str] = []
    for item in reversed(objects):
        try:
            return kind.model_validate(_tame(item))
        except ValidationError as error:
            problems = problems or [_describe(detail) for detail in error.errors()[:5]]
    raise DataError(f"the JSON object is not a valid {kind.__name__}: {'; '.join(problems)}")


def _tame(item: Any) -> Any:
    """Return a value of JSON with its texts and lists short, and nothing that no file can hold."""
    if isinstance(item, str):
        return item[:_MAX_TEXT_CHARS].encode("utf-8", "replace").decode("utf-8")
    if isinstance(item, list):
        return [_tame(value) for value in item[:_MAX_ITEMS]]
    if isinstance(item, dict):
        return {_tame(name): _tame(value) for name, value in item.items()}
    return item


def find_fences(text: str) -> list[Fence]:
    """Return the fenced blocks of a markdown text, in order.

    A fence closes at a line of the same mark, at least as long, without a language; one that never
    closes ends with the text.
    """
    fences: list[Fence] = []
    opening: re.Match[str] | None = None
    body: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if opening is None:
            if match:
                opening, body = match, []
        elif match and _closes(opening, match):
            fences.append(_make_fence(opening, body, is_closed=True))
            opening = None
        else:
            body.append(line)
    if opening is not None:
        fences.append(_make_fence(opening, body, is_closed=False))
    return fences


def _closes(opening: re.Match[str], line: re.Match[str]) -> bool:
    mark, closing = opening["mark"], line["mark"]
    return closing[0] == mark[0] and len(closing) >= len(mark) and not line["info"].strip()


def _make_fence(opening: re.Match[str], body: list[str], *, is_closed: bool) -> Fence:
    indent = opening["indent"]
    lines = [line.removeprefix(indent) if indent else line for line in body]
    words = opening["info"].strip().lower().split()
    language = words[0].strip("{}.") if words else ""
    return Fence(language, "\n".join(lines), is_closed)


def _normalise(reply: str) -> str:
    """Bring line ends to one form; leave out a reasoning model's thoughts."""
    text = reply[:MAX_REPLY_CHARS].removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _REASONING.sub("", text)


def _defines(source: str, name: str) -> bool:
    """Tell whether a text has ``def NAME(`` or, as a composed metric does, ``NAME = …(``."""
    word = re.escape(name)
    form = rf"^(def[ \t]+{word}[ \t]*\(|{word}[ \t]*=[ \t]*\w+\()"
    return re.search(form, source, re.MULTILINE) is not None


def _join_fences(mains: list[Fence], fences: list[Fence], entry: str) -> ParsedCode:
    """Choose the fence of the program and put the definitions before it that it uses."""
    whole = [fence for fence in mains if fence.is_closed or _returns(fence.body, entry)]
    if not whole:
        return ParsedCode(None, f"the reply ends inside the code of {entry}")
    parsable = [fence for fence in whole if _read_names(fence.body) is not None]
    main = (parsable or whole)[-1]
    source = main.body
    helpers = [fence for fence in fences if fence not in mains and fence.is_code]
    # From the last to the first: what a helper uses itself stands before it or beside it.
    for fence in reversed(helpers):
        names = _read_names(fence.body)
        if names and names.isdisjoint(_read_names(source) or set()) and _uses(source, names):
            source = f"{fence.body.strip()}\n\n\n{source}"
    return ParsedCode(source.strip() + "\n")


def _returns(source: str, entry: str) -> bool:
    """Tell whether a function is there to its end, which is a return statement."""
    parsed = parse_source(source).source
    functions = parsed.tree.body if parsed else []
    return any(
        isinstance(node, ast.FunctionDef)
        and node.name == entry
        and isinstance(node.body[-1], ast.Return)
        for node in functions
    )


def _uses(source: str, names: set[str]) -> bool:
    # The framework calls these two by name; no other code does.
    is_entry = bool(names & {"init_memory", "potential"})
    return is_entry or any(re.search(rf"\b{re.escape(name)}\b", source) for name in names)


def _read_names(source: str) -> set[str] | None:
    """Return what a source defines at its top, or None if it cannot be parsed."""
    parsed = parse_source(source).source
    if parsed is None:
        return None
    names: set[str] = set()
    for node in parsed.tree.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def _remove_fences(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not _FENCE.match(line))


def _find_bare_code(text: str, entry: str) -> str | None:
    """Find code without a fence: from the first line of code to the last before prose."""
    if not _defines(text, entry):
        return None
    lines = text.split("\n")
    first_def = next(i for i, line in enumerate(lines) if _defines(line, entry))
    start = next(
        (i for i, line in enumerate(lines[:first_def]) if _CODE_LINE.match(line)), first_def
    )
    end = first_def + 1
    for number in range(first_def + 1, len(lines)):
        line = lines[number]
        if line.strip() and not line[0].isspace():
            if not _MARGIN_LINE.match(line):
                break
            end = number + 1
        elif line.strip():
            end = number + 1
    return "\n".join(lines[start:end]).strip() + "\n"


def _find_objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects at the top of a text, in order."""
    decoder = json.JSONDecoder()
    position = text.find("{")
    for _ in range(MAX_JSON_STARTS):
        if position < 0:
            return
        try:
            item, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            yield item
        position = text.find("{", end)


def _describe(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "the object"
    return clean_text(f"{place}: {detail['msg']}", 200)
