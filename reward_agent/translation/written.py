"""What libraries compute, written as a person would, and carried out like a file of theirs.

NumPy's, torch's and JAX's functions that others of theirs make up, some of Python's own, and Isaac
Lab's terms, whose ``env`` is asked for the card's fields by role.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping
from typing import Any

from reward_agent.translation import nodes
from reward_agent.translation.values import Cells, Function, Instance, Locals, Untranslatable, Word

ARRAYS = """
def append(a, b, **_): return np.concatenate((a, b))
def arange(*ends, **_): return np.array(list(range(*ends)))
def atleast_2d(a): return a if np.asarray(a).ndim > 1 else np.asarray(a)[None, ...]
def average(a, weights=None, **_):
    return np.mean(a) if weights is None else np.dot(a, weights) / np.sum(weights)
def cond(test, yes, no, *given, **_): return np.where(test, yes(*given), no(*given))
def count_nonzero(a, **_): return np.sum(np.where(np.asarray(a), 1.0, 0.0))
def diff(a, **_): return np.asarray(a)[..., 1:] - np.asarray(a)[..., :-1]
def dist(a, b, **_): return np.linalg.norm(np.asarray(a) - np.asarray(b))
def flatten(a, **_): return a if np.asarray(a).ndim < 2 else np.reshape(a, -1)
def flip(a, *_, **__): return np.asarray(a)[::-1]
def fori_loop(low, high, body, start):
    return functools.reduce(lambda value, i: body(i, value), range(low, high), start)
def fsum(a, **_): return np.sum(np.asarray(a))
def full(shape, fill_value, **_): return np.zeros(shape) + fill_value
def full_like(a, fill_value, **_): return a * 0.0 + fill_value
def linspace(start, stop, num=50, **_):
    return np.array([start + (stop - start) * i / max(num - 1, 1) for i in range(num)])
def relu(a): return np.maximum(a, 0.0)
def select(conditions, choices, default=0.0, **_):  # JAX's is of one condition
    if not isinstance(conditions, (list, tuple)):
        return np.where(conditions, choices, default)
    pairs = reversed(list(zip(conditions, choices)))
    return functools.reduce(lambda rest, pair: np.where(*pair, rest), pairs, default)
def sigmoid(a): return 1.0 / (1.0 + np.exp(-a))
def softplus(a, **_): return np.log1p(np.exp(a))
"""
_BUILTINS = """
def all(items):
    if not isinstance(items, (list, tuple)):
        return np.all(items)
    return bool(functools.reduce(lambda rest, item: rest and item, items, True))
def any(items):
    if not isinstance(items, (list, tuple)):
        return np.any(items)
    return bool(functools.reduce(lambda rest, item: rest or item, items, False))
def divmod(a, b): return a // b, a % b
def filter(function, items):
    return [item for item in items if (item if function is None else function(item))]
def map(function, *lists): return [function(*row) for row in zip(*lists)]
def pow(a, b): return a ** b
"""
TERMS = """
def is_alive(env): return np.where(env.terminated, 0.0, 1.0)
def is_terminated(env): return np.where(env.terminated, 1.0, 0.0)
def lin_vel_z_l2(env, **_): return np.square(env.data.root_lin_vel_b[..., 2])
def ang_vel_xy_l2(env, **_): return np.sum(np.square(env.data.root_ang_vel_b[..., :2]), axis=-1)
def flat_orientation_l2(env, **_):
    return np.sum(np.square(env.data.projected_gravity_b[..., :2]), axis=-1)
def base_height_l2(env, target_height, **_):
    return np.square(env.data.root_pos_w[..., 2] - target_height)
def joint_vel_l1(env, **_): return np.sum(np.abs(env.data.joint_vel), axis=-1)
def joint_vel_l2(env, **_): return np.sum(np.square(env.data.joint_vel), axis=-1)
def action_l2(env): return np.sum(np.square(env.action), axis=-1)
"""
_LIBRARIES = re.compile(r"isaac|orbit|mjlab|(^|\.)mdp($|\.)")


@functools.cache
def load(text: str) -> Mapping[str, Function]:
    """Return the functions of a text."""
    scope = Locals(Cells({"np": Word("numpy", ""), "functools": Word("functools", "")}))
    for node in nodes.parse(text):
        assert isinstance(node, ast.FunctionDef)
        pairs = zip(node.args.args[::-1], node.args.defaults[::-1], strict=False)
        defaults = {place.arg: ast.literal_eval(value) for place, value in pairs}
        scope.names[node.name] = Function(node, scope, defaults)
    return {k: v for k, v in scope.names.items() if isinstance(v, Function)}


def find_function(name: str, module: str = "") -> Function | None:
    """Return a function of arrays, or one of Python's own; None for any other name."""
    return load(_BUILTINS if module == "builtins" else ARRAYS).get(name)


def find_term(path: str) -> Function | None:
    """Return a term of Isaac Lab's ``mdp`` by its path; None where it is another's, or unknown."""
    library, _, name = path.rpartition(".")
    return load(TERMS).get(name) if _LIBRARIES.search(library) else None


def check_chosen(given: Mapping[str, Any]) -> None:
    """Refuse a term of some joints or bodies.

    Raises:
        Untranslatable: a configuration chooses them by name.
    """
    for value in given.values():
        chosen = value.names if isinstance(value, Instance) else {}
        for key in ("joint_names", "body_names"):
            if key in chosen:
                raise Untranslatable(
                    f"{key}={chosen[key]!r} chooses by names of another model",
                    "write the term as a function of the card's fields of these joints",
                )
