"""A person's program, carried out on arrays without numbers: what is computed becomes statements.

Python's own values (numbers, texts, functions, classes, lists) are computed as Python does. What
depends on the simulation is an ``Lanes``, whose expression is written down. An ``if`` on an array
carries out both sides and chooses by ``np.where``; what each side wrote is undone in between. Loops
over known things are unrolled. What has no certain meaning raises ``Untranslatable``, if anybody
reads it: an observation or a log that is not asked for may be what it likes.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from reward_agent.translation import arithmetic, indexing, nodes, words
from reward_agent.translation.expressions import ExpressionReader
from reward_agent.translation.journal import ABSENT, Flow, Place, Run, mark_entry
from reward_agent.translation.values import (
    Broken,
    Cells,
    Class,
    Function,
    Input,
    Instance,
    Items,
    Lanes,
    Locals,
    Partial,
    Stepped,
    Table,
    Untranslatable,
    Word,
)

MAX_STEPS = 200_000
MAX_LINES = 4_000
# By whose name an import is another's.
_SAME = {"jax.numpy": "numpy"}


class Tracer(ExpressionReader):
    """Carries out a file: its statements."""

    def run_file(self, tree: ast.Module) -> None:
        """Carry out the file's own statements: imports, constants, functions, classes."""
        for statement in tree.body:
            self.try_statement(statement, self.scope)
        for name, value in list(self.scope.names.items()):
            self.scope.names[name] = self.name_constant(name, value)

    def try_statement(self, statement: ast.stmt, scope: Locals) -> None:
        """Carry out a statement of a file or a class; names that it fails to give say why."""
        found = self.attempt(partial(self.run_statement, statement, scope))
        if isinstance(found, Broken):
            for name in nodes.list_bound(statement):
                self.write(scope.names, name, found)

    def run_all(self, runs: Sequence[Run]) -> Flow | None:
        """Carry things out one after another; where some simulations left, the others go on."""
        for place, run in enumerate(runs):
            flow = run()
            if flow is None:
                continue
            if flow.condition is None or flow.kind == "raise":
                return flow
            left, condition = flow, flow.condition
            rest, wrote = self.branch(lambda: self.run_all(runs[place + 1 :]))  # noqa: B023
            self.merge(condition, {}, wrote)
            if rest is None:
                return left
            if rest.kind == "raise":
                self.note(f"line {self.line}: what raises an error is left out")
                return Flow(left.value, None, left.kind)
            if rest.kind != left.kind:
                raise self.refuse(
                    "return and break in one loop", "compute the result with np.where"
                )
            value = self.choose(condition, left.value, rest.value)
            if rest.condition is None:
                return Flow(value, None, left.kind)
            return Flow(value, arithmetic.either(condition, rest.condition), left.kind)
        return None

    def run_block(self, statements: Sequence[ast.stmt], scope: Locals) -> Flow | None:
        """Carry out statements."""
        return self.run_all([self._bind(statement, scope) for statement in statements])

    def _bind(self, statement: ast.stmt, scope: Locals) -> Run:
        return lambda: self.run_statement(statement, scope)

    def run_statement(self, statement: ast.stmt, scope: Locals) -> Flow | None:
        """Carry out one statement."""
        self.n_steps += 1
        if self.n_steps > MAX_STEPS or len(self.lines) > MAX_LINES:
            raise self.refuse("a computation of too many steps", "shorten its loops")
        self.line = getattr(statement, "lineno", 0) or self.line
        run = getattr(self, f"_run_{type(statement).__name__}", None)
        if run is None:
            word = type(statement).__name__
            remedy = _STATEMENT_REMEDIES.get(word, "write it with assignments, if and for")
            raise self.refuse(f"a statement of the kind {word}", remedy)
        flow: Flow | None = run(statement, scope)
        return flow

    def _run_Expr(self, statement: ast.Expr, scope: Locals) -> None:
        """Carry out what is called for its effect; what lies outside the file has none here."""
        node = statement.value
        if isinstance(node, ast.Constant):
            return
        if isinstance(node, ast.Call) and self._is_outside(node.func, scope):
            self.attempt(partial(self.evaluate, node, scope))
            return
        self.evaluate(node, scope)

    def _is_outside(self, node: ast.expr, scope: Locals) -> bool:
        """Whether a call goes to a library or the environment, not to the file's own code."""
        function = self.attempt(partial(self.evaluate, node, scope))
        return isinstance(function, Broken | Word | Input)

    def _run_Pass(self, statement: ast.stmt, scope: Locals) -> None:
        return None

    def _run_Global(self, statement: ast.Global, scope: Locals) -> None:
        scope.of_file.update(statement.names)

    def _run_Nonlocal(self, statement: ast.Nonlocal, scope: Locals) -> None:
        scope.of_outer.update(statement.names)

    _run_Assert = _run_Pass

    def _run_Delete(self, statement: ast.Delete, scope: Locals) -> None:
        for target in statement.targets:
            if isinstance(target, ast.Subscript):
                owner = self.evaluate(target.value, scope)
                if not isinstance(owner, Table):
                    raise self.refuse("del of a part of a list", "build the list without it")
                key = arithmetic.unlift(self._get_place(target.slice, scope))
                self.write(owner, key, ABSENT)

    def _run_Import(self, statement: ast.Import, scope: Locals) -> None:
        for item in statement.names:
            self.imported.add(item.name.split(".")[0])
            path = item.name if item.asname else item.name.split(".")[0]
            self.write(scope.names, item.asname or path, Word(_SAME.get(path, path), ""))

    def _run_ImportFrom(self, statement: ast.ImportFrom, scope: Locals) -> None:
        module = statement.module or ""
        self.imported.add(module.split(".")[0])
        for item in statement.names:
            path = f"{module}.{item.name}"
            if item.name == "*":
                self.starred += (_SAME.get(module, module),)
                continue
            module_of = _SAME.get(module, module)
            word = Word(_SAME[path], "") if path in _SAME else Word(module_of, item.name)
            self.write(scope.names, item.asname or item.name, words.get_constant(word))

    def _run_FunctionDef(self, statement: ast.FunctionDef, scope: Locals) -> None:
        made: Any = self._make_function(statement, scope)
        for mark in reversed(statement.decorator_list):  # those of libraries change nothing here
            if isinstance(mark, ast.Call) and ast.unparse(mark.func).split(".")[-1] == "wraps":
                inner = self.evaluate(mark.args[0], scope)
                made = replace(made, like=inner if isinstance(inner, Function) else None)
                continue
            around = self.attempt(partial(self.evaluate, mark, scope))
            if isinstance(around, Function | Class | Instance | Partial):
                made = self.call(around, (made,), {})
        self.write(scope.names, statement.name, made)

    def _get_Lambda(self, node: ast.Lambda, scope: Locals) -> Function:
        return self._make_function(node, scope)

    def _make_function(self, node: ast.FunctionDef | ast.Lambda, scope: Locals) -> Function:
        spec = node.args
        places = [*spec.posonlyargs, *spec.args]
        given = [*zip(places[len(places) - len(spec.defaults) :], spec.defaults, strict=True)]
        given += [
            (place, value)
            for place, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
            if value is not None
        ]
        defaults = {
            place.arg: self.attempt(partial(self.evaluate, value, scope)) for place, value in given
        }
        while scope.is_class and scope.outer is not None:  # a method does not see its class's names
            scope = scope.outer
        return Function(node, scope, defaults)

    def _run_ClassDef(self, statement: ast.ClassDef, scope: Locals) -> None:
        bases = tuple(self._find_base(base, scope) for base in statement.bases)
        inner = Locals(Cells(), scope, is_class=True)
        made = Class(statement.name, inner.names, bases)
        for item in statement.body:
            self.try_statement(item, inner)
        for name, value in list(inner.names.items()):
            if isinstance(value, Function):
                inner.names[name] = replace(value, owner=made)
            elif not isinstance(value, Class):
                inner.names[name] = self.name_constant(name, value)
        self.write(scope.names, statement.name, made)

    def _find_base(self, base: ast.expr, scope: Locals) -> Any:
        """Return a base class; one that is not in the file is known by its name only."""
        try:
            return self.evaluate(base, scope)
        except Untranslatable:
            return Word(ast.unparse(base), "")

    def _run_Return(self, statement: ast.Return, scope: Locals) -> Flow:
        return Flow(self.evaluate(statement.value, scope) if statement.value is not None else None)

    def _run_Break(self, statement: ast.Break, scope: Locals) -> Flow:
        return Flow(kind="break")

    def _run_Continue(self, statement: ast.Continue, scope: Locals) -> Flow:
        return Flow(kind="continue")

    def _run_If(self, statement: ast.If, scope: Locals) -> Flow | None:
        test = self.test(self.evaluate(statement.test, scope))
        if isinstance(test, bool):
            return self.run_block(statement.body if test else statement.orelse, scope)
        one, wrote_one = self.branch(lambda: self.run_block(statement.body, scope))
        two, wrote_two = self.branch(lambda: self.run_block(statement.orelse, scope))
        for side, other, wrote in ((one, two, wrote_two), (two, one, wrote_one)):
            if (
                side is not None and side.kind == "raise"
            ):  # never taken, or it is the person's fault
                self.note(f"line {self.line}: what raises an error is left out")
                self._write_all(wrote)
                return other
        if len({*wrote_one, *wrote_two}) > 1:
            test = self.name_value("when", test)
        self.merge(test, wrote_one, wrote_two)
        return self._join(test, one, two)

    def _write_all(self, wrote: Mapping[Place, Any]) -> None:
        for (cells, key), value in wrote.items():
            self.write(cells, key, value)

    def _join(self, test: Lanes, one: Flow | None, two: Flow | None) -> Flow | None:
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
        first = one.condition or Lanes(nodes.literal(True), (), True, "bool", True)
        second = two.condition or Lanes(nodes.literal(True), (), True, "bool", True)
        return Flow(value, self.name_value("left", arithmetic.choose(test, first, second)), kind)

    def _run_For(self, statement: ast.For, scope: Locals) -> Flow | None:
        items = self.iterate(self.evaluate(statement.iter, scope))

        def run(item: Any) -> Flow | None:
            self.assign(statement.target, item, scope)
            flow = self.run_block(statement.body, scope)
            return None if flow is not None and flow.kind == "continue" else flow

        flow = self.run_all([lambda item=item: run(item) for item in items])  # type: ignore[misc]
        if flow is None:
            return self.run_block(statement.orelse, scope)
        if flow.kind != "break":
            return flow
        if flow.condition is not None and statement.orelse:  # where nothing left the loop
            rest, wrote = self.branch(lambda: self.run_block(statement.orelse, scope))
            self.merge(flow.condition, {}, wrote)
            if rest is not None:
                raise self.refuse("leaving from for … else", "write it after the loop")
        return None

    def _run_While(self, statement: ast.While, scope: Locals) -> Flow | None:
        """Carry out a loop while its test is known; how often cannot depend on the simulation."""
        while True:
            test = self.test(self.evaluate(statement.test, scope))
            if isinstance(test, Lanes):
                raise self.refuse(
                    "a while loop that ends by what the simulation holds",
                    "write for _ in range(…): with an if inside, or np.where on whole arrays",
                )
            if not test:
                return self.run_block(statement.orelse, scope)
            flow = self.run_block(statement.body, scope)
            self.n_steps += 1
            if flow is None or (flow.kind == "continue" and flow.condition is None):
                continue
            if flow.kind == "break" and flow.condition is None:
                return None
            if flow.condition is not None:
                raise self.refuse("leaving a while loop by simulation", "write for _ in range(…)")
            return flow

    def _run_Match(self, statement: ast.Match, scope: Locals) -> Flow | None:
        """Carry out a match as the ifs that it stands for."""
        subject = ast.Name("__subject__", ast.Load())
        self.assign(subject, self.evaluate(statement.subject, scope), scope)
        chain: list[ast.stmt] = []
        for case in reversed(statement.cases):
            test = self._find_test(case.pattern, subject)
            if case.guard is not None:
                test = ast.BoolOp(ast.And(), [test, case.guard])
            named = getattr(case.pattern, "name", None)
            body = [*([nodes.assign(named, subject)] if named else []), *case.body]
            chain = [ast.If(test, body, chain)]
        return self.run_block(chain, scope)

    def _find_test(self, pattern: ast.pattern, subject: ast.expr) -> ast.expr:
        if isinstance(pattern, ast.MatchValue):
            return ast.Compare(subject, [ast.Eq()], [pattern.value])
        if isinstance(pattern, ast.MatchSingleton):
            return ast.Compare(subject, [ast.Is()], [ast.Constant(pattern.value)])
        if isinstance(pattern, ast.MatchOr):
            return ast.BoolOp(ast.Or(), [self._find_test(p, subject) for p in pattern.patterns])
        if isinstance(pattern, ast.MatchAs) and pattern.pattern is None:
            return ast.Constant(True)
        raise self.refuse("a case of this kind", "write if and elif")

    def _run_With(self, statement: ast.With, scope: Locals) -> Flow | None:
        return self.run_block(statement.body, scope)

    def _run_Try(self, statement: ast.Try, scope: Locals) -> Flow | None:
        self.note(f"line {self.line}: what an error would do is left out")
        return self.run_block([*statement.body, *statement.orelse, *statement.finalbody], scope)

    def _run_Raise(self, statement: ast.Raise, scope: Locals) -> Flow:
        return Flow(kind="raise")

    def _run_Assign(self, statement: ast.Assign, scope: Locals) -> None:
        value = self.attempt(partial(self.evaluate, statement.value, scope))
        for target in statement.targets:
            self.assign(target, value, scope)

    def _run_AnnAssign(self, statement: ast.AnnAssign, scope: Locals) -> None:
        if statement.value is not None:
            value = self.attempt(partial(self.evaluate, statement.value, scope))
            self.assign(statement.target, value, scope)
        elif scope.is_class and isinstance(statement.target, ast.Name):
            # What a base class would set is of the class that is said.
            made = self.attempt(partial(self.evaluate, statement.annotation, scope))
            self.write(scope.names, statement.target.id, made if isinstance(made, Class) else None)

    def _run_AugAssign(self, statement: ast.AugAssign, scope: Locals) -> None:
        load = ast.copy_location(_as_load(statement.target), statement.target)
        before = self.evaluate(load, scope)
        after = self.evaluate(statement.value, scope)
        self.assign(statement.target, self.combine(statement.op, before, after), scope)

    def assign(self, target: ast.expr, value: Any, scope: Locals) -> None:
        """Give a target of an assignment its value."""
        if isinstance(target, ast.Name):
            cells = self.scope.names if target.id in scope.of_file else scope.names
            if target.id in scope.of_outer and scope.outer is not None:
                cells = scope.outer.find(target.id) or cells
            self.write(cells, target.id, self.name_value(target.id, value))
        elif isinstance(target, ast.Tuple | ast.List):
            self._assign_several(target, value, scope)
        elif isinstance(target, ast.Attribute):
            self._assign_attribute(target, value, scope)
        elif isinstance(target, ast.Subscript):
            self._assign_item(target, value, scope)
        else:
            raise self.refuse("an assignment of this kind", "assign to a name")

    def _assign_attribute(self, target: ast.Attribute, value: Any, scope: Locals) -> None:
        owner = self.evaluate(target.value, scope)
        cells = owner.names if isinstance(owner, Instance | Class) else owner
        if not isinstance(cells, Cells):
            raise self.refuse(
                f"writing into {arithmetic.name_kind(owner)}",
                "keep the value in a variable of its own",
            )
        self.write(cells, target.attr, self.name_value(target.attr, value))

    def _assign_several(self, target: ast.Tuple | ast.List, value: Any, scope: Locals) -> None:
        is_broken = isinstance(value, Broken)
        items = [value] * len(target.elts) if is_broken else self.iterate(value)
        if any(isinstance(item, ast.Starred) for item in target.elts):
            self._assign_starred(target.elts, items, scope)
            return
        if isinstance(value, Stepped) and len(target.elts) == len(items) - 1:
            items.pop(3)
        if len(items) != len(target.elts):
            raise self.refuse(
                f"{len(items)} values for {len(target.elts)} names",
                "give as many names as there are numbers",
            )
        for place, item in zip(target.elts, items, strict=True):
            self.assign(place, item, scope)

    def _assign_starred(self, targets: Sequence[ast.expr], items: list[Any], scope: Locals) -> None:
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

    def _assign_item(self, target: ast.Subscript, value: Any, scope: Locals) -> None:
        owner = self.evaluate(target.value, scope)
        if isinstance(owner, Input):  # info["…"] = …, metrics["…"] = …: nobody reads it
            return
        key = arithmetic.unlift(self._get_place(target.slice, scope))
        if isinstance(owner, Lanes):
            self._check_alone(owner, target.value, scope)
            self.assign(target.value, self._replace_item(owner, key, value), scope)
            return
        if isinstance(owner, Instance):
            owner = owner.names
        if not isinstance(owner, Cells):
            raise self.refuse("writing into a value", "build it anew")
        if isinstance(key, Lanes):
            raise self.refuse("an index that depends on the simulation", "choose with np.where")
        named = self.name_value(str(key).split("/")[-1], value)
        self.write(owner, key, mark_entry(key, named) if isinstance(owner, Table) else named)

    def _check_alone(self, owner: Lanes, target: ast.expr, scope: Locals) -> None:
        """Refuse to write into an array that has another name, too, which would see it."""
        held = [*scope.names.items(), *self.scope.names.items()]
        names = {name for name, value in held if value is owner}
        if isinstance(target, ast.Name) and (target.id in scope.given or names - {target.id}):
            raise self.refuse(
                f"writing into {target.id}, which has another name, too",
                f"copy it first: {target.id} = np.array({target.id})",
            )

    def _replace_item(self, owner: Lanes, key: Any, value: Any) -> Any:
        """Return an array with one of its numbers replaced, or all of them."""
        if isinstance(key, slice) and key == slice(None):
            lifted = arithmetic.lift(self.read(value))
            if lifted.shape == owner.shape:
                return lifted
            return arithmetic.binary(ast.Add(), arithmetic.binary(ast.Mult(), owner, 0.0), lifted)
        mask = arithmetic.as_mask(owner, key)
        if mask is not None:
            return arithmetic.choose(mask, value, owner)
        size = owner.shape[0] if len(owner.shape) == 1 else None
        if not isinstance(key, int) or size is None or not -size <= key < size:
            raise self.refuse("writing into a part of an array", "build it with np.stack")
        items = [indexing.get_item(owner, place) for place in range(size)]
        items[key] = arithmetic.lift(self.read(value))
        return arithmetic.stack(items)


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
}
