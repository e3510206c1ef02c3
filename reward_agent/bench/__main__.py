"""``python -m reward_agent.bench NAME``: run a benchmark, print its table, write its numbers."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from reward_agent.bench.reference import CASES, render_reference, run_reference
from reward_agent.errors import RewardAgentError, UnknownNameError, UsageError


def main(arguments: list[str]) -> int:
    """Run the named benchmark; 0 if what it promises was reached, 1 if not."""
    try:
        if len(arguments) not in (1, 2):
            raise UsageError("give the name of a benchmark", f"known: {', '.join(sorted(CASES))}")
        if arguments[0] not in CASES:
            raise UnknownNameError("benchmark", arguments[0], CASES)
        with tempfile.TemporaryDirectory(prefix="reward-agent-") as temporary:
            result = run_reference(arguments[0], Path(temporary))
    except RewardAgentError as error:
        print(f"error: {error.message}\n{error.remedy}".strip(), file=sys.stderr)
        return error.exit_code
    if len(arguments) == 2:
        Path(arguments[1]).write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(render_reference(result))
    return 0 if result.is_reached else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
