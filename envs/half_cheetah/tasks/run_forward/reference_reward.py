"""Reward of Gymnasium's HalfCheetah-v5.

Source: gymnasium/envs/mujoco/half_cheetah_v5.py, ``_get_rew``.
"""

import numpy as np

CONTROL_DT = 0.05  # s
CONTROL_WEIGHT = 0.1
DIRECTION = 1.0  # of x_position: 1 forward, -1 backward


def compute_reward(state, action, next_state):
    """Pay speed in the asked direction (m/s); charge effort."""
    terms = {
        "forward": DIRECTION * (next_state.x_position - state.x_position) / CONTROL_DT,
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
