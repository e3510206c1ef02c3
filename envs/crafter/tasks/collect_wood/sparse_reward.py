"""Success alone: the fifth piece of wood is cut."""

import numpy as np

PIECES = 5


def compute_reward(state, action, next_state):
    """Pay once, in the step that cuts the last piece."""
    is_last = (state.collect_wood < PIECES) & (next_state.collect_wood >= PIECES)
    terms = {"collected": np.where(is_last, 1.0, 0.0)}
    return sum(terms.values()), terms
