"""Measurements: what is recorded of each, the table's rows, the processes that they run in."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import Field

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import (
    apply_task,
    read_reference_reward,
    read_task_metric,
    resolve_task,
)
from reward_agent.types import Finite, Record, TimeUse

# The task whose reference reward is Gymnasium's own.
TASKS = {
    "hopper": "hop_forward",
    "walker2d": "run_forward",
    "half_cheetah": "run_forward",
    "ant": "run_forward",
}
OURS = "reward-agent"


@dataclass(frozen=True)
class Setting:
    """What both sides of a comparison are given.

    Args:
        card: of the environment, with the task's changes.
        source: text of the reference reward, which is Gymnasium's own.
        metric: source of the task's metric.
    """

    card: EnvCard
    source: str
    metric: str


def load_setting(env: str) -> Setting:
    """Load the setting of an environment's task in ``TASKS``."""
    plain = load_env(env)
    task = resolve_task(plain, TASKS[env])
    card = apply_task(plain, task)
    source, metric = read_reference_reward(card, task), read_task_metric(card, task)
    assert source is not None
    assert metric is not None
    return Setting(card, source, metric)


class Rate(Record):
    """How fast one training of a side stepped its environments."""

    side: str
    env: str
    n_envs: int
    steps: int
    wall_s: Finite
    n_side_by_side: int = Field(1, description="trainings that ran at the same time")
    timing: TimeUse | None = Field(None, description="where the time went; only we know of us")
    peak_mib: Finite | None = Field(None, description="resident memory of the training's process")

    @property
    def steps_per_s(self) -> float:
        """Env steps a second."""
        return self.steps / self.wall_s


class Point(Record):
    """A policy on the way: after how much training, and its task score on fresh episodes.

    ``interval`` is that of the score's mean.
    """

    total_timesteps: int
    wall_s: Finite
    task_score: Finite | None
    interval: tuple[Finite, Finite] | None = None


class Learned(Record):
    """One training, judged by the task's metric.

    ``wall_s`` counts training only; policies are judged while the clock stands.
    """

    side: str
    env: str
    seed: int
    wall_s: Finite
    curve: tuple[Point, ...]
    program: str = Field("reference", description="name of the reward")
    limit_s: Finite | None = Field(None, description="the training was ended after this long")

    def find_time_to(self, score: float) -> float | None:
        """Return the wall time of the first policy that reaches a task score, in s."""
        scored = [point for point in self.curve if point.task_score is not None]
        return next((point.wall_s for point in scored if (point.task_score or 0.0) >= score), None)

    def find_score_at(self, steps: int) -> float | None:
        """Return the task score of the first policy with at least so many steps of training."""
        return next((at.task_score for at in self.curve if at.total_timesteps >= steps), None)


class Sample(Record):
    """One number of a kind: ``what`` was measured, on which ``name``."""

    what: str
    name: str
    value: Finite
    note: str = ""


Measurement = Rate | Learned | Sample


class Row(Record):
    """One line of the table: a number, what it must be, and what it was computed from."""

    name: str
    value: Finite | None = Field(None, description="None: it could not be measured; note says why")
    unit: str = Field("x", description="'x' is a ratio of ours to theirs")
    bar: str = Field("", description="what the value must be, such as '>= 3.5'; empty: no bar")
    ours: tuple[Finite, ...] = ()
    theirs: tuple[Finite, ...] = ()
    note: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether the value keeps its bar; None where there is no bar or no value."""
        if not self.bar or self.value is None:
            return None
        sign, limit = self.bar.split()
        return self.value >= float(limit) if sign == ">=" else self.value <= float(limit)


def compare_medians(name: str, bar: str, ours: Iterable[float], theirs: Iterable[float]) -> Row:
    """Return our median by theirs; without a value where a side has none."""
    row = Row(name=name, bar=bar, ours=tuple(ours), theirs=tuple(theirs))
    if not row.ours or not row.theirs:
        return row
    return row.model_copy(update={"value": median(row.ours) / median(row.theirs)})


def describe_median(name: str, unit: str, bar: str, values: Iterable[float], note: str = "") -> Row:
    """Return the median of our values; without a value where there are none."""
    ours = tuple(values)
    return Row(
        name=name, value=median(ours) if ours else None, unit=unit, bar=bar, ours=ours, note=note
    )


def render_rows(rows: Sequence[Row]) -> str:
    """Return the table that a person reads."""
    lines = [f"{'row':<52} {'value':>9} {'must be':>9}     ours (median)  theirs (median)"]
    for row in rows:
        mark = {True: "ok", False: "MISSED", None: ""}[row.is_reached]
        value = "-" if row.value is None else f"{row.value:,.3g} {row.unit}"
        sides = [f"{median(side):,.4g}" if side else "" for side in (row.ours, row.theirs)]
        shown = "".join(f"{side:>17}" for side in sides)
        lines.append(f"{row.name:<52} {value:>9} {row.bar:>9} {mark:<7}{shown}".rstrip())
        lines += [f"    {row.note}"] if row.note else []
    return "\n".join(lines)


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Args:
        seeds: trainings of each side, where learning is measured.
        repeats: measurements of each side, alternating, where rates are measured.
        steps: env steps of a measurement; None for each row's own number.
        envs: environments; empty for each row's own.
        n_envs: simulations of each, where the reward's share of a step is measured.
        n_slots: trainings side by side, where learning is measured.
        limit_s: seconds after which a training of the other side is ended.
        corpus: reward programs as JSON lines; None for the reference rewards.
        run_dir: a finished run to read; None to make a short one.
    """

    seeds: int = 5
    repeats: int = 3
    steps: int | None = None
    envs: tuple[str, ...] = ()
    n_envs: tuple[int, ...] = (64,)
    n_slots: int = 1
    limit_s: float = 1200.0
    corpus: Path | None = None
    run_dir: Path | None = None


