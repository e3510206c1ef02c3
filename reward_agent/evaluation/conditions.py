"""What a metric's own conditions do: which fails its success, and what ends each hold. Child side.

They are read from the text of the metric, and from that of the generic ones that it may be composed
of, as the gates of a program are: conditions that are joined, or factors of a product, of which 1
is as asked. What is joined to the success of a ``Score`` is of whole episodes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

from reward_agent.errors import DataError
from reward_agent.evaluation import generic
from reward_agent.evaluation.metrics import Episode, MetricFunction
from reward_agent.records.gates import GateSummary
from reward_agent.rewards.gates import Array, Openings, is_share, summarise_gates
from reward_agent.text import parse_python

_FULL = 1 - 1e-6
_MOST_GATES, _MOST_CHARS = 4, 90
SUCCESS = "success"
# Functions of which it is not said what they are called.
_MAIN = {"score", "__call__"}
_JOINING = {"logical_and", "minimum", "prod", "all", "min"}
_SKIPPED = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class _Gate:
    """Conditions that are asked together, each with its text; of a dictionary those it names."""

    name: str
    conditions: tuple[tuple[str, CodeType], ...]


def summarise_conditions(
    source: str, metric: MetricFunction, episodes: Sequence[Episode]
) -> tuple[GateSummary, ...]:
    """Return what the conditions of a metric did in episodes, those of its success first."""
    watch = _Watch(source)
    read = [watch.read(metric, episode) for episode in episodes]
    fields = [episode.fields for episode in episodes]
    dt = episodes[0].control_dt if episodes else 0.0
    return summarise_gates(read, dt, fields, frozenset({SUCCESS}))[:_MOST_GATES]


class _Watch:
    """The joined conditions in the text of a metric, to be read after each call of a function."""

    def __init__(self, source: str) -> None:
        self._generic = str(Path(generic.__file__))
        texts = {False: source, True: Path(self._generic).read_text("utf-8")}
        self._gates = {
            (is_generic, node.name, node.lineno): gates
            for is_generic, text in texts.items()
            for node in ast.walk(parse_python(text))
            if isinstance(node, ast.FunctionDef) and (gates := list(_list_gates(node)))
        }

    def read(self, metric: MetricFunction, episode: Episode) -> Openings:
        """Judge an episode; return what is open at each of its states, by gate and condition."""
        calls = dict[str, list[dict[str, Array]]]()

        def keep(frame: FrameType, event: str, _: object) -> None:
            code = frame.f_code
            key = (code.co_filename == self._generic, code.co_name, code.co_firstlineno)
            for gate in self._gates.get(key, ()) if event == "return" else ():
                opened = dict(_read(gate, frame))
                if len(opened) > 1:
                    calls.setdefault(gate.name, []).append(opened)

        before = sys.getprofile()
        sys.setprofile(keep)
        try:
            metric(episode)
        except DataError:
            return {}
        finally:
            sys.setprofile(before)
        # Of a function that is called for one leg after the other, the call that came nearest.
        best = {name: max(opened, key=_find_openness) for name, opened in calls.items()}
        return {name: best[name] for name in sorted(best, key=lambda name: name != SUCCESS)}


def _find_openness(opened: Mapping[str, Array]) -> tuple[float, float]:
    rows = np.stack([*opened.values()])
    return float(rows.all(axis=0).mean()), float(rows.mean())


def _read(gate: _Gate, frame: FrameType) -> Iterator[tuple[str, Array]]:
    """Yield the conditions of a gate that have one size: of each state, or of the episode."""
    size: tuple[int, ...] | None = None
    for text, code in gate.conditions:
        try:
            with np.errstate(all="ignore"):
                given = eval(code, frame.f_globals, dict(frame.f_locals))
        except Exception:  # a name that is gone by the end: no condition to speak of
            continue
        named = given if isinstance(given, dict) else {text: given}
        for name, item in named.items():
            value = np.asarray(item)
            is_condition = value.dtype == bool or (value.dtype.kind == "f" and is_share(value))
            is_of_all = gate.name == SUCCESS
            if not is_condition or value.ndim != (0 if is_of_all else 1):
                continue
            size = size or np.atleast_1d(value).shape
            if np.atleast_1d(value).shape == size and size[0]:
                yield str(name), np.atleast_1d(value >= _FULL)


def _list_gates(function: ast.FunctionDef) -> Iterator[_Gate]:
    assigned = _find_assigned(function)
    of = "" if function.name in _MAIN else f" ({function.name})"
    for node in _walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            told = node.args[1:2] or [item.value for item in node.keywords if item.arg == SUCCESS]
            if node.func.id == "Score" and told:
                yield from _make_gate(SUCCESS, told[0], assigned)
        if isinstance(node, ast.Assign | ast.Return | ast.Expr) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            name = target.id if isinstance(target, ast.Name) else ""
            # Of an entry that is changed nobody knows which one it is.
            joins = () if isinstance(target, ast.Subscript) else _find_joined(node.value)
            for joined in joins:
                yield from _make_gate(f"{name or ast.unparse(joined)}{of}", joined, assigned)


def _find_joined(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the widest joined expressions in an expression; those of success come by themselves."""
    if isinstance(node, ast.expr) and not isinstance(node, ast.BoolOp) and _list_joined(node):
        yield node
        within: list[ast.AST] = [*_split(node, {})]
    else:
        within = [node]
    for part in within:
        for child in ast.iter_child_nodes(part):
            if not isinstance(child, _SKIPPED):
                yield from _find_joined(child)


