"""Success alone: flat, level and quiet."""

import numpy as np

HEIGHT = 0.42  # m
LEVEL = 0.95  # torso_up
SPEED = 0.1  # m/s
JOINT_SPEED = 0.5  # rad/s, root mean square


def compute_reward(state, action, next_state):
    """Pay every step within all the limits."""
    speed = np.linalg.norm(next_state.torso_velocity, axis=-1)
    joint_speed = np.sqrt(np.mean(np.square(next_state.joint_velocities), axis=-1))
    is_flat = (next_state.torso_height <= HEIGHT) & (next_state.torso_up >= LEVEL)
    is_quiet = (speed <= SPEED) & (joint_speed <= JOINT_SPEED)
    terms = {"lying": np.where(is_flat & is_quiet, 1.0, 0.0)}
    return sum(terms.values()), terms
