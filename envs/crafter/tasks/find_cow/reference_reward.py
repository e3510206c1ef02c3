"""New land until a cow is in view, then the way to it."""

import numpy as np

FAR = 8.0  # cells: none is in view


def init_memory(state):
    """Remember whether a cow was faced."""
    return {"found": np.zeros_like(state.faces_cow)}


def compute_reward(state, action, next_state, memory):
    """Pay for a cow that is faced once, for steps towards one, and for land not seen before."""
    is_open = memory["found"] < 0.5
    is_seen = (state.cow_distance < FAR) & (next_state.cow_distance < FAR)
    nearer = np.clip(state.cow_distance - next_state.cow_distance, -1.0, 1.0)
    new = next_state.cells_seen - state.cells_seen
    terms = {
        "found": np.where(is_open & (next_state.faces_cow > 0.5), 1.0, 0.0),
        "nearer": 0.1 * np.where(is_open & is_seen, nearer, 0.0),
        "explored": 0.005 * np.where(is_open & ~is_seen, new, 0.0),
        "alive": np.where(next_state.health > 0.0, 0.0, -1.0),
    }
    found = np.maximum(memory["found"], next_state.faces_cow)
    return sum(terms.values()), terms, {"found": found}
