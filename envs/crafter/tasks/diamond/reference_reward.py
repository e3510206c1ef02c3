"""New cells until a diamond is in view, then the way to it."""

import numpy as np

FAR = 8.0  # cells: none is in view


def compute_reward(state, action, next_state):
    """Pay for each diamond, for steps towards one, and for cells not seen before; death costs."""
    gained = np.maximum(next_state.diamond - state.diamond, 0.0)
    is_seen = (state.diamond_distance < FAR) & (next_state.diamond_distance < FAR)
    nearer = np.clip(state.diamond_distance - next_state.diamond_distance, -1.0, 1.0)
    terms = {
        "gained": 3.0 * gained,
        "nearer": 0.3 * np.where(is_seen & (gained < 0.5), nearer, 0.0),
        "explored": 0.02 * (next_state.cells_seen - state.cells_seen),
        "death": np.where(next_state.health > 0.0, 0.0, -1.0),
    }
    return sum(terms.values()), terms
