"""A person's program on one step of one simulation, with its numbers: what it pays as it is.

The same machine, but what depends on the simulation is computed at once, so that an ``if`` takes one
side, as in Python. What the translation over arrays pays is compared with this. Child side.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from reward_agent.rewards import library
from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.machine import Machine
from reward_agent.translation.values import Array, Maybe

_HELPERS = {"np": np, "tolerance": library.tolerance}


class EagerMachine(Machine):
    """Carries out a file on rows of one simulation.

    Args:
        values: ``state``, ``next_state`` and ``action`` of one step, each with a leading axis of 1.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({"__name__": "reward"})
        self._values = {**_HELPERS, **values}

    def test(self, value: Any) -> bool | Array:
        """Return whether a value holds in this step."""
        if isinstance(value, Maybe):
            return not self.compute(value.is_none)
        found = super().test(value)
        return bool(self.compute(found)) if isinstance(found, Array) else found

    def name_value(self, wish: str, value: Any) -> Any:
        """Compute an expression, and keep its number."""
        if not isinstance(value, Array) or value.is_constant or nodes.is_simple(value.node):
            return super().name_value(wish, value)
        named: Array = super().name_value(wish, value)
        assert isinstance(named.node, ast.Name)
        self._values[named.node.id] = self._evaluate(value.node)
        self.lines.clear()
        return named

    def name_constant(self, wish: str, value: Any) -> Any:
        """Return the value; its name is known to what is computed."""
        named = super().name_constant(wish, value)
        for name, node in self.constants.items():
            if name not in self._values:
                self._values[name] = self._evaluate(node)
        return named

    def compute(self, value: Any) -> Any:
        """Return the number, or the numbers, of a value."""
        return np.asarray(self._evaluate(arithmetic.lift(value).node)).squeeze()

    def _evaluate(self, node: ast.expr) -> Any:
        tree = ast.fix_missing_locations(ast.Expression(node))
        return eval(compile(tree, "<step>", "eval"), {"__builtins__": {"len": len}}, self._values)
