"""A reward that is one sum of what a person gave names is logged by these names."""

from __future__ import annotations

import numpy as np
import pytest
from support.people import make_ground

from reward_agent.rewards.program import CompiledReward, load_functions
from reward_agent.rewards.terms import read_terms
from reward_agent.translation.translate import translate_file

HEAD = "import numpy as np\nW = 0.5\ndef reward(obs, action, next_obs):\n"
NAMED = """\
    forward = np.clip(next_obs[5], 0, 2)
    healthy = next_obs[0] > 0.7
    ctrl = np.sum(action ** 2)
"""
# What a file returns, and its terms with their weights.
SUMS = {
    "return forward - 0.1 * ctrl + W * healthy": {"forward": 1, "ctrl": -0.1, "healthy": 0.5},
    "r = forward\n    r += healthy\n    r -= ctrl / 4\n    return r": {
        "forward": 1, "healthy": 1, "ctrl": -1,
    },
    "return forward - (ctrl - 2 * healthy)": {"forward": 1, "ctrl": -1, "healthy": 2},
    "return forward - ctrl - abs(next_obs[1]) + 0.2": {"forward": 1, "ctrl": -1, "rest": 1},
    # One name, a product and a choice are one number.
    "return forward - 0.1": {"reward": 1},
    "return forward * healthy": {"reward": 1},
    "return forward + ctrl if healthy else -1.0": {"reward": 1},
}  # fmt: skip


@pytest.mark.parametrize("returned", SUMS)
def test_a_sum_of_names_is_terms_by_these_names(returned: str) -> None:
    ground = make_ground("hopper")
    result = translate_file(f"{HEAD}{NAMED}    {returned}\n".encode(), ground)
    assert result.program is not None, result.findings
    assert {term.name: term.weight for term in read_terms(result.program)} == SUMS[returned]
    reward = CompiledReward(load_functions(result.program), 0.99)
    step = ground.stretches[0].steps[0]
    reward.begin(step.state)
    paid = reward.step(step.state, step.action, step.next_state, step.terminated)
    assert np.allclose(sum(paid.terms.values()), paid.reward)
