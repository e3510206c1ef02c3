"""What an episode remembers, and shaping that cannot change the optimal policy."""

import itertools

import numpy as np
import pytest
from support.rewards import make_card, make_state

from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.state import State

N = 6
ACTION = np.zeros((N, 6))
ALIVE = np.zeros(N, dtype=bool)
MEMORY = """
def init_memory(state):
    return {{{made}}}


def compute_reward(state, action, next_state, memory):
    {body}
    return action[:, 0] * 0.0, terms, {returned}
"""
COUNT = {
    "made": "'count': np.zeros(action_free(state)), 'best': state.torso_height.copy()",
    "body": "count = memory['count'] + 1.0; terms = {'count': count}",
    "returned": "{'count': count, 'best': np.maximum(memory['best'], next_state.torso_height)}",
}
HELPER = "def action_free(state):\n    return state.torso_height.shape[0]\n"


def compile_memory(**changes):
    return compile_program(HELPER + MEMORY.format(**{**COUNT, **changes}), make_card(), 0.9)


def at_height(height):
    return State({**make_state(N).fields, "torso_height": np.full(N, float(height))})


def test_memory_goes_from_step_to_step():
    reward = compile_memory()
    reward.begin(make_state(N))
    for expected in (1.0, 2.0, 3.0):
        paid = reward.step(make_state(N), ACTION, make_state(N, 1), ALIVE)
        np.testing.assert_array_equal(paid.terms["count"], np.full(N, expected))


def test_memory_restarts_for_new_episodes_only():
    reward = compile_memory()
    reward.begin(make_state(N))
    reward.step(make_state(N), ACTION, make_state(N), ALIVE)
    reward.restart(np.array([1, 4]), make_state(N))
    paid = reward.step(make_state(N), ACTION, make_state(N), ALIVE)
    np.testing.assert_array_equal(paid.terms["count"], [2, 1, 2, 2, 1, 2])


def test_memory_of_a_new_episode_is_made_from_its_own_state():
    reward = compile_memory(
        body="gain = np.maximum(memory['best'], next_state.torso_height) - memory['best']; "
        "count = memory['count']; terms = {'gain': gain}"
    )
    reward.begin(at_height(1))
    reward.step(at_height(1), ACTION, at_height(5), ALIVE)
    reward.restart(np.array([0]), at_height(2))
    gain = reward.step(at_height(2), ACTION, at_height(4), ALIVE).terms["gain"]
    np.testing.assert_array_equal(gain, [2, 0, 0, 0, 0, 0])


def test_memory_may_be_written_in_place_and_the_callers_arrays_stay():
    reward = compile_memory(
        body="memory['count'] += 1.0; count = memory['count']; terms = {'count': count}"
    )
    state = make_state(N)
    reward.begin(state)
    paid = [reward.step(state, ACTION, state, ALIVE).terms["count"] for _ in range(2)]
    np.testing.assert_array_equal(paid, [np.ones(N), np.full(N, 2.0)])


def test_restart_without_memory_does_nothing():
    reward = compile_program(
        "def compute_reward(state, action, next_state):\n    return next_state.torso_height * 1, {}\n",
        make_card(),
        0.9,
    )
    reward.restart(np.array([0]), make_state(N))
    assert not reward.has_memory


@pytest.mark.parametrize(
    "changes",
    [
        {"made": "'a': 1.0"},
        {"made": "'a': [0.0] * 6"},
        {"made": "'a': np.zeros(3)"},
        {"made": "'a': np.zeros((6, 2, 2))"},
        {"made": "'a': np.zeros((6, 65))"},
        {"made": "'a': np.full(6, np.nan)"},
        {"made": "'a': np.full(6, 'x')"},
        {"made": "'a/b': np.zeros(6)"},
        {"made": ""},
        {"made": ", ".join(f"'m{i}': np.zeros(6)" for i in range(17))},
    ],
)
def test_memory_of_another_form_is_refused(changes):
    reward = compile_memory(**changes)
    with pytest.raises(ContractError):
        reward.begin(make_state(N))


@pytest.mark.parametrize(
    "returned",
    [
        "{'count': count}",
        "{'count': count, 'best': memory['best'], 'more': count}",
        "{'count': np.zeros((6, 2)), 'best': memory['best']}",
        "{'count': count, 'best': memory['best'] * np.inf}",
        "{'count': count, 'best': 0.0}",
        "None",
        "memory['best']",
    ],
)
def test_next_memory_must_have_the_same_form(returned):
    reward = compile_memory(returned=returned)
    reward.begin(make_state(N))
    with pytest.raises(ContractError) as caught:
        reward.step(make_state(N), ACTION, make_state(N), ALIVE)
    assert caught.value.rule in ("contract/memory", "contract/not-finite")