@dataclass(frozen=True)
class Call:
    """One measurement: a function of this package and its arguments.

    Args:
        function: ``module.function``.
        arguments: by name.
    """

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = (str(value) for value in self.arguments.values() if isinstance(value, str | int))
        return f"{self.function} {' '.join(shown)}"


@dataclass(frozen=True)
class Group:
    """Rows that are measured together.

    Args:
        plan: what must be measured.
        compute: the rows of what was measured, without those that failed.
        has_slots: whether its measurements may run side by side: not where rates are measured.
    """

    plan: Callable[[Options], list[Call]]
    compute: Callable[[Options, Sequence[Measurement]], list[Row]]
    has_slots: bool = False


class MeasurementError(Exception):
    """A measurement that failed; the message says what with."""


def select_rates(results: Sequence[Measurement], side: str, env: str) -> list[Rate]:
    """Return the rates of one side in one environment, in their order."""
    return [it for it in results if isinstance(it, Rate) and (it.side, it.env) == (side, env)]


def select_trainings(results: Sequence[Measurement], side: str, env: str) -> list[Learned]:
    """Return the trainings of one side in one environment, by their seeds."""
    found = [it for it in results if isinstance(it, Learned) and (it.side, it.env) == (side, env)]
    return sorted(found, key=lambda item: item.seed)


def select_samples(results: Sequence[Measurement], what: str) -> list[Sample]:
    """Return the samples of one kind, in their order."""
    return [item for item in results if isinstance(item, Sample) and item.what == what]


def run_calls(
    calls: Sequence[Call], n_slots: int = 1, on_result: Callable[[Any], None] | None = None
) -> list[Any]:
    """Run each call in a fresh process and return what it returned, in order.

    A call that fails returns a ``MeasurementError``: what else was measured is not lost.

    Args:
        calls: started in their order.
        n_slots: how many run side by side.
        on_result: receives each result as soon as it is there.
    """
    # Libraries read it when they load; trainings run side by side instead of in threads.
    os.environ["OMP_NUM_THREADS"] = "1"
    results: dict[int, Any] = {}
    started = time.monotonic()
    with ThreadPoolExecutor(n_slots, thread_name_prefix="measurement") as pool:
        futures = {pool.submit(_run_in_process, call): index for index, call in enumerate(calls)}
        for future in as_completed(futures):
            index, result = futures[future], future.result()
            results[index] = result
            if on_result is not None:
                on_result(result)
            state = f"failed: {result}" if isinstance(result, MeasurementError) else "done"
            elapsed = time.monotonic() - started
            print(f"[{elapsed:5.0f} s] {calls[index]}: {state}", file=sys.stderr, flush=True)
    return [results[index] for index in range(len(calls))]


def _run_in_process(call: Call) -> Any:
    """Return what a call returned or failed with, a process that was killed included."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(call, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        return MeasurementError(f"its process ended with {process.exitcode}")
    finally:
        process.join()
        receiver.close()


def _send_result(call: Call, sender: Connection) -> None:
    try:
        module, _, name = call.function.rpartition(".")
        function = getattr(importlib.import_module(f"benchmarks.{module}"), name)
        result = function(**call.arguments)
    except Exception as error:  # whatever it is, it is what became of the measurement
        result = MeasurementError(f"{type(error).__name__}: {error}")
    sender.send(result)
