"""Rules on ``TRAINING``, ``STARTS`` and ``STAGES``: what a program may choose, in which ranges."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.definitions.learner import LEARNERS
from reward_agent.definitions.start import DRAWN, EVENT, KEYFRAME, TrainingStart
from reward_agent.errors import hint_closest
from reward_agent.rewards.choices import (
    ALGO,
    DRAWN_START,
    STAGE_STEPS,
    STAGES_NAME,
    STARTS_NAME,
    TRAINING_NAME,
    defines_starts,
    find_table,
    list_choices,
    list_learners,
    list_settable,
    read_start,
)
from reward_agent.rewards.language import STAGE_MEMORY, TERM_NAME
from reward_agent.rewards.rules.context import Context
from reward_agent.types import DONE, MOST_STAGES, MOST_STARTS, Finding

_RULE, _START, _STAGES = "training/choice", "training/start", "training/stages"
_MOST_LISTED, _MOST_SHARE = MOST_STARTS - 1, 0.9
_NOTHING = "no field here is a joint's position or velocity"


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
        elif name == STAGE_STEPS and find_table(context.source.tree, STAGES_NAME) is None:
            yield context.refuse(_RULE, node, f"is of {STAGES_NAME}, which are not named", _FORM)


_FORM = (
    f'write {STAGES_NAME} = ("take-off", "landing"); begin memory {STAGE_MEMORY!r} at 0, and go on '
    f"by next_stage(memory[{STAGE_MEMORY!r}], …), with a gate for each"
)


def check_stages(context: Context) -> Iterator[Finding]:
    """Refuse stages that are no names, or of which nothing is remembered."""
    table = find_table(context.source.tree, STAGES_NAME)
    if table is None or context.dialect.kind != "reward":
        return
    items = table.elts if isinstance(table, ast.List | ast.Tuple) else []
    names = [item.value for item in items if isinstance(item, ast.Constant)]
    told = {name for name in names if isinstance(name, str) and TERM_NAME.fullmatch(name)} - {DONE}
    if not 2 <= len(told) == len(items) <= MOST_STAGES:
        what = f"is no list of 2 to {MOST_STAGES} different short names"
        yield context.refuse(_STAGES, table, what, _FORM, name=STAGES_NAME)
    elif not any(
        isinstance(node, ast.Constant) and node.value == STAGE_MEMORY
        for node in ast.walk(context.source.tree)
    ):
        what = f"stands beside no memory {STAGE_MEMORY!r}, which says in which of them one is"
        yield context.refuse(_STAGES, table, what, _FORM, name=STAGES_NAME)


def check_starts(context: Context) -> Iterator[Finding]:
    """Refuse starts that are no list of states that this environment can be put into."""
    tree = context.source.tree
    table, is_drawn = find_table(tree, STARTS_NAME), defines_starts(tree)
    if context.dialect.kind != "reward":
        return
    if is_drawn and not list_settable(context.card):
        function = context.find_function(DRAWN) or tree
        yield context.refuse(_START, function, f"cannot be used: {_NOTHING}", "leave it out")
    if table is None:
        return
    items = table.elts if isinstance(table, ast.List | ast.Tuple) else []
    if not 1 <= len(items) <= _MOST_LISTED:
        what = f"is no list of 1 to {_MOST_LISTED} dictionaries"
        yield context.refuse(_START, table, what, _show_form(context), name=STARTS_NAME)
        return
    starts = list[TrainingStart]()
    for item in items:
        try:
            starts.append(read_start(ast.literal_eval(item)))
        except (ValueError, TypeError, MemoryError, RecursionError):
            what = (
                "is no start: share and until from 0 to 1, fields with (low, high) or from "
                f"'{DRAWN}', '{KEYFRAME}NAME' or '{EVENT}NAME'"
            )
            name = f"an entry of {STARTS_NAME}"
            yield context.refuse(_START, item, what, _show_form(context), name=name)
        else:
            yield from _check_start(context, item, starts[-1], is_drawn)
    if is_drawn and not any(start.origin == DRAWN for start in starts):
        starts.append(DRAWN_START)
    total = sum(start.share for start in starts)
    if total > _MOST_SHARE:
        what = f"is {total:g} of the episodes together: the rest must begin as the card says"
        yield context.refuse(_START, table, what, f"give at most {_MOST_SHARE}", name="share")


def _show_form(context: Context) -> str:
    example = [*list_settable(context.card), "x"][0]
    return f'write {STARTS_NAME} = [{{"share": 0.5, "until": 0.6, "{example}": (0.0, 1.0)}}]'


def _check_start(
    context: Context, node: ast.expr, start: TrainingStart, is_drawn: bool
) -> Iterator[Finding]:
    known = list_settable(context.card)
    if start.origin == DRAWN and not is_drawn:
        what, remedy = f"takes from {DRAWN}, which is not there", f"write def {DRAWN}(rng, n):"
        yield context.refuse(_START, node, what, remedy, name="the start")
    for name, spans in start.fields.items():
        if name not in known:
            what = f"is nothing that a state can be begun by{hint_closest(name, known)}"
            remedy = f"choose among {', '.join(known)}" if known else f"leave it out: {_NOTHING}"
            yield context.refuse(_START, node, what, remedy, name=name)
            continue
        size = context.card.field(name).size or 1
        if len(spans) != size:
            what = f"has {size} entries, {len(spans)} are given"
            yield context.refuse(_START, node, what, "give (low, high) for each", name=name)
        elif any(low > high for low, high in spans):
            what = "has a lowest value above the highest"
            yield context.refuse(_START, node, what, "give (low, high)", name=name)


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
