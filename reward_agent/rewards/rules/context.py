"""What every rule sees: the parsed program, the card's fields, the dialect and the scopes."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import find_alike_name
from reward_agent.rewards import language
from reward_agent.rewards.language import REMEDIES
from reward_agent.rewards.source import ParsedSource, Scopes
from reward_agent.types import Finding, Severity

# Names are compared with known ones at a cost; a hostile text must not ask for it many times.
_MAX_COMPARISONS = 12
_MAX_COMPARED_CHARS = 64
_MAX_SHOWN_CHARS = 60
_LARGEST = 1e300


@dataclass(frozen=True)
class Entry:
    """A function that the framework calls.

    ``returns`` is how many values it returns as a tuple; None for a single value.
    """

    name: str
    parameters: tuple[str, ...]
    returns: int | None
    required: bool = False


@dataclass(frozen=True)
class Dialect:
    """What differs between a reward program and a metric.

    Args:
        kind: which of them.
        entries: functions that the framework calls.
        subjects: parameters of entries that carry the card's fields as attributes.
        members: attributes of a subject beside the fields.
        values: attributes of what the framework's functions return.
        names: global names beside the language's.
        metrics: functions that make an entry from names of fields; a program may give these names
            another meaning.
        modules: further modules to import from, with their names.
    """

    kind: Literal["reward", "metric"]
    entries: tuple[Entry, ...]
    subjects: frozenset[str]
    members: frozenset[str]
    values: frozenset[str]
    names: frozenset[str]
    metrics: frozenset[str]
    modules: Mapping[str, frozenset[str]]


REWARD = Dialect(
    kind="reward",
    entries=(
        Entry(language.REWARD_ENTRY, language.REWARD_PARAMETERS, 2, required=True),
        Entry(language.MEMORY_ENTRY, ("state",), None),
        Entry(language.POTENTIAL_ENTRY, ("state",), None),
        Entry(language.STARTS_ENTRY, language.STARTS_PARAMETERS, None),
    ),
    subjects=frozenset({"state", "next_state"}),
    members=frozenset({language.ENDED}),
    values=frozenset(),
    names=frozenset(),
    metrics=frozenset(),
    modules={},
)
METRIC = Dialect(
    kind="metric",
    entries=(Entry(language.METRIC_ENTRY, ("episode",), None, required=True),),
    subjects=frozenset({"episode"}),
    members=frozenset({"action", "control_dt", "duration_s", "fields", "n_steps", "terminated"}),
    values=frozenset({"task_score", "success", "parts"}),
    names=frozenset({"Score"}) | language.CONDITION_NAMES,
    metrics=language.METRIC_NAMES,
    modules={"reward_agent.types": frozenset({"Score"})},
)


@dataclass
class Context:
    """One program under check."""

    source: ParsedSource
    dialect: Dialect
    card: EnvCard
    scopes: Scopes
    fields: frozenset[str]
    annotations: frozenset[ast.AST]
    _comparisons: int = 0

    def refuse(
        self, rule: str, node: ast.AST, problem: str, remedy: str, name: str | None = None
    ) -> Finding:
        """Return an error at a node; its message starts with the offending name."""
        return self.note("error", rule, node, problem, remedy, name)

    def note(
        self,
        severity: Severity,
        rule: str,
        node: ast.AST,
        problem: str,
        remedy: str,
        name: str | None = None,
    ) -> Finding:
        """Return a finding of any severity at a node, which is called by its own name or text."""
        name = self._name(node) if name is None else name
        shown = name if len(name) <= _MAX_SHOWN_CHARS else name[: _MAX_SHOWN_CHARS - 1] + "…"
        line = getattr(node, "lineno", None)
        return Finding(
            rule=rule,
            severity=severity,
            message=f"{shown} {problem}",
            remedy=remedy,
            line=line,
            column=None if line is None else self._column(line, getattr(node, "col_offset", 0)),
        )

    def _name(self, node: ast.AST) -> str:
        if isinstance(node, ast.FunctionDef):
            return node.name
        return node.id if isinstance(node, ast.Name) else self.text(node)

    def closest(self, name: str, known: frozenset[str]) -> str | None:
        """Return the known name that this one is a slip of, for a bounded number of names."""
        self._comparisons += 1
        if self._comparisons > _MAX_COMPARISONS or len(name) > _MAX_COMPARED_CHARS:
            return None
        return find_alike_name(name, known)

    def suggest(self, name: str, known: frozenset[str], prefix: str = "", other: str = "") -> str:
        """Return a remedy: the one written for this name, the closest known name, or another."""
        if name in REMEDIES:
            return REMEDIES[name]
        closest = self.closest(name, known)
        return f"did you mean {prefix}{closest}?" if closest else other

    def text(self, node: ast.AST) -> str:
        """Return the source of a node on one line, shortened."""
        line: int | None = getattr(node, "lineno", None)
        if line is None or line > len(self._lines):
            return type(node).__name__
        if getattr(node, "end_lineno", line) != line:
            return self._lines[line - 1].strip()
        raw = self._lines[line - 1].encode()
        start, stop = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", None)
        text: str = raw[start:stop].decode(errors="replace").strip()
        return text or type(node).__name__

    def is_in_class(self, node: ast.AST) -> bool:
        """Whether a node stands in a class or an `async def`, which is refused as a whole."""
        if not {ast.ClassDef, ast.AsyncFunctionDef} & self.source.nodes.keys():
            return False
        return any(
            isinstance(item, ast.ClassDef | ast.AsyncFunctionDef)
            for item in self.source.ancestors(node)
        )

    def functions(self) -> Iterator[ast.FunctionDef]:
        """Yield the functions of the module, without nested ones."""
        for statement in self.source.tree.body:
            if isinstance(statement, ast.FunctionDef):
                yield statement

    def find_function(self, name: str) -> ast.FunctionDef | None:
        """Return the module's function of that name."""
        return next((item for item in self.functions() if item.name == name), None)

    def entry_of(self, function: ast.AST) -> Entry | None:
        """Return which entry a function is; a helper that only shares the name is none."""
        if not isinstance(function, ast.FunctionDef):
            return None
        if self.source.parents.get(function) is not self.source.tree:
            return None
        for entry in self.dialect.entries:
            if entry.name == function.name and (
                entry.required or [arg.arg for arg in function.args.args] == list(entry.parameters)
            ):
                return entry
        return None

    def is_composed(self, entry: Entry) -> bool:
        """Whether an entry is what one of the metrics returns: ``score = travel(…)``."""
        bound = self.scopes.module.bindings.get(entry.name, [])
        name = bound[0] if len(bound) == 1 else None
        value = self.find_value(name) if isinstance(name, ast.Name) else None
        return isinstance(value, ast.Call) and self.is_builtin(value.func, self.dialect.metrics)

    def is_subject(self, node: ast.AST | None) -> bool:
        """Whether an expression is surely the state, the next state or the episode itself."""
        return self._is_given(node, self.dialect.subjects)

    def is_generator(self, node: ast.AST | None) -> bool:
        """Whether an expression is surely the generator that ``starts`` is given."""
        return self._is_given(node, frozenset(language.STARTS_PARAMETERS[:1]))

    def _is_given(self, node: ast.AST | None, names: frozenset[str]) -> bool:
        """Whether an expression is surely a parameter of an entry, by one of these names."""
        if not isinstance(node, ast.Name) or node.id not in names:
            return False
        scope = self.scopes.find(node)
        is_given = scope is not None and self.entry_of(scope.node) is not None
        return is_given and len(scope.bindings[node.id]) == 1  # type: ignore[union-attr]

    def is_builtin(self, node: ast.AST, names: frozenset[str]) -> bool:
        """Whether an expression is one of these names with the language's own meaning."""
        return isinstance(node, ast.Name) and node.id in names and self.scopes.find(node) is None

    def find_value(self, node: ast.Name) -> ast.expr | None:
        """Return what a name is assigned, if it is bound once but for ``+=`` and the like."""
        scope = self.scopes.find(node)
        parents = (
            [self.source.parents.get(item) for item in scope.bindings[node.id]] if scope else []
        )
        bound = [item for item in parents if not isinstance(item, ast.AugAssign)]
        is_plain = len(bound) == 1 and isinstance(bound[0], ast.Assign)
        return bound[0].value if is_plain else None  # type: ignore[union-attr]

    def _column(self, line: int, offset: int) -> int:
        """Return the column of a byte offset, from 1."""
        if not 1 <= line <= len(self._lines):
            return 1
        return len(self._lines[line - 1].encode()[:offset].decode(errors="replace")) + 1

    @cached_property
    def _lines(self) -> list[str]:
        return self.source.text.split("\n")


