"""Success alone: the goal line is crossed."""

import numpy as np

GOAL = 50.0  # m


def compute_reward(state, action, next_state):
    """Pay 1 for the step that gets to the goal."""
    is_there = next_state.torso_position[:, 0] >= GOAL
    was_there = state.torso_position[:, 0] >= GOAL
    terms = {"goal": np.where(is_there & ~was_there, 1.0, 0.0)}
    return sum(terms.values()), terms
