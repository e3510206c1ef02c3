"""What a person's program computes with while it is translated: arrays without numbers, and cells.

An array stands for the values of all simulations: its node is the expression that the translated
program will hold. Numbers, texts and tuples are Python's own.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["float", "bool", "int"]


class Untranslatable(Exception):
    """A construct has no certain meaning over arrays.

    Args:
        message: what was written.
        remedy: what to write instead.
        line: where, in the person's file.
    """

    def __init__(self, message: str, remedy: str, line: int | None = None) -> None:
        self.message, self.remedy, self.line = message, remedy, line
        super().__init__(message)


@dataclass(frozen=True)
class Lanes:
    """An expression over the simulations.

    Args:
        node: the expression.
        shape: as the person's program sees it; the number of simulations is None.
        is_row: whether the program sees one simulation, and the leading axis (N,) is hidden.
        kind: what its elements are.
        value: the number, where it is a constant with a name.
        terms: what it is a sum of, where the person named the parts.
        items: what it was put together of, along its last axis.
        mask: which of its numbers count, where an index of flags has chosen some.
        is_end: whether it holds where the episode ends with this step, and nowhere else.
    """

    node: ast.expr
    shape: tuple[int | None, ...] = ()
    is_row: bool = True
    kind: Kind = "float"
    value: Any = None
    terms: Mapping[str, Lanes] | None = field(default=None, compare=False)
    items: tuple[Lanes, ...] = field(default=(), compare=False)
    mask: Lanes | None = field(default=None, compare=False)
    is_end: bool = field(default=False, compare=False)

    @property
    def is_constant(self) -> bool:
        """Whether it is the same in all simulations and steps."""
        return self.value is not None

    @property
    def is_number(self) -> bool:
        """Whether it is one number for each simulation."""
        return all(size is None for size in self.shape)


@dataclass(frozen=True)
class Maybe:
    """``None`` in some simulations: a condition, and the array that holds elsewhere."""

    is_none: Lanes
    array: Lanes


class Cells(dict[Any, Any]):
    """Names or places that hold values: a scope, an instance's attributes, a list, a dict."""

    # Where the file makes them.
    line: int | None = None
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


class Items(Cells):
    """A list, by its places."""

    def __iter__(self) -> Iterator[Any]:
        return iter([self[index] for index in range(len(self))])


class Table(Cells):
    """A dictionary of the person's program."""


class DefaultTable(Table):
    """A dictionary that makes what it does not hold."""

    make: Any = None


class Stepped(tuple[Any, ...]):
    """What an environment's ``step`` returns; in Gym's old words ``truncated`` is not told."""

    __slots__ = ()


class Deque(Items):
    """A list of at most so many items, of which the first go."""

    most: int = 0


@dataclass(frozen=True)
class Broken:
    """What could not be computed: it is no matter unless somebody reads it.

    Args:
        error: why.
        kept: what it is in a step that does not end the episode.
    """

    error: Untranslatable
    kept: Any = None


@dataclass(eq=False)
class Locals:
    """Names of a function, a class or the file, and the scope around it."""

    names: Cells
    outer: Locals | None = None
    of_file: set[str] = field(default_factory=set)
    of_outer: set[str] = field(default_factory=set)
    is_comprehension: bool = False
    is_class: bool = False
    given: set[str] = field(default_factory=set)

    def find(self, name: str) -> Cells | None:
        """Return the cells that hold a name."""
        scope: Locals | None = self
        while scope is not None and name not in scope.names:
            scope = scope.outer
        return scope.names if scope is not None else None


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the file, with what its defaults were.

    Args:
        like: the function that it is wrapped around, whose parameters it takes.
    """

    node: ast.FunctionDef | ast.Lambda
    scope: Locals
    defaults: Mapping[str, Any]
    owner: Class | None = None
    like: Function | None = None

    @property
    def name(self) -> str:
        """Its name; a lambda has none."""
        return getattr(self.node, "name", "<lambda>")

    @property
    def marks(self) -> set[str]:
        """Names of its decorators."""
        decorators = getattr(self.node, "decorator_list", [])
        names = {ast.unparse(item).split("(")[0] for item in decorators}
        return names | {name.split(".")[-1] for name in names}


@dataclass(eq=False)
class Class:
    """A class of the file."""

    name: str
    names: Cells
    bases: tuple[Any, ...] = ()

    @property
    def is_enum(self) -> bool:
        """Whether it is an enumeration, whose members are its attributes."""
        return any(isinstance(base, Word) and base.path.startswith("enum.") for base in self.bases)

    def list_names(self) -> list[tuple[str, Any]]:
        """Return the attributes with those of the bases in front, as a dataclass has them."""
        inherited = [
            pair for base in self.bases if isinstance(base, Class) for pair in base.list_names()
        ]
        return [
            *((key, value) for key, value in inherited if key not in self.names),
            *self.names.items(),
        ]

    def find(self, name: str) -> Any:
        """Return an attribute, of a base where it is not the class's own; None without one."""
        if name in self.names:
            return self.names[name]
        for base in self.bases:
            if isinstance(base, Class) and (found := base.find(name)) is not None:
                return found
        return None


@dataclass(eq=False)
class Instance:
    """An object of a class of the file."""

    type: Class
    names: Cells


@dataclass(frozen=True)
class Word:
    """A name of a library: ``numpy.exp``, ``numpy.linalg``, ``builtins.max``."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """The dotted name."""
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(frozen=True)
class MethodOf:
    """A method of an array, a list, a text or a dictionary."""

    owner: Any
    name: str


@dataclass(frozen=True)
class Partial:
    """A function with some of its arguments given: a method, with its object."""

    function: Any
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Input:
    """Something that the card gives, such as ``info`` or ``self.data``: asked by name or index.

    Args:
        name: what the person wrote for it.
        get_attribute: returns ``.name``.
        get_item: returns ``[key]``.
        call: returns ``(…)``.
    """

    name: str
    get_attribute: Callable[[str], Any] | None = None
    get_item: Callable[[Any], Any] | None = None
    call: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Fault:
    """Where a number stops being finite: the line, and the expression of the person's file."""

    line: int
    node: ast.expr
