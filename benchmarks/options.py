"""What a user of the speed benchmark sets, and the row group that takes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measurements import Learned, Rate, Row
from benchmarks.pool import Call, MeasurementError


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Args:
        seeds: trainings of each side, where learning is measured.
        repeats: measurements of each side, alternating, where rates are measured.
        steps: env steps of a measurement; None for each row's own number.
        envs: environments; empty for each row's own.
        n_slots: trainings side by side, where learning is measured.
        limit_s: seconds after which a training of the other side is ended.
        deadline: time of day, in s since 1970, when the other side's trainings are ended.
        in_process: train without isolation, where no sandboxed child can be.
        corpus: reward programs as JSON lines; None for the reference rewards.
        run_dir: a finished run to read; None to make a short one.
    """

    seeds: int = 5
    repeats: int = 3
    steps: int | None = None
    envs: tuple[str, ...] = ()
    n_slots: int = 1
    limit_s: float = 1200.0
    deadline: float = field(default_factory=lambda: time.time() + 86_400.0)
    in_process: bool = False
    corpus: Path | None = None
    run_dir: Path | None = None


@dataclass(frozen=True)
class Group:
    """Rows that are measured together.

    Args:
        plan: what must be measured.
        compute: the rows of what was measured; a failed measurement is its exception.
        has_slots: whether its measurements may run side by side: not where rates are measured.
    """

    plan: Callable[[Options], list[Call]]
    compute: Callable[[Options, list[object]], list[Row]]
    has_slots: bool = False


def select_rates(results: list[object], side: str, env: str) -> list[Rate]:
    """Return the rates of one side in one environment, in their order."""
    rates = [item for item in results if isinstance(item, Rate)]
    return [item for item in rates if (item.side, item.env) == (side, env)]


def select_trainings(results: list[object], side: str, env: str) -> list[Learned]:
    """Return the trainings of one side in one environment, by their seeds."""
    trainings = [item for item in results if isinstance(item, Learned)]
    chosen = [item for item in trainings if (item.side, item.env) == (side, env)]
    return sorted(chosen, key=lambda item: item.seed)


def describe_failures(results: list[object]) -> str:
    """Return what failed, in one line."""
    errors = [str(item)[:200] for item in results if isinstance(item, MeasurementError)]
    return "; ".join(dict.fromkeys(errors))
