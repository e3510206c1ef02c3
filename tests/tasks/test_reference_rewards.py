"""A reference reward pays what Gymnasium's own environment pays, step for step."""

import gymnasium
import numpy as np
import pytest

from reward_agent.definitions.card import list_envs, load_env
from reward_agent.definitions.task import (
    list_tasks,
    load_task,
    read_own_reward,
    read_reference_reward,
    read_sparse_reward,
)
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.mujoco_batch import BatchSimulation

N_STEPS = 1_000


def read_reference(env, task):
    return read_reference_reward(env, load_task(env, task)) or ""


REFERENCES = [
    pytest.param(env, task, id=f"{env}-{task}")
    for env in list_envs()
    for task in list_tasks(env)
    if load_task(env, task).own_reward is not None
]


def test_every_gymnasium_environment_has_its_reference():
    assert {case.values[0] for case in REFERENCES} == {
        name for name in list_envs() if load_env(name).gymnasium_id
    }


@pytest.mark.parametrize(("env", "task"), REFERENCES)
def test_reference_reward_equals_gymnasiums(env, task):
    card = load_env(env)
    source = read_reference(env, task)
    assert source == read_own_reward(env)
    theirs = gymnasium.make(card.gymnasium_id, **card.gymnasium_kwargs)
    sim = BatchSimulation(card, 1, seed=0)
    rng = np.random.default_rng(0)
    theirs.reset(seed=0)
    sim.reset()
    state = sim.read_state()
    program = compile_program(source, card, gamma=0.99)
    program.begin(state)
    n_ends = 0
    for _ in range(N_STEPS):
        # Small torques keep the robots up for a while, so that falls and health both occur.
        action = rng.uniform(*card.action_range, size=card.n_actions) * rng.uniform(0.1, 1.0)
        expected, terminated, truncated = theirs.step(action)[1:4]
        sim.step(action[None])
        next_state = sim.read_state()
        paid = program.step(state, action[None], next_state, sim.find_terminated())
        assert paid.reward[0] == pytest.approx(expected, abs=1e-9)
        state = next_state
        if terminated or truncated:
            n_ends += 1
            theirs.reset()
            sim.reset()
            state = sim.read_state()
            program.restart(np.array([True]), state)
    theirs.close()
    assert n_ends >= 1


def test_back_flip_reference_pays_a_real_flip_most(record_states, load_flip_actions):
    flip_actions = load_flip_actions("back_flip")
    card, real = record_states("hopper", "back_flip", flip_actions)
    limp_actions = np.where(np.arange(400)[:, None] < 20, flip_actions, 0.0)
    _, limp = record_states("hopper", "back_flip", limp_actions)
    _, still = record_states("hopper", "back_flip", np.zeros((400, 3)))
    source = read_reference("hopper", "back_flip")
    returns = [
        _add_up(compile_program(source, card, 0.995), *played) for played in (real, limp, still)
    ]
    assert returns[0] > returns[1] + 5 > returns[2] + 10


@pytest.mark.parametrize(
    ("read", "n_times"), [(read_reference_reward, 3.0), (read_sparse_reward, 30.0)]
)
def test_front_flips_rewards_pay_a_real_front_flip(read, n_times, record_states, load_flip_actions):
    source = read("hopper", load_task("hopper", "front_flip"))
    returns = []
    for flip in ("front_flip", "back_flip"):
        card, played = record_states("hopper", "front_flip", load_flip_actions(flip))
        returns.append(_add_up(compile_program(source, card, 0.995), *played))
    assert returns[0] > n_times * max(returns[1], 1.0)


def _add_up(program, states, actions):
    """Return the undiscounted sum of the reward over an episode."""
    program.begin(states[0])
    steps = zip(states, actions, states[1:], strict=False)
    return sum(
        program.step(state, action[None], next_state, np.zeros(1, bool)).reward[0]
        for state, action, next_state in steps
    )
