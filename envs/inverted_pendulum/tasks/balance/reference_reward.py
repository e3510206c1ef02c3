"""Reward of Gymnasium's InvertedPendulum-v5.

Source: gymnasium/envs/mujoco/inverted_pendulum_v5.py, ``step``.
"""

import numpy as np


def compute_reward(state, action, next_state):
    """Pay 1 for every step that the pole leans no more than 0.2 rad."""
    terms = {"upright": np.where(np.abs(next_state.pole_angle) > 0.2, 0.0, 1.0)}
    return sum(terms.values()), terms
