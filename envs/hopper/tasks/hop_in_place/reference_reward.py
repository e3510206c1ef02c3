"""A person's reward for hopping on the spot: flight, upright, in its place."""

import numpy as np

CONTROL_WEIGHT = 1e-3


def compute_reward(state, action, next_state):
    """Pay speed up and down, height of flight and an upright torso near the start."""
    upright = tolerance(next_state.torso_pitch, bounds=(-0.05, 0.05), margin=0.2)
    near = tolerance(next_state.x_position, bounds=(-0.1, 0.1), margin=0.5)
    slow = tolerance(next_state.forward_velocity, bounds=(-0.1, 0.1), margin=1.0)
    bounce = np.clip(np.abs(next_state.vertical_velocity), 0.0, 2.0)
    flight = np.clip(next_state.lowest_point, 0.0, 0.2)
    terms = {
        "upright": 0.3 * upright,
        "bounce": 0.5 * bounce * near * slow,
        "flight": 5.0 * flight * near,
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
