"""What every rule sees: the parsed program, the card's fields, the dialect and the scopes."""

from __future__ import annotations

import ast
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import find_closest_name
from reward_agent.rewards import language
from reward_agent.rewards.language import REMEDIES
from reward_agent.rewards.source import ParsedSource, Scopes
from reward_agent.types import Finding, Severity

# Names are compared with known ones at a cost; a hostile text must not ask for it many times.
_MAX_COMPARISONS = 12
_MAX_COMPARED_CHARS = 64
_MAX_SHOWN_CHARS = 60
_LARGEST = 1e300

Function = ast.FunctionDef | ast.Lambda


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
        names: global names beside the language's.
        modules: further modules to import from, with their names.
    """

    kind: Literal["reward", "metric"]
    entries: tuple[Entry, ...]
    subjects: frozenset[str]
    members: frozenset[str]
    names: frozenset[str]
    modules: Mapping[str, frozenset[str]]


REWARD = Dialect(
    kind="reward",
    entries=(
        Entry(language.REWARD_ENTRY, language.REWARD_PARAMETERS, 2, required=True),
        Entry(language.MEMORY_ENTRY, ("state",), None),
        Entry(language.POTENTIAL_ENTRY, ("state",), None),
    ),
    subjects=frozenset({"state", "next_state"}),
    members=frozenset(),
    names=frozenset(),
    modules={},
)
METRIC = Dialect(
    kind="metric",
    entries=(Entry(language.METRIC_ENTRY, ("episode",), None, required=True),),
    subjects=frozenset({"episode"}),
    members=frozenset({"action", "control_dt", "duration_s", "fields", "n_steps", "terminated"}),
    names=frozenset({"Score"}),
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
    bounds: dict[ast.AST, float | None] = field(default_factory=dict)
    _arguments: dict[tuple[ast.AST, str], list[ast.expr | None]] = field(default_factory=dict)
    _given_subjects: dict[ast.arg, bool] = field(default_factory=dict)
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
        """Return the known name most like this one, for a bounded number of names."""
        self._comparisons += 1
        if self._comparisons > _MAX_COMPARISONS or len(name) > _MAX_COMPARED_CHARS:
            return None
        return find_closest_name(name, known)

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

    def reads(self, name: str) -> list[ast.Name]:
        """Return every place where a name is read, whichever scope it belongs to."""
        return self._reads.get(name, [])

    @cached_property
    def _reads(self) -> dict[str, list[ast.Name]]:
        reads = defaultdict(list)
        for node in self.source.find(ast.Name):
            if _is_read(node):
                reads[node.id].append(node)
        return reads

    @cached_property
    def evaluated_names(self) -> frozenset[str]:
        """Names that are read anywhere but in annotations."""
        return frozenset(
            name.id
            for name in self.source.find(ast.Name)
            if _is_read(name) and name not in self.annotations
        )

    def functions(self) -> Iterator[ast.FunctionDef]:
        """Yield the functions of the module, without nested ones."""
        for statement in self.source.tree.body:
            if isinstance(statement, ast.FunctionDef):
                yield statement

    def loops(self) -> Iterator[ast.For | ast.comprehension]:
        """Yield every loop, those of comprehensions included."""
        yield from self.source.find(ast.For)
        yield from self.source.find(ast.comprehension)

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

    def is_subject(self, node: ast.AST | None) -> bool:
        """Whether an expression is surely the state, the next state or the episode itself."""
        if not isinstance(node, ast.Name):
            return False
        scope = self.scopes.find(node)
        bindings = scope.bindings[node.id] if scope else []
        if scope is None or len(bindings) != 1 or not isinstance(bindings[0], ast.arg):
            return False
        if self.entry_of(scope.node):
            return node.id in self.dialect.subjects
        return self._is_given_subjects(bindings[0], scope.node)

    def _is_given_subjects(self, parameter: ast.arg, function: ast.AST) -> bool:
        """Whether every call of a helper gives it a subject for a parameter."""
        if parameter not in self._given_subjects:
            self._given_subjects[parameter] = False  # for helpers that call each other
            given = self.arguments_of(function, parameter.arg)
            is_given = bool(given) and all(self.is_subject(node) for node in given)
            self._given_subjects[parameter] = is_given
        return self._given_subjects[parameter]

    def arguments_of(self, function: ast.AST, parameter: str) -> list[ast.expr | None]:
        """Return what each use of a helper gives for a parameter; None where it is not known."""
        key = (function, parameter)
        if key not in self._arguments:
            self._arguments[key] = [
                self._read_argument(function, use, parameter) for use in self.uses_of(function)
            ]
        return self._arguments[key]

    def _read_argument(self, function: ast.AST, use: ast.Name, parameter: str) -> ast.expr | None:
        """Return what one use of a helper gives for a parameter."""
        call = self.source.parents[use]
        if not isinstance(function, ast.FunctionDef) or not isinstance(call, ast.Call):
            return None
        names = [item.arg for item in function.args.args]
        if call.func is not use or parameter not in names:
            return None
        position = names.index(parameter)
        named = {item.arg: item.value for item in call.keywords}
        if any(isinstance(item, ast.Starred) for item in call.args) or None in named:
            return None
        if position < len(call.args):
            return call.args[position]
        defaults = function.args.defaults
        missing = len(function.args.args) - len(defaults)
        default = defaults[position - missing] if position >= missing else None
        return named.get(parameter, default)

    def is_builtin(self, node: ast.AST, names: frozenset[str]) -> bool:
        """Whether an expression is one of these names with the language's own meaning."""
        return isinstance(node, ast.Name) and node.id in names and self.scopes.find(node) is None

    def find_definition(self, node: ast.AST) -> Function | None:
        """Return the only ``def`` or lambda that a name is bound to."""
        if not isinstance(node, ast.Name):
            return None
        value = self.find_value(node)
        return value if isinstance(value, ast.FunctionDef | ast.Lambda) else None

    def uses_of(self, function: ast.AST) -> list[ast.Name]:
        """Return the names that stand for a function of the program."""
        return self._uses.get(function, [])

    @cached_property
    def _uses(self) -> dict[ast.AST, list[ast.Name]]:
        uses: dict[ast.AST, list[ast.Name]] = defaultdict(list)
        for name in self.source.find(ast.Name):
            definition = self.find_definition(name) if _is_read(name) else None
            if definition is not None:
                uses[definition].append(name)
        return uses

    def find_value(self, node: ast.Name) -> ast.AST | None:
        """Return what a name is bound to, if it is bound once, by ``def`` or by assignment."""
        scope = self.scopes.find(node)
        if scope is None or len(scope.bindings[node.id]) != 1:
            return None
        binding = scope.bindings[node.id][0]
        if isinstance(binding, ast.FunctionDef):
            return binding
        parent = self.source.parents.get(binding)
        if isinstance(parent, ast.Assign) and binding in parent.targets:
            return parent.value
        if isinstance(parent, ast.AnnAssign | ast.NamedExpr) and binding is parent.target:
            return parent.value
        return None

    def is_type_alias(self, node: ast.AST) -> bool:
        """Whether a node is part of ``Terms = dict[str, np.ndarray]``, used in annotations only."""
        for parent in self.source.ancestors(node):
            if isinstance(parent, ast.Assign):
                target = parent.targets[0]
                return (
                    len(parent.targets) == 1
                    and isinstance(target, ast.Name)
                    and self.source.parents[parent] is self.source.tree
                    and target.id not in self.evaluated_names
                )
            if not isinstance(parent, ast.Subscript | ast.Tuple | ast.Attribute | ast.BinOp):
                return False
        return False

    def _column(self, line: int, offset: int) -> int:
        """Return the column of a byte offset, from 1."""
        if not 1 <= line <= len(self._lines):
            return 1
        return len(self._lines[line - 1].encode()[:offset].decode(errors="replace")) + 1

    @cached_property
    def _lines(self) -> list[str]:
        return self.source.text.split("\n")


def _is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


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
