"""Success alone: high enough."""

import numpy as np

MIN_HEIGHT = 0.3  # m


def compute_reward(state, action, next_state):
    """Pay every step above the height."""
    terms = {"high": np.where(next_state.lowest_point >= MIN_HEIGHT, 1.0, 0.0)}
    return sum(terms.values()), terms
