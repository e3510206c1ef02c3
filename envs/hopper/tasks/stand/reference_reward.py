"""A person's reward for standing: high, upright and still."""

import numpy as np

HEIGHT = 1.2  # m
CONTROL_WEIGHT = 1e-3


def compute_reward(state, action, next_state):
    """Pay a high, upright torso, more of it when still and in its place; charge effort."""
    high = tolerance(next_state.torso_height, bounds=(HEIGHT, np.inf), margin=0.2)
    upright = tolerance(next_state.torso_pitch, bounds=(-0.05, 0.05), margin=0.2)
    speed = np.linalg.norm(next_state.com_velocity, axis=-1)
    still = tolerance(speed, bounds=(0.0, 0.05), margin=0.5)
    near = tolerance(next_state.com_position[:, 0], bounds=(-0.1, 0.1), margin=0.5)
    terms = {
        "standing": high * upright,
        "still": high * upright * still * near,
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
