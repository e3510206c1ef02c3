"""A row is paid for itself alone: tried at random sizes in the probe, at random moments after it."""

import numpy as np
import pytest
from support.rewards import make_card, make_state

from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import compile_program

HEAD = "def compute_reward(state, action, next_state):\n    h = next_state.torso_height\n"
MEMORY = (
    "def init_memory(state):\n    return {'n': np.zeros(len(state.torso_height))}\n\n\n"
    "def compute_reward(state, action, next_state, memory):\n"
    "    h = next_state.torso_height\n    n = memory['n'] + 1.0\n"
)


def play(source, n_sims, n_calls=200):
    reward = compile_program(source, make_card(), 0.99)
    rng = np.random.default_rng(0)
    reward.begin(make_state(n_sims))
    paid = []
    for seed in range(n_calls):
        action = rng.uniform(-1, 1, (n_sims, 6))
        state = make_state(n_sims, seed % 7)
        paid.append(
            reward.step(state, action, make_state(n_sims, seed % 5), np.zeros(n_sims, bool))
        )
    return paid


@pytest.mark.parametrize(
    "line",
    [
        "return (np.cumsum(h) if len(h) == 48 else h * 1.0), {}",
        "return (h - h.mean() if len(h) == 48 else h * 1.0), {}",
        "return h + (h[0] if len(h) > 40 else 0.0), {}",
        "return h * (1.0 if action.shape[0] < 40 else h.max()), {}",
        "return (h[::-1] if h.size > 40 else h) * 1.0, {}",
        "return h + 0.01 * np.arange(len(h)) * (len(h) > 40), {}",
        "return h + float(len(h) > 40), {}",
        "return h * 1.0, {'h': np.sort(h) if len(h) == 48 else h}",
        "big = len(h) == 48\n    return (h - np.roll(h, 1) if big else h * 1.0), {}",
    ],
)
def test_dependence_on_other_rows_that_shows_in_large_batches_only_ends_the_program(line):
    assert len(play(f"{HEAD}    {line}\n", 7)) == 200
    with pytest.raises(ContractError) as caught:
        play(f"{HEAD}    {line}\n", 48)
    assert caught.value.rule == "contract/rows"


def test_dependence_on_rows_that_begins_late_is_found_when_the_rows_are_tried_next():
    with pytest.raises(ContractError) as caught:
        play(
            f"{MEMORY}    pay = np.where(n > 20, h.sum(), h)\n    return pay, {{}}, {{'n': n}}\n",
            8,
            2000,
        )
    assert caught.value.rule == "contract/rows"


def test_what_the_probe_only_warns_of_ends_no_training():
    assert len(play(f"{HEAD}    return h - h.mean(), {{}}\n", 48)) == 200
    assert len(play(f"{HEAD}    return h / np.linalg.norm(h), {{}}\n", 48)) == 200


def test_trying_rows_leaves_memory_and_pay_as_they_are():
    source = f"{MEMORY}    return h * n, {{'n': n}}, {{'n': n}}\n"
    counts = [paid.terms["n"] for paid in play(source, 16)]
    np.testing.assert_array_equal(counts, np.arange(1, 201)[:, None] * np.ones(16))


def test_one_simulation_depends_on_no_other():
    assert len(play(f"{HEAD}    return h * 1.0, {{}}\n", 1)) == 200
