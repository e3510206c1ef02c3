"""What a program's gates do: which of several conditions is shut, and what ends a hold. Child side.

A gate is a name that ``compute_reward`` gives to a product, or to conditions joined by ``&``. Each
factor is a condition of its own: a flag, or a number from 0 to 1 that counts as open from a half.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from reward_agent.records.gates import ConditionCount, GateSummary
from reward_agent.text import parse_python

Array = np.ndarray[Any, Any]
# By gate, by the text of a condition: (N,) of each call, where it is open.
Openings = dict[str, dict[str, Array]]

_MOST_GATES, _MOST_CONDITIONS, _MOST_CHARS = 6, 6, 60
_OPEN = 0.5


class Gates:
    """The gates of one program, to be read after each call of its function.

    Args:
        source: text of the program.
        function: its ``compute_reward``.
    """

    def __init__(self, source: str, function: Callable[..., Any]) -> None:
        self._code = getattr(function, "__code__", None)
        self._globals = getattr(function, "__globals__", {})
        name = getattr(function, "__name__", "")
        self._conditions = {
            gate: [(text, compile(text, "<condition>", "eval")) for text in texts]
            for gate, texts in _find_gates(source, name)
        }

    def call(self, function: Callable[..., Any], *given: object) -> tuple[Any, Openings]:
        """Call the function; return what it returns, and what is open in each simulation."""
        kept: dict[str, Any] = {}

        def keep(frame: FrameType, event: str, _: object) -> None:
            if event == "return" and frame.f_code is self._code:
                kept.update(frame.f_locals)

        before = sys.getprofile()
        sys.setprofile(keep)
        try:
            returned = function(*given)
        finally:
            sys.setprofile(before)
        return returned, {gate: dict(self._read(gate, kept)) for gate in self._conditions}

    def _read(self, gate: str, names: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
        size = np.asarray(names.get(gate)).shape
        for text, code in self._conditions[gate]:
            try:
                with np.errstate(all="ignore"):
                    value = np.asarray(eval(code, dict(self._globals), dict(names)))
            except Exception:  # a name that is gone by the end: no condition to speak of
                continue
            is_condition = value.dtype == bool or (value.dtype.kind == "f" and is_share(value))
            if len(size) == 1 and value.shape == size and is_condition:
                yield text, value >= _OPEN if value.dtype != bool else value


def summarise_gates(
    episodes: Sequence[Openings],
    control_dt: float,
    fields: Sequence[Mapping[str, Array]] = (),
    of_episodes: Collection[str] = (),
) -> tuple[GateSummary, ...]:
    """Return each gate with at least two conditions, over the steps of all episodes.

    Args:
        episodes: what is open in each.
        control_dt: s of a step.
        fields: of each episode, (T,) or (T, k), of which the values at the ends of holds are told.
        of_episodes: gates that are open or shut once an episode.
    """
    names = dict.fromkeys(name for openings in episodes for name in openings)
    told = fields or [{} for _ in episodes]
    found = []
    for name in names:
        has_it = [(e[name], f) for e, f in zip(episodes, told, strict=True) if name in e]
        gate = _summarise_gate(name, [opened for opened, _ in has_it], control_dt)
        if gate is None:
            continue
        if name in of_episodes:
            none = {"n_holds": 0, "longest_s": 0.0, "ended_with_episode": 0}
            gate = gate.model_copy(update={"of_episodes": True, **none})
        found.append(gate if name in of_episodes else _add_values(gate, has_it))
    return tuple(found)[:_MOST_GATES]


def _add_values(
    gate: GateSummary, episodes: Sequence[tuple[Mapping[str, Array], Mapping[str, Array]]]
) -> GateSummary:
    """Add what the fields that a condition names were when it ended a hold."""
    texts = [item.text for item in gate.conditions]
    seen = [dict[str, list[float]]() for _ in texts]
    for opened, fields in episodes:
        rows = np.stack([opened[text] for text in texts])
        for _, stop, shut in _find_holds(rows):
            for number in shut:
                named = set(re.findall(r"\w+", texts[number])) & set(fields)
                for name in sorted(name for name in named if fields[name].ndim == 1):
                    row = stop + len(fields[name]) - rows.shape[1]
                    seen[number].setdefault(name, []).append(float(fields[name][row]))
    conditions = tuple(
        item.model_copy(update={"ends": {n: (min(v), max(v)) for n, v in values.items()}})
        for item, values in zip(gate.conditions, seen, strict=True)
    )
    return gate.model_copy(update={"conditions": conditions})


def _summarise_gate(
    name: str, episodes: Sequence[Mapping[str, Array]], control_dt: float
) -> GateSummary | None:
    texts = [text for text in episodes[0] if all(text in episode for episode in episodes)]
    texts = texts[:_MOST_CONDITIONS]
    if len(texts) < 2:
        return None
    holds = [_find_holds(np.stack([episode[text] for text in texts])) for episode in episodes]
    rows = np.concatenate([np.stack([e[text] for text in texts]) for e in episodes], axis=1)
    is_alone = rows.sum(axis=0) == len(texts) - 1
    lasted = [stop - start for starts in holds for start, stop, _ in starts]
    ends = [shut for starts in holds for _, _, shut in starts]
    return GateSummary(
        name=name,
        open=float(rows.all(axis=0).mean()),
        n_holds=len(lasted),
        longest_s=max(lasted, default=0) * control_dt,
        conditions=tuple(
            ConditionCount(
                text=text,
                shut=float(np.mean(~row)),
                alone=float(np.mean(~row & is_alone)),
                ended=sum(number in shut for shut in ends),
            )
            for number, (text, row) in enumerate(zip(texts, rows, strict=True))
        ),
        ended_with_episode=sum(not shut for shut in ends),
    )


def _find_holds(rows: Array) -> list[tuple[int, int, list[int]]]:
    """Return start and stop of each hold, and which conditions were shut then; none at the end."""
    is_open = rows.all(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_open.astype(int), [0]])))
    n_steps = rows.shape[1]
    return [
        (int(start), int(stop), list(np.flatnonzero(~rows[:, stop])) if stop < n_steps else [])
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]


def is_share(value: Array) -> bool:
    """Whether all of it is from 0 to 1."""
    return bool(np.all((value >= 0) & (value <= 1 + 1e-9)))


def _find_gates(source: str, function: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each name that is given several conditions, with their texts."""
    tree = parse_python(source)
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name != function:
            continue
        for step in ast.walk(node):
            if isinstance(step, ast.Assign) and isinstance(step.targets[0], ast.Name):
                texts = [ast.unparse(factor) for factor in _split(step.value)]
                texts = [text for text in dict.fromkeys(texts) if len(text) <= _MOST_CHARS]
                if len(texts) > 1:
                    yield step.targets[0].id, texts


def _split(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the factors of a product, or the conditions that & joins; numbers are none."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.BitAnd):
        yield from _split(node.left)
        yield from _split(node.right)
    elif not isinstance(node, ast.Constant):
        yield node
