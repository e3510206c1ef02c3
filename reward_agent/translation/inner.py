"""Gymnasium's own environment of a card, read from its source: what it pays, says and remembers.

Its class is carried out like a person's: ``step`` for the reward and ``info``, methods and
properties for whoever calls them, the constructor's defaults for the weights.
Source: ``gymnasium/envs/mujoco/*.py``, as installed.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

from reward_agent.definitions.card import EnvCard
from reward_agent.translation import nodes
from reward_agent.translation.values import Cells, Class, Locals

if TYPE_CHECKING:
    from reward_agent.translation.machine import Tracer


def load_class(machine: Tracer, card: EnvCard) -> Class | None:
    """Return the class of a card's environment as the machine reads it; None without one."""
    tree = read_tree(card)
    if tree is None:
        return None
    scope = Locals(Cells())
    for statement in tree.body:
        machine.try_statement(statement, scope)
    made = scope.names[tree.body[-1].name]  # type: ignore[attr-defined]
    return made if isinstance(made, Class) else None


def read_tree(card: EnvCard) -> ast.Module | None:
    """Return the source of a card's environment, whose class is the last statement."""
    text = _read_source(card.gymnasium_id or "")
    if text is None:
        return None
    tree = ast.parse(text)
    tree.body = [item for item in tree.body if not isinstance(item, ast.Expr)]
    defined = tree.body[-1]
    assert isinstance(defined, ast.ClassDef)
    for item in defined.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            _keep_weights(item, card)
    return ast.fix_missing_locations(tree)


@functools.cache
def _read_source(gymnasium_id: str) -> str | None:
    found = re.fullmatch(r"(\w+)-v(\d+)", gymnasium_id)
    spec = importlib.util.find_spec("gymnasium") if found else None
    if found is None or spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "envs" / "mujoco"
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", found[1])
    for name in (spelled, found[1]):
        path = folder / f"{name.lower()}_v{found[2]}.py"
        if path.is_file():
            return path.read_text("utf-8")
    return None


def _keep_weights(start: ast.FunctionDef, card: EnvCard) -> None:
    """Leave of a constructor what it keeps of its arguments, with the card's for their defaults."""
    given = {key: nodes.literal(value) for key, value in card.gymnasium_kwargs.items()}
    spec = start.args
    names = [item.arg for item in spec.args[len(spec.args) - len(spec.defaults) :]]
    pairs = zip(names, spec.defaults, strict=True)
    spec.defaults = [given.get(name, value) for name, value in pairs]
    start.body = [
        item
        for item in start.body
        if isinstance(item, ast.Assign)
        and isinstance(item.targets[0], ast.Attribute)
        and isinstance(item.value, ast.Name)
    ] or [ast.Pass()]
