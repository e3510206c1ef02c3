"""What a function of arrays computes, traced to operations: child side, or code of ours.

It is run twice on arrays without numbers in them, of two sizes. A literal that differs between the
two is the number of rows; one that depends on a number in the arrays ends the trace.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import Target

from reward_agent.device.arrays import using_single_precision
from reward_agent.records.operations import (
    Constant,
    DType,
    Earlier,
    GivenArray,
    OfType,
    Operations,
    Output,
    Rows,
    Step,
    Unbounded,
)

Function = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
# Odd, without a factor in common, and no size of a robot.
_SIZES = (61, 67)
# Where and how an array lies is decided where the operations run.
_PLACES = frozenset({"device", "layout", "pin_memory", "memory_format"})


# What it cannot trace it logs with its whole stack; the refusal says it.
logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)


class TraceRefusal(Exception):
    """A function that has no form as operations; the text says why."""


def trace(function: Function, given: Sequence[GivenArray]) -> Operations:
    """Return what a function does with tensors by name, as operations.

    Raises:
        TraceRefusal: it writes into what it is given, looks at numbers, or keeps to one size.
    """
    graphs = [_trace_size(function, given, size) for size in _SIZES]
    return _Reading(given, *graphs).read()


def _trace_size(function: Function, given: Sequence[GivenArray], size: int) -> fx.GraphModule:
    names: list[str] = []

    def call(*tensors: torch.Tensor) -> list[torch.Tensor]:
        tensors_by_name = dict(zip((item.name for item in given), tensors, strict=True))
        returned = function(tensors_by_name)
        names[:] = returned
        return list(returned.values())

    examples = [
        torch.zeros((size, *item.shape), dtype=getattr(torch, item.dtype)) for item in given
    ]
    pure = torch.func.functionalize(call, remove="mutations_and_views")
    with using_single_precision(), torch.no_grad():
        traced = make_fx(pure, tracing_mode="fake")(*examples)
    traced.graph.eliminate_dead_code()
    traced.meta["names"] = list(names)
    return traced


class _Reading:
    """Two graphs of one function, read to operations.

    Args:
        given: inputs.
        small: graph of the first size.
        large: graph of the second.
    """

    def __init__(self, given: Sequence[GivenArray], small: fx.GraphModule, large: fx.GraphModule):
        self._given, self._small, self._large = given, small, large
        self._numbers: dict[fx.Node, Earlier] = {}
        self._constants: list[Constant] = []
        self._steps: list[Step] = []
        self._known: dict[str, Earlier] = {}

    def read(self) -> Operations:
        """Return the operations."""
        pairs = self._pair_nodes()
        self._number_given(pairs)
        outputs: tuple[Output, ...] = ()
        for small, large in pairs:
            if small.op == "call_function":
                self._take(small, large)
            elif small.op == "output":
                outputs = self._read_outputs(small)
        return Operations(
            inputs=tuple(self._given),
            constants=tuple(self._constants),
            steps=tuple(self._steps),
            outputs=outputs,
        )

    def _pair_nodes(self) -> list[tuple[fx.Node, fx.Node]]:
        small, large = list(self._small.graph.nodes), list(self._large.graph.nodes)
        kinds = [[(node.op, node.target) for node in nodes] for nodes in (small, large)]
        same_names = self._small.meta["names"] == self._large.meta["names"]
        if kinds[0] != kinds[1] or not same_names:
            raise TraceRefusal("what it computes depends on the number of simulations")
        return list(zip(small, large, strict=True))

    def _number_given(self, pairs: Sequence[tuple[fx.Node, fx.Node]]) -> None:
        """Number what is there before any step: inputs, then constants."""
        number = 0
        for node in self._small.graph.find_nodes(op="placeholder"):
            self._numbers[node] = Earlier(of=number)
            number += 1
        for small, large in pairs:
            if small.op != "get_attr":
                continue
            values = [
                _find_constant(self._small, small.target),
                _find_constant(self._large, large.target),
            ]
            if not torch.equal(*values):
                raise TraceRefusal("an array of constants depends on the number of simulations")
            self._constants.append(_read_constant(values[0]))
            self._numbers[small] = Earlier(of=number)
            number += 1

    def _take(self, small: fx.Node, large: fx.Node) -> None:
        """Number what a node gives; of what is there already no step is made."""
        first = small.args[0] if small.args else None
        if small.target is operator.getitem:
            assert isinstance(first, fx.Node)
            self._numbers[small] = Earlier(of=self._numbers[first].of, part=small.args[1])
        elif isinstance(first, fx.Node) and _gives_same(small, first):
            self._numbers[small] = self._numbers[first]
        else:
            step = self._read_step(small, large)
            key = step.model_dump_json()
            if key not in self._known:
                number = len(self._given) + len(self._constants) + len(self._steps)
                self._known[key] = Earlier(of=number)
                self._steps.append(step)
            self._numbers[small] = self._known[key]
            self._follow_change(small)

    def _follow_change(self, node: fx.Node) -> None:
        """Let later steps see what one wrote into a result of its own: here it gives another."""
        if not _changes_first(node):
            return
        first = node.args[0]
        assert isinstance(first, fx.Node)
        if first.op == "placeholder":
            raise TraceRefusal(f"it writes into {self._given[self._numbers[first].of].name}")
        self._numbers[first] = self._numbers[node]

    def _read_step(self, small: fx.Node, large: fx.Node) -> Step:
        keywords = {
            name: self._read(value, large.kwargs[name])
            for name, value in small.kwargs.items()
            if name not in _PLACES
        }
        args = tuple(self._read(*both) for both in zip(small.args, large.args, strict=True))
        return Step(op=_name(small.target), args=args, keywords=keywords)

    def _read(self, small: Any, large: Any) -> Any:
        if isinstance(small, list | tuple):
            if len(small) != len(large):
                raise TraceRefusal("a list in it grows with the number of simulations")
            return tuple(self._read(*both) for both in zip(small, large, strict=True))
        if isinstance(small, fx.Node):
            return self._numbers[small]
        return _read_literal(small, large)

    def _read_outputs(self, node: fx.Node) -> tuple[Output, ...]:
        values, names = node.args[0], self._small.meta["names"]
        return tuple(
            Output(name=name, value=self._numbers[value])
            for name, value in zip(names, values, strict=True)
        )


def _name(target: Target) -> str:
    """Return the name of an overload: ``add.Tensor``, and without its end where it is the only."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        raise TraceRefusal(f"it needs {target}, which is no array operation")
    name, _, overload = str(target)[len("aten.") :].partition(".")
    if name == "empty":  # what was in memory before is nobody's business
        return "zeros"
    # In place it is the same operation, on a result that is then another one.
    return name.rstrip("_") + ("" if overload == "default" else f".{overload}")


