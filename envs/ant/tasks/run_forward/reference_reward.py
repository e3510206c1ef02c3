"""Reward of Gymnasium's Ant-v5 without contact cost.

Source: gymnasium/envs/mujoco/ant_v5.py, ``_get_rew``, with ``contact_cost_weight=0``.
"""

import numpy as np

CONTROL_DT = 0.05  # s
HEALTHY_REWARD = 1.0
CONTROL_WEIGHT = 0.5


def compute_reward(state, action, next_state):
    """Pay speed along x (m/s) and health; charge effort."""
    moved = next_state.torso_position[:, 0] - state.torso_position[:, 0]
    is_healthy = (next_state.torso_height >= 0.2) & (next_state.torso_height <= 1.0)
    terms = {
        "forward": moved / CONTROL_DT,
        "healthy": np.where(is_healthy, HEALTHY_REWARD, 0.0),
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
