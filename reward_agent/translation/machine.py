"""A person's program, carried out on arrays without numbers: what is computed becomes statements.

Python's own values (numbers, texts, functions, classes, lists) are computed as Python does. What
depends on the simulation is an ``Array``, whose expression is written down. An ``if`` on an array
carries out both sides and chooses by ``np.where``; what each side wrote is undone in between. Loops
over known things are unrolled. What has no certain meaning raises ``Untranslatable``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reward_agent.translation import arithmetic, indexing, nodes, words
from reward_agent.translation.values import (
    Array,
    Bound,
    Cells,
    Class,
    Function,
    Input,
    Instance,
    Items,
    Maybe,
    Method,
    Partial,
    Scope,
    Table,
    Untranslatable,
    Word,
)

MAX_STEPS = 200_000
MAX_DEPTH = 40
_ABSENT = object()
_SKIPPED = ("logging", "warnings", "matplotlib", "wandb", "tqdm", "pprint", "asyncio")
_LIBRARIES = {
    "numpy": "numpy",
    "jax.numpy": "numpy",
    "torch": "torch",
    "math": "math",
    "functools": "functools",
    "typing": "typing",
    "dataclasses": "dataclasses",
    "collections": "collections",
}

Run = Callable[[], "Flow | None"]


@dataclass(frozen=True)
class Flow:
    """Leaving a block: everywhere, or where a condition holds.

    Args:
        value: what a function returns.
        condition: where; None for everywhere.
        kind: ``return``, ``break`` or ``continue``.
    """

    value: Any = None
    condition: Array | None = None
    kind: str = "return"


class Machine:
    """Carries out a file.

    Args:
        inputs: what free names and attributes mean on the card, by name.
    """

    def __init__(self, inputs: Mapping[str, Any] | None = None) -> None:
        self.lines: list[ast.stmt] = []
        self.constants: dict[str, ast.expr] = {}
        self.scope = Scope(Cells(inputs or {}))
        self.notes: list[str] = []
        self._used: set[str] = {"np", "math", "state", "next_state", "action", "memory"}
        self._journals: list[dict[tuple[Cells, Any], Any]] = []
        self.n_steps = self._depth = 0
        self._callers: list[tuple[Instance, Class]] = []
        self.line: int | None = None

    # --- what a program writes --------------------------------------------------------------------

    def write(self, cells: Cells, key: Any, value: Any) -> None:
        """Set a name or place; a branch that is undone remembers what was there."""
        if self._journals:
            self._journals[-1].setdefault((cells, key), cells.get(key, _ABSENT))
        if value is _ABSENT:
            cells.pop(key, None)
        else:
            cells[key] = value

    def branch(self, run: Run) -> tuple[Flow | None, dict[tuple[Cells, Any], Any]]:
        """Carry something out, and return how it left and what it wrote, undone again."""
        self._journals.append({})
        try:
            flow = run()
        finally:
            before = self._journals.pop()
            wrote = {place: place[0].get(place[1], _ABSENT) for place in before}
            for (cells, key), value in before.items():
                if value is _ABSENT:
                    cells.pop(key, None)
                else:
                    cells[key] = value
        return flow, wrote

    def merge(
        self,
        condition: Array,
        one: Mapping[tuple[Cells, Any], Any],
        two: Mapping[tuple[Cells, Any], Any],
    ) -> None:
        """Write what two branches wrote: the first where the condition holds."""
        for place in [*one, *(place for place in two if place not in one)]:
            cells, key = place
            known = cells.get(key, _ABSENT)
            left, right = one.get(place, known), two.get(place, known)
            if left is _ABSENT or right is _ABSENT:  # not defined elsewhere
                if isinstance(cells, Items | Table):
                    raise self.refuse(
                        "a list or dictionary that has more entries in some simulations",
                        "give it the same entries everywhere, 0.0 where they do not count",
                    )
                value = right if left is _ABSENT else left
            else:
                value = self.choose(condition, left, right)
            self.write(cells, key, self.name_value(str(key), value))

    def name_value(self, wish: str, value: Any) -> Any:
        """Write an expression down under a name, so that it is computed once."""
        if isinstance(value, tuple):
            return tuple(self.name_value(wish, item) for item in value)
        if isinstance(value, Maybe):
            flag = self.name_value(f"{wish}_is_none", value.is_none)
            return Maybe(flag, self.name_value(wish, value.array))
        if not isinstance(value, Array) or value.is_constant or nodes.is_simple(value.node):
            return value
        name = self.find_name(wish)
        self.lines.append(nodes.assign(name, value.node))
        return replace(value, node=nodes.name(name))

    def find_name(self, wish: str) -> str:
        """Return a name that nothing has yet."""
        word = wish if wish.isidentifier() and wish.isascii() else "value"
        word = word.lstrip("_") or "value"
        name, number = word, 2
        while name in self._used:
            name, number = f"{word}_{number}", number + 1
        self._used.add(name)
        return name

    def name_constant(self, wish: str, value: Any) -> Any:
        """Give the numbers in a value of the file's or a class's names that can be tuned."""
        word = "".join(c if c.isalnum() else "_" for c in wish).strip("_").upper()
        if not word.isascii() or not word.isidentifier():
            return value
        if isinstance(value, bool) or (isinstance(value, Array) and value.kind == "bool"):
            return value
        if isinstance(value, int | float) or (
            isinstance(value, Array) and value.is_constant and not isinstance(value.node, ast.Name)
        ):
            array = arithmetic.lift(value)
            name = self.find_name(word)
            self.constants[name] = array.node
            return Array(nodes.name(name), array.shape, True, array.kind, array.value)
        if isinstance(value, Table):
            for key in list(value):
                value[key] = self.name_constant(f"{wish}_{key}", value[key])
        return value

    def refuse(self, message: str, remedy: str) -> Untranslatable:
        """Return what stops at a construct, at the line that is carried out."""
        return Untranslatable(message, remedy, self.line)

    def choose(self, condition: Array, one: Any, two: Any) -> Any:
        """Return ``one`` where the condition holds, ``two`` elsewhere."""
        if isinstance(one, Table) and isinstance(two, Table) and set(one) == set(two):
            return Table({key: self.choose(condition, one[key], two[key]) for key in one})
        if isinstance(one, Items) and isinstance(two, Items) and len(one) == len(two):
            return Items({key: self.choose(condition, one[key], two[key]) for key in one})
        if isinstance(one, str) or isinstance(two, str):
            raise self.refuse("a text that depends on the simulation", "use numbers")
        return arithmetic.choose(condition, one, two)

    # --- statements -------------------------------------------------------------------------------

    def run_file(self, tree: ast.Module) -> None:
        """Carry out the file's own statements: imports, constants, functions, classes."""
        for statement in tree.body:
            self.run_statement(statement, self.scope)
        for name, value in list(self.scope.names.items()):
            self.scope.names[name] = self.name_constant(name, value)

    def run_all(self, runs: Sequence[Run]) -> Flow | None:
        """Carry things out one after another; where some simulations left, the others go on."""
        for place, run in enumerate(runs):
            flow = run()
            if flow is None:
                continue
            if flow.condition is None:
                return flow
            left, condition = flow, flow.condition
            rest, wrote = self.branch(lambda: self.run_all(runs[place + 1 :]))  # noqa: B023
            self.merge(condition, {}, wrote)
            if rest is None:
                return left
            if rest.kind != left.kind:
                raise self.refuse(
                    "return and break in one loop", "compute the result with np.where"
                )
            value = self.choose(condition, left.value, rest.value)
            if rest.condition is None:
                return Flow(value, None, left.kind)
            return Flow(value, arithmetic.either(condition, rest.condition), left.kind)
        return None

    def run_block(self, statements: Sequence[ast.stmt], scope: Scope) -> Flow | None:
        """Carry out statements."""
        return self.run_all([self._bind(statement, scope) for statement in statements])

    def _bind(self, statement: ast.stmt, scope: Scope) -> Run:
        return lambda: self.run_statement(statement, scope)

    def run_statement(self, statement: ast.stmt, scope: Scope) -> Flow | None:
        """Carry out one statement."""
        self.n_steps += 1
        if self.n_steps > MAX_STEPS:
            raise self.refuse("a computation of too many steps", "shorten its loops")
        self.line = getattr(statement, "lineno", self.line)
        run = getattr(self, f"_run_{type(statement).__name__}", None)
        if run is None:
            word = type(statement).__name__
            remedy = _STATEMENT_REMEDIES.get(word, "write it with assignments, if and for")
            raise self.refuse(f"a statement of the kind {word}", remedy)
        flow: Flow | None = run(statement, scope)
        return flow

    def _run_Expr(self, statement: ast.Expr, scope: Scope) -> None:
        if not isinstance(statement.value, ast.Constant):
            self.evaluate(statement.value, scope)

    def _run_Pass(self, statement: ast.Pass, scope: Scope) -> None:
        return None

    def _run_Global(self, statement: ast.Global, scope: Scope) -> None:
        scope.of_file.update(statement.names)

    def _run_Assert(self, statement: ast.Assert, scope: Scope) -> None:
        return None

    def _run_Delete(self, statement: ast.Delete, scope: Scope) -> None:
        return None

    def _run_Import(self, statement: ast.Import, scope: Scope) -> None:
        for item in statement.names:
            path = item.name if item.asname else item.name.split(".")[0]
            self.write(scope.names, item.asname or path, Word(_LIBRARIES.get(path, path), ""))

    def _run_ImportFrom(self, statement: ast.ImportFrom, scope: Scope) -> None:
        module = statement.module or ""
        for item in statement.names:
            path = f"{module}.{item.name}"
            if item.name == "*":
                raise self.refuse(f"from {module} import *", "name what is imported")
            word = (
                Word(_LIBRARIES[path], "")
                if path in _LIBRARIES
                else Word(_LIBRARIES.get(module, module), item.name)
            )
            self.write(scope.names, item.asname or item.name, word)

    def _run_FunctionDef(self, statement: ast.FunctionDef, scope: Scope) -> None:
        self.write(scope.names, statement.name, self._make_function(statement, scope))

    def _make_function(self, node: ast.FunctionDef | ast.Lambda, scope: Scope) -> Function:
        arguments = node.args
        places = [*arguments.posonlyargs, *arguments.args]
        defaults: dict[str, Any] = {}
        for place, value in zip(
            places[len(places) - len(arguments.defaults) :], arguments.defaults, strict=True
        ):
            defaults[place.arg] = self.evaluate(value, scope)
        for place, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is not None:
                defaults[place.arg] = self.evaluate(default, scope)
        return Function(node, scope, defaults)

    def _run_ClassDef(self, statement: ast.ClassDef, scope: Scope) -> None:
        bases = tuple(self._find_base(base, scope) for base in statement.bases)
        inner = Scope(Cells(), scope)
        made = Class(statement.name, inner.names, bases)
        for item in statement.body:
            self.run_statement(item, inner)
        for name, value in list(inner.names.items()):
            if isinstance(value, Function):
                # A method does not see its class's names.
                inner.names[name] = Function(value.node, scope, value.defaults, made)
            elif not isinstance(value, Class):
                inner.names[name] = self.name_constant(name, value)
        self.write(scope.names, statement.name, made)

    def _find_base(self, base: ast.expr, scope: Scope) -> Any:
        """Return a base class; one that is not in the file is known by its name only."""
        try:
            return self.evaluate(base, scope)
        except Untranslatable:
            return Word(ast.unparse(base), "")

    def _run_Return(self, statement: ast.Return, scope: Scope) -> Flow:
        value = self.evaluate(statement.value, scope) if statement.value is not None else None
        return Flow(value)

    def _run_Break(self, statement: ast.Break, scope: Scope) -> Flow:
        return Flow(kind="break")

    def _run_Continue(self, statement: ast.Continue, scope: Scope) -> Flow:
        return Flow(kind="continue")

    def _run_If(self, statement: ast.If, scope: Scope) -> Flow | None:
        test = self.test(self.evaluate(statement.test, scope))
        if isinstance(test, bool):
            return self.run_block(statement.body if test else statement.orelse, scope)
        one, wrote_one = self.branch(lambda: self.run_block(statement.body, scope))
        two, wrote_two = self.branch(lambda: self.run_block(statement.orelse, scope))
        if (wrote_one or wrote_two) and not nodes.is_simple(test.node):
            named = [*wrote_one, *wrote_two]
            if len(named) > 1:
                test = self.name_value("when", test)
        self.merge(test, wrote_one, wrote_two)
        return self._join(test, one, two)

    def _join(self, test: Array, one: Flow | None, two: Flow | None) -> Flow | None:
        """Return how the two sides of an ``if`` leave, together."""
        if one is None and two is None:
            return None
        kinds = {flow.kind for flow in (one, two) if flow is not None}
        if len(kinds) > 1:
            raise self.refuse("return and break in one if", "compute the result with np.where")
        kind = kinds.pop()
        if one is None or two is None:
            flow = one or two
            assert flow is not None
            where = test if one is not None else arithmetic.invert(test)
            if flow.condition is not None:
                where = arithmetic.both(where, flow.condition)
            return Flow(flow.value, self.name_value("left", where), kind)
        value = self.choose(test, one.value, two.value)
        if one.condition is None and two.condition is None:
            return Flow(value, None, kind)
        first = one.condition or Array(nodes.literal(True), (), True, "bool", True)
        second = two.condition or Array(nodes.literal(True), (), True, "bool", True)
        return Flow(value, self.name_value("left", arithmetic.choose(test, first, second)), kind)

    def _run_For(self, statement: ast.For, scope: Scope) -> Flow | None:
        if statement.orelse:
            raise self.refuse("for … else", "write the else's statements after the loop")
        items = self.iterate(self.evaluate(statement.iter, scope))

        def run(item: Any) -> Flow | None:
            self.assign(statement.target, item, scope)
            flow = self.run_block(statement.body, scope)
            return None if flow is not None and flow.kind == "continue" else flow

        flow = self.run_all([lambda item=item: run(item) for item in items])  # type: ignore[misc]
        return None if flow is not None and flow.kind == "break" else flow

    def _run_While(self, statement: ast.While, scope: Scope) -> None:
        raise self.refuse("a while loop", "write a for over a range, and choose with np.where")

    def _run_With(self, statement: ast.With, scope: Scope) -> Flow | None:
        return self.run_block(statement.body, scope)

    def _run_Try(self, statement: ast.Try, scope: Scope) -> Flow | None:
        self.notes.append(f"line {statement.lineno}: what an error would do falls away")
        return self.run_block([*statement.body, *statement.orelse, *statement.finalbody], scope)

    def _run_Raise(self, statement: ast.Raise, scope: Scope) -> None:
        raise self.refuse("raising an error", "leave it out: fields are always there and finite")

    def _run_Assign(self, statement: ast.Assign, scope: Scope) -> None:
        value = self.evaluate(statement.value, scope)
        for target in statement.targets:
            self.assign(target, value, scope)

    def _run_AnnAssign(self, statement: ast.AnnAssign, scope: Scope) -> None:
        if statement.value is not None:
            self.assign(statement.target, self.evaluate(statement.value, scope), scope)

    def _run_AugAssign(self, statement: ast.AugAssign, scope: Scope) -> None:
        load = ast.copy_location(_as_load(statement.target), statement.target)
        before = self.evaluate(load, scope)
        after = self.evaluate(statement.value, scope)
        self.assign(statement.target, self.combine(statement.op, before, after), scope)

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Give a target of an assignment its value."""
        if isinstance(target, ast.Name):
            cells = self.scope.names if target.id in scope.of_file else scope.names
            self.write(cells, target.id, self.name_value(target.id, value))
        elif isinstance(target, ast.Tuple | ast.List):
            items = self.iterate(value)
            if any(isinstance(item, ast.Starred) for item in target.elts):
                self._assign_starred(target.elts, items, scope)
                return
            if len(items) != len(target.elts):
                raise self.refuse(
                    f"{len(items)} values for {len(target.elts)} names",
                    "give as many names as the card's observation has numbers",
                )
            for place, item in zip(target.elts, items, strict=True):
                self.assign(place, item, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.evaluate(target.value, scope)
            if not isinstance(owner, Instance | Class):
                raise self.refuse(
                    "writing into an input", "keep the value in a variable of its own"
                )
            self.write(owner.names, target.attr, self.name_value(target.attr, value))
        elif isinstance(target, ast.Subscript):
            self._assign_item(target, value, scope)
        else:
            raise self.refuse("an assignment of this kind", "assign to a name")

    def _assign_starred(self, targets: Sequence[ast.expr], items: list[Any], scope: Scope) -> None:
        star = next(i for i, item in enumerate(targets) if isinstance(item, ast.Starred))
        after = len(targets) - star - 1
        for target, item in zip(targets[:star], items[:star], strict=True):
            self.assign(target, item, scope)
        middle = Items(enumerate(items[star : len(items) - after]))
        starred = targets[star]
        assert isinstance(starred, ast.Starred)
        self.assign(starred.value, middle, scope)
        for target, item in zip(targets[star + 1 :], items[len(items) - after :], strict=True):
            self.assign(target, item, scope)

    def _assign_item(self, target: ast.Subscript, value: Any, scope: Scope) -> None:
        owner = self.evaluate(target.value, scope)
        if isinstance(owner, Input):  # info["…"] = …, metrics["…"] = …: nobody reads it
            return
        if not isinstance(owner, Cells):
            raise self.refuse("writing into an array", "build it with np.where or np.stack")
        key = arithmetic.unlift(self.evaluate(target.slice, scope))
        if isinstance(key, Array):
            raise self.refuse("an index that depends on the simulation", "choose with np.where")
        named = self.name_value(str(key).split("/")[-1], value)
        self.write(owner, key, _mark_entry(key, named) if isinstance(owner, Table) else named)

    # --- expressions ------------------------------------------------------------------------------

    def evaluate(self, node: ast.expr, scope: Scope) -> Any:
        """Return the value of an expression."""
        self.line = getattr(node, "lineno", self.line)
        run = getattr(self, f"_get_{type(node).__name__}", None)
        if run is None:
            word = type(node).__name__
            remedy = _EXPRESSION_REMEDIES.get(word, "write it with arithmetic and NumPy")
            raise self.refuse(f"an expression of the kind {word}", remedy)
        return run(node, scope)

    def test(self, value: Any) -> bool | Array:
        """Return whether a value holds: a bool, or an array of them."""
        if isinstance(value, Array) and not value.is_constant:
            if value.shape and value.is_row:
                raise self.refuse("an if on a whole vector", "use np.any(…) or np.all(…)")
            return arithmetic.as_flag(value)
        if isinstance(value, Maybe):
            return arithmetic.invert(value.is_none)
        if isinstance(value, Instance | Function | Class | Input | Word):
            return True
        return bool(arithmetic.unlift(value))

    def iterate(self, value: Any) -> list[Any]:
        """Return the items of something whose length is known."""
        if isinstance(value, Items):
            return list(value)
        if isinstance(value, Table):
            return [*value.keys()]
        if isinstance(value, tuple | list | range | dict | str):
            return list(value)
        if isinstance(value, Array) and value.shape and value.shape[0] is not None:
            return [indexing.get_item(value, index) for index in range(value.shape[0])]
        raise self.refuse("a loop over something without a known length", "loop over a range")

    def combine(self, operation: ast.operator, one: Any, two: Any) -> Any:
        """Return ``one <operation> two``."""
        one, two = _open(one), _open(two)
        if isinstance(one, str | tuple | Items) or isinstance(two, str | tuple | Items):
            return self._combine_listed(operation, one, two)
        if _is_number(one) and _is_number(two):
            function = arithmetic.BINARY.get(type(operation))
            if function is not None:
                try:
                    return function(one, two)
                except ArithmeticError as error:
                    what = f"a constant expression that fails: {error}"
                    raise self.refuse(what, "correct it") from error
        return arithmetic.binary(operation, one, two)

    def _combine_listed(self, operation: ast.operator, one: Any, two: Any) -> Any:
        if isinstance(operation, ast.Add):
            if isinstance(one, str) and isinstance(two, str):
                return one + two
            if isinstance(one, tuple | Items) and type(one) is type(two):
                items = [*one, *two]
                return tuple(items) if isinstance(one, tuple) else Items(enumerate(items))
        if isinstance(operation, ast.Mult) and isinstance(arithmetic.unlift(two), int):
            items = list(one) * arithmetic.unlift(two)
            return "".join(items) if isinstance(one, str) else Items(enumerate(items))
        if isinstance(operation, ast.Mod) and isinstance(one, str):
            return one
        raise self.refuse(
            "arithmetic with a list",
            "make it an array: np.array([...])",
        )

    def _get_Constant(self, node: ast.Constant, scope: Scope) -> Any:
        return node.value

    def _get_Name(self, node: ast.Name, scope: Scope) -> Any:
        cells = scope.find(node.id)
        if cells is not None:
            return cells[node.id]
        if node.id in words.BUILTINS:
            return Word("builtins", node.id)
        raise self.refuse(
            f"{node.id} has no value in the file",
            f"define {node.id}, or write the number itself",
        )

    def _get_Attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        return self.get_attribute(self.evaluate(node.value, scope), node.attr)

    def get_attribute(self, owner: Any, name: str) -> Any:
        """Return ``owner.name``."""
        if isinstance(owner, Input):
            if owner.get_attribute is None:
                raise self.refuse(f"{owner.name}.{name}", f"{owner.name} has no attributes")
            return owner.get_attribute(name)
        if isinstance(owner, Word):
            return words.get_constant(Word(owner.path, name))
        if isinstance(owner, Instance):
            return self._get_of_instance(owner, name)
        if isinstance(owner, Class):
            found = owner.find(name)
            if found is None:
                raise self.refuse(f"{owner.name} has no {name}", f"define {name} in the class")
            return found
        if isinstance(owner, Array) and name in ("shape", "T", "size", "ndim", "device", "dtype"):
            return indexing.get_attribute(owner, name)
        return Method(_open(owner), name)

    def _get_of_instance(self, owner: Instance, name: str) -> Any:
        if name in owner.names:
            return owner.names[name]
        found = owner.type.find(name)
        if isinstance(found, Function):
            decorators = getattr(found.node, "decorator_list", [])
            marks = {item.id for item in decorators if isinstance(item, ast.Name)}
            if "property" in marks:
                return self.call(Bound(found, owner), (), {})
            return found if "staticmethod" in marks else Bound(found, owner)
        if found is not None:
            return found
        given = owner.type.find("__inputs__")
        if isinstance(given, Input) and given.get_attribute is not None:
            return given.get_attribute(name)
        raise self.refuse(
            f"self.{name} has no value in the file", f"define self.{name} in __init__"
        )

    def _get_Subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        owner = self.evaluate(node.value, scope)
        if isinstance(owner, Word):  # an annotation, such as Tensor[…]
            return owner
        key = self._get_place(node.slice, scope)
        if isinstance(owner, Input):
            if owner.get_item is None:
                raise self.refuse(f"{owner.name}[…]", f"{owner.name} has no items")
            return owner.get_item(key)
        if isinstance(owner, Table):
            key = arithmetic.unlift(key)
            if key not in owner:
                raise self.refuse(f"the key {key!r} is not in the dictionary", "correct the key")
            return owner[key]
        if isinstance(owner, tuple | Items | str):
            listed = list(owner)
            if isinstance(key, slice):
                found = listed[key]
                return tuple(found) if isinstance(owner, tuple) else Items(enumerate(found))
            if isinstance(key, int) and -len(listed) <= key < len(listed):
                return listed[key]
            raise self.refuse(f"index {key} of {len(listed)} items", "correct the index")
        return indexing.get_item(arithmetic.lift(owner), key)

    def _get_place(self, node: ast.expr, scope: Scope) -> Any:
        if isinstance(node, ast.Slice):
            ends = (
                None if end is None else arithmetic.unlift(self.evaluate(end, scope))
                for end in (node.lower, node.upper, node.step)
            )
            return slice(*ends)
        if isinstance(node, ast.Tuple):
            return tuple(self._get_place(item, scope) for item in node.elts)
        return arithmetic.unlift(self.evaluate(node, scope))

    def _get_Tuple(self, node: ast.Tuple, scope: Scope) -> tuple[Any, ...]:
        return tuple(self._list(node.elts, scope))

    def _get_List(self, node: ast.List, scope: Scope) -> Items:
        return Items(enumerate(self._list(node.elts, scope)))

    def _get_Set(self, node: ast.Set, scope: Scope) -> Items:
        return self._get_List(ast.List(node.elts, ast.Load()), scope)

    def _list(self, elements: Sequence[ast.expr], scope: Scope) -> list[Any]:
        found: list[Any] = []
        for item in elements:
            if isinstance(item, ast.Starred):
                found += self.iterate(self.evaluate(item.value, scope))
            else:
                found.append(self.evaluate(item, scope))
        return found

    def _get_Dict(self, node: ast.Dict, scope: Scope) -> Table:
        table = Table()
        for key, value in zip(node.keys, node.values, strict=True):
            found = self.evaluate(value, scope)
            if key is None:
                table.update(found)
                continue
            word = arithmetic.unlift(self.evaluate(key, scope))
            table[word] = _mark_entry(word, self.name_value(str(word), found))
        return table

    def _get_BinOp(self, node: ast.BinOp, scope: Scope) -> Any:
        one, two = self.evaluate(node.left, scope), self.evaluate(node.right, scope)
        self.line = node.lineno
        return self.combine(node.op, one, two)

    def _get_UnaryOp(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = _open(self.evaluate(node.operand, scope))
        if isinstance(node.op, ast.Not):
            test = self.test(value)
            return (not test) if isinstance(test, bool) else arithmetic.invert(test)
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.USub):
            return -value if _is_number(value) else arithmetic.negate(value)
        return arithmetic.invert(arithmetic.lift(value))

    def _get_BoolOp(self, node: ast.BoolOp, scope: Scope) -> Any:
        is_and = isinstance(node.op, ast.And)
        found: Any = None
        for part in node.values:
            value = self.evaluate(part, scope)
            test = self.test(value)
            if isinstance(test, bool):
                if test != is_and:
                    return value if found is None else found if test == is_and else test
                if found is None and part is node.values[-1]:
                    return value
                continue
            if found is None:
                found = test
            else:
                found = arithmetic.both(found, test) if is_and else arithmetic.either(found, test)
        return is_and if found is None else found

    def _get_Compare(self, node: ast.Compare, scope: Scope) -> Any:
        left = self.evaluate(node.left, scope)
        found: Any = True
        for operation, place in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(place, scope)
            holds = self._compare(operation, left, right)
            if holds is False or found is True:
                found = holds
            elif holds is not True:
                found = arithmetic.both(found, holds)
            if found is False:
                return False
            left = right
        return found

    def _compare(self, operation: ast.cmpop, one: Any, two: Any) -> Any:
        if isinstance(operation, ast.Is | ast.IsNot):
            found = self._is(one, two)
            if isinstance(operation, ast.Is):
                return found
            return (not found) if isinstance(found, bool) else arithmetic.invert(found)
        if isinstance(operation, ast.In | ast.NotIn):
            items = list(two) if isinstance(two, Table | str) else self.iterate(two)
            return (arithmetic.unlift(one) in items) == isinstance(operation, ast.In)
        one, two = _open(one), _open(two)
        if isinstance(one, str | None) or isinstance(two, str | None):
            return (one == two) == isinstance(operation, ast.Eq)
        return arithmetic.compare(operation, one, two)

    def _is(self, one: Any, two: Any) -> Any:
        for value, other in ((one, two), (two, one)):
            if isinstance(value, Maybe) and other is None:
                return value.is_none
        return arithmetic.unlift(one) is arithmetic.unlift(two)

    def _get_IfExp(self, node: ast.IfExp, scope: Scope) -> Any:
        test = self.test(self.evaluate(node.test, scope))
        if isinstance(test, bool):
            return self.evaluate(node.body if test else node.orelse, scope)
        one, two = self.evaluate(node.body, scope), self.evaluate(node.orelse, scope)
        return self.choose(test, one, two)

    def _get_NamedExpr(self, node: ast.NamedExpr, scope: Scope) -> Any:
        value = self.evaluate(node.value, scope)
        self.assign(node.target, value, scope)
        return scope.names[node.target.id]

    def _get_Lambda(self, node: ast.Lambda, scope: Scope) -> Function:
        return self._make_function(node, scope)

    def _get_JoinedStr(self, node: ast.JoinedStr, scope: Scope) -> str:
        parts: list[str] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
            elif isinstance(part, ast.FormattedValue):
                value = arithmetic.unlift(self.evaluate(part.value, scope))
                parts.append(
                    value if isinstance(value, str) else str(value) if _is_number(value) else "…"
                )
        return "".join(parts)

    def _get_ListComp(self, node: ast.ListComp, scope: Scope) -> Items:
        return Items(enumerate(self._comprehend(node.generators, scope, [node.elt])))

    _get_SetComp = _get_GeneratorExp = _get_ListComp

    def _get_DictComp(self, node: ast.DictComp, scope: Scope) -> Table:
        flat = self._comprehend(node.generators, scope, [node.key, node.value])
        table = Table()
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            word = arithmetic.unlift(key)
            table[word] = _mark_entry(word, self.name_value(str(word), value))
        return table

    def _comprehend(
        self,
        generators: Sequence[ast.comprehension],
        scope: Scope,
        results: Sequence[ast.expr],
    ) -> list[Any]:
        inner = Scope(Cells(), scope)
        if not generators:
            return [self.evaluate(result, scope) for result in results]
        found: list[Any] = []
        first, *rest = generators
        for item in self.iterate(self.evaluate(first.iter, scope)):
            self.assign(first.target, item, inner)
            tests = [self.test(self.evaluate(test, inner)) for test in first.ifs]
            if not all(isinstance(test, bool) for test in tests):
                raise self.refuse(
                    "a comprehension that leaves out by simulation", "multiply instead"
                )
            if all(tests):
                found += self._comprehend(rest, inner, results)
        return found

    def _get_Starred(self, node: ast.Starred, scope: Scope) -> Any:
        return self.evaluate(node.value, scope)

    # --- calls ------------------------------------------------------------------------------------

    def _get_Call(self, node: ast.Call, scope: Scope) -> Any:
        function = self.evaluate(node.func, scope)
        if is_quiet(function):
            return None
        arguments = self._list(node.args, scope)
        keywords: dict[str, Any] = {}
        for item in node.keywords:
            value = self.evaluate(item.value, scope)
            if item.arg is None:
                keywords |= {str(key): value[key] for key in self.iterate(value)}
            else:
                keywords[item.arg] = value
        self.line = node.lineno
        return self.call(function, tuple(arguments), keywords)

    def call(self, function: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        """Return what a function returns."""
        if isinstance(function, Partial):
            given = (*function.arguments, *arguments)
            return self.call(function.function, given, {**function.keywords, **keywords})
        if isinstance(function, Bound):
            return self.call_function(function.function, (function.instance, *arguments), keywords)
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
        if isinstance(function, Word | Method):
            opened = tuple(_open(item) for item in arguments)
            return words.call(self, function, opened, {k: _open(v) for k, v in keywords.items()})
        raise self.refuse("a call of something that is no function", "call a function of the file")

    def call_function(
        self, function: Function, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Carry out a function of the file."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.refuse(f"{function.name} calls itself", "write it without recursion")
        scope = Scope(Cells(self._bind_arguments(function, arguments, keywords)), function.scope)
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
                    return Bound(found, instance) if isinstance(found, Function) else found
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
        else:  # a dataclass, or nothing to set
            names = [key for key, value in made.names.items() if not isinstance(value, Function)]
            for key, value in [*zip(names, arguments, strict=False), *keywords.items()]:
                self.write(instance.names, key, value)
        return instance


def _mark_entry(key: Any, value: Any) -> Any:
    """Return the entry of a dictionary as a term of its name, should entries be added up."""
    if isinstance(key, str) and isinstance(value, Array) and not value.is_constant:
        is_number = not [size for size in value.shape if size is not None]
        if is_number:
            return replace(value, terms={key.split("/")[-1]: arithmetic.strip(value)})
    return value


def _mark_term(function: Function, value: Any) -> Any:
    """Return the value of a method ``_reward_NAME`` as a term of that name."""
    if function.name.startswith("_reward_") and isinstance(value, Array) and not value.shape:
        name = function.name.removeprefix("_reward_")
        return replace(value, terms={name: arithmetic.strip(value)})
    return value


def _open(value: Any) -> Any:
    """Return the array of what may be None: where it is None, nobody computes with it."""
    return value.array if isinstance(value, Maybe) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def is_quiet(function: Any) -> bool:
    """Whether a call says something to a person only, and may fall away."""
    if isinstance(function, Method):
        return is_quiet(function.owner)
    if isinstance(function, Word):
        path = function.path
        return path == "builtins.print" or path.split(".")[0] in _SKIPPED
    return function is None


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    if isinstance(target, ast.Attribute):
        return ast.Attribute(target.value, target.attr, ast.Load())
    assert isinstance(target, ast.Subscript)
    return ast.Subscript(target.value, target.slice, ast.Load())


_STATEMENT_REMEDIES = {
    "AsyncFunctionDef": "write a plain def without async and await, loggers and queues",
    "AsyncFor": "write a plain for",
    "AsyncWith": "leave the with out",
    "Nonlocal": "keep it in a class, or in memory: init_memory(state)",
    "Match": "write if and elif",
}
_EXPRESSION_REMEDIES = {
    "Await": "write a plain def without async and await, loggers and queues",
    "Yield": "return the value",
    "YieldFrom": "return the value",
}
