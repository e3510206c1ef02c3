"""Success alone: the first diamond is dug."""

import numpy as np


def compute_reward(state, action, next_state):
    """Pay once, in the step that digs it."""
    is_first = (state.collect_diamond < 1) & (next_state.collect_diamond >= 1)
    terms = {"dug": np.where(is_first, 1.0, 0.0)}
    return sum(terms.values()), terms
