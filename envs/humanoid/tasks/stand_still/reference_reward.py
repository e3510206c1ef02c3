"""A person's reward for standing still: high, upright, slow, with little effort."""

import numpy as np

CONTROL_WEIGHT = 0.1


def compute_reward(state, action, next_state):
    """Pay a high, upright torso, more of it when still and in its place; charge effort."""
    high = tolerance(next_state.torso_height, bounds=(1.3, np.inf), margin=0.3)
    upright = tolerance(next_state.torso_up, bounds=(0.95, 1.0), margin=0.5)
    speed = np.linalg.norm(next_state.com_velocity, axis=-1)
    still = tolerance(speed, bounds=(0.0, 0.1), margin=0.8)
    drift = np.linalg.norm(next_state.com_position[:, :2], axis=-1)
    near = tolerance(drift, bounds=(0.0, 0.3), margin=0.7)
    terms = {
        "standing": high * upright,
        "still": high * upright * still * near,
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
