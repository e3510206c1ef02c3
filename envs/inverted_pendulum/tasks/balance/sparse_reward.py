"""Success alone: the pole is upright and has been so to the end of the episode."""

import numpy as np

MAX_ANGLE = 0.2  # rad
EPISODE_S = 40.0
CONTROL_DT = 0.04  # s


def init_memory(state):
    """Count the time of the episode."""
    return {"time": np.zeros_like(state.pole_angle)}


def compute_reward(state, action, next_state, memory):
    """Pay the last step of an episode of which none was lost."""
    time = memory["time"] + CONTROL_DT
    is_up = np.abs(next_state.pole_angle) <= MAX_ANGLE
    is_last = time >= EPISODE_S - 0.5 * CONTROL_DT
    terms = {"balanced": np.where(is_up & is_last, 1.0, 0.0)}
    return sum(terms.values()), terms, {"time": time}
