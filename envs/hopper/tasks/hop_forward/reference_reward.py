"""Reward of Gymnasium's Hopper-v5. Source: gymnasium/envs/mujoco/hopper_v5.py, ``_get_rew``."""

import numpy as np

CONTROL_DT = 0.008  # s
HEALTHY_REWARD = 1.0
CONTROL_WEIGHT = 1e-3


def compute_reward(state, action, next_state):
    """Pay forward speed (m/s) and health; charge effort."""
    forward = (next_state.x_position - state.x_position) / CONTROL_DT
    control = CONTROL_WEIGHT * np.sum(np.square(action), axis=-1)
    terms = {
        "forward": forward,
        "healthy": HEALTHY_REWARD * is_healthy(next_state),
        "control": -control,
    }
    return sum(terms.values()), terms


def is_healthy(state):
    """Return 1.0 where the state is one that Gymnasium does not end the episode in."""
    velocities = np.stack(
        [state.forward_velocity, state.vertical_velocity, state.torso_pitch_velocity], axis=-1
    )
    is_bounded = (
        np.all(np.abs(velocities) < 100.0, axis=-1)
        & np.all(np.abs(state.joint_velocities) < 100.0, axis=-1)
        & np.all(np.abs(state.joint_angles) < 100.0, axis=-1)
    )
    is_upright = (state.torso_height > 0.7) & (np.abs(state.torso_pitch) < 0.2)
    return np.where(is_bounded & is_upright, 1.0, 0.0)
