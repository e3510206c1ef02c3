"""What a reward program must return, checked at every call. Child side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from reward_agent.rewards.language import (
    MAX_MEMORIES,
    MAX_REWARD,
    MAX_TERM,
    MAX_TERMS,
    STAGE_MEMORY,
    TERM_NAME,
)
from reward_agent.text import clean_text

Array = np.ndarray[Any, np.dtype[np.float64]]

POTENTIAL_TERM = "potential_shaping"
_FLOAT64 = np.dtype(np.float64)


class ContractError(Exception):
    """A program broke the contract, or failed, while it ran.

    Args:
        rule: id of the broken rule, such as ``contract/shape``.
        message: what was returned and what was expected; shortened, without control characters.
        remedy: what to change.
        line: line of the program, where known.
        simulation: index of the first simulation in which it happened, where known.
    """

    def __init__(
        self,
        rule: str,
        message: str,
        remedy: str = "",
        line: int | None = None,
        simulation: int | None = None,
    ) -> None:
        self.rule = rule
        self.message = clean_text(message)
        self.remedy = remedy
        self.line = line
        self.simulation = simulation
        super().__init__(self.message)


def check_reward(reward: object, n_sims: int) -> Array:
    """Return a copy of the reward (N,) as float64.

    Raises:
        ContractError: it is not an array of floats of shape (N,), finite, within ±1e6.
    """
    return _bound("the reward", _convert_array("the reward", reward, n_sims, "f"), MAX_REWARD)


def check_terms(terms: object, n_sims: int) -> dict[str, Array]:
    """Return copies of the terms, each (N,) float64; numbers are spread over the simulations.

    Raises:
        ContractError: not a dict of at most 32 well-named finite arrays of shape (N,).
    """
    if type(terms) is not dict:
        raise ContractError(
            "contract/terms",
            f"the terms are a {type(terms).__name__}; expected a dict of named arrays (N,)",
            "return reward, {'name': array, …}",
        )
    if len(terms) > MAX_TERMS:
        raise ContractError(
            "contract/terms",
            f"{len(terms)} terms; at most {MAX_TERMS} are logged",
            "add small terms up under one name",
        )
    _check_names(terms)
    return {name: check_term(name, value, n_sims) for name, value in terms.items()}


def check_term(name: str, value: object, n_sims: int) -> Array:
    """Return a copy of one term (N,) as float64."""
    if type(value) is np.ndarray and value.dtype is _FLOAT64 and value.shape == (n_sims,):
        kept = value.copy()
        if kept.dot(kept) <= MAX_TERM**2:
            return kept
    what = f"term {name!r}"
    return _bound(what, _spread(what, value, n_sims), MAX_TERM)


def _spread(what: str, value: object, n_sims: int) -> Array:
    """Return a number, flags or integers as floats (N,): harmless, and models write them."""
    if isinstance(value, bool | int | float | np.number | np.bool_) or (
        type(value) is np.ndarray and value.shape == () and value.dtype.kind in "fbiu"
    ):
        try:
            return np.full(n_sims, float(value))
        except OverflowError:
            raise ContractError(
                "contract/size", f"{what} is an integer too large for a float"
            ) from None
    return _convert_array(what, value, n_sims, "fbiu")


def normalize_term_names(names: tuple[object, ...]) -> tuple[str, ...]:
    """Return the names as they are logged: ``[A-Za-z0-9_]`` only.

    Raises:
        ContractError: a name is not text of 1 to 64 letters, digits, ``_``, ``-``, ``.`` or
            spaces, two become the same, or one is taken by the framework.
    """
    _check_names(names)
    return _name_logged(names)


@lru_cache
def _name_logged(names: tuple[object, ...]) -> tuple[str, ...]:
    logged = tuple(re.sub(r"[^A-Za-z0-9_]", "_", str(name)) for name in names)
    if len(set(logged)) < len(logged) or POTENTIAL_TERM in logged:
        raise ContractError(
            "contract/term-name",
            f"term names {', '.join(logged)}: one is there twice, or is {POTENTIAL_TERM!r}",
            "give each term a name of its own",
        )
    return logged


def _check_names(names: Iterable[object]) -> None:
    for name in names:
        if type(name) is not str or not TERM_NAME.fullmatch(name):
            raise ContractError(
                "contract/term-name",
                f"term name {_describe(name)}; expected 1 to 64 letters, digits or _",
                "use short names such as 'forward_speed'",
            )


def check_memory(memory: object, n_sims: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return private copies of the memory: named arrays (N,) or (N, k) of numbers or flags.

    Raises:
        ContractError: it has another form, or a value is not finite.
    """
    if type(memory) is not dict or not 0 < len(memory) <= MAX_MEMORIES:
        raise ContractError(
            "contract/memory",
            f"the memory is {_describe(memory)}; expected a dict of 1 to {MAX_MEMORIES} arrays",
            "return {'name': np.zeros(N), …}",
        )
    normalize_term_names(tuple(memory))
    kept = {}
    for name, value in memory.items():
        what = f"memory {name!r}"
        if type(value) is not np.ndarray or value.ndim not in (1, 2) or len(value) != n_sims:
            raise ContractError(
                "contract/memory",
                f"{what} is {_describe(value)}; expected an array ({n_sims},) or ({n_sims}, k)",
                "make it with np.zeros(state.FIELD.shape[0]), np.full, or .copy() of a field",
            )
        if value.dtype.kind not in "fbiu" or value.size > 64 * n_sims:
            raise ContractError(
                "contract/memory",
                f"{what} is {_describe(value)}; expected at most 64 numbers a row",
            )
        check_finite(what, value)
        kept[name] = value.copy()
    return kept


