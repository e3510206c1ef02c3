"""Rules on the module: the functions that the framework calls, and what may stand beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from reward_agent.errors import find_closest_name
from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context, Entry
from reward_agent.types import Finding

_MODULE_STATEMENTS = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Assign, ast.AnnAssign,
    ast.ClassDef, ast.AsyncFunctionDef,  # with a rule of their own
)  # fmt: skip
_MAX_COMPARED = 32
# How the parameters of a function are called that pays one step, and methods that do.
_OF_STEP = frozenset({"obs", "observation", "next_obs", "obs_next", "info", "physics", "data"})
_OF_ENVIRONMENT = re.compile(r"step|reward|_?get_rew(ard)?|_reward_\w+")
_TAKEN = "`check FILE` and `design --from FILE` take a file in the style of {name} as it is"


def check_module(context: Context) -> Iterator[Finding]:
    """Allow imports, constants and functions at module level, nothing that runs on its own."""
    for statement in context.source.tree.body:
        is_docstring = (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        )
        if is_docstring or isinstance(statement, _MODULE_STATEMENTS):
            continue
        yield context.refuse(
            "entry/module-level",
            statement,
            "runs at module level",
            "move it into a function; keep imports, constants and def at module level",
        )


def check_duplicates(context: Context) -> Iterator[Finding]:
    """Refuse a function of the module whose name is bound again."""
    bindings = context.scopes.module.bindings
    for function in context.functions():
        if len(bindings[function.name]) > 1 and bindings[function.name][0] is function:
            yield context.refuse(
                "entry/duplicate",
                bindings[function.name][-1],
                "is defined twice; the last one would count",
                "keep one of them",
                name=function.name,
            )
    for entry in context.dialect.entries:
        nodes = bindings.get(entry.name, [])
        is_function = any(isinstance(node, ast.FunctionDef) for node in nodes)
        if nodes and not is_function and not context.is_composed(entry):
            yield context.refuse(
                "entry/not-a-function",
                nodes[0],
                "is not defined with def",
                f"write def {entry.name}({', '.join(entry.parameters)}):",
                name=entry.name,
            )


def check_entries(context: Context) -> Iterator[Finding]:
    """Check that the required function is there and that its parameters are right."""
    for entry in context.dialect.entries:
        function = context.find_function(entry.name)
        if function is None:
            if entry.required and not context.is_composed(entry):
                yield _refuse_missing(context, entry)
            continue
        if entry.required or context.entry_of(function):
            yield from _check_parameters(context, entry, function)


def _refuse_missing(context: Context, entry: Entry) -> Finding:
    names = [function.name for function in context.functions()][:_MAX_COMPARED]
    closest = find_closest_name(entry.name, names)
    remedy = f"write def {entry.name}({', '.join(entry.parameters)}):" + _tell_of_styles(context)
    return context.refuse(
        "entry/missing",
        context.find_function(closest) or context.source.tree if closest else context.source.tree,
        "is not defined" + (f"; {closest} is" if closest else ""),
        remedy,
        name=entry.name,
    )


def _tell_of_styles(context: Context) -> str:
    """Say where a reward is taken in the style that it is written in, if it is one."""
    if context.dialect.kind != "reward":
        return ""
    of_step = [
        function.name
        for function in context.source.find(ast.FunctionDef)
        if _OF_STEP & {argument.arg for argument in function.args.args}
        or _is_of_environment(function.name)
    ]
    return f"; {_TAKEN.format(name=of_step[0])}" if of_step else ""


def _is_of_environment(name: str) -> bool:
    return _OF_ENVIRONMENT.fullmatch(name) is not None


def _check_parameters(
    context: Context, entry: Entry, function: ast.FunctionDef
) -> Iterator[Finding]:
    arguments = function.args
    names = tuple(arg.arg for arg in arguments.args)
    expected = [entry.parameters]
    if entry.name == language.REWARD_ENTRY:
        expected.append((*entry.parameters, language.MEMORY_PARAMETER))
    extra = [*arguments.posonlyargs, *arguments.kwonlyargs, *arguments.defaults]
    if names in expected and not extra and not arguments.vararg and not arguments.kwarg:
        return
    given = ", ".join(arg.arg for arg in [*arguments.posonlyargs, *arguments.args])
    yield context.refuse(
        "entry/parameters",
        function,
        f"takes ({given}){' and more' if extra else ''}; expected ({', '.join(entry.parameters)})",
        f"write def {entry.name}({', '.join(entry.parameters)}):{_tell_of_styles(context)}",
    )


def check_memory(context: Context) -> Iterator[Finding]:
    """Check that init_memory and the memory argument come together."""
    if context.dialect.kind != "reward":
        return
    reward = context.find_function(language.REWARD_ENTRY)
    maker = context.find_function(language.MEMORY_ENTRY)
    if reward is None:
        return
    takes = language.MEMORY_PARAMETER in [arg.arg for arg in reward.args.args]
    if takes and maker is None:
        yield context.refuse(
            "entry/memory",
            reward,
            "is an argument, but there is no init_memory",
            "write def init_memory(state): return {'name': np.zeros(…)}",
            name=language.MEMORY_PARAMETER,
        )
    if takes and maker is not None and not context.entry_of(maker):
        yield context.refuse(
            "entry/parameters", maker, "does not take (state)", "write def init_memory(state):"
        )
    if maker is not None and not takes and context.entry_of(maker):
        yield context.refuse(
            "entry/memory",
            maker,
            "is defined, but compute_reward takes no memory",
            "write def compute_reward(state, action, next_state, memory): … and return memory "
            "as the third value",
        )
