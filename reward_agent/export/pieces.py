"""Parts of a module's text: what some of its names need, and names that must not clash.

Works on text and syntax trees; nothing is imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError

_PACKAGE, _OWN = Path(__file__).resolve().parent.parent, "reward_agent."


@dataclass(frozen=True)
class Pieces:
    """Some definitions of a module.

    Args:
        text: their source, in the module's order.
        imports: module to the names taken from it; an empty name imports the module itself, and
            ``as NAME`` gives it another one.
    """

    text: str
    imports: dict[str, set[str]]


def take_pieces(module: str, names: Iterable[str]) -> Pieces:
    """Return the definitions of some names in a module of ours, with all that these use.

    What they import from another module of ours is taken from there in the same way.
    """
    source = _PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")
    tree = ast.parse(source)
    chosen, used = _find_definitions(tree, names)
    texts = [ast.get_source_segment(source, node) or "" for node in chosen]
    imports = _find_imports(tree, used)
    for name in [name for name in imports if name.startswith(_OWN)]:
        other = take_pieces(name.removeprefix(_OWN), sorted(imports.pop(name)))
        texts.insert(0, other.text)
        for place, taken in other.imports.items():
            imports.setdefault(place, set()).update(taken)
    return Pieces("\n\n\n".join(texts), imports)


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
    names: set[str] = set()
    for node in body:
        names |= _find_own_names(node)
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            names |= {
                part.id
                for part in ast.walk(node)
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
            nested = [part for part in ast.walk(node) if isinstance(part, ast.stmt)]
            names |= set().union(*(_find_own_names(part) for part in nested))
    return names


def _find_own_names(node: ast.stmt) -> set[str]:
    """Return the names of functions, classes and imports that a statement itself binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return set()


def find_used_names(node: ast.AST) -> set[str]:
    """Return every name that is read in a piece of code."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _find_imports(tree: ast.Module, used: Collection[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names = {alias.name for alias in node.names if alias.name in used}
            found.setdefault(node.module or "", set()).update(names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name) in used:
                    kept = f"as {alias.asname}" if alias.asname else ""
                    found.setdefault(alias.name, set()).add(kept)
    return {module: names for module, names in found.items() if names}


def write_imports(*parts: dict[str, set[str]]) -> str:
    """Return the import statements of several parts, merged."""
    merged: dict[str, set[str]] = {}
    for part in parts:
        for module, names in part.items():
            merged.setdefault(module, set()).update(names)
    lines = []
    for module in sorted(merged):
        names = merged[module]
        lines += [
            f"import {module} {name}".rstrip()
            for name in sorted(names)
            if not name or name.startswith("as ")
        ]
        plain = sorted(name for name in names if name and not name.startswith("as "))
        lines += [f"from {module} import {', '.join(plain)}"] if plain else []
    return "\n".join(lines)


def rename_globals(source: str, taken: Collection[str], suffix: str = "_") -> str:
    """Return a program in which no name of its module is one of those that are taken.

    Raises:
        DataError: the program does not parse.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise DataError(f"the program does not parse: {error.msg}", "export another") from error
    bound = {
        name
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        for name in find_bound_names([node])
    }
    clashing = bound & set(taken)
    if not clashing:
        return source
    lines = [line.encode() for line in source.split("\n")]
    for line, column, name in sorted(_find_places(tree, clashing, lines), reverse=True):
        end = column + len(name.encode())
        new = name.encode() + suffix.encode()
        lines[line] = lines[line][:column] + new + lines[line][end:]
    return b"\n".join(lines).decode()


def _find_places(
    tree: ast.Module, names: Collection[str], lines: list[bytes]
) -> set[tuple[int, int, str]]:
    """Return line, column (bytes) and name wherever one of the names stands."""
    places = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            places.add((node.lineno - 1, node.col_offset, node.id))
        elif isinstance(node, ast.arg) and node.arg in names:
            places.add((node.lineno - 1, node.col_offset, node.arg))
        elif isinstance(node, ast.FunctionDef) and node.name in names:
            start = lines[node.lineno - 1].index(node.name.encode(), node.col_offset + 3)
            places.add((node.lineno - 1, start, node.name))
    return places


def drop_future_imports(source: str) -> str:
    """Return a program without ``from __future__ import …``, which must head a file."""
    lines = source.split("\n")
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            segment = ast.get_source_segment(source, node) or ""
            index = node.lineno - 1
            is_alone = node.lineno == node.end_lineno and lines[index].strip() == segment
            if is_alone:
                del lines[index]
            else:
                return source.replace(segment, "pass", 1)
    return "\n".join(lines)
