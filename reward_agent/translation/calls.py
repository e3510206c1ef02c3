"""Calls of the file's functions and classes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from reward_agent.translation import arithmetic, words
from reward_agent.translation.journal import Flow, Journal, open_maybe
from reward_agent.translation.values import (
    Cells,
    Class,
    Function,
    Input,
    Instance,
    Lanes,
    Locals,
    MethodOf,
    Partial,
    Table,
    Word,
)

_MOST_CALLS = 40
if TYPE_CHECKING:
    from reward_agent.translation.machine import Tracer

# What only says something to a person, or draws.
_SKIPPED = ("logging", "warnings", "matplotlib", "wandb", "tqdm", "pprint", "asyncio", "loguru")


class Calls(Journal):
    """Carries out calls; how a block or an expression is carried out is said by ``Tracer``."""

    evaluate: Callable[[ast.expr, Locals], Any]
    iterate: Callable[[Any], list[Any]]
    get_attribute: Callable[[Any, str], Any]
    run_block: Callable[[list[ast.stmt], Locals], Flow | None]
    _list: Callable[[list[ast.expr], Locals], list[Any]]

    def __init__(self, inputs: Mapping[str, Any] | None = None, is_inline: bool = False) -> None:
        super().__init__(inputs, is_inline)
        self._depth = 0
        self._callers: list[tuple[Instance, Class]] = []

    def _get_Call(self, node: ast.Call, scope: Locals) -> Any:
        function = self.evaluate(node.func, scope)
        if is_quiet(function):
            return None
        if isinstance(function, Word) and function.name == "__init__":
            return None  # of a base class that is not in the file
        arguments = self._list(node.args, scope)
        keywords: dict[str, Any] = {}
        for item in node.keywords:
            value = self.evaluate(item.value, scope)
            if item.arg is None:
                keywords |= {str(key): value[key] for key in self.iterate(value)}
            else:
                keywords[item.arg] = value
        self.line = getattr(node, "lineno", self.line)
        found = self.call(function, tuple(arguments), keywords)
        if isinstance(found, Instance):
            found.names.line = found.names.line or self.line
        return found

    def call(self, function: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        """Return what a function returns."""
        if isinstance(function, Partial):
            given = (*function.arguments, *arguments)
            return self.call(function.function, given, {**function.keywords, **keywords})
        if isinstance(function, Function):
            return self.call_function(function, arguments, keywords)
        if isinstance(function, Class):
            return self.construct(function, arguments, keywords)
        if isinstance(function, Instance):
            return self.call(self.get_attribute(function, "__call__"), arguments, keywords)
        if isinstance(function, Input):
            if function.call is None:
                raise self.refuse(f"{function.name}(…)", "read a field of the card instead")
            return function.call(*arguments, **keywords)
        if isinstance(function, Word | MethodOf):
            opened = tuple(open_maybe(item) for item in arguments)
            return words.call(
                cast("Tracer", self),
                function,
                opened,
                {k: open_maybe(v) for k, v in keywords.items()},
            )
        raise self.refuse("a call of something that is no function", "call a function of the file")

    def call_function(
        self, function: Function, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Carry out a function of the file."""
        self._depth += 1
        self.ran.add(function.node)
        if self._depth > _MOST_CALLS:
            raise self.refuse(f"{function.name} calls itself", "write it without recursion")
        given = self._bind_arguments(function, arguments, keywords)
        named = {name: self.name_large(name, value) for name, value in given.items()}
        scope = Locals(Cells(named), function.scope, given={*named})
        line = self.line
        is_method = function.owner is not None and arguments and isinstance(arguments[0], Instance)
        if is_method:
            self._callers.append((arguments[0], function.owner))  # type: ignore[arg-type]
        try:
            if isinstance(function.node, ast.Lambda):
                return self.evaluate(function.node.body, scope)
            flow = self.run_block(function.node.body, scope)
        finally:
            self._depth -= 1
            if is_method:
                self._callers.pop()
        self.line = line
        if flow is None:
            return None
        value = flow.value
        if flow.kind == "raise":
            raise self.refuse(f"{function.name} raises an error", "return a number there")
        if flow.condition is not None:
            if value is not None:
                raise self.refuse(
                    f"{function.name} returns a value in some simulations only",
                    "return a number at its end, too",
                )
            return None
        return _mark_term(function, value)

    def _bind_arguments(
        self, function: Function, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the values of a function's parameters."""
        spec = function.node.args
        places = [item.arg for item in [*spec.posonlyargs, *spec.args]]
        known = [*places, *(item.arg for item in spec.kwonlyargs)]
        values: dict[str, Any] = dict(function.defaults)
        values |= dict(zip(places, arguments, strict=False))
        extra = arguments[len(places) :]
        if spec.vararg is not None:
            values[spec.vararg.arg] = extra
        elif extra:
            raise self.refuse(
                f"{len(arguments)} arguments of {function.name}", f"give {len(places)}"
            )
        values |= {key: value for key, value in keywords.items() if key in known}
        unknown = {key: value for key, value in keywords.items() if key not in known}
        if spec.kwarg is not None:
            values[spec.kwarg.arg] = Table(unknown)
        elif unknown:
            raise self.refuse(
                f"{function.name} has no parameter {next(iter(unknown))}", "correct it"
            )
        for name in known:
            if name not in values:
                raise self.refuse(f"{function.name} without its argument {name}", f"give {name}")
        return values

    def get_super(self) -> Any:
        """Return the object of the method that runs, as its base class sees it."""
        if not self._callers:
            raise self.refuse("super() outside of a method", "write plain functions")
        instance, made = self._callers[-1]

        def get_attribute(name: str) -> Any:
            for base in made.bases:
                if isinstance(base, Class) and (found := base.find(name)) is not None:
                    return Partial(found, (instance,)) if isinstance(found, Function) else found
            given = made.find("__inputs__")
            if name.startswith("__") or not isinstance(given, Input) or not given.get_attribute:
                return None  # super().__init__(env)
            return given.get_attribute(name)

        return Input("super()", get_attribute)

    def construct(
        self, made: Class, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Return a new object of a class of the file."""
        instance = Instance(made, Cells())
        start = made.find("__init__")
        if isinstance(start, Function):
            self.call_function(start, (instance, *arguments), keywords)
            return instance
        # A dataclass, or nothing to set.
        names = [key for key, value in made.list_names() if not isinstance(value, Function)]
        for key, value in [*zip(names, arguments, strict=False), *keywords.items()]:
            self.write(instance.names, key, value)
        after = made.find("__post_init__")
        if isinstance(after, Function):
            self.call_function(after, (instance,), {})
        return instance


def _mark_term(function: Function, value: Any) -> Any:
    """Return the value of a method ``_reward_NAME`` as a term of that name."""
    if function.name.startswith("_reward_") and isinstance(value, Lanes) and value.is_number:
        name = function.name.removeprefix("_reward_")
        return replace(value, terms={name: arithmetic.strip(value)})
    return value


def is_quiet(function: Any) -> bool:
    """Whether a call says something to a person only, and may fall away."""
    if isinstance(function, MethodOf):
        return is_quiet(function.owner)
    if isinstance(function, Word):
        path = function.path
        return path == "builtins.print" or path.split(".")[0] in _SKIPPED
    return function is None
