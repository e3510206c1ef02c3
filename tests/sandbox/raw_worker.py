"""The real worker, but programs are run raw: no rule, all of Python's builtins, no facade."""

import sys
from pathlib import Path
from types import FunctionType

from reward_agent.rewards import program


def load_raw(source, extra=None):
    names = {"__name__": "reward", **(extra or {})}
    exec(compile(source, "reward.py", "exec"), names)
    return {name: value for name, value in names.items() if isinstance(value, FunctionType)}


def compile_raw(source, card, gamma):
    return program.CompiledReward(load_raw(source), gamma)


if __name__ == "__main__":
    program.compile_program = compile_raw
    from reward_agent.worker.dispatch import run_worker

    sys.exit(run_worker(Path(sys.argv[1])))
