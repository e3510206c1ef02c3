"""Seconds from a program's text to its verdict, with a fresh child and with a warm one."""

from __future__ import annotations

from statistics import median

from benchmarks.measurements import Row, Verdict
from benchmarks.options import Group, Options, describe_failures
from benchmarks.pool import Call

_BARS = {False: 1.5, True: 0.15}  # s, cold and warm


def plan(options: Options) -> list[Call]:
    """Return one measurement of both kinds."""
    return [Call("verdict.measure_verdicts", {"env": "hopper", "repeats": options.repeats})]


def compute(options: Options, results: list[object]) -> list[Row]:
    """Return the median of each kind."""
    verdicts = [item for item in results if isinstance(item, Verdict)]
    rows = []
    for is_warm, bar in _BARS.items():
        times = tuple(item.wall_s for item in verdicts if item.is_warm is is_warm)
        name = f"program text to verdict, {'warm' if is_warm else 'cold'} child"
        row = Row(name=name, unit="s", bar=f"<= {bar}", ours=times)
        if times:
            row = row.model_copy(update={"value": median(times)})
        else:
            row = row.model_copy(update={"note": describe_failures(results)})
        rows.append(row)
    return rows


GROUP = Group(plan, compute)
