"""What a reviewer would raise: warnings and hints, none of which refuses a program."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context, read_number
from reward_agent.types import Finding

_PLAIN_NUMBERS = frozenset({None, 0, 1, 2, 3, 4, 10, 0.5, 0.1, 0.01, 0.001, 100, 1000})
_MIN_UNNAMED = 4


def check_ignored_next_state(context: Context) -> Iterator[Finding]:
    """Warn of a reward that never looks at what the action led to."""
    function = context.find_function(language.REWARD_ENTRY)
    if context.dialect.kind != "reward" or function is None:
        return
    uses = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    if "next_state" not in uses:
        yield context.note(
            "warning",
            "quality/ignores-next-state",
            function,
            "is never read: the reward cannot tell what the action led to",
            "read the fields from next_state, state only for differences",
            name="next_state",
        )


def check_unused_terms(context: Context) -> Iterator[Finding]:
    """Warn of a value that is computed and then not used: a forgotten term, as a rule."""
    for function in context.source.find(ast.FunctionDef):
        scope = context.scopes.of[function.body[0]]
        loaded = {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        for name, bindings in scope.bindings.items():
            parent = context.source.parents.get(bindings[0])
            if name in loaded or name.startswith("_") or not isinstance(parent, ast.Assign):
                continue
            if bindings[0] not in parent.targets:
                continue
            yield context.note(
                "warning",
                "quality/unused",
                bindings[0],
                "is computed and never used",
                "add it to the reward and to the terms, or delete it",
                name=name,
            )


def check_potential_calls(context: Context) -> Iterator[Finding]:
    """Warn of shaping that is counted twice, or not at all."""
    function = context.find_function(language.POTENTIAL_ENTRY)
    if context.dialect.kind != "reward" or function is None:
        return
    is_entry = context.entry_of(function) is not None
    is_used = any(
        node.id == function.name and isinstance(node.ctx, ast.Load)
        for node in context.source.find(ast.Name)
    )
    if is_entry and is_used:
        problem = "is added by the framework, and is called here too"
        remedy = "delete your own γΦ(s') - Φ(s), or give the helper another name"
    elif not is_entry and not is_used:
        problem = "is never used: the framework calls potential(state) only"
        remedy = "write def potential(state):"
    else:
        return
    yield context.note("warning", "quality/potential", function, problem, remedy)


def check_broad_excepts(context: Context) -> Iterator[Finding]:
    """Hint at a handler that hides every fault."""
    for handler in context.source.find(ast.ExceptHandler):
        if isinstance(handler.type, ast.Name) and handler.type.id == "Exception":
            yield context.note(
                "hint",
                "quality/broad-except",
                handler,
                "hides faults of the program itself",
                "guard the value: np.maximum(x, 1e-6), np.clip, np.where",
                name="except Exception",
            )


def check_portability(context: Context) -> Iterator[Finding]:
    """Hint at writing into arrays, which programs on jax.numpy cannot do."""
    for node in context.source.find(ast.Subscript):
        # As far as one can tell: not an item of a dict or list.
        is_part = isinstance(node.slice, ast.Slice | ast.Tuple | ast.Compare | ast.UnaryOp)
        if isinstance(node.ctx, ast.Store) and is_part:
            yield context.note(
                "hint",
                "quality/not-portable",
                node,
                "is written in place; such a program does not run on jax.numpy",
                "use np.where(mask, a, b) or np.stack",
            )
            return


def check_magic_numbers(context: Context) -> Iterator[Finding]:
    """Hint at numbers in the reward that have no name."""
    function = context.find_function(language.REWARD_ENTRY)
    if context.dialect.kind != "reward" or function is None:
        return
    unnamed = [
        node
        for node in context.source.find(ast.Constant)
        if read_number(node) not in _PLAIN_NUMBERS and _is_bare(context, node, function)
    ]
    numbers = list(dict.fromkeys(context.text(node) for node in unnamed))
    if len(numbers) >= _MIN_UNNAMED:
        shown = ", ".join(numbers[:6])
        yield context.note(
            "hint",
            "quality/magic-number",
            unnamed[0],
            "have no name",
            "name them at the top, with their unit: TARGET_SPEED = 2.0  # m/s",
            name=shown,
        )


def _is_bare(context: Context, node: ast.Constant, function: ast.FunctionDef) -> bool:
    """Whether a number stands in an expression of the function, not in an assignment of its own."""
    parent = context.source.parents[node]
    while isinstance(parent, ast.UnaryOp | ast.Tuple | ast.List):
        parent = context.source.parents[parent]
    named = isinstance(parent, ast.Assign | ast.AnnAssign | ast.keyword | ast.Slice | ast.Subscript)
    return not named and function in context.source.ancestors(node)
