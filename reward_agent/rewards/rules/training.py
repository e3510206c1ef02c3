"""Rules on ``TRAINING``: what a program may choose of how its policy learns, in which ranges."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.definitions.learner import LEARNERS
from reward_agent.errors import hint_closest
from reward_agent.rewards.choices import (
    ALGO,
    TRAINING_NAME,
    find_table,
    list_choices,
    list_learners,
)
from reward_agent.rewards.rules.context import Context
from reward_agent.types import Finding

_RULE = "training/choice"


def check_training(context: Context) -> Iterator[Finding]:
    """Refuse what is no choice, or is out of its range."""
    table = find_table(context.source.tree) if context.dialect.kind == "reward" else None
    if table is None:
        return
    written = _read_items(table)
    if written is None:
        yield context.refuse(
            _RULE,
            table,
            "is not a dictionary of plain names and values",
            f'write {TRAINING_NAME} = {{"gamma": 0.995}}; call a constant of your own otherwise',
            name=TRAINING_NAME,
        )
        return
    values = {name: value for name, value, _ in written}
    learners = list_learners(context.card)
    algo = values.get(ALGO, context.card.learner.algo)
    if algo not in learners and ALGO in values:
        node = next(node for name, _, node in written if name == ALGO)
        yield context.refuse(
            _RULE,
            node,
            f"is no learner that is installed here{hint_closest(str(algo), learners)}",
            f"choose one of {', '.join(learners)}",
        )
        return
    choices = list_choices(context.card, LEARNERS.find(str(algo)))
    for name, value, node in written:
        if name == ALGO:
            continue
        if name not in choices:
            yield context.refuse(
                _RULE,
                node,
                f"is of {name!r}, which is no choice with {algo}{hint_closest(name, choices)}",
                f"choose among {', '.join([ALGO, *choices])}",
            )
        elif fault := choices[name].find_fault(value):
            yield context.refuse(_RULE, node, f"is out of the range of {name}", f"give {fault}")


def _read_items(table: ast.expr) -> list[tuple[str, object, ast.expr]] | None:
    """Return names and values with the nodes of the values; None where it is no such table."""
    if not isinstance(table, ast.Dict):
        return None
    items = []
    for key, node in zip(table.keys, table.values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            return None
        try:
            items.append((key.value, ast.literal_eval(node), node))
        except (ValueError, TypeError, MemoryError, RecursionError):
            return None
    return items
