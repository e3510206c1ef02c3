"""What the tests of the tasks share: episodes of the real simulation, and metrics by name."""

import numpy as np
import pytest

from reward_agent.evaluation.metrics import Episode, compile_metric
from reward_agent.simulation.batch import BatchSimulation
from reward_agent.simulation.card import load_env
from reward_agent.tasks import apply_task, find_task_dir, load_task


@pytest.fixture(scope="session")
def load_metric():
    """Return the compiled metric of a task."""

    def load(env, task):
        return compile_metric(find_task_dir(env, task) / "metric.py")

    return load


@pytest.fixture(scope="session")
def record():
    """Play actions ``(n, n_actions)`` in the real simulation of a task, up to its end."""

    def play(env, task, actions, seed=0):
        card = apply_task(load_env(env), load_task(env, task))
        sim = BatchSimulation(card, 1, seed)
        sim.reset()
        states, played, terminated = [sim.read_state()], [], False
        for action in actions[: card.max_episode_steps]:
            sim.step(action[None])
            states.append(sim.read_state())
            played.append(action)
            terminated = bool(sim.find_terminated()[0])
            if terminated:
                break
        fields = {
            name: np.concatenate([state.fields[name] for state in states])
            for name in states[0].fields
        }
        return Episode(fields, np.array(played), card.control_dt, terminated)

    return play
