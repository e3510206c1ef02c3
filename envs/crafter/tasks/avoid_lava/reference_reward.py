"""New distance from the start, and no step towards lava that is faced."""

import numpy as np

FAR_ENOUGH = 15.0  # cells


def init_memory(state):
    """Remember how far the player came."""
    return {"furthest": np.zeros_like(state.health)}


def compute_reward(state, action, next_state, memory):
    """Pay each new cell of distance once; death costs more than all of them."""
    away = np.minimum(np.sum(np.abs(next_state.position), axis=-1), FAR_ENOUGH)
    furthest = np.maximum(memory["furthest"], away)
    terms = {
        "further": 0.2 * (furthest - memory["furthest"]),
        "faces_lava": -0.05 * next_state.faces_lava,
        "death": np.where(next_state.health > 0.0, 0.0, -5.0),
    }
    return sum(terms.values()), terms, {"furthest": furthest}