def _make_gate(name: str, node: ast.expr, assigned: Mapping[str, ast.expr]) -> Iterator[_Gate]:
    texts = dict[str, CodeType]()
    for part in _split(node, assigned if name == SUCCESS else {}):
        text = ast.unparse(part)
        meant = assigned.get(part.id) if isinstance(part, ast.Name) else None
        shown = f"{text}: {ast.unparse(meant)}" if isinstance(meant, ast.Compare) else text
        if meant is not None and shown == text and (fields := _list_fields(meant)):
            shown = f"{text} ({', '.join(fields)})"
        shown = shown.replace("episode.", "").replace("np.", "")
        texts[shown if len(shown) <= _MOST_CHARS else text[:_MOST_CHARS]] = compile(
            text, "<condition>", "eval"
        )
    if texts:
        yield _Gate(name[:_MOST_CHARS], tuple(texts.items()))


def _list_fields(node: ast.expr) -> list[str]:
    """Return the fields of the episode that an expression names."""
    found = [
        item.attr
        for item in ast.walk(node)
        if isinstance(item, ast.Attribute) and ast.unparse(item.value) == "episode"
    ]
    return list(dict.fromkeys(found))


def _split(node: ast.expr, assigned: Mapping[str, ast.expr]) -> Iterator[ast.expr]:
    """Yield what is joined, also by way of a name that stands for it; numbers are none."""
    meant = assigned.get(node.id) if isinstance(node, ast.Name) else None
    joined = _list_joined(meant if meant is not None else node)
    if not joined and not isinstance(node, ast.Constant):
        yield node
    for part in joined:
        yield from _split(part, assigned)


def _list_joined(node: ast.expr) -> list[ast.expr]:
    """Return the parts of one join; none for anything else."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.BitAnd):
        return [node.left, node.right]
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return node.values
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr not in _JOINING:
            return []
        given = node.args[0].elts if node.args and isinstance(node.args[0], ast.List) else node.args
        return [_unpack(item) for item in given] if len(given) > 1 or given != node.args else []
    return []


def _unpack(item: ast.expr) -> ast.expr:
    """Return the dictionary in ``*named.values()``, whose names are texts; else the item."""
    if isinstance(item, ast.Starred):
        call = item.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            return call.func.value
        return call
    return item


def _find_assigned(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Return what each name is given that is given something once."""
    found = [
        (node.targets[0].id, node.value)
        for node in _walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    names = [name for name, _ in found]
    return {name: value for name, value in found if names.count(name) == 1}


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what lies in a function, without the functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _SKIPPED):
            yield child
            yield from _walk(child)
