"""Measurements in processes of their own, one after the other or side by side."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

SIDES = "benchmarks.sides"


@dataclass(frozen=True)
class Call:
    """One measurement: a function of ``benchmarks.sides`` and its arguments.

    Args:
        side: ``module.function``.
        arguments: by name.
    """

    side: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = (str(value) for value in self.arguments.values() if isinstance(value, str | int))
        return f"{self.side} {' '.join(shown)}"


class MeasurementError(Exception):
    """A measurement that failed; the message says what with."""


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
        result = _run(call)
    except Exception as error:  # whatever it is, it is what became of the measurement
        result = MeasurementError(f"{type(error).__name__}: {error}")
    sender.send(result)


def _run(call: Call) -> Any:
    module, _, name = call.side.rpartition(".")
    return getattr(importlib.import_module(f"{SIDES}.{module}"), name)(**call.arguments)
