"""Success alone: poised on three legs, the fourth swinging."""

import numpy as np

FOOT_UP = 0.15  # m
LEVEL = 0.9  # torso_up
SWING_SPEED = 1.0  # rad/s of the hip of the leg in the air


def compute_reward(state, action, next_state):
    """Pay every step with the front left leg up and moving, the other feet on the floor."""
    others = np.stack(
        [
            next_state.back_left_foot_floor_contact,
            next_state.back_right_foot_floor_contact,
            next_state.front_right_foot_floor_contact,
        ]
    )
    is_carried = np.min(others, axis=0) > 0.5
    is_up = (next_state.front_left_foot_height >= FOOT_UP) & (next_state.torso_up >= LEVEL)
    is_swinging = np.abs(next_state.joint_velocities[:, 0]) >= SWING_SPEED
    terms = {"waving": np.where(is_carried & is_up & is_swinging, 1.0, 0.0)}
    return sum(terms.values()), terms