def check_same_memory(
    memory: Mapping[str, np.ndarray[Any, Any]], expected: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """Check that names and shapes are those of ``init_memory``.

    Raises:
        ContractError: they are not.
    """
    given = {name: value.shape for name, value in memory.items()}
    wanted = {name: value.shape for name, value in expected.items()}
    if given != wanted:
        raise ContractError(
            "contract/memory",
            f"the next memory has {given}; init_memory made {wanted}",
            "return the same names and shapes each time",
        )


def check_stage(memory: Mapping[str, np.ndarray[Any, Any]], n_stages: int) -> None:
    """Check that the memory says in which stage each simulation is.

    Raises:
        ContractError: it does not, or by a number that is none of a stage.
    """
    stage = memory.get(STAGE_MEMORY)
    remedy = f"begin at 0 in init_memory, and go on by next_stage(memory[{STAGE_MEMORY!r}], …)"
    what = f"STAGES names {n_stages} stages, and memory {STAGE_MEMORY!r}"
    if stage is None or stage.ndim != 1:
        raise ContractError("contract/stage", f"{what} is {_describe(stage)}", remedy)
    wrong = stage[(stage != np.floor(stage)) | (stage < 0) | (stage > n_stages)]
    if len(wrong):
        expected = f"expected a whole number from 0 to {n_stages} (after the last)"
        raise ContractError("contract/stage", f"{what} is {wrong[0]:g}; {expected}", remedy)


def check_finite(what: str, values: np.ndarray[Any, Any]) -> None:
    """Check that no value is NaN or infinite.

    Raises:
        ContractError: one is; the message says how many and in which simulation first.
    """
    flat = values.ravel()
    # One dot product is faster, and is not finite either where a value is not.
    if flat.dot(flat) < np.inf:
        return
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.argwhere(bad)[0][0])
        raise ContractError(
            "contract/not-finite",
            f"{what} is {values[bad].ravel()[0]} in {int(bad.sum())} of {len(values)} simulations",
            "keep divisors, logarithms, roots and exponents in range: np.maximum(x, 1e-6), np.clip",
            simulation=first,
        )


def _bound(what: str, values: Array, limit: float) -> Array:
    """Return values that are finite and within a limit."""
    # One dot product finds NaN, infinity and large values alike; the slow road names them.
    if values.dot(values) <= limit**2:
        return values
    check_finite(what, values)
    largest = float(np.abs(values).max(initial=0.0))
    if largest > limit:
        raise ContractError(
            "contract/size",
            f"{what} reaches {largest:.3g}; at most {limit:.0e} is accepted",
            "scale it down, or bound it with np.clip",
        )
    return values


def _convert_array(what: str, value: object, n_sims: int, kinds: str) -> Array:
    """Return a copy of an array (N,) of some kinds of numbers as float64."""
    if type(value) is not np.ndarray:
        raise ContractError(
            "contract/type",
            f"{what} is {_describe(value)}; expected a NumPy array ({n_sims},)",
            "compute it from the fields, which are arrays with one row a simulation",
        )
    if value.shape != (n_sims,):
        raise ContractError(
            "contract/shape",
            f"{what} has shape {value.shape}; expected ({n_sims},), one value a simulation",
            "reduce other axes with axis=-1, drop axes with [:, 0], and keep the first axis",
        )
    if value.dtype.kind not in kinds:
        raise ContractError(
            "contract/dtype",
            f"{what} is an array of {value.dtype}; expected floats",
            "convert it with .astype(np.float64)",
        )
    return value.astype(np.float64)


def _describe(value: object) -> str:
    """Return a short description of a value that does not run its code."""
    if type(value) is np.ndarray:
        return f"an array {value.shape} of {value.dtype}"
    if type(value) in (int, float, bool, str):
        return f"{type(value).__name__} {str(value)[:40]}"
    if type(value) in (list, tuple, dict):
        return f"a {type(value).__name__} of {len(value)}"  # type: ignore[arg-type]
    return f"a {type(value).__name__}"
