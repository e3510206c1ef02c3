"""Success alone: high, upright and still."""

import numpy as np

MIN_HEIGHT = 1.2  # m
MIN_UP = 0.9  # cosine of the tilt
MAX_SPEED = 0.2  # m/s


def compute_reward(state, action, next_state):
    """Pay every step within all the limits."""
    speed = np.linalg.norm(next_state.com_velocity, axis=-1)
    is_upright = (next_state.torso_height > MIN_HEIGHT) & (next_state.torso_up >= MIN_UP)
    terms = {"standing": np.where(is_upright & (speed <= MAX_SPEED), 1.0, 0.0)}
    return sum(terms.values()), terms
