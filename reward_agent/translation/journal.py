"""Names and places that a program writes, and how a branch of it is undone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.values import (
    Broken,
    Cells,
    Class,
    Instance,
    Items,
    Lanes,
    Locals,
    Maybe,
    Table,
    Untranslatable,
)

# Where cells begin, in a branch that is undone.
ABSENT = object()
# An expression of so many nodes gets a name before it is used in several places.
_LARGE = 40
_ARE_WRITTEN = "give it the same entries everywhere, 0.0 where they do not count"

Run = Callable[[], "Flow | None"]
Place = tuple[Cells, Any]


@dataclass(frozen=True)
class Flow:
    """Leaving a block: everywhere, or where a condition holds.

    Args:
        value: what a function returns.
        condition: where; None for everywhere.
        kind: ``return``, ``break``, ``continue`` or ``raise``.
    """

    value: Any = None
    condition: Lanes | None = None
    kind: str = "return"


class Journal:
    """What a program has written, and what has been written down of it.

    Args:
        inputs: what free names mean on the card.
        is_inline: whether what is computed stays one expression, without names.
    """

    def __init__(self, inputs: Mapping[str, Any] | None = None, is_inline: bool = False) -> None:
        self.is_inline = is_inline
        self.lines: list[ast.stmt] = []
        self.constants: dict[str, ast.expr] = {}
        self.scope = Locals(Cells(inputs or {}))
        self.notes: list[str] = []
        self.line: int | None = None
        self.n_steps = 0
        # Attributes that are asked for before they are there.
        self.asked: set[str] = set()
        self.imported: set[str] = set()
        # Functions of the file that were carried out.
        self.ran: set[ast.AST] = set()
        self._used: set[str] = {"np", "math", "state", "next_state", "action", "memory"}
        self._journals: list[dict[Place, Any]] = []

    def note(self, text: str) -> None:
        """Say once what was left out or assumed."""
        if text not in self.notes:
            self.notes.append(text)

    def refuse(self, message: str, remedy: str) -> Untranslatable:
        """Return what stops at a construct, at the line that is carried out."""
        return Untranslatable(message, remedy, self.line)

    def write(self, cells: Cells, key: Any, value: Any) -> None:
        """Set a name or place; a branch that is undone remembers what was there."""
        if self._journals:
            self._journals[-1].setdefault((cells, key), cells.get(key, ABSENT))
        if value is ABSENT:
            cells.pop(key, None)
        else:
            cells[key] = value

    def branch(self, run: Run) -> tuple[Flow | None, dict[Place, Any]]:
        """Carry something out, and return how it left and what it wrote, undone again."""
        self._journals.append({})
        try:
            flow = run()
        finally:
            before = self._journals.pop()
            wrote = {place: place[0].get(place[1], ABSENT) for place in before}
            _restore(before)
        return flow, wrote

    def attempt(self, run: Callable[[], Any]) -> Any:
        """Return what something computes; where it fails, undone, what says why."""
        self._journals.append({})
        line, n_lines = self.line, len(self.lines)
        try:
            value = run()
        except Untranslatable as error:
            error.line = error.line or self.line
            _restore(self._journals.pop())
            del self.lines[n_lines:]
            self.line = line
            return Broken(error)
        before = self._journals.pop()
        if self._journals:
            for place, old in before.items():
                self._journals[-1].setdefault(place, old)
        return value

    def merge(
        self,
        condition: Lanes,
        one: Mapping[tuple[Cells, Any], Any],
        two: Mapping[tuple[Cells, Any], Any],
    ) -> None:
        """Write what two branches wrote: the first where the condition holds."""
        for place in [*one, *(place for place in two if place not in one)]:
            cells, key = place
            known = cells.get(key, ABSENT)
            left, right = one.get(place, known), two.get(place, known)
            if left is right is ABSENT:
                value = ABSENT
            elif left is ABSENT or right is ABSENT:  # not defined elsewhere
                if isinstance(cells, Items | Table):
                    value = self._leave_out(condition, right)
                else:
                    value = right if left is ABSENT else left
            elif isinstance(left, Broken) or isinstance(right, Broken):
                value = left if isinstance(left, Broken) else right
            else:
                value = self._choose_or_break(condition, left, right)
            self.write(cells, key, self.name_value(str(key), value))

    def _choose_or_break(self, condition: Lanes, left: Any, right: Any) -> Any:
        """Return a choice; one of unlike things is no matter unless somebody reads it."""
        try:
            return self.choose(condition, left, right)
        except Untranslatable as error:
            error.line = error.line or self.line
            return Broken(error, right if condition.is_end else None)

    def _leave_out(self, condition: Lanes, right: Any) -> Broken:
        """Return an entry that is not there in some simulations: no matter where they end."""
        error = self.refuse(
            "a list or dictionary that has more entries in some simulations", _ARE_WRITTEN
        )
        if condition.is_end and right is not ABSENT:
            return Broken(error, right)
        raise error

    def name_value(self, wish: str, value: Any) -> Any:
        """Write an expression down under a name, so that it is computed once."""
        if isinstance(value, tuple):
            return tuple(self.name_value(wish, item) for item in value)
        if isinstance(value, Maybe):
            flag = self.name_value(f"{wish}_is_none", value.is_none)
            return Maybe(flag, self.name_value(wish, value.array))
        if not isinstance(value, Lanes) or value.is_constant or nodes.is_simple(value.node):
            return value
        if self.is_inline:
            return value
        name = self.find_name(wish)
        self.lines.append(nodes.assign(name, value.node))
        return replace(value, node=nodes.name(name))

    def name_large(self, wish: str, value: Any) -> Any:
        """Write an expression down if it is long: it may be used several times."""
        is_large = isinstance(value, Lanes) and nodes.is_larger(value.node, _LARGE)
        return self.name_value(wish, value) if is_large else value

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
        if self.is_inline:
            return value
        word = "".join(c if c.isalnum() else "_" for c in wish).strip("_").upper()
        if not word.isascii() or not word.isidentifier():
            return value
        if isinstance(value, bool) or (isinstance(value, Lanes) and value.kind == "bool"):
            return value
        if isinstance(value, int | float) or (
            isinstance(value, Lanes) and value.is_constant and not isinstance(value.node, ast.Name)
        ):
            array = arithmetic.lift(value)
            name = self.find_name(word)
            self.constants[name] = array.node
            return Lanes(nodes.name(name), array.shape, True, array.kind, array.value)
        cells = value.names if isinstance(value, Instance) else value
        if isinstance(cells, Table) or isinstance(value, Instance):
            for key in list(cells):
                cells[key] = self.name_constant(f"{wish}_{key}", cells[key])
        return value

    def choose(self, condition: Lanes, one: Any, two: Any) -> Any:
        """Return ``one`` where the condition holds, ``two`` elsewhere."""
        if isinstance(one, Table) and isinstance(two, Table) and set(one) == set(two):
            return Table({key: self.choose(condition, one[key], two[key]) for key in one})
        if isinstance(one, Items) and isinstance(two, Items) and len(one) == len(two):
            return Items({key: self.choose(condition, one[key], two[key]) for key in one})
        if isinstance(one, Items) and isinstance(two, Items):
            raise self.refuse("a list that is longer in some simulations", _ARE_WRITTEN)
        if isinstance(one, str) or isinstance(two, str):
            raise self.refuse("a text that depends on the simulation", "use numbers")
        return arithmetic.choose(condition, one, two)


def _restore(before: Mapping[Place, Any]) -> None:
    for (cells, key), value in before.items():
        if value is ABSENT:
            cells.pop(key, None)
        else:
            cells[key] = value


def mark_entry(key: Any, value: Any) -> Any:
    """Return the entry of a dictionary as a term of its name, should entries be added up."""
    is_term = isinstance(value, Lanes) and value.is_number and not value.is_constant
    if isinstance(key, str) and is_term:
        return replace(value, terms={key.split("/")[-1]: arithmetic.strip(value)})
    return value


def open_maybe(value: Any) -> Any:
    """Return the array of what may be None: where it is None, nobody computes with it."""
    return value.array if isinstance(value, Maybe) else value


def list_cells(
    cells: Cells, path: tuple[Any, ...] = ()
) -> dict[int, tuple[Cells, tuple[Any, ...]]]:
    """Return the cells that are reached from some, by their identity, with the way there."""
    found = {id(cells): (cells, path)}
    for key, value in list(cells.items()):
        inner = value.names if isinstance(value, Instance | Class) else value
        if isinstance(inner, Cells) and id(inner) not in found and len(path) < 3:
            for place, held in list_cells(inner, (*path, key)).items():
                found.setdefault(place, held)
    return found
