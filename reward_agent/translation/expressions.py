"""Expressions of a person's program."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from reward_agent.translation import arithmetic, indexing, python, remedies, words
from reward_agent.translation.calls import Calls
from reward_agent.translation.journal import mark_entry, open_maybe
from reward_agent.translation.values import (
    Broken,
    Cells,
    Class,
    DefaultTable,
    Function,
    Input,
    Instance,
    Items,
    Lanes,
    Locals,
    Maybe,
    MethodOf,
    Partial,
    Table,
    Word,
)

_MOST_ITEMS = 10_000
# What Python itself would raise at a wrong line.
_PYTHONS_OWN = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, TypeError,
    ValueError,
)  # fmt: skip
_OF_TABLES = frozenset({"items", "keys", "values", "get", "pop", "update", "copy", "setdefault"})


class ExpressionReader(Calls):
    """Carries out expressions."""

    # Modules of which every name was imported.
    starred: tuple[str, ...] = ()
    assign: Callable[[ast.expr, Any, Locals], None]

    def evaluate(self, node: ast.expr, scope: Locals) -> Any:
        """Return the value of an expression."""
        self.line = getattr(node, "lineno", self.line)
        run = getattr(self, f"_get_{type(node).__name__}", None)
        if run is None:
            word = type(node).__name__
            remedy = _EXPRESSION_REMEDIES.get(word, "write it with arithmetic and NumPy")
            raise self.refuse(f"{word} ({_show(node)})", remedy)
        try:
            return run(node, scope)
        except _PYTHONS_OWN as error:
            what = f"{_show(node)} fails: {type(error).__name__}"
            raise self.refuse(what, "correct it, or write it with NumPy") from error

    def read(self, value: Any) -> Any:
        """Return a value that is to be used.

        Raises:
            Untranslatable: it could not be computed.
        """
        if isinstance(value, Broken):
            raise value.error
        return value

    def test(self, value: Any) -> bool | Lanes:
        """Return whether a value holds: a bool, or an array of them."""
        if isinstance(value, Lanes) and not value.is_constant:
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
        self.read(value)
        if isinstance(value, range) and len(value) > _MOST_ITEMS:
            raise self.refuse(f"a loop of {len(value)} steps", f"{_MOST_ITEMS} at most")
        if isinstance(value, Items):
            return list(value)
        if isinstance(value, Class) and value.is_enum:
            return [*value.names.values()]
        if isinstance(value, Table):
            return [*value.keys()]
        if isinstance(value, tuple | list | range | dict | str):
            return list(value)
        if isinstance(value, Lanes) and value.shape and value.shape[0] is not None:
            return [indexing.get_item(value, index) for index in range(value.shape[0])]
        raise self.refuse("a loop over something without a known length", "loop over a range")

    def combine(self, operation: ast.operator, one: Any, two: Any) -> Any:
        """Return ``one <operation> two``."""
        one, two = open_maybe(one), open_maybe(two)
        if isinstance(one, str | tuple | Items) or isinstance(two, str | tuple | Items):
            return self._combine_listed(operation, one, two)
        if type(operation) not in arithmetic.BINARY:
            raise self.refuse(
                f"the operator {type(operation).__name__}", "write it with +, -, *, / and **"
            )
        if _is_number(one) and _is_number(two):
            return arithmetic.compute(operation, one, two)
        return arithmetic.binary(operation, one, two)

    def _combine_listed(self, operation: ast.operator, one: Any, two: Any) -> Any:
        if isinstance(operation, ast.Mod) and isinstance(one, str):
            return one
        number = arithmetic.unlift(two)
        items: list[Any] | None = None
        if isinstance(operation, ast.Mult) and type(number) is int:
            if len(one) * number > _MOST_ITEMS:
                raise self.refuse(f"a list of {number} times as much", f"{_MOST_ITEMS} at most")
            items = [*one] * number
        elif isinstance(operation, ast.Add) and type(one) is type(two):
            items = [*one, *two]
        if items is None:
            raise self.refuse("arithmetic with a list", "make it an array: np.array([...])")
        if len(items) > _MOST_ITEMS:
            raise self.refuse(f"a list of {len(items)} items", f"{_MOST_ITEMS} at most")
        if isinstance(one, str):
            return "".join(items)
        return tuple(items) if isinstance(one, tuple) else Items(enumerate(items))

    def _get_Constant(self, node: ast.Constant, scope: Locals) -> Any:
        return node.value

    def _get_Name(self, node: ast.Name, scope: Locals) -> Any:
        cells = scope.find(node.id)
        if cells is not None:
            return self.read(cells[node.id])
        for module in self.starred:
            if words.is_known(Word(module, node.id)):
                return words.get_constant(Word(module, node.id))
        if node.id in python.BUILTINS:
            return Word("builtins", node.id)
        if node.id in words.CONVENTIONS:
            found = words.CONVENTIONS[node.id]
            self.imported.add(found.module)
            self.note(f"{node.id} is not imported, and taken for {found.path}, as everybody does")
            return found
        raise self.refuse(f"{node.id} has no value in the file", remedies.replace_name(node.id))

    def _get_Attribute(self, node: ast.Attribute, scope: Locals) -> Any:
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
            return self._get_of_class(owner, name)
        if isinstance(owner, Table) and name not in _OF_TABLES and name in owner:
            return self.read(owner[name])  # a dictionary with attributes, as configurations are
        if name in ("value", "name") and isinstance(owner, int | float):
            return owner  # a member of an enumeration is its value
        if isinstance(owner, Lanes) and name in ("shape", "T", "size", "ndim", "device", "dtype"):
            return indexing.get_attribute(owner, name)
        return MethodOf(open_maybe(owner), name)

    def _get_of_class(self, owner: Class, name: str) -> Any:
        found = self.read(owner.find(name))
        if found is None and name == "__name__":
            return owner.name
        if found is None and name not in owner.names:
            raise self.refuse(f"{owner.name} has no {name}", f"define {name} in the class")
        if isinstance(found, Function) and "classmethod" in found.marks:
            return Partial(found, (owner,))
        return found

    def _get_of_instance(self, owner: Instance, name: str) -> Any:
        if name in owner.names:
            return self.read(owner.names[name])
        if name in ("__class__", "__dict__"):
            return owner.type if name == "__class__" else Table(owner.names)
        found = self.read(owner.type.find(name))
        if isinstance(found, Function):
            if found.marks & {"property", "cached_property"}:
                return self.call_function(found, (owner,), {})
            if "classmethod" in found.marks:
                return Partial(found, (owner.type,))
            return found if "staticmethod" in found.marks else Partial(found, (owner,))
        if found is not None:
            return found
        given = owner.type.find("__inputs__")
        if isinstance(given, Input) and given.get_attribute is not None:
            return given.get_attribute(name)
        raise self.refuse(
            f"self.{name} has no value in the file", f"define self.{name} in __init__"
        )

    def _get_Subscript(self, node: ast.Subscript, scope: Locals) -> Any:
        owner = self.evaluate(node.value, scope)
        if isinstance(owner, Word):  # an annotation, such as Tensor[…]
            return owner
        return self.get_item(owner, self._get_place(node.slice, scope))

    def get_item(self, owner: Any, key: Any) -> Any:
        """Return ``owner[key]``."""
        if isinstance(owner, Input):
            if owner.get_item is None:
                raise self.refuse(f"{owner.name}[…]", f"{owner.name} has no items")
            return owner.get_item(key)
        if isinstance(owner, Table):
            return self._get_entry(owner, arithmetic.unlift(key))
        if isinstance(owner, Instance) and owner.type.find("__getitem__") is not None:
            return self.call(self.get_attribute(owner, "__getitem__"), (key,), {})
        if isinstance(owner, Instance):  # a named tuple
            owner = tuple(owner.names.values())
        if isinstance(owner, tuple | Items | str):
            return self._get_listed(owner, key)
        return indexing.get_item(arithmetic.lift(owner), key)

    def _get_entry(self, owner: Table, key: Any) -> Any:
        if key not in owner and isinstance(owner, DefaultTable) and owner.make is not None:
            return self.call(owner.make, (), {})
        if key not in owner:
            raise self.refuse(f"the key {key!r} is not in the dictionary", "correct the key")
        return self.read(owner[key])

    def _get_listed(self, owner: Any, key: Any) -> Any:
        listed = list(owner)
        if isinstance(key, slice):
            found = listed[key]
            return tuple(found) if isinstance(owner, tuple) else Items(enumerate(found))
        if isinstance(key, int) and -len(listed) <= key < len(listed):
            return self.read(listed[key])
        if isinstance(key, Lanes) and not isinstance(owner, str):  # chosen by the simulation
            return indexing.get_item(arithmetic.lift([*map(self.read, listed)]), key)
        raise self.refuse(f"index {key} of {len(listed)} items", "correct the index")

    def _get_place(self, node: ast.expr, scope: Locals) -> Any:
        if isinstance(node, ast.Slice):
            ends = (
                None if end is None else arithmetic.unlift(self.evaluate(end, scope))
                for end in (node.lower, node.upper, node.step)
            )
            return slice(*ends)
        if isinstance(node, ast.Tuple):
            return tuple(self._get_place(item, scope) for item in node.elts)
        return arithmetic.unlift(self.evaluate(node, scope))

    def _get_Tuple(self, node: ast.Tuple, scope: Locals) -> tuple[Any, ...]:
        return tuple(self._list(node.elts, scope))

    def _get_List(self, node: ast.List, scope: Locals) -> Items:
        return Items(enumerate(self._list(node.elts, scope)))

    def _get_Set(self, node: ast.Set, scope: Locals) -> Items:
        return self._get_List(ast.List(node.elts, ast.Load()), scope)

    def _list(self, elements: Sequence[ast.expr], scope: Locals) -> list[Any]:
        """Return values; one that cannot be computed is no matter unless it is read."""
        found: list[Any] = []
        for item in elements:
            if isinstance(item, ast.Starred):
                found += self.iterate(self.evaluate(item.value, scope))
            else:
                found.append(self.attempt(partial(self.evaluate, item, scope)))
        return found

    def _get_Dict(self, node: ast.Dict, scope: Locals) -> Table:
        table = Table()
        table.line = getattr(node, "lineno", None)
        for key, value in zip(node.keys, node.values, strict=True):
            found = self.attempt(partial(self.evaluate, value, scope))
            if key is None:
                table.update(self.read(found))
                continue
            word = arithmetic.unlift(self.evaluate(key, scope))
            table[word] = mark_entry(word, self.name_value(str(word), found))
        return table

    def _get_BinOp(self, node: ast.BinOp, scope: Locals) -> Any:
        one = self.evaluate(node.left, scope)
        two = self.attempt(partial(self.evaluate, node.right, scope))
        is_nothing = _is_number(plain := arithmetic.unlift(one)) and plain == 0
        if isinstance(two, Broken) and isinstance(node.op, ast.Mult) and is_nothing:
            return 0.0  # 0 times what is not known
        self.read(two)
        self.line = getattr(node, "lineno", self.line)
        return self.combine(node.op, one, two)

    def _get_UnaryOp(self, node: ast.UnaryOp, scope: Locals) -> Any:
        value = open_maybe(self.evaluate(node.operand, scope))
        if isinstance(node.op, ast.Not):
            test = self.test(value)
            return (not test) if isinstance(test, bool) else arithmetic.invert(test)
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.USub):
            return -value if _is_number(value) else arithmetic.negate(value)
        return arithmetic.invert(arithmetic.lift(value))

    def _get_BoolOp(self, node: ast.BoolOp, scope: Locals) -> Any:
        is_and = isinstance(node.op, ast.And)
        values: list[Any] = []
        for part in node.values:
            value = self.evaluate(part, scope)
            test = self.test(value)
            if isinstance(test, Lanes):
                values.append(value)
            elif test != is_and:  # nothing after it counts
                values.append(value)
                break
            elif part is node.values[-1]:
                values.append(value)
        *others, found = values
        for value in others[::-1]:
            found = self._join_logical(is_and, value, found)
        return found

    def _join_logical(self, is_and: bool, one: Any, two: Any) -> Any:
        """Return ``one and two``, or ``one or two``, where the first depends on the simulation."""
        test, other = self.test(one), self.test(two)
        assert isinstance(test, Lanes)
        if isinstance(two, bool):
            return test if two == is_and else two
        if _is_flag(one) and _is_flag(two):
            assert isinstance(other, Lanes)
            return arithmetic.both(test, other) if is_and else arithmetic.either(test, other)
        return self.choose(test, two, one) if is_and else self.choose(test, one, two)

    def _get_Compare(self, node: ast.Compare, scope: Locals) -> Any:
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
            return self._contains(operation, arithmetic.unlift(one), two)
        one, two = open_maybe(one), open_maybe(two)
        if isinstance(one, str | None) or isinstance(two, str | None):
            return (one == two) == isinstance(operation, ast.Eq)
        return arithmetic.compare(operation, one, two)

    def _contains(self, operation: ast.cmpop, one: Any, two: Any) -> Any:
        if isinstance(two, Input) and isinstance(one, str):
            held = self.attempt(lambda: self.get_item(two, one))
            return isinstance(held, Broken) != isinstance(operation, ast.In)
        items = list(two) if isinstance(two, Table | str) else self.iterate(two)
        is_in = isinstance(operation, ast.In)
        if not isinstance(one, Lanes):
            return (one in [arithmetic.unlift(item) for item in items]) == is_in
        found: Any = False
        for item in items:
            same = arithmetic.compare(ast.Eq(), one, item)
            found = same if found is False else arithmetic.either(found, same)
        return found if is_in else arithmetic.invert(found)

    def _is(self, one: Any, two: Any) -> Any:
        for value, other in ((one, two), (two, one)):
            if isinstance(value, Maybe) and other is None:
                return value.is_none
        return arithmetic.unlift(one) is arithmetic.unlift(two)

    def _get_IfExp(self, node: ast.IfExp, scope: Locals) -> Any:
        test = self.test(self.evaluate(node.test, scope))
        if isinstance(test, bool):
            return self.evaluate(node.body if test else node.orelse, scope)
        one, two = self.evaluate(node.body, scope), self.evaluate(node.orelse, scope)
        return self.choose(test, one, two)

    def _get_NamedExpr(self, node: ast.NamedExpr, scope: Locals) -> Any:
        value = self.evaluate(node.value, scope)
        target = scope
        while target.is_comprehension and target.outer is not None:
            target = target.outer
        self.assign(node.target, value, target)
        return target.names[node.target.id]

    def _get_JoinedStr(self, node: ast.JoinedStr, scope: Locals) -> str:
        parts: list[str] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
            elif isinstance(part, ast.FormattedValue):
                value = arithmetic.unlift(self.evaluate(part.value, scope))
                parts.append(str(value) if isinstance(value, str | int | float) else "…")
        return "".join(parts)[:_MOST_ITEMS]

    def _get_ListComp(self, node: ast.ListComp, scope: Locals) -> Items:
        return Items(enumerate(self._comprehend(node.generators, scope, [node.elt])))

    _get_SetComp = _get_GeneratorExp = _get_ListComp

    def _get_DictComp(self, node: ast.DictComp, scope: Locals) -> Table:
        flat = self._comprehend(node.generators, scope, [node.key, node.value])
        table = Table()
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            word = arithmetic.unlift(key)
            table[word] = mark_entry(word, self.name_value(str(word), value))
        return table

    def _comprehend(
        self, generators: Sequence[ast.comprehension], scope: Locals, results: Sequence[ast.expr]
    ) -> list[Any]:
        inner = Locals(Cells(), scope, is_comprehension=True)
        if not generators:
            return [self.evaluate(result, scope) for result in results]
        found: list[Any] = []
        first, *rest = generators
        for item in self.iterate(self.evaluate(first.iter, scope)):
            self.assign(first.target, item, inner)
            tests = [self.test(self.evaluate(test, inner)) for test in first.ifs]
            if not all(isinstance(test, bool) for test in tests):
                raise self.refuse(
                    "a comprehension that leaves out by simulation",
                    "write np.where(condition, value, 0.0) for each item",
                )
            if all(tests):
                found += self._comprehend(rest, inner, results)
        return found

    def _get_Starred(self, node: ast.Starred, scope: Locals) -> Any:
        return self.evaluate(node.value, scope)


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, Lanes) and value.kind == "bool")


def _show(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else text[:59] + "…"


_EXPRESSION_REMEDIES = {
    "Await": "write a plain def without async and await, loggers and queues",
    "Yield": "return the value",
    "YieldFrom": "return the value",
}