# --- potential -----------------------------------------------------------------------------------

SHAPED = """
def potential(state):
    return {potential}


def compute_reward(state, action, next_state):
    pay = next_state.torso_height * 0.0
    return pay, {{"pay": pay}}
"""


def compile_shaped(potential="state.torso_height", gamma=0.9):
    return compile_program(SHAPED.format(potential=potential), make_card(), gamma)


def test_shaping_is_the_discounted_difference_of_the_potential():
    paid = compile_shaped(gamma=0.9).step(at_height(1.0), ACTION, at_height(2.0), ALIVE)
    np.testing.assert_allclose(paid.terms["potential_shaping"], 0.9 * 2.0 - 1.0)
    np.testing.assert_array_equal(paid.reward, paid.terms["potential_shaping"])


def test_potential_is_zero_at_true_terminals_and_not_at_truncation():
    ended = np.array([True, False, False, False, False, False])
    paid = compile_shaped().step(at_height(1.0), ACTION, at_height(2.0), ended)
    np.testing.assert_allclose(paid.terms["potential_shaping"], [-1.0] + [0.8] * 5)


def test_potential_is_named_among_the_terms():
    reward = compile_shaped()
    reward.step(at_height(1.0), ACTION, at_height(2.0), ALIVE)
    assert reward.term_names == ("pay", "potential_shaping")


@pytest.mark.parametrize(
    "potential",
    ["1.0", "state.observation", "np.full(6, np.nan)", "state.torso_height > 0", "np.full(6, 1e7)"],
)
def test_potential_of_another_form_is_refused(potential):
    with pytest.raises(ContractError):
        compile_shaped(potential).step(at_height(1.0), ACTION, at_height(2.0), ALIVE)


def test_helper_named_potential_is_not_added():
    source = SHAPED.format(potential="state").replace("potential(state)", "potential(s)")
    source = source.replace("return state", "return s.torso_height")
    reward = compile_program(source, make_card(), 0.9)
    reward.step(at_height(1.0), ACTION, at_height(2.0), ALIVE)
    assert reward.term_names == ("pay",)


N_STATES, GOAL, GAMMA = 7, 6, 0.9
MDP = """
def potential(state):
    {potential}


def compute_reward(state, action, next_state):
    arrived = (next_state.place == 6).astype(float)
    toll = -0.3 * (next_state.place == 3)
    return arrived + toll, {{"arrived": arrived, "toll": toll}}
"""


def find_optimal_policy(reward):
    """Value iteration on a line of places: left, right or a jump over two, the last one ends it."""
    places = np.repeat(np.arange(N_STATES - 1), 3)
    moves = np.tile([-1, 1, 3], N_STATES - 1)
    following = np.clip(places + moves, 0, GOAL)
    ended = following == GOAL
    card = make_card(
        state=(make_card().state[0].model_copy(update={"name": "place"}),), actions=("move",)
    )
    program = compile_program(reward, card, GAMMA)
    paid = program.step(
        State({"place": places.astype(float)}),
        moves[:, None].astype(float),
        State({"place": following.astype(float)}),
        ended,
    ).reward.reshape(-1, 3)
    values = np.zeros(N_STATES)
    for _ in range(300):
        quality = paid + GAMMA * np.where(ended, 0.0, values[following]).reshape(-1, 3)
        values[:-1] = quality.max(axis=1)
    best = quality.max(axis=1, keepdims=True)
    return quality >= best - 1e-9


def test_potential_leaves_the_optimal_policy_unchanged():
    unshaped = MDP.format(potential="return state.place * 0.0")
    expected = find_optimal_policy(unshaped)
    for scale, table in itertools.product(
        (1.0, -4.0), ("state.place", "np.sin(7.0 * state.place)")
    ):
        shaped = MDP.format(potential=f"return {scale} * {table} + 2.0")
        np.testing.assert_array_equal(find_optimal_policy(shaped), expected)


def test_the_same_shaping_kept_at_terminals_would_change_it():
    """The test above can fail: a bonus on the goal, which is no potential, changes the policy."""
    unshaped = find_optimal_policy(MDP.format(potential="return state.place * 0.0"))
    bonus = MDP.format(potential="return state.place * 0.0").replace(
        "return arrived + toll,", "return arrived + toll + 2.0 * (next_state.place == 2),"
    )
    assert not np.array_equal(find_optimal_policy(bonus), unshaped)
