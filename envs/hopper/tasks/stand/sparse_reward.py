"""Success alone: high, upright and still."""

import numpy as np

MIN_HEIGHT = 1.1  # m
MAX_PITCH = 0.2  # rad
MAX_SPEED = 0.1  # m/s


def compute_reward(state, action, next_state):
    """Pay every step within all the limits."""
    speed = np.linalg.norm(next_state.com_velocity, axis=-1)
    is_upright = np.abs(next_state.torso_pitch) <= MAX_PITCH
    is_standing = (next_state.torso_height > MIN_HEIGHT) & is_upright & (speed <= MAX_SPEED)
    terms = {"standing": np.where(is_standing, 1.0, 0.0)}
    return sum(terms.values()), terms
