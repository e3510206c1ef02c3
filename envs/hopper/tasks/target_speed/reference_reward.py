"""A person's reward for a steady speed: nearness to it, upright, with little effort."""

import numpy as np

TARGET = 1.0  # m/s
CONTROL_WEIGHT = 1e-3


def compute_reward(state, action, next_state):
    """Pay the asked speed and an upright torso; charge effort."""
    bounds = (TARGET - 0.1, TARGET + 0.1)
    # As wide as the speed is high: standing still must be worse than starting to move.
    near = tolerance(next_state.forward_velocity, bounds=bounds, margin=TARGET)
    upright = np.clip(next_state.torso_up, 0.0, 1.0)
    terms = {
        "speed": near * upright,
        "upright": 0.5 * upright,
        "control": -CONTROL_WEIGHT * np.sum(np.square(action), axis=-1),
    }
    return sum(terms.values()), terms
