"""Gymnasium's own environment of a card, read from its source: what it pays, says and remembers.

Its class is carried out like a person's: ``step`` for the reward and ``info``, methods and
properties for whoever calls them, the constructor's defaults for the weights.
Source: ``gymnasium/envs/mujoco/*.py``, as installed.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    return _read_tree(card.gymnasium_id or "", json.dumps(dict(card.gymnasium_kwargs)))


@functools.cache
def _read_tree(gymnasium_id: str, given: str) -> ast.Module | None:
    text = _read_source(gymnasium_id)
    if text is None:
        return None
    body = [item for item in nodes.parse(text) if not isinstance(item, ast.Expr)]
    defined = body[-1]
    assert isinstance(defined, ast.ClassDef)
    for item in defined.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            _keep_weights(item, json.loads(given))
    return ast.Module(body, [])


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


def _keep_weights(start: ast.FunctionDef, given: Mapping[str, Any]) -> None:
    """Leave of a constructor what it keeps of its arguments, with the card's for their defaults."""
    spec = start.args
    names = [item.arg for item in spec.args[len(spec.args) - len(spec.defaults) :]]
    pairs = zip(names, spec.defaults, strict=True)
    spec.defaults = [nodes.literal(given[n]) if n in given else value for n, value in pairs]
    start.body = [
        item
        for item in start.body
        if isinstance(item, ast.Assign)
        and isinstance(item.targets[0], ast.Attribute)
        and isinstance(item.value, ast.Name)
    ] or [ast.Pass()]
