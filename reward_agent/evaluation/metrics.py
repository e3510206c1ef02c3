"""Task metrics: an episode's arrays, and a ``metric.py`` as a function of them."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError, hint_closest
from reward_agent.evaluation import signals
from reward_agent.evaluation.generic import GENERIC_METRICS
from reward_agent.records.job import PROGRAM_FILE
from reward_agent.rewards import library
from reward_agent.rewards.bounds import Reporting
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.language import CONDITION_NAMES, LIBRARY_NAMES
from reward_agent.rewards.program import load_functions
from reward_agent.simulation.state import State
from reward_agent.types import Score

FloatArray = NDArray[np.float64]
MetricFunction = Callable[["Episode"], Score]
# Which episodes (N,) a state has decided: their score is what it is, whatever follows.
Decision = Callable[[State], NDArray[np.bool_]]

# Words of a text that may read a field whose name it does not hold; imports of what reads none.
_LOOKUPS = frozenset({"fields", "getattr", "__getattr__", "attrgetter", "vars", "__dict__", "eval"})
_PLAIN_IMPORT = (
    r"(?m)^\s*(import (numpy|math)( as \w+)?|from (numpy|math|__future__|reward_agent\.types)"
    r" import [\w, ]+)$"
)
_IMPORT = r"(?m)(^|[;:])\s*(import\s+\w|from\s+[\w.]+\s+import\b)"
# There without an import, beside what a reward program has.
_OFFERED: dict[str, object] = {name: getattr(signals, name) for name in CONDITION_NAMES}
_OFFERED |= {**GENERIC_METRICS, "Score": Score}
METRIC_NAME = "score"
DECISION_NAME = "is_decided"


class Episode:
    """One recorded episode: every field of the card over time, as read-only arrays.

    ``episode.torso_height`` is ``(T,)``, a vector field ``(T, k)``, in the card's units; row 0 is
    the state after the reset, so that an episode of ``n_steps`` control steps has ``n_steps + 1``.

    Args:
        fields: values by name.
        action: ``(T - 1, n_actions)``; row t led from state t to state t + 1.
        control_dt: seconds of one control step.
        terminated: whether a field left its healthy range, as against the time limit.

    Raises:
        DataError: the arrays do not have the same number of rows.
    """

    def __init__(
        self,
        fields: Mapping[str, ArrayLike],
        action: ArrayLike,
        control_dt: float,
        terminated: bool = False,
    ) -> None:
        self.fields: Mapping[str, FloatArray] = {
            name: _freeze(values) for name, values in fields.items()
        }
        self.action = _freeze(action)
        self.control_dt = float(control_dt)
        self.terminated = bool(terminated)
        self.n_steps = len(self.action)
        for name, values in self.fields.items():
            if len(values) != self.n_steps + 1:
                raise DataError(
                    f"field {name!r} has {len(values)} rows; {self.n_steps} actions lead "
                    f"through {self.n_steps + 1} states"
                )

    def __getattr__(self, name: str) -> FloatArray:
        # Copying and pickling ask for attributes before __init__ has run.
        fields: Mapping[str, FloatArray] = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"the episode has no field {name!r}{hint_closest(name, fields)}")

    def __repr__(self) -> str:
        return f"Episode({self.n_steps} steps of {self.control_dt} s, {len(self.fields)} fields)"

    @property
    def duration_s(self) -> float:
        """Seconds from the reset to the end."""
        return self.n_steps * self.control_dt

    def keep_finite(self) -> Episode:
        """Return the episode up to the last state before anything in it became NaN or infinite.

        Raises:
            DataError: not even the state after the reset is finite.
        """
        n_finite = min((_count_finite_rows(values) for values in self.fields.values()), default=0)
        if n_finite == 0 and self.fields:
            raise DataError("the episode's first state is not finite")
        n_steps = min(max(n_finite - 1, 0), _count_finite_rows(self.action))
        return self.cut(n_steps, terminated=True)

    def skip(self, n_steps: int) -> Episode:
        """Return the episode without its first steps."""
        fields = {name: values[n_steps:] for name, values in self.fields.items()}
        return Episode(fields, self.action[n_steps:], self.control_dt, self.terminated)

    def cut(self, n_steps: int, terminated: bool) -> Episode:
        """Return the first steps of the episode; the whole of it is itself."""
        if n_steps == self.n_steps:
            return self
        fields = {name: values[: n_steps + 1] for name, values in self.fields.items()}
        return Episode(fields, self.action[:n_steps], self.control_dt, terminated)


def compile_metric(source: str | Path) -> MetricFunction:
    """Return the ``score`` function of a person's metric, guarded; it may use all of Python.

    Runs the module's top level. A metric of a language model goes by
    ``compile_generated_metric``.
    The returned function trims an episode to its finite part and raises ``DataError`` when the
    metric fails or returns anything but a finite ``Score``.

    Args:
        source: the text, or the path of a ``metric.py``.

    Raises:
        DataError: the text does not compile, fails at its top level, or defines no ``score``.
    """
    file = str(source) if isinstance(source, Path) else "<metric>"
    score = _run_module(source).get(METRIC_NAME)
    if not callable(score):
        raise DataError(
            f"{file} defines no function {METRIC_NAME}(episode)",
            f"define {METRIC_NAME}(episode) -> Score(task_score, success, parts)",
        )
    return _guard(score, file, file)


def compile_generated_metric(source: str, card: EnvCard) -> MetricFunction:
    """Return the ``score`` of a metric that a language model wrote, guarded.

    It is a function, or composed of generic ones: ``score = travel("forward_velocity", 1.2)``.
    It is held to the reward language: by the static rules, and at run time by the few builtins
    and the facade of NumPy that reward programs get. To be called in the sandbox only.

    Raises:
        DataError: the rules refuse it, or its top level fails.
    """
    # Who evaluates by a person's metric does without the rules.
    from reward_agent.rewards.checks import check_metric

    file = "<metric>"
    errors = check_metric(source, card).errors
    if errors:
        place = f" line {errors[0].line}" if errors[0].line else ""
        raise DataError(f"{file}{place}: {errors[0].message}", errors[0].remedy)
    try:
        functions = load_functions(source, _OFFERED)
    except ContractError as error:
        raise DataError(f"{file}: {error.message}", error.remedy) from error

    def score(episode: Episode) -> object:
        try:
            with Reporting(METRIC_NAME):
                return functions[METRIC_NAME](episode)
        except ContractError as error:
            raise error.__cause__ or error from None

    return _guard(score, file, PROGRAM_FILE)


def _guard(score: Callable[[Episode], object], file: str, code_file: str) -> MetricFunction:
    """Return a function that gives a metric finite states and takes a finite ``Score`` only.

    Messages call its file ``file``, Python calls it ``code_file`` in a traceback.
    """

    def run_metric(episode: Episode) -> Score:
        try:
            given = score(episode.keep_finite())
        except DataError:
            raise
        except Exception as error:
            place = _locate(error, code_file)
            raise DataError(f"{file}{place}: {_describe(error)}") from error
        return _check_score(given, file)

    run_metric.__doc__ = score.__doc__
    return run_metric


def load_decision(source: str | Path) -> Decision | None:
    """Return the function ``is_decided(state)`` of a person's metric, if it defines one.

    It says of states ``(N,)`` at which nothing that follows can change the score or the success
    of the episode: where only these are asked for, the episode ends there.

    Raises:
        DataError: the text does not compile or fails at its top level.
    """
    decision = _run_module(source).get(DECISION_NAME)
    return cast("Decision", decision) if callable(decision) else None


def find_metric_fields(source: str, card: EnvCard) -> frozenset[str] | None:
    """Return the fields that a metric may read, by the words of its text; None if it may read any.

    A text that looks fields up by a name that it makes, or hands the episode to code that is not
    here, may read any.
    """
    words = set(re.findall(r"\w+", source))
    imported = re.sub(_PLAIN_IMPORT, "", source)
    if words & _LOOKUPS or re.search(_IMPORT, imported):
        return None
    return frozenset(field.name for field in card.fields if field.name in words)


def _run_module(source: str | Path) -> dict[str, object]:
    text = source.read_text("utf-8") if isinstance(source, Path) else source
    file = str(source) if isinstance(source, Path) else "<metric>"
    # What the reward language offers without an import is there without an import here too.
    namespace: dict[str, object] = {name: getattr(library, name) for name in LIBRARY_NAMES}
    namespace |= {**_OFFERED, "np": np, "math": math, "__name__": "metric"}
    try:
        exec(compile(text, file, "exec"), namespace)
    except DataError as error:  # of a generic metric, by what it is given
        raise DataError(f"{file}{_locate(error, file)}: {error.message}", error.remedy) from error
    except Exception as error:
        raise DataError(f"{file}{_locate(error, file)}: {_describe(error)}") from error
    return namespace


def _check_score(given: object, file: str) -> Score:
    """Return the score in Python's own numbers."""
    if not isinstance(given, Score):
        raise DataError(
            f"{file}: {METRIC_NAME} returned {type(given).__name__}, expected a Score",
            "return Score(task_score, success, parts)",
        )
    try:
        parts = {str(name): float(value) for name, value in given.parts.items()}
        task_score = float(given.task_score)
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{file}: a number of the Score is not one: {_describe(error)}") from error
    for name, value in {"task_score": task_score, **parts}.items():
        if not math.isfinite(value):
            raise DataError(f"{file}: {name} is {value}, expected a finite number")
    return Score(task_score, bool(given.success), parts)


def _freeze(values: ArrayLike) -> FloatArray:
    """Return a read-only float64 view, so that a metric cannot change what it judges."""
    frozen = np.asarray(values, dtype=np.float64).view()
    frozen.flags.writeable = False
    return frozen


def _count_finite_rows(values: FloatArray) -> int:
    """Return how many leading rows are finite."""
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    return len(values) if finite.all() else int(np.argmin(finite))


def _locate(error: Exception, file: str) -> str:
    """Return `` line N`` of the metric where the error arose, or nothing."""
    if isinstance(error, SyntaxError):
        return f" line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f" line {lines[-1]}" if lines else ""


def _describe(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
