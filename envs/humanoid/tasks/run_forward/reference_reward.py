"""Reward of Gymnasium's Humanoid-v5 without contact cost.

Source: gymnasium/envs/mujoco/humanoid_v5.py, ``_get_rew``, with ``contact_cost_weight=0``.
"""

import numpy as np

CONTROL_DT = 0.015  # s
FORWARD_WEIGHT = 1.25
HEALTHY_REWARD = 5.0
CONTROL_WEIGHT = 0.1


def compute_reward(state, action, next_state):
    """Pay the centre of mass's speed along x (m/s) and health; charge effort."""
    moved = next_state.com_position[:, 0] - state.com_position[:, 0]
    is_healthy = (next_state.torso_height > 1.0) & (next_state.torso_height < 2.0)
    terms = {
        "forward": FORWARD_WEIGHT * moved / CONTROL_DT,
        "healthy": np.where(is_healthy, HEALTHY_REWARD, 0.0),
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
