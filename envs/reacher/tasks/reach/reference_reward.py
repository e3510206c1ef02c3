"""Reward of Gymnasium's Reacher-v5. Source: gymnasium/envs/mujoco/reacher_v5.py, ``_get_rew``."""

import numpy as np


def compute_reward(state, action, next_state):
    """Charge the distance to the target (m) and effort."""
    terms = {
        "distance": -next_state.target_distance,
        "control": -np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
