"""``python -m benchmarks NAME``: run a benchmark and print its table."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from reward_agent.errors import RewardAgentError, UnknownNameError

BENCHMARKS = {
    "speed": "trainings, racing, rewards, verdicts and runs, as ratios with their bars",
    "against": "this checkout beside an older one, alternating",
    "reference": "what learners make of a task's reference reward",
    "done": "minutes of computing from a sentence to a confirmed winner, programs recorded",
    "utilisation": "how busy an executor's slots are kept",
    "people": "a search from a person's reward, beside that reward with the same env steps",
    "forms": "steps/s of people's rewards, written over arrays and called row by row",
    "judge": "how often a model that watches films says the right thing",
    "caches": "share of a run's input that a provider's prompt cache would serve",
    "device": "a round of programs and seeds on one GPU, beside the machine's cores",
    "house": "how large the package is, and how its parts hang together",
}


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmark; 0 if what it promises was reached, 1 if not."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("\n".join(f"scripts/bench {name:<12} {text}" for name, text in BENCHMARKS.items()))
        return 0 if arguments else 2
    name, *rest = arguments
    try:
        if name not in BENCHMARKS:
            raise UnknownNameError("benchmark", name, BENCHMARKS)
        benchmark = importlib.import_module(f"benchmarks.{name}")
        return int(benchmark.main(rest))
    except RewardAgentError as error:
        print(f"error: {error.message}\n{error.remedy}".strip(), file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
