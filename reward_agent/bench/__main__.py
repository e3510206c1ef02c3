"""``python -m reward_agent.bench NAME``: run a benchmark, print its table, write its numbers."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from reward_agent.bench.diversity import main as run_diversity
from reward_agent.bench.diversity import render_diversity
from reward_agent.bench.reference import CASES, render_reference, run_reference
from reward_agent.bench.speed import parse_options, render_speed, run_speed
from reward_agent.errors import RewardAgentError, UnknownNameError, UsageError

SPEED, DIVERSITY = "speed", "diversity"


def main(arguments: list[str]) -> int:
    """Run the named benchmark; 0 if what it promises was reached, 1 if not."""
    known = [*CASES, SPEED, DIVERSITY]
    try:
        if not arguments:
            raise UsageError("give the name of a benchmark", f"known: {', '.join(sorted(known))}")
        name, *rest = arguments
        if name not in known:
            raise UnknownNameError("benchmark", name, known)
        if name == DIVERSITY:
            print(render_diversity(run_diversity(rest)))
            return 0
        return _run_speed(rest) if name == SPEED else _run_reference(name, rest)
    except RewardAgentError as error:
        print(f"error: {error.message}\n{error.remedy}".strip(), file=sys.stderr)
        return error.exit_code


def _run_speed(arguments: list[str]) -> int:
    names, options, path = parse_options(arguments)
    report = run_speed(names, options, path)
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
