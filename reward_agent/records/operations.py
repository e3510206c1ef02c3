"""What a program computes as data: a list of array operations, without any Python of its own.

Each is an overload of PyTorch's ATen, named as there: ``add.Tensor``. Results are numbered: the
inputs first, then the constants, then one of each step. All inputs and most results have one row a
simulation, for any number of rows.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from reward_agent.types import MOST_TERMS, Finite, Record, TermName

DType = Literal["bool", "uint8", "int8", "int16", "int32", "int64", "float32"]
MOST_STEPS, MOST_CONSTANTS, MOST_INPUTS = 2_000, 500, 500
Name = Annotated[str, Field(pattern=r"^[\w.\-/ ]{1,200}$")]
Size = Annotated[int, Field(ge=0, le=10**6)]


class Earlier(Record):
    """An earlier result, or one part of it where it has several."""

    of: int = Field(ge=0, le=MOST_STEPS + MOST_CONSTANTS + MOST_INPUTS)
    part: int | None = Field(None, ge=0, le=100)


class Rows(Record):
    """So many times the number of rows, and so many more."""

    rows: int = Field(ge=-1000, le=1000)
    plus: int = Field(0, ge=-(10**6), le=10**6)
    is_float: bool = False


class Unbounded(Record):
    """A number that JSON does not have."""

    number: Literal["inf", "-inf", "nan"]


class OfType(Record):
    """A type of numbers."""

    dtype: DType


Literal_ = StrictBool | StrictInt | Finite | Unbounded | OfType | Rows | None
Word = Annotated[str, Field(max_length=20)]
Item = Earlier | Literal_
Argument = Item | Word | tuple[Item, ...]


class Step(Record):
    """One operation on earlier results and literals."""

    op: Annotated[str, Field(pattern=r"^\w{1,60}(\.\w{1,40})?$")]
    args: tuple[Argument, ...] = Field((), max_length=20)
    keywords: dict[Annotated[str, Field(max_length=40)], Argument] = Field({}, max_length=20)


class GivenArray(Record):
    """What is given: ``(rows, *shape)``."""

    name: Name
    shape: tuple[Size, ...] = Field((), max_length=8)
    dtype: DType = "float32"


class Constant(Record):
    """An array that is the same in every call, its numbers in the order of C."""

    shape: tuple[Size, ...] = Field((), max_length=8)
    dtype: DType = "float32"
    values: tuple[StrictBool | StrictInt | Finite | Unbounded, ...] = Field(max_length=100_000)


class Output(Record):
    """What is handed back, and under which name."""

    name: Name
    value: Earlier


class Operations(Record):
    """Steps from inputs to outputs."""

    inputs: tuple[GivenArray, ...] = Field(max_length=MOST_INPUTS)
    constants: tuple[Constant, ...] = Field((), max_length=MOST_CONSTANTS)
    steps: tuple[Step, ...] = Field(max_length=MOST_STEPS)
    outputs: tuple[Output, ...] = Field(max_length=MOST_INPUTS)


class TracedProgram(Record):
    """A reward program as operations.

    Those of ``reward`` take ``state.FIELD`` and ``next_state.FIELD`` for the fields that it reads,
    ``action``, ``terminated`` and ``memory.NAME``, and give ``reward``, ``term.NAME`` in the order
    of ``terms``, and ``memory.NAME``; those of ``init``, where there is memory, take
    ``state.FIELD`` and give ``memory.NAME``.
    """

    program_sha256: str
    terms: tuple[TermName, ...] = Field(max_length=MOST_TERMS)
    reward: Operations
    init: Operations | None = None
