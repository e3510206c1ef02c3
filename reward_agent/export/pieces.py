"""Parts of a module's text: what some of its names need, and names that must not clash.

Works on text and syntax trees; nothing is imported or run.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from reward_agent.errors import DataError
from reward_agent.text import parse_python

_PACKAGE, _OWN = Path(__file__).resolve().parent.parent, "reward_agent."


@dataclass(frozen=True)
class Pieces:
    """Some definitions of a module, in its order, and statements that import what they use."""

    text: str
    imports: frozenset[str]


@cache
def take_pieces(module: str, names: frozenset[str]) -> Pieces:
    """Return the definitions of some names in a module of ours, with all that these use.

    What they import from another module of ours is taken from there in the same way.
    """
    source = _PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")
    tree = parse_python(source)
    chosen, used = _find_definitions(tree, names)
    texts = [ast.get_source_segment(source, node) or "" for node in chosen]
    imports: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        aliases = [alias for alias in node.names if (alias.asname or alias.name) in used]
        place = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if place.startswith(_OWN) and aliases:
            other = take_pieces(
                place.removeprefix(_OWN), frozenset(alias.name for alias in aliases)
            )
            texts.insert(0, other.text)
            imports |= other.imports
        else:
            start = f"from {place} import" if place else "import"
            imports |= {f"{start} {ast.unparse(alias)}" for alias in aliases}
    return Pieces("\n\n\n".join(texts), frozenset(imports))


def _find_definitions(tree: ast.Module, names: Iterable[str]) -> tuple[list[ast.stmt], set[str]]:
    """Return the statements that define names and what they use, in order, and all they use."""
    definitions = {
        name: node
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        for name in find_bound_names([node])
    }
    taken: set[str] = set()
    used: set[str] = set()
    waiting = [name for name in names if name in definitions]
    while waiting:
        name = waiting.pop()
        taken.add(name)
        needs = find_used_names(definitions[name])
        used |= needs
        waiting += [other for other in needs if other in definitions and other not in taken]
    chosen = {definitions[name].lineno: definitions[name] for name in taken}
    return [chosen[line] for line in sorted(chosen)], used


def find_bound_names(body: Iterable[ast.stmt]) -> set[str]:
    """Return the names that statements of a module bind in it."""
    table = symtable.symtable(ast.unparse(ast.Module(list(body), [])), "<module>", "exec")
    symbols = table.get_symbols()
    return {each.get_name() for each in symbols if each.is_assigned() or each.is_imported()}


def find_used_names(node: ast.AST) -> set[str]:
    """Return every name that is read in a piece of code."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def rename_globals(source: str, taken: Collection[str], suffix: str = "_") -> str:
    """Return a program in which no name of its module is one of those that are taken."""
    tree = parse_python(source)
    own = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    clashing = find_bound_names(own) & set(taken)
    if not clashing:
        return source
    words = re.compile(rf"(?<![\w.])({'|'.join(sorted(clashing))})\b")
    return _keep_text(words.sub(rf"\1{suffix}", source), _Renamer(clashing, suffix).visit(tree))


class _Renamer(ast.NodeTransformer):
    _FIELDS: ClassVar[dict[type, str]] = {
        ast.Name: "id", ast.arg: "arg", ast.keyword: "arg", ast.FunctionDef: "name"
    }  # fmt: skip

    def __init__(self, names: Collection[str], suffix: str) -> None:
        self._names, self._suffix = names, suffix

    def visit_Call(self, node: ast.Call) -> ast.AST:
        # Keywords of a method are no names of the program.
        kept = [keyword.arg for keyword in node.keywords]
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name):
            for keyword, name in zip(node.keywords, kept, strict=True):
                keyword.arg = name
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        field = self._FIELDS.get(type(node), "")
        if field and getattr(node, field) in self._names:
            setattr(node, field, getattr(node, field) + self._suffix)
        return super().generic_visit(node)


def drop_future_imports(source: str) -> str:
    """Return a program without ``from __future__ import …``, which must head a file."""
    tree, lines = parse_python(source), source.split("\n")
    for node in reversed(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            tree.body.remove(node)
            del lines[node.lineno - 1 : node.end_lineno]
    return _keep_text("\n".join(lines), tree)


def _keep_text(text: str, tree: ast.AST) -> str:
    """Return a text, with its comments, if it says what a tree says; else what the tree says.

    Raises:
        DataError: there is no text of it.
    """
    with suppress(SyntaxError, ValueError):
        if ast.dump(parse_python(text)) == ast.dump(tree):
            return text
    try:
        return ast.unparse(tree)
    except ValueError as error:
        raise DataError(f"the program cannot be written: {error}", "export another") from error
