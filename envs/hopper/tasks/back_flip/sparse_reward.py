"""Success alone: standing on the foot after a full turn."""

import numpy as np

DIRECTION = -1.0  # sign of torso_pitch in this flip
STANDING = 30 / 360  # turns from upright


def compute_reward(state, action, next_state):
    """Pay every step on the foot, upright, one turn further."""
    turn = DIRECTION * next_state.torso_pitch / (2 * np.pi)
    is_standing = (np.abs(turn - 1.0) <= STANDING) & (next_state.foot_floor_contact > 0.5)
    terms = {"landed": np.where(is_standing, 1.0, 0.0)}
    return sum(terms.values()), terms
