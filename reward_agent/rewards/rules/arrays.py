"""Rules on lines that are written for one simulation: each finding holds the line rewritten."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reward_agent.rewards.rules.context import Context
from reward_agent.rewards.rules.kinds import Kinds
from reward_agent.rewards.rules.rewrites import (
    Problem,
    Rewriter,
    call,
    name_,
    spread,
    take_column,
    write,
)
from reward_agent.text import parse_expression
from reward_agent.types import Finding

_MAX_LINE_CHARS = 320
_CHOOSES = "is an array: `if` cannot choose for all simulations"
_RETURN = "return"


@dataclass(frozen=True)
class Rewritten:
    """A statement that is written for one number, and the lines to write in its place.

    ``where`` says where the lines go, if not in the place of the statement.
    """

    statement: ast.stmt
    problems: tuple[Problem, ...]
    lines: tuple[str, ...]
    where: str = ""

    @property
    def remedy(self) -> str:
        """What to write."""
        if not self.lines or sum(map(len, self.lines)) > _MAX_LINE_CHARS:
            return "use np.where(condition, a, b) for each value that is chosen here"
        return f"{self.where}write {' and '.join(f'`{line}`' for line in self.lines)}"


def check_arrays(context: Context) -> Iterator[Finding]:
    """Refuse what Python does with one number only: `if x > 1`, `max(0, x)`, `math.exp(x)`."""
    is_of_step = Kinds(context).is_of_step
    for item in find_rewritten(context):
        failing = [problem for problem in item.problems if problem.fails or is_of_step]
        if failing:
            problem = failing[0]
            yield context.refuse(
                problem.rule, problem.node, problem.says, item.remedy, ast.unparse(problem.node)
            )


def warn_of_axes(context: Context) -> Iterator[Finding]:
    """Warn of what mixes the simulations, or reads one of them for all."""
    for item in find_rewritten(context):
        problem = item.problems[0]
        yield context.note(
            "warning", problem.rule, problem.node, problem.says, item.remedy,
            ast.unparse(problem.node),
        )  # fmt: skip


def find_rewritten(context: Context) -> Iterator[Rewritten]:
    """Yield the statements of a reward program that are written for one number."""
    if context.dialect.kind != "reward":
        return
    kinds = Kinds(context)
    seen: set[ast.AST] = set()
    for function in context.source.find(ast.FunctionDef):
        reader = _Reader(context, kinds, function)
        for item in reader.read():
            first = item.problems[0].node
            if first not in seen:
                seen.add(first)
                yield item


class _Reader:
    """Reads one function from the top down."""

    def __init__(self, context: Context, kinds: Kinds, function: ast.FunctionDef) -> None:
        self._context, self._kinds, self._function = context, kinds, function
        self._returning = [item for item in function.body if self._is_early(item)]

    def read(self) -> Iterator[Rewritten]:
        """Yield what is to be rewritten."""
        yield from self._read_body(self._function.body)

    def _read_body(self, body: Sequence[ast.stmt]) -> Iterator[Rewritten]:
        for statement in body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                continue
            if isinstance(statement, ast.If) and self._kinds.of(statement.test) is not None:
                yield self._rewrite_if(statement)
                continue
            parts = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
            if not any(parts):
                yield from self._rewrite_statement(statement)
                continue
            yield from self._rewrite_head(statement)
            for part in [*parts, *(h.body for h in getattr(statement, "handlers", []))]:
                yield from self._read_body(part)

    def _rewrite_statement(self, statement: ast.stmt) -> Iterator[Rewritten]:
        rewriter = Rewriter(self._kinds)
        made = rewriter.rewrite(statement)
        value = statement.value if isinstance(statement, ast.Assign) else None
        is_taken_apart = value is not None and isinstance(made.targets[0], ast.Tuple)
        if value is not None and is_taken_apart and self._kinds.of(value) == "vector":
            rewriter.note("index", value, "is taken apart by simulations")
            made.value = ast.Attribute(made.value, "T", ast.Load())
        for problem in [p for p in rewriter.problems if p.rule == "arrays/column"]:
            if isinstance(self._context.source.parents.get(problem.node), ast.Assign):
                rewriter.problems.remove(problem)
                yield self._rewrite_column(problem)
        if rewriter.problems:
            yield Rewritten(statement, tuple(rewriter.problems), (write(made),))

    def _rewrite_column(self, problem: Problem) -> Rewritten:
        """Return the assignment ``v = x[:, 8:9]`` as ``v = x[:, 8]``."""
        value = problem.node
        assert isinstance(value, ast.Subscript)
        statement = self._context.source.parents[value]
        assert isinstance(statement, ast.Assign)
        made = ast.Assign(statement.targets, take_column(value))
        return Rewritten(statement, (problem,), (write(made),))

    def _rewrite_head(self, statement: ast.stmt) -> Iterator[Rewritten]:
        """Rewrite what stands before the colon of a compound statement."""
        rewriter = Rewriter(self._kinds)
        if isinstance(statement, ast.For):
            made = rewriter.rewrite(statement.iter)
            if self._kinds.of(statement.iter) == "vector":
                rewriter.note("index", statement.iter, "is gone through by simulations")
                made = ast.Attribute(made, "T", ast.Load())
            head = f"for {write(statement.target)} in {write(made)}:"
        elif isinstance(statement, ast.If | ast.While):
            word = type(statement).__name__.lower()
            head = f"{word} {write(rewriter.rewrite(statement.test))}:"
            if isinstance(statement, ast.While) and self._kinds.of(statement.test) is not None:
                return  # a rule of its own
        else:
            return
        if rewriter.problems:
            yield Rewritten(statement, tuple(rewriter.problems), (head,))

    # --- if ---------------------------------------------------------------------------------------

    def _rewrite_if(self, statement: ast.If) -> Rewritten:
        problem = Problem("arrays/choice", statement.test, _CHOOSES)
        if statement in self._returning:
            return Rewritten(statement, (problem,), *self._end_with_choice())
        held = self._run([statement], {})
        lines = [] if held is None else list(self._write_branches(statement, held))
        return Rewritten(statement, (problem,), tuple(lines))

    def _is_early(self, statement: ast.stmt) -> bool:
        """Whether a statement of the function is an `if` that ends it before its last line."""
        return (
            isinstance(statement, ast.If)
            and not statement.orelse
            and self._kinds.of(statement.test) is not None
            and isinstance(statement.body[-1], ast.Return)
            and isinstance(self._function.body[-1], ast.Return)
        )

    def _end_with_choice(self) -> tuple[tuple[str, ...], str]:
        """Return the last line of a function, with what its early returns return in it."""
        last = self._function.body[-1]
        assert isinstance(last, ast.Return)
        value = Rewriter(self._kinds).rewrite(last.value) if last.value else None
        for statement in reversed(self._returning):
            assert isinstance(statement, ast.If)
            held = self._run(statement.body, {})
            if held is None or value is None or _RETURN not in held:
                return (), ""
            test = Rewriter(self._kinds).as_flag(statement.test)
            value = _choose_result(test, held[_RETURN], value)
        numbers = ", ".join(str(item.lineno) for item in self._returning)
        is_one = len(self._returning) == 1
        gone = (
            f"delete this if (line {numbers})" if is_one else f"delete the ifs of lines {numbers}"
        )
        return (f"return {write(value)}",), f"{gone}, and in the last line " if value else ""  # type: ignore[arg-type]

    def _run(
        self, body: Sequence[ast.stmt], before: dict[str, ast.expr]
    ) -> dict[str, ast.expr] | None:
        """Return what a branch leaves in each name; None where that cannot be said."""
        held: dict[str, ast.expr] = {}
        for statement in body:
            read = {**before, **held}
            if isinstance(statement, ast.If) and self._kinds.of(statement.test) is not None:
                chosen = self._run_if(statement, read)
                if chosen is None:
                    return None
                held |= chosen
            elif isinstance(statement, ast.Return) and statement.value is not None:
                held[_RETURN] = Rewriter(self._kinds, read).rewrite(statement.value)
                break
            elif not _is_silent(statement):
                found = self._assign(statement, read)
                if found is None:
                    return None
                held[found[0]] = found[1]
        return held

    def _assign(
        self, statement: ast.stmt, read: dict[str, ast.expr]
    ) -> tuple[str, ast.expr] | None:
        is_one = isinstance(statement, ast.AnnAssign | ast.AugAssign) or (
            isinstance(statement, ast.Assign) and len(statement.targets) == 1
        )
        if not is_one or statement.value is None:  # type: ignore[attr-defined]
            return None
        assert isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        is_key = (
            isinstance(target, ast.Subscript)
            and isinstance(target.slice, ast.Constant)
            and self._kinds.of(target.value) is None
        )
        if not isinstance(target, ast.Name) and not is_key:
            return None
        name = ast.unparse(target)
        value = Rewriter(self._kinds, read).rewrite(statement.value)
        if isinstance(statement, ast.AugAssign):
            value = ast.BinOp(self._find_held(name, read, statement), statement.op, value)
        return name, value

    def _run_if(self, statement: ast.If, read: dict[str, ast.expr]) -> dict[str, ast.expr] | None:
        test = Rewriter(self._kinds, read).as_flag(statement.test)
        then, other = self._run(statement.body, read), self._run(statement.orelse, read)
        if then is None or other is None or (_RETURN in then) != (_RETURN in other):
            return None
        held = {}
        for name in [*then, *(name for name in other if name not in then)]:
            if name == _RETURN:
                held[name] = _choose_result(test, then[name], other[name])
                continue
            a = then.get(name) or self._find_held(name, read, statement)
            b = other.get(name) or self._find_held(name, read, statement)
            is_vector = any(
                self._is_vector(name, part) for part in (statement.body, statement.orelse)
            )
            held[name] = call("np.where", spread(test) if is_vector else test, a, b)
        return held

    def _is_vector(self, name: str, body: Sequence[ast.stmt]) -> bool:
        return any(
            isinstance(item, ast.Assign)
            and ast.unparse(item.targets[0]) == name
            and self._kinds.of(item.value) == "vector"
            for item in body
        )

    def _find_held(self, name: str, read: dict[str, ast.expr], statement: ast.stmt) -> ast.expr:
        """Return what a name holds before a statement; 0.0 where it holds nothing yet."""
        if name in read:
            return read[name]
        before = [
            item
            for item in ast.walk(self._function)
            if isinstance(item, ast.Name | ast.Subscript | ast.arg | ast.Constant)
            and getattr(item, "lineno", 0) < statement.lineno
            and (self._sets(item, name))
        ]
        return (
            name_(name)
            if before and name.isidentifier()
            else (parse_expression(name) if before else ast.Constant(0.0))
        )

    def _sets(self, item: ast.AST, name: str) -> bool:
        if isinstance(item, ast.arg):
            return item.arg == name
        if isinstance(item, ast.Constant):  # a key of the dictionary, as it was made
            parent = self._context.source.parents.get(item)
            return isinstance(parent, ast.Dict) and name.endswith(f"[{item.value!r}]")
        return isinstance(item.ctx, ast.Store) and ast.unparse(item) == name  # type: ignore[attr-defined]

    def _write_branches(self, statement: ast.If, held: dict[str, ast.expr]) -> Iterator[str]:
        """Yield the lines that leave in each name what the branches would."""
        if _RETURN in held:
            yield f"return {write(held[_RETURN])}"
            return
        kept = {name: value for name, value in held.items() if self._is_read_later(name, statement)}
        while kept:
            # What others are made of is set last.
            free = [
                name
                for name in kept
                if not any(_reads(value, name) for other, value in kept.items() if other != name)
            ]
            if not free:
                return
            for name in free:
                yield f"{name} = {write(kept.pop(name))}"

    def _is_read_later(self, name: str, statement: ast.stmt) -> bool:
        if not name.isidentifier():
            return True
        is_repeated = any(
            isinstance(item, ast.For | ast.While)
            for item in self._context.source.ancestors(statement)
        )
        end = statement.end_lineno or statement.lineno
        return is_repeated or any(
            isinstance(item, ast.Name) and item.id == name and item.lineno > end
            for item in ast.walk(self._function)
        )


def _reads(value: ast.expr, name: str) -> bool:
    return any(
        isinstance(item, ast.Name | ast.Subscript) and ast.unparse(item) == name
        for item in ast.walk(value)
    )


def _is_silent(statement: ast.stmt) -> bool:
    """Whether a statement computes nothing: pass, a text, print."""
    if isinstance(statement, ast.Pass):
        return True
    value = statement.value if isinstance(statement, ast.Expr) else None
    is_print = isinstance(value, ast.Call) and ast.unparse(value.func) == "print"
    return is_print or isinstance(value, ast.Constant)


def _choose_result(test: ast.expr, then: ast.expr, other: ast.expr) -> ast.expr:
    """Return the choice between two results, part by part: of tuples, of terms of one name."""
    if ast.dump(then) == ast.dump(other):
        return then
    if isinstance(then, ast.Tuple) and isinstance(other, ast.Tuple):
        pairs = zip(then.elts, other.elts, strict=False)
        return ast.Tuple([_choose_result(test, a, b) for a, b in pairs], ast.Load())
    if isinstance(then, ast.Dict) and isinstance(other, ast.Dict):
        keys = [ast.unparse(key) for key in other.keys if key]
        given = {ast.unparse(key): value for key, value in zip(then.keys, then.values) if key}  # noqa: B905
        values = [
            _choose_result(test, given.get(key, ast.Constant(0.0)), value)
            for key, value in zip(keys, other.values, strict=True)
        ]
        return ast.Dict(other.keys, values)
    return call("np.where", test, then, other)
