"""Measurements in processes of their own, one after the other or side by side."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

SIDES = "reward_agent.bench.sides"


@dataclass(frozen=True)
class Call:
    """One measurement: a function of ``reward_agent.bench.sides`` and its arguments.

    Args:
        side: ``module.function``.
        arguments: by name.
    """

    side: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = (str(value) for value in self.arguments.values() if isinstance(value, str | int))
        return f"{self.side} {' '.join(shown)}"


def run_calls(
    calls: Sequence[Call], n_slots: int = 1, on_result: Callable[[Any], None] | None = None
) -> list[Any]:
    """Run each call in a fresh process and return what it returned, in order.

    A call that fails returns the exception: what else was measured is not lost.

    Args:
        calls: started in their order.
        n_slots: how many run side by side.
        on_result: receives each result as soon as it is there.
    """
    # Libraries read it when they load; trainings run side by side instead of in threads.
    os.environ["OMP_NUM_THREADS"] = "1"
    results: dict[int, Any] = {}
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_slots, mp_context=context, max_tasks_per_child=1) as pool:
        futures = {pool.submit(_run, call): index for index, call in enumerate(calls)}
        for future in as_completed(futures):
            index = futures[future]
            error = future.exception()
            results[index] = error if error is not None else future.result()
            if on_result is not None:
                on_result(results[index])
            elapsed = time.monotonic() - started
            state = f"failed: {error}" if error is not None else "done"
            print(f"[{elapsed:5.0f} s] {calls[index]}: {state}", file=sys.stderr, flush=True)
    return [results[index] for index in range(len(calls))]


def _run(call: Call) -> Any:
    module, _, name = call.side.rpartition(".")
    return getattr(importlib.import_module(f"{SIDES}.{module}"), name)(**call.arguments)
