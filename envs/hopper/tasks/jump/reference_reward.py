"""A person's reward for a high jump: height of flight, upright all the time."""

import numpy as np

CONTROL_WEIGHT = 1e-3


def compute_reward(state, action, next_state):
    """Pay height in the air and speed up; pay an upright torso; charge effort."""
    upright = tolerance(next_state.torso_pitch, bounds=(-0.05, 0.05), margin=0.2)
    flight = np.clip(next_state.lowest_point, 0.0, 1.0)
    terms = {
        "upright": 0.5 * upright,
        "flight": 10.0 * flight * upright,
        "push": 0.2 * np.clip(next_state.vertical_velocity, 0.0, 4.0),
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
