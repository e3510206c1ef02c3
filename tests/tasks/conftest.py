"""What the tests of the tasks share: episodes of the real simulation, and metrics by name."""

from pathlib import Path

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import apply_task, load_task, read_task_metric
from reward_agent.evaluation.metrics import Episode, compile_metric
from reward_agent.simulation.backends import make_simulation

DATA_DIR = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def load_metric():
    """Return the compiled metric of a task."""

    def load(env, task):
        return compile_metric(read_task_metric(env, load_task(env, task)))

    return load


def play(env, task, actions, seed=0):
    """Return card, states, actions and whether it terminated, up to the episode's end."""
    card = apply_task(load_env(env), load_task(env, task))
    sim = make_simulation(card, 1, seed)
    sim.reset()
    states, terminated = [sim.read_state()], False
    for action in actions[: card.max_episode_steps]:
        sim.step(action[None])
        states.append(sim.read_state())
        terminated = bool(sim.find_terminated()[0])
        if terminated:
            break
    return card, states, actions[: len(states) - 1], terminated


@pytest.fixture(scope="session")
def record():
    """Play actions ``(n, n_actions)`` in the real simulation of a task, up to its end."""

    def make(env, task, actions, seed=0):
        card, states, played, terminated = play(env, task, actions, seed)
        fields = {
            name: np.concatenate([state.fields[name] for state in states])
            for name in states[0].fields
        }
        return Episode(fields, played, card.control_dt, terminated)

    return make


@pytest.fixture(scope="session")
def record_states():
    """Play actions and return the task's card and the (states, actions) of the episode."""

    def make(env, task, actions):
        card, states, played, _ = play(env, task, actions)
        return card, (states, played)

    return make


@pytest.fixture
def load_flip_actions():
    """Return the torques ``(400, 3)`` of a real flip of the hopper, for the reset of seed 0."""

    def load(flip):
        with np.load(DATA_DIR / f"{flip}.npz", allow_pickle=False) as file:
            return file["action_e4"] / 1e4

    return load