def find_numpy_name(node: ast.AST) -> str | None:
    """Return ``NAME`` of ``np.NAME``; None for anything else."""
    is_member = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return node.attr if is_member and node.value.id == "np" else None  # type: ignore[attr-defined]


def read_number(node: ast.AST) -> float | None:
    """Return the value of a number that is written out; None for anything else."""
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, float):
        return None
    assert isinstance(node.value, int | float)
    # An integer of any length may stand there; it is as good as infinite.
    value = float(node.value) if abs(node.value) < _LARGEST else math.inf
    return value if math.isfinite(value) else None


def make_context(source: ParsedSource, card: EnvCard, dialect: Dialect) -> Context:
    """Return what the rules need to know of a program."""
    return Context(
        source=source,
        dialect=dialect,
        card=card,
        scopes=Scopes(source),
        fields=frozenset(item.name for item in card.state) | {"observation"},
        annotations=frozenset(_find_annotations(source)),
    )


def _find_annotations(source: ParsedSource) -> Iterator[ast.AST]:
    """Yield every node of every annotation; they are never evaluated."""
    roots: list[ast.AST | None] = [node.annotation for node in source.find(ast.arg)]
    roots += [node.annotation for node in source.find(ast.AnnAssign)]
    roots += [node.returns for node in source.find(ast.FunctionDef)]
    for root in roots:
        if root is not None:
            yield from ast.walk(root)
