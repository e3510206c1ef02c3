"""Reward of Gymnasium's HalfCheetah-v5.

Source: gymnasium/envs/mujoco/half_cheetah_v5.py, ``_get_rew``.
"""

import numpy as np

CONTROL_DT = 0.05  # s
CONTROL_WEIGHT = 0.1


def compute_reward(state, action, next_state):
    """Pay forward speed (m/s); charge effort."""
    terms = {
        "forward": (next_state.x_position - state.x_position) / CONTROL_DT,
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
