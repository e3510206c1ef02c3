"""The terms of a reward program as they are written: names, weights, and what became of them.

Read from the text alone: nothing is run. A term's weight is the product of the numbers that
multiply it, through names that are assigned once.
"""

from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reward_agent.rewards.language import REWARD_ENTRY
from reward_agent.rewards.source import parse_source

Fate = Literal["kept", "weight changed", "rewritten", "dropped", "new"]
# Names within names: more is no program that a person wrote.
_MOST_DEPTH, _MOST_NODES = 12, 2_000
_TERMS = "terms"


@dataclass(frozen=True)
class WrittenTerm:
    """One term: its name as it is logged, its weight, and what that multiplies.

    Args:
        name: as it is logged.
        weight: the product of its numbers; 1 where there are none.
        body: the rest as text, with names that are assigned once written out.
    """

    name: str
    weight: float
    body: str


@dataclass(frozen=True)
class TermFate:
    """What became of a term from one program to another."""

    name: str
    fate: Fate
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        if self.fate in ("kept", "dropped", "new"):
            return self.fate
        weights = f"weight {self.before:g} → {self.after:g}"
        if self.fate == "weight changed":
            return weights
        return f"rewritten, {weights}" if self.before != self.after else "rewritten"


def compare_terms(before: str, after: str) -> tuple[TermFate, ...]:
    """Return what became of the terms of a program in another: its own first, then new ones."""
    old = {term.name: term for term in read_terms(before)}
    new = {term.name: term for term in read_terms(after)}
    fates = [_compare(term, new.get(name)) for name, term in old.items()]
    added = (TermFate(name, "new", None, new[name].weight) for name in new if name not in old)
    return (*fates, *added)


def _compare(old: WrittenTerm, new: WrittenTerm | None) -> TermFate:
    if new is None:
        return TermFate(old.name, "dropped", old.weight)
    is_same, is_as_heavy = old.body == new.body, abs(old.weight - new.weight) < 1e-12
    fate: Fate = "kept" if is_same and is_as_heavy else "weight changed"
    return TermFate(old.name, fate if is_same else "rewritten", old.weight, new.weight)


def read_terms(source: str) -> tuple[WrittenTerm, ...]:
    """Return the terms that a program's text names, in its order; none where it cannot be read."""
    entry, known = _find_entry(source)
    if entry is None:
        return ()
    found = {_log_name(name): node for name, node in _list_terms(entry, known)}
    return tuple(_read_term(name, node, known) for name, node in found.items())


def _find_entry(source: str) -> tuple[ast.FunctionDef | None, dict[str, ast.expr]]:
    """Return the function that pays, and what its text assigns once; None where there is none."""
    parsed = parse_source(source).source
    functions = [n for n in parsed.tree.body if isinstance(n, ast.FunctionDef)] if parsed else []
    entry = next((node for node in functions if node.name == REWARD_ENTRY), None)
    if parsed is None or entry is None:
        return None, {}
    return entry, _list_assigned(parsed.tree.body) | _list_assigned(entry.body)


def _list_assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Return what each name is assigned that these statements, and those in them, assign once."""
    inside = [
        node
        for statement in body
        if not isinstance(statement, ast.FunctionDef)
        for node in ast.walk(statement)
    ]
    stored = [n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    once = {name for name, count in Counter(stored).items() if count == 1}
    return {
        node.targets[0].id: node.value
        for node in inside
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in once
    }


def _list_terms(
    entry: ast.FunctionDef, known: Mapping[str, ast.expr]
) -> Iterator[tuple[str, ast.expr]]:
    """Yield the terms of the dict that a function returns: its literal, and what is put into it."""
    returned = [node.value for node in ast.walk(entry) if isinstance(node, ast.Return)]
    for value in returned:
        if not isinstance(value, ast.Tuple) or len(value.elts) < 2:
            continue
        given = value.elts[1]
        literal = known.get(given.id) if isinstance(given, ast.Name) else given
        if isinstance(literal, ast.Dict):
            for key, item in zip(literal.keys, literal.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, item
        elif isinstance(literal, ast.Call):
            yield from ((word.arg, word.value) for word in literal.keywords if word.arg)
        if isinstance(given, ast.Name):
            yield from _list_put(entry, given.id)


def _list_put(entry: ast.FunctionDef, name: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield what ``name["term"] = …`` puts into a dict."""
    for node in ast.walk(entry):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if (
            isinstance(node, ast.Assign)
            and isinstance(target, ast.Subscript)
            and isinstance(target.value, ast.Name)
            and target.value.id == name
            and isinstance(target.slice, ast.Constant)
            and isinstance(target.slice.value, str)
        ):
            yield target.slice.value, node.value


