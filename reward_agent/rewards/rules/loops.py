"""Rules on work: no recursion, and a bound on how many steps all loops of a call can take."""

from __future__ import annotations

import ast
import math
from collections import defaultdict
from collections.abc import Iterator

from reward_agent.rewards.rules.bounds import Bounds
from reward_agent.rewards.rules.context import Context
from reward_agent.types import Finding

_COMPREHENSIONS = (ast.ListComp, ast.DictComp, ast.GeneratorExp)
_GROWING = frozenset({"append", "extend", "insert", "update", "setdefault"})


def check_growing_loops(context: Context) -> Iterator[Finding]:
    """Refuse a loop over a list that its own body makes longer."""
    for loop in context.source.find(ast.For):
        names = {node.id for node in ast.walk(loop.iter) if isinstance(node, ast.Name)}
        for statement in loop.body:
            for node in ast.walk(statement):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in _GROWING
                    and isinstance(node.value, ast.Name)
                    and node.value.id in names
                ):
                    yield context.refuse(
                        "loops/growing",
                        loop,
                        node.value.id,
                        "grows while the loop runs over it",
                        "build a new list in the loop",
                    )
                    return


def check_recursion(context: Context) -> Iterator[Finding]:
    """Refuse functions that call themselves, directly or through others."""
    references = _find_references(context)
    for function in context.source.find(ast.FunctionDef):
        seen: set[ast.AST] = set()
        waiting: list[ast.AST] = [function]
        while waiting:
            for used in references.get(waiting.pop(), ()):
                if used is function:
                    yield context.refuse(
                        "loops/recursion",
                        function,
                        function.name,
                        "calls itself, directly or through another function",
                        "write a loop over a literal range",
                    )
                    return
                if used not in seen:
                    seen.add(used)
                    waiting.append(used)


def check_iterators(context: Context) -> Iterator[Finding]:
    """Refuse ``iter(function, end)``, which never has to end, and iter or next as values."""
    for name in context.source.find(ast.Name):
        if not context.is_builtin(name, frozenset({"iter", "next"})):
            continue
        call = context.source.parents[name]
        is_call = isinstance(call, ast.Call) and call.func is name
        if not is_call or (name.id == "iter" and len(call.args) != 1):  # type: ignore[attr-defined]
            yield context.refuse(
                "loops/unbounded",
                name,
                name.id,
                "is used as a value, or with an end that need not come",
                "loop over the list, tuple or range itself",
            )


def check_ranges(context: Context) -> Iterator[Finding]:
    """Refuse a range without a bound wherever it stands: ``sum(range(n))`` is a loop, too."""
    bounds = Bounds(context)
    for name in context.source.find(ast.Name):
        if not context.is_builtin(name, frozenset({"range"})):
            continue
        call = context.source.parents[name]
        if not isinstance(call, ast.Call) or call.func is not name:
            yield context.refuse(
                "loops/unbounded", name, "range", "is used as a value", "write range(3) in full"
            )
            continue
        found = bounds.steps(call)
        if found is None or found > context.dialect.max_steps:
            yield context.refuse(
                "loops/unbounded",
                call,
                context.text(call),
                "has no bound that can be told from the text, or one that is too large",
                "use range(3), range(N_LEGS) or range(x.shape[1])",
            )


def check_steps(context: Context) -> Iterator[Finding]:
    """Refuse loops without a bound, and more steps in all than a call can afford."""
    bounds = Bounds(context)
    steps: dict[ast.AST, float] = {}
    for loop in context.loops():
        found = bounds.steps(loop.iter)
        # A range without a bound has a finding of its own.
        steps[loop] = 1.0 if found is None else found
    work = _Work(context, steps)
    for loop in context.loops():
        total = work.count(loop) * steps[loop]
        if total > context.dialect.max_steps:
            yield _refuse_steps(context, loop.iter, context.text(loop.iter), total)
            return
    for function in context.source.find(ast.FunctionDef):
        total = work.count_calls(function)
        if total > context.dialect.max_steps:
            yield _refuse_steps(context, function, function.name, total)
            return


def _refuse_steps(context: Context, node: ast.AST, name: str, total: float) -> Finding:
    shown = f"{total:.0e}" if math.isfinite(total) else "countless"
    return context.refuse(
        "loops/too-many-steps",
        node,
        name,
        f"takes {shown} steps in one call; at most {context.dialect.max_steps:.0e} are allowed",
        "compute with whole arrays instead of loops",
    )


class _Work:
    """How often each part of a program is reached in one call of it, at most.

    Args:
        context: the program.
        steps: bound on the steps of each loop and comprehension.
    """

    def __init__(self, context: Context, steps: dict[ast.AST, float]) -> None:
        self._context = context
        self._steps = steps
        self._calls: dict[ast.AST, float] = {}

    def count(self, node: ast.AST) -> float:
        """Return how often a node is reached: the loops around it, times the calls."""
        total = 1.0
        child = node
        for parent in self._context.source.ancestors(node):
            if isinstance(parent, ast.For) and child is not parent.iter:
                total *= max(self._steps[parent], 1.0)
            elif isinstance(parent, _COMPREHENSIONS):
                total *= self._count_generators(parent, child)
            elif isinstance(parent, ast.FunctionDef | ast.Lambda):
                return total * self.count_calls(parent)
            child = parent
        return total

    def count_calls(self, function: ast.FunctionDef | ast.Lambda) -> float:
        """Return how often a function is called; one that is handed on, once a row."""
        if function not in self._calls:
            self._calls[function] = math.inf  # what a function that calls itself gets
            rows = float(self._context.dialect.rows)
            uses = self._context.uses_of(function)
            total = 1.0 if self._context.entry_of(function) else 0.0
            for use in uses:
                parent = self._context.source.parents.get(use)
                is_call = isinstance(parent, ast.Call) and parent.func is use
                total += self.count(use) * (1.0 if is_call else rows)
            if isinstance(function, ast.Lambda) and not uses:
                total = rows * self.count(function)
            self._calls[function] = max(total, 1.0)
        return self._calls[function]

    def _count_generators(
        self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp, child: ast.AST
    ) -> float:
        """Return how often a part of a comprehension runs: the product of the loops before it."""
        total = 1.0
        for generator in node.generators:
            if generator is child:
                break
            total *= max(self._steps[generator], 1.0)
        return total


def _find_references(context: Context) -> dict[ast.AST, set[ast.AST]]:
    """Return the functions that each function refers to, nested ones included."""
    found: dict[ast.AST, set[ast.AST]] = defaultdict(set)
    for function in context.source.find(ast.FunctionDef):
        for use in context.uses_of(function):
            for parent in context.source.ancestors(use):
                if isinstance(parent, ast.FunctionDef):
                    found[parent].add(function)
    return found
