"""Success alone: the player is far enough away for the first time, alive."""

import numpy as np

FAR_ENOUGH = 15.0  # cells


def init_memory(state):
    """Remember whether it has been away."""
    return {"away": np.zeros_like(state.health)}


def compute_reward(state, action, next_state, memory):
    """Pay once."""
    is_away = np.sum(np.abs(next_state.position), axis=-1) >= FAR_ENOUGH
    away = np.where(is_away & (next_state.health > 0.0), 1.0, memory["away"])
    terms = {"away": away - memory["away"]}
    return sum(terms.values()), terms, {"away": away}
