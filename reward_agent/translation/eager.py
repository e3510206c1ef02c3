"""A person's program on one step of one simulation, with its numbers: what it pays as it is.

The same machine, but what depends on the simulation is computed at once, so that an ``if`` takes
one side, as in Python. What the translation over arrays pays is compared with this. Child side.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from reward_agent.rewards import library
from reward_agent.simulation.state import State, Transition
from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.machine import Tracer
from reward_agent.translation.values import Fault, Lanes, Locals, Maybe

_HELPERS = {"np": np, "tolerance": library.tolerance}


def show_step(step: Transition) -> dict[str, Any]:
    """Return what a step holds by the names of the language."""
    ended = step.terminated.astype(np.float64)
    after = State({"terminated": ended, **step.next_state.fields})
    return {"state": step.state, "next_state": after, "action": step.action}


class EagerMachine(Tracer):
    """Carries out a file on rows of one simulation.

    Args:
        values: ``state``, ``next_state`` and ``action`` of one step, each with a leading axis of 1.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({"__name__": "reward"})
        self.fault: Fault | None = None
        self._values = {**_HELPERS, **values}

    def see(self, values: Mapping[str, Any]) -> None:
        """Go on to another step."""
        self._values.update(values)
        self.n_steps = 0
        self.fault = None

    def evaluate(self, node: ast.expr, scope: Locals) -> Any:
        """Return the value of an expression, computed."""
        return self._freeze(super().evaluate(node, scope), node)

    def test(self, value: Any) -> bool | Lanes:
        """Return whether a value holds in this step."""
        if isinstance(value, Maybe):
            return not self.compute(value.is_none)
        found = super().test(value)
        return bool(self.compute(found)) if isinstance(found, Lanes) else found

    def name_value(self, wish: str, value: Any) -> Any:
        """Compute an expression, and keep its number."""
        if isinstance(value, tuple):
            return tuple(self.name_value(wish, item) for item in value)
        return self._freeze(value, None)

    def name_constant(self, wish: str, value: Any) -> Any:
        """Return the value; its name is known to what is computed."""
        named = super().name_constant(wish, value)
        for name, node in self.constants.items():
            if name not in self._values:
                self._values[name] = self.evaluate_node(node)
        return named

    def compute(self, value: Any) -> Any:
        """Return the number, or the numbers, of a value."""
        return np.asarray(self.evaluate_node(arithmetic.lift(value).node)).squeeze()

    def _freeze(self, value: Any, node: ast.expr | None) -> Any:
        """Return a value whose number stays what it is now, whatever step comes next."""
        if isinstance(value, Maybe):
            return Maybe(self._freeze(value.is_none, node), self._freeze(value.array, node))
        if not isinstance(value, Lanes) or value.is_constant:
            return value
        if isinstance(value.node, ast.Name) and value.node.id.startswith("_"):
            return value
        number = self.evaluate_node(value.node)
        if self.fault is None and node is not None and not np.isfinite(number).all():
            self.fault = Fault(node.lineno, node)
        name = f"_{len(self._values)}"
        self._values[name] = number
        return replace(value, node=nodes.name(name))

    def evaluate_node(self, node: ast.expr) -> Any:
        """Return the numbers of an expression, of one simulation."""
        tree = ast.fix_missing_locations(ast.Expression(node))
        code = compile(tree, "<step>", "eval")
        with np.errstate(all="ignore"):
            return eval(code, {"__builtins__": {"len": len}}, self._values)
