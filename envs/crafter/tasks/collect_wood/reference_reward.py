"""Wood in the hand, and the way to the next tree."""

import numpy as np


def compute_reward(state, action, next_state):
    """Pay for each piece of wood, and a little for nearing and facing a tree."""
    gained = np.maximum(next_state.wood - state.wood, 0.0)
    # A tree that comes into view or is cut is no way that was walked.
    nearer = np.clip(state.tree_distance - next_state.tree_distance, -1.0, 1.0)
    faced = next_state.faces_tree - state.faces_tree
    terms = {
        "gained": 1.0 * gained,
        "nearer": 0.1 * np.where(gained > 0, 0.0, nearer),
        "faced": 0.1 * np.where(gained > 0, 0.0, faced),
    }
    return sum(terms.values()), terms