# What gives its argument again, unless that is made another type or shape by it.
_SAME = frozenset(
    {
        "lift_fresh_copy",
        "clone",
        "alias_copy",
        "_to_copy",
        "expand_copy",
        "expand",
        "view_copy",
        "view",
    }
)


def _gives_same(node: fx.Node, first: fx.Node) -> bool:
    if _name(node.target).partition(".")[0] not in _SAME:
        return False
    before, after = first.meta.get("val"), node.meta.get("val")
    if before is None or after is None or before.shape != after.shape:
        return False
    return read_dtype(before.dtype) == read_dtype(after.dtype)


def drop_unused(operations: Operations) -> Operations:
    """Return the operations without inputs that no step reads."""
    read = {item.of for step in operations.steps for item in list_earlier(step)}
    read |= {item.value.of for item in operations.outputs}
    kept = [number for number in range(len(operations.inputs)) if number in read]
    shift = len(operations.inputs) - len(kept)
    places = {number: place for place, number in enumerate(kept)}

    def move(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(move, value))
        if not isinstance(value, Earlier):
            return value
        return value.model_copy(update={"of": places.get(value.of, value.of - shift)})

    return operations.model_copy(
        update={
            "inputs": tuple(operations.inputs[number] for number in kept),
            "steps": tuple(
                step.model_copy(
                    update={
                        "args": move(step.args),
                        "keywords": {name: move(value) for name, value in step.keywords.items()},
                    }
                )
                for step in operations.steps
            ),
            "outputs": tuple(
                item.model_copy(update={"value": move(item.value)}) for item in operations.outputs
            ),
        }
    )


def list_earlier(step: Step) -> list[Earlier]:
    """Return the results that a step reads."""
    values = [*step.args, *step.keywords.values()]
    items = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
    return [item for item in items if isinstance(item, Earlier)]


def _changes_first(node: fx.Node) -> bool:
    return str(node.target).split(".")[1].endswith("_")


def _find_constant(module: fx.GraphModule, name: Target) -> torch.Tensor:
    value = getattr(module, str(name))
    assert isinstance(value, torch.Tensor)
    return value


def _read_constant(value: torch.Tensor) -> Constant:
    numbers = _single(value).reshape(-1).tolist()
    return Constant(
        shape=tuple(value.shape),
        dtype=read_dtype(value.dtype),
        values=tuple(_read_literal(number, number) for number in numbers),
    )


def _single(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.dtype == torch.float64 else value


def read_dtype(dtype: torch.dtype) -> DType:
    """Return the name of a type of numbers; float64 becomes float32.

    Raises:
        TraceRefusal: complex numbers, or others that no program needs.
    """
    name = str(dtype).removeprefix("torch.")
    name = {"float64": "float32", "float16": "float32"}.get(name, name)
    try:
        return OfType(dtype=name).dtype
    except ValueError:
        raise TraceRefusal(f"it computes with numbers of type {name}") from None


def _read_literal(small: Any, large: Any) -> Any:
    if isinstance(small, torch.dtype):
        return OfType(dtype=read_dtype(small))
    if isinstance(small, float) and not abs(small) < float("inf"):
        return Unbounded(number=str(small))
    if small == large and isinstance(small, bool | int | float | str | None):
        return small
    if isinstance(small, int | float) and isinstance(large, int | float):
        times, rest = divmod(large - small, _SIZES[1] - _SIZES[0])
        plus = small - times * _SIZES[0]
        if rest == 0 and times == int(times) and plus == int(plus):
            return Rows(rows=int(times), plus=int(plus), is_float=isinstance(small, float))
    raise TraceRefusal(f"it computes with {small!r:.40}, which depends on how many there are")
