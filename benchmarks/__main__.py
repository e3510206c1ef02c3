"""``python -m benchmarks NAME``: run a benchmark, print its table, write its numbers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import house
from benchmarks.diversity import main as run_diversity
from benchmarks.diversity import render_diversity
from benchmarks.reference import CASES, render_reference, run_reference
from benchmarks.speed import parse_order, recompute_rows, render_speed, run_speed
from benchmarks.utilisation import PROMISED, render_utilisation
from benchmarks.utilisation import main as run_utilisation
from reward_agent.errors import RewardAgentError, UnknownNameError, UsageError

Benchmark = Callable[[list[str]], int]


def main(arguments: list[str]) -> int:
    """Run the named benchmark; 0 if what it promises was reached, 1 if not."""
    known = _list_benchmarks()
    try:
        if not arguments:
            raise UsageError("give the name of a benchmark", f"known: {', '.join(sorted(known))}")
        name, *rest = arguments
        if name not in known:
            raise UnknownNameError("benchmark", name, known)
        return known[name](rest)
    except RewardAgentError as error:
        print(f"error: {error.message}\n{error.remedy}".strip(), file=sys.stderr)
        return error.exit_code


def _list_benchmarks() -> dict[str, Benchmark]:
    return {
        "speed": _run_speed,
        "diversity": _run_diversity,
        "utilisation": _run_utilisation,
        "house": house.main,
        **{case: partial(_run_reference, case) for case in CASES},
    }


def _run_diversity(arguments: list[str]) -> int:
    print(render_diversity(run_diversity(arguments)))
    return 0


def _run_utilisation(arguments: list[str]) -> int:
    found = run_utilisation(arguments)
    print(render_utilisation(found))
    return 0 if found.busy >= PROMISED else 1


def _run_speed(arguments: list[str]) -> int:
    order = parse_order(arguments)
    if order.measured is None:
        report = run_speed(order.names, order.options, order.path)
    else:
        report = recompute_rows(order.names, order.options, order.measured)
    print(render_speed(report))
    return 1 if any(row.is_reached is False for row in report.rows) else 0


def _run_reference(name: str, rest: list[str]) -> int:
    if len(rest) > 1:
        raise UsageError(f"{len(rest)} arguments after {name}", "give one file for the numbers")
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as temporary:
        result = run_reference(name, Path(temporary))
    for path in rest:
        Path(path).write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(render_reference(result))
    return 0 if result.is_reached else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
