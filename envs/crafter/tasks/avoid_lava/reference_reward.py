"""New distance from the start; death, and to face lava, cost something."""

import numpy as np

FAR_ENOUGH = 15.0  # cells


def init_memory(state):
    """Remember how far the player came."""
    return {"furthest": np.zeros_like(state.health)}


def compute_reward(state, action, next_state, memory):
    """Pay each new cell of distance once."""
    away = np.minimum(np.sum(np.abs(next_state.position), axis=-1), FAR_ENOUGH)
    furthest = np.maximum(memory["furthest"], away)
    terms = {
        "further": 0.3 * (furthest - memory["furthest"]),
        "faces_lava": -0.02 * next_state.faces_lava,
        "death": np.where(next_state.health > 0.0, 0.0, -1.0),
    }
    return sum(terms.values()), terms, {"furthest": furthest}
