"""Constants of a Python source by their names: the same text with other numbers in it."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from reward_agent.errors import DataError, find_closest_name


def replace_constants(source: str, constants: Mapping[str, float], place: str) -> str:
    """Return the source with the values of some of its module-level constants replaced.

    Only ``NAME = value`` counts as a constant, assigned once; everything else stays as it was
    written, comments included.

    Args:
        source: text of a Python module.
        constants: the new value of each, by name.
        place: what the source is, for messages.

    Raises:
        DataError: the source is not Python, or has no such constant.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{place} is not Python: {error}", "correct the file") from error
    values = _find_constants(tree)
    for name in constants:
        if name not in values:
            closest = find_closest_name(name, values)
            hint = f"; did you mean {closest!r}?" if closest else ""
            known = ", ".join(values) or "none"
            raise DataError(f"{place} has no constant {name!r}{hint}", f"its constants: {known}")
    lines = source.encode().splitlines(keepends=True)
    # From the last one up, so that the places of the others stay as they are.
    for name in sorted(constants, key=lambda name: -values[name].lineno):
        _replace(lines, values[name], repr(constants[name]).encode())
    return b"".join(lines).decode()


def _find_constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the value of every name that the module assigns once, alone and on one line."""
    assigned = [
        (target.id, node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    names = [name for name, _ in assigned]
    return {
        name: value
        for name, value in assigned
        if names.count(name) == 1 and value.lineno == value.end_lineno
    }


def _replace(lines: list[bytes], value: ast.expr, text: bytes) -> None:
    """Put a text in the place of an expression; its columns count bytes of UTF-8."""
    line = lines[value.lineno - 1]
    lines[value.lineno - 1] = line[: value.col_offset] + text + line[value.end_col_offset :]
