"""Seconds that the pole stays up."""

import numpy as np

from reward_agent.types import Score

MAX_ANGLE = 0.2  # rad
EPISODE_S = 40.0


def score(episode):
    """Time until the pole first leans more than ``MAX_ANGLE``.

    ``task_score`` is in s, at most ``EPISODE_S``; any longer balance counts. ``success`` is the
    whole episode. There is nothing to cheat: only the cart is driven and the pole must stay up.

    Parts: ``largest_angle`` rad, ``mean_angle`` rad (absolute), ``largest_cart_distance`` m from
    the middle of the rail, ``mean_cart_speed`` m/s.
    """
    leaning = np.flatnonzero(np.abs(episode.pole_angle) > MAX_ANGLE)
    # The row of the first lean is one control step after the last upright one.
    n_upright = int(leaning[0]) - 1 if len(leaning) else episode.n_steps
    balanced = max(n_upright, 0) * episode.control_dt
    parts = {
        "largest_angle": np.max(np.abs(episode.pole_angle)),
        "mean_angle": np.mean(np.abs(episode.pole_angle)),
        "largest_cart_distance": np.max(np.abs(episode.cart_position)),
        "mean_cart_speed": np.mean(np.abs(episode.cart_velocity)),
    }
    return Score(balanced, balanced >= EPISODE_S - 1e-9, parts)
