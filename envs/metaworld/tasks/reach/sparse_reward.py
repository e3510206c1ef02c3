"""Success alone: MetaWorld's test holds."""

import numpy as np


def compute_reward(state, action, next_state):
    """Pay 1 for each step that ends with the task done."""
    terms = {"success": np.where(next_state.success > 0.5, 1.0, 0.0)}
    return sum(terms.values()), terms
