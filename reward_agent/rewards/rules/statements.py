"""What to write for a statement that the language does not have: the very line, rewritten."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.rewards.rules.rewrites import call, write

_MAX_CHARS = 200
_MOST_NAMES = 4
_IN_ROUNDS = "use `for i in range(…)` with a bound, or np.where on whole arrays"
_TURNS = frozenset({"2 * np.pi", "2 * math.pi", "2.0 * np.pi", "2.0 * math.pi", "math.tau"})


def replace_statement(node: ast.AST) -> str | None:
    """Return what to write for a statement; None where nothing is sure."""
    if isinstance(node, ast.While):
        return _replace_while(node)
    if isinstance(node, ast.ClassDef):
        return _replace_class(node)
    if isinstance(node, ast.AsyncFunctionDef):
        names = write(node.args)
        return f"write `def {node.name}({names}):`, and delete each `await`: f(x) for `await f(x)`"
    return None


def _replace_while(loop: ast.While) -> str:
    last = loop.body[-1]
    if not isinstance(last, ast.AugAssign) or not isinstance(last.target, ast.Name):
        return _IN_ROUNDS
    name, step = last.target.id, write(last.value)
    if len(loop.body) == 1 and step in _TURNS:
        return f"write `{name} = wrap_angle({name})`, for any number of turns at once"
    test = loop.test
    is_count = (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == name
        and isinstance(test.ops[0], ast.Lt)
        and len(test.ops) == 1
        and isinstance(last.op, ast.Add)
    )
    if not is_count or not isinstance(last.value, ast.Constant):
        return _IN_ROUNDS
    assert isinstance(test, ast.Compare)
    by = "" if step == "1" else f", {step}"
    line = f"for {name} in range({name}, {write(test.comparators[0])}{by}):"
    return f"write `{line}`, and delete `{write(last)}`"


def _replace_class(node: ast.ClassDef) -> str:
    weights = [*_list_weights(node)]
    kept = [*_list_kept(node)]
    parts = []
    if weights:
        pairs = ", ".join(f"{name!r}: {value}" for name, value in weights)
        parts.append(
            f"write `{node.name} = {{{pairs}}}`, and {node.name}[{weights[0][0]!r}] for "
            f"each {weights[0][0]} of it"
        )
    if kept:
        pairs = ", ".join(f"{name!r}: np.zeros(state.observation.shape[0])" for name in kept)
        parts.append(
            f"write `def init_memory(state): return {{{pairs}}}`, memory[{kept[0]!r}] for "
            f"self.{kept[0]}, and return memory as the third value of compute_reward"
        )
    if any(isinstance(item, ast.FunctionDef) and item.name[:2] != "__" for item in node.body):
        parts.append("write each method as a function without self")
    text = "; ".join(parts)
    return text if parts and len(text) <= 2 * _MAX_CHARS else "use functions and dicts"


def _list_weights(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield the numbers that a class holds: written in it, or set when it is made."""
    makers = [item for item in node.body if getattr(item, "name", "") == "__init__"]
    made = [statement for maker in makers for statement in getattr(maker, "body", ())]
    changed = set(_list_kept(node))
    for statement in (*node.body, *made):
        target: ast.expr
        if isinstance(statement, ast.AnnAssign):
            target, value = statement.target, statement.value
        elif isinstance(statement, ast.Assign):
            target, value = statement.targets[0], statement.value
        else:
            continue
        name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", None)
        if name and name not in changed and value is not None and _is_number(value):
            yield name, write(value)


def _list_kept(node: ast.ClassDef) -> list[str]:
    """Return what the methods of a class set from step to step, each once."""
    names = [
        target.attr
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name not in ("__init__", "reset")
        for target in ast.walk(method)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    ]
    return list(dict.fromkeys(names))[:_MOST_NAMES]


def _is_number(node: ast.expr) -> bool:
    value = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def replace_print(context: Context, node: ast.AST) -> str | None:
    """Return what logs what a call of print shows: as terms that are returned."""
    shown = context.source.parents.get(node)
    if not isinstance(shown, ast.Call) or shown.func is not node:
        return None
    names = [
        name.id
        for name in ast.walk(ast.Tuple([*shown.args], ast.Load()))
        if isinstance(name, ast.Name) and name.id not in ("np", "math")
        and context.scopes.find(name) is not None
    ]  # fmt: skip
    terms = ", ".join(f"{name!r}: {name}" for name in list(dict.fromkeys(names))[:_MOST_NAMES])
    if not terms:
        return None
    return f"delete it; each term that is returned is logged: `{{{terms}}}` where it is one"


def replace_handler(handler: ast.ExceptHandler) -> str:
    """Return the line of an ``except`` that the language has, and what needs none."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    known = [write(k) for k in kinds if k is not None and write(k) in language.EXCEPTIONS]
    if known:
        line = f"except ({', '.join(known)}):" if len(known) > 1 else f"except {known[0]}:"
    else:
        line = "except Exception:"
    return (
        f"write `{line}`; arrays raise nothing when they divide by 0: guard the value, as in "
        "np.where(b != 0.0, a / np.where(b != 0.0, b, 1.0), 0.0)"
    )


def replace_with(item: ast.withitem) -> str:
    """Return what stands in place of a ``with``."""
    name = write(item.context_expr)
    if "errstate" in name:
        return 'write `with np.errstate(all="ignore"):`'
    if name.startswith("open("):
        return "delete it: a reward reads its arguments only; write the numbers into the file"
    return f"delete `with {name[:_MAX_CHARS]}:`, and move the lines in it to the left"


def replace_write(node: ast.AST, what: ast.expr, source: str) -> str:
    """Return what changes a copy in place of an input."""
    name = write(what)
    own = what.attr if isinstance(what, ast.Attribute) else name
    if isinstance(node, ast.AugAssign):
        target = ast.Name(node.target.id, ast.Load())  # type: ignore[union-attr]
        line = f"{name} = {write(ast.BinOp(target, node.op, node.value))}"
        return f"write `{line}`, which makes an array of its own"
    if isinstance(node, ast.Call):
        outs = [keyword for keyword in node.keywords if keyword.arg == "out"]
        if outs:
            rest = [keyword for keyword in node.keywords if keyword not in outs]
            return f"write `{own} = {write(ast.Call(node.func, node.args, rest))}`"
        if isinstance(node.func, ast.Attribute) and node.func.attr == "sort":
            return f"write `{own} = {write(call('np.sort', what))}`"
    if not isinstance(what, ast.Name):
        return f"write `{own} = {name}.copy()` before it, and `{own}` for `{name}` here"
    return f"write `{name} = {source}.copy()` before it"
