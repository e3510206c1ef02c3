"""Success alone: a cow is faced for the first time."""

import numpy as np


def init_memory(state):
    """Remember whether a cow was faced."""
    return {"found": np.zeros_like(state.faces_cow)}


def compute_reward(state, action, next_state, memory):
    """Pay once."""
    is_now = (next_state.faces_cow > 0.5) & (memory["found"] < 0.5)
    terms = {"found": np.where(is_now, 1.0, 0.0)}
    return sum(terms.values()), terms, {"found": np.maximum(memory["found"], next_state.faces_cow)}
