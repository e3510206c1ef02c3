"""Steps of lists that grow: one for each length, of which each simulation is paid by its own."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.machine import Tracer
from reward_agent.translation.staging import Stage, Stored, recall
from reward_agent.translation.values import Lanes

_COUNT = ("n_kept",)


def join_stages(
    machine: Tracer,
    inputs: Inputs,
    stages: Sequence[Stage],
    after: Sequence[int],
    known: Mapping[tuple[Any, ...], Stored],
) -> tuple[Any, list[Stored]]:
    """Return what is paid, and memory, of simulations that are at any of the stages.

    Args:
        machine: it carried them out.
        inputs: the card's fields.
        stages: the first is that of an episode's first step.
        after: the stage that follows each.
        known: all that memory holds.
    """
    if len(stages) == 1:
        return stages[0].paid, list(stages[0].memory.values())
    shape = () if inputs.is_row else (None,)
    held = nodes.index(nodes.name("memory"), nodes.literal("_".join(_COUNT)))
    stage = Lanes(held, shape, inputs.is_row)
    memory = [Stored(_COUNT, 0, _choose(machine, stage, [*after]))]
    for path, kept in known.items():
        before = recall(kept, inputs)
        values = [item.memory[path].next if path in item.memory else before for item in stages]
        start = kept.start
        memory.append(Stored(path, start, _choose(machine, stage, values)))
    totals = [item.paid[0] for item in stages]
    named = [item.paid[1] for item in stages]
    names = [name for name in named[0] if all(name in terms for terms in named)]
    are_same = all(len(terms) == len(names) for terms in named)
    terms = {n: _choose(machine, stage, [t[n] for t in named]) for n in names if are_same}
    return (_choose(machine, stage, totals), terms), memory


def _choose(machine: Tracer, stage: Lanes, values: list[Any]) -> Any:
    """Return the value of each simulation's stage."""
    last = len(values) - 1
    if values == [min(place + 1, last) for place in range(len(values))]:
        return arithmetic.spread("np.minimum", arithmetic.binary(ast.Add(), stage, 1), last)
    texts = [_print(value) for value in values]
    common = max(texts, key=texts.count)
    found = values[texts.index(common)]
    for text in dict.fromkeys(texts):
        if text == common:
            continue
        here = [place for place, other in enumerate(texts) if other == text]
        tests = [arithmetic.compare(ast.Eq(), stage, place) for place in here]
        where = functools.reduce(arithmetic.either, tests)
        found = machine.name_value("kept", machine.choose(where, values[here[0]], found))
    return found


def _print(value: Any) -> str:
    """Return what two values have in common that are the same."""
    return ast.unparse(value.node) if isinstance(value, Lanes) else repr(value)
