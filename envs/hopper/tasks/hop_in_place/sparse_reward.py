"""Success alone: in the air above the spot."""

import numpy as np

MIN_RISE = 0.1  # m
MAX_DRIFT = 0.3  # m


def compute_reward(state, action, next_state):
    """Pay every step that is high enough and near enough."""
    is_near = np.abs(next_state.x_position) <= MAX_DRIFT
    terms = {"flight": np.where(is_near & (next_state.lowest_point >= MIN_RISE), 1.0, 0.0)}
    return sum(terms.values()), terms