def _read_term(name: str, node: ast.expr, known: Mapping[str, ast.expr]) -> WrittenTerm:
    whole = _write_out(node, known)
    weight, rest = _split_weight(whole)
    return WrittenTerm(name, weight, ast.unparse(rest) if rest is not None else "1")


class _WritingOut(ast.NodeTransformer):
    """Replaces names that are assigned once by what they are assigned."""

    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self._known, self._depth, self._n_nodes = known, 0, 0

    def visit_Name(self, node: ast.Name) -> ast.expr:
        self._n_nodes += 1
        value = self._known.get(node.id)
        if value is None or self._depth >= _MOST_DEPTH or self._n_nodes > _MOST_NODES:
            return node
        self._depth += 1
        written: ast.expr = self.visit(copy.deepcopy(value))
        self._depth -= 1
        return written

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        table = self._known.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if isinstance(table, ast.Dict) and isinstance(node.slice, ast.Constant):
            for key, value in zip(table.keys, table.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == node.slice.value:
                    return copy.deepcopy(value)
        found: ast.expr = self.generic_visit(node)  # type: ignore[assignment]
        return found


def _write_out(node: ast.expr, known: Mapping[str, ast.expr]) -> ast.expr:
    written: ast.expr = _WritingOut(known).visit(copy.deepcopy(node))
    return written


def _split_weight(node: ast.expr) -> tuple[float, ast.expr | None]:
    """Return the numbers that multiply an expression, as one, and what is left of it."""
    number = _read_number(node)
    if number is not None:
        return number, None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        weight, rest = _split_weight(node.operand)
        return -weight, rest
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        left, first = _split_weight(node.left)
        right, second = _split_weight(node.right)
        if isinstance(node.op, ast.Mult):
            rests = [rest for rest in (first, second) if rest is not None]
            joined = ast.BinOp(rests[0], node.op, rests[1]) if len(rests) == 2 else rests[0]
            return left * right, joined
        # What divides is a unit more often than a weight: the length of a step, a range.
        return left, ast.BinOp(first or ast.Constant(1), node.op, node.right)
    chosen = _read_choice(node)
    return chosen if chosen is not None else (1.0, node)


def _read_choice(node: ast.expr) -> tuple[float, ast.expr] | None:
    """Return the number that ``np.where(condition, number, 0.0)`` pays, and that for 1."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "np.where":
        return None
    numbers = [_read_number(part) for part in node.args[1:]]
    weights = [number for number in numbers if number]
    if len(numbers) != 2 or None in numbers or len(weights) != 1:
        return None
    ones = [ast.Constant(1.0 if number else 0.0) for number in numbers]
    return weights[0], ast.Call(node.func, [node.args[0], *ones], [])


def _read_number(node: ast.expr) -> float | None:
    """Return the value of an expression of numbers alone."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _read_number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        left, right = _read_number(node.left), _read_number(node.right)
        if left is None or right is None or (isinstance(node.op, ast.Div) and not right):
            return None
        return left * right if isinstance(node.op, ast.Mult) else left / right
    return None


# --- changed in the text --------------------------------------------------------------------------


def scale_terms(source: str, factors: Mapping[str, float]) -> str | None:
    """Return a program with some terms multiplied, the rest of its text as it is; 0 drops a term.

    None where its terms are not one literal dict of several, or where not all are in it.
    """
    return _edit_terms(source, factors, {})[0]


def add_terms(source: str, lines: Sequence[str], added: Mapping[str, str]) -> str | None:
    """Return a program that pays more terms, its own as they are.

    None where its terms are not one literal dict.

    Args:
        source: the program.
        lines: what is computed first, in the function that pays.
        added: the name of each new term, and the text of its pay.
    """
    text, place = _edit_terms(source, {}, added)
    if text is None:
        return None
    above = text.split("\n")
    above[place:place] = textwrap.indent("\n".join(lines), "    ").split("\n")
    return "\n".join(above)


def _edit_terms(
    source: str, factors: Mapping[str, float], added: Mapping[str, str]
) -> tuple[str | None, int]:
    """Return the program with other terms, and in which line the statement of its dict stands."""
    entry, known = _find_entry(source)
    returned = [n for n in ast.walk(entry) if isinstance(n, ast.Return)] if entry else []
    pair = returned[0].value if len(returned) == 1 else None
    if entry is None or not isinstance(pair, ast.Tuple) or len(pair.elts) != 2:
        return None, 0
    name = pair.elts[1].id if isinstance(pair.elts[1], ast.Name) else _TERMS
    literal = known.get(name) if isinstance(pair.elts[1], ast.Name) else pair.elts[1]
    if not isinstance(literal, ast.Dict) or next(_list_put(entry, name), None) is not None:
        return None, 0
    written = _write_dict(source, literal, factors, added)
    if written is None or (literal is pair.elts[1] and name in known):
        return None, 0
    statement = next(item for item in entry.body if literal in ast.walk(item))
    total = f"sum({name}.values())"
    if literal is pair.elts[1]:
        edits: list[tuple[ast.expr | ast.stmt, str]]
        edits = [(returned[0], f"{name} = {written}\n    return {total}, {name}")]
    else:
        edits = [(literal, written), (pair.elts[0], total)]
    return _replace(source, edits), statement.lineno - 1


def _write_dict(
    source: str, literal: ast.Dict, factors: Mapping[str, float], added: Mapping[str, str]
) -> str | None:
    """Return the text of a dict of terms with their pay multiplied; None where it is not plain."""
    items = [
        (_log_name(str(key.value)), value)
        for key, value in zip(literal.keys, literal.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]
    names = {name for name, _ in items}
    kept = [(name, value) for name, value in items if factors.get(name, 1.0)]
    if len(items) < len(literal.keys) or not kept or not set(factors) <= names:
        return None
    lines = [
        f'        "{name}": {_scale(source, value, factors.get(name, 1.0))},\n'
        for name, value in kept
    ]
    lines += [f'        "{name}": {pay},\n' for name, pay in added.items()]
    return "{\n" + "".join(lines) + "    }"


def _scale(source: str, value: ast.expr, factor: float) -> str:
    """Return the text of a term's pay, multiplied; a number in front of it is."""
    text = ast.get_source_segment(source, value) or ast.unparse(value)
    if factor == 1.0:
        return text
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        number = _read_number(value.left)
        rest = ast.get_source_segment(source, value.right)
        if number is not None and rest is not None:
            return f"{float(f'{number * factor:.3g}'):g} * {rest}"
    return f"{float(f'{factor:.3g}'):g} * ({text})"


def _replace(source: str, edits: list[tuple[ast.expr | ast.stmt, str]]) -> str:
    """Return the text with some of its parts replaced."""
    lines = source.encode().split(b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    data = source.encode()
    for node, text in sorted(edits, key=lambda edit: -edit[0].lineno):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        data = data[:start] + text.encode() + data[end:]
    return data.decode()


def _log_name(name: str) -> str:
    """Return the name of a term as it is logged."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)
