"""Success alone: at the asked speed, the right way up."""

import numpy as np

TARGET = 1.0  # m/s
FULL = 0.2  # m/s from it


def compute_reward(state, action, next_state):
    """Pay every step within ``FULL`` of the speed."""
    is_near = np.abs(next_state.forward_velocity - TARGET) <= FULL
    terms = {"on_speed": np.where(is_near & (next_state.torso_up > 0), 1.0, 0.0)}
    return sum(terms.values()), terms
