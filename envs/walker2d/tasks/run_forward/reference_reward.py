"""Reward of Gymnasium's Walker2d-v5. Source: gymnasium/envs/mujoco/walker2d_v5.py, ``_get_rew``."""

import numpy as np

CONTROL_DT = 0.008  # s
HEALTHY_REWARD = 1.0
CONTROL_WEIGHT = 1e-3
DIRECTION = 1.0  # of x_position: 1 forward, -1 backward


def compute_reward(state, action, next_state):
    """Pay speed in the asked direction (m/s) and health; charge effort."""
    forward = DIRECTION * (next_state.x_position - state.x_position) / CONTROL_DT
    is_high = (next_state.torso_height > 0.8) & (next_state.torso_height < 2.0)
    is_healthy = is_high & (np.abs(next_state.torso_pitch) < 1.0)
    terms = {
        "forward": forward,
        "healthy": np.where(is_healthy, HEALTHY_REWARD, 0.0),
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
