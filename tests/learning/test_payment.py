"""Many steps paid in one call are paid as they would be one by one."""

from __future__ import annotations

import numpy as np
import pytest

from reward_agent.learning.vec_env import Payment
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import CompiledReward, load_functions
from reward_agent.simulation.state import State, Transition

FORGETFUL = """
def potential(state):
    return -np.abs(state.height)

def compute_reward(state, action, next_state):
    climb = next_state.height - state.height
    effort = -np.sum(np.square(action), axis=-1)
    return climb + 0.1 * effort, {"climb": climb, "effort": effort}
"""
REMEMBERING = """
def init_memory(state):
    return {"best": state.height.copy()}

def compute_reward(state, action, next_state, memory):
    best = np.maximum(memory["best"], next_state.height)
    return best - memory["best"], {"record": best - memory["best"]}, {"best": best}
"""
BREAKS_LATE = """
def compute_reward(state, action, next_state):
    reward = 1.0 / (next_state.height - 40.0)
    return reward, {"inverse": reward}
"""


def make_reward(source: str) -> CompiledReward:
    return CompiledReward(load_functions(source), 0.9)


def make_steps(n_steps: int, n_sims: int) -> list[Transition]:
    generator = np.random.default_rng(0)
    heights = generator.normal(size=(n_steps + 1, n_sims))
    return [
        Transition(
            State({"height": heights[step].copy()}),
            generator.normal(size=(n_sims, 3)),
            State({"height": heights[step + 1].copy()}),
            generator.random(n_sims) < 0.1,
        )
        for step in range(n_steps)
    ]


def make_column(part: State | np.ndarray) -> State | np.ndarray:
    """Return the same numbers, not one after the other in memory."""
    if isinstance(part, State):
        return State({name: make_column(values) for name, values in part.fields.items()})
    return np.stack([part, part], axis=-1)[..., 0]


@pytest.mark.parametrize("source", [FORGETFUL, REMEMBERING])
@pytest.mark.parametrize("n_sims", [1, 7, 600, 2000])
def test_pay_is_that_of_single_steps(source: str, n_sims: int) -> None:
    steps = make_steps(5, n_sims)
    payment, single = Payment(make_reward(source), n_sims), make_reward(source)
    payment.begin(steps[0].state)
    single.begin(steps[0].state)
    expected = []
    for number, step in enumerate(steps):
        payment.add(step)
        expected.append(single.step(step.state, step.action, step.next_state, step.terminated))
        if number == 2:
            ids = np.flatnonzero(step.terminated)
            payment.restart(ids, steps[3].state)
            single.restart(ids, steps[3].state)
    reward, terms = payment.collect()
    np.testing.assert_allclose(reward, [paid.reward for paid in expected], rtol=1e-12)
    assert list(terms) == list(expected[0].terms)
    for name, values in terms.items():
        np.testing.assert_allclose(values, [paid.terms[name] for paid in expected], rtol=1e-12)


def test_steps_of_columns_are_joined_as_others() -> None:
    steps = make_steps(3, 4)
    columns = [
        Transition(*(make_column(part) for part in (step.state, step.action)), *step[2:])
        for step in steps
    ]
    for one, other in zip(Transition.join(steps)[:2], Transition.join(columns)[:2], strict=True):
        np.testing.assert_array_equal(
            getattr(one, "height", one), getattr(other, "height", other), strict=True
        )


def test_new_episodes_forget_what_was_not_collected() -> None:
    steps = make_steps(3, 4)
    payment = Payment(make_reward(FORGETFUL), 4)
    payment.begin(steps[0].state)
    payment.add(steps[0])
    payment.begin(steps[1].state)
    payment.add(steps[1])
    assert payment.collect()[0].shape == (1, 4)


def test_a_failure_in_any_step_is_found() -> None:
    steps = make_steps(3, 4)
    bad = State({"height": np.array([0.0, 0.0, 40.0, 0.0])})
    steps[1] = Transition(steps[1].state, steps[1].action, bad, steps[1].terminated)
    payment = Payment(make_reward(BREAKS_LATE), 4)
    payment.begin(steps[0].state)
    for step in steps:
        payment.add(step)
    with pytest.raises(ContractError, match="inf"):
        payment.collect()
