"""Runs programs one after another, each in a fork of its own, and prints how each one ended.

    python -m support.contain < programs.json > ends.json

A program ends by the rule that ended it, by the signal that ended its process, or it has a value:
the sum of its terms, if that is the same for one step again and again.
"""

import json
import os
import resource
import signal
import sys

import numpy as np
from support.rewards import make_state

from reward_agent.rewards import bounds
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import CompiledReward, load_functions

N = 8
# As in a sandbox: what asks for more gets a MemoryError.
MEMORY = 1 << 29


def run(source):
    action = np.linspace(-1, 1, N * 6).reshape(N, 6)
    try:
        reward = CompiledReward(load_functions(source), 0.99)
        reward.begin(make_state(N))
        sums = []
        for _ in range(3):
            paid = reward.step(make_state(N), action, make_state(N, 1), np.zeros(N, bool))
            sums.append(float(sum(values.sum() for values in paid.terms.values())))
    except ContractError as error:
        return error.rule
    except Exception as error:  # not the program's: ours
        return f"raised {type(error).__name__}"
    return sums[0] if len(set(sums)) == 1 else "changes"


def run_apart(source):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps(run(source)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    told = os.read(reader, 1000)
    os.close(reader)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return json.loads(told)


if __name__ == "__main__":
    bounds.MAX_CALL_S, bounds._GRACE_S = 0.05, 0.05
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    json.dump(
        {name: run_apart(source) for name, source in json.load(sys.stdin).items()}, sys.stdout
    )
