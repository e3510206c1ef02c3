"""Metres that the walker gets in one direction."""

import numpy as np

from reward_agent.types import Score

DIRECTION = 1.0  # of x_position: 1 forward, -1 backward
MIN_DISTANCE = 5.0  # m
MIN_STEPS = 4  # touch-downs of each foot
MIN_SWING_S = 0.04  # shorter losses of contact are chatter


def score(episode):
    """Distance in the asked direction over the whole episode.

    ``task_score`` is the change of ``x_position`` in that direction, in m, paid as it comes. The
    card ends the episode at a fall, so a dive is worth at most a body length. ``success`` asks for
    ``MIN_DISTANCE``, no fall, and ``MIN_STEPS`` steps of each foot: hopping on one leg while the
    other is dragged or held up is not running on both.

    Parts: ``distance`` m, ``mean_speed`` m/s, ``steps_right`` and ``steps_left`` (touch-downs after
    at least ``MIN_SWING_S`` off the floor), ``duration`` s, ``fell`` 0/1.
    """
    distance = float(DIRECTION * (episode.x_position[-1] - episode.x_position[0]))
    steps_right = count_steps(episode.right_foot_floor_contact, episode.control_dt)
    steps_left = count_steps(episode.left_foot_floor_contact, episode.control_dt)
    duration = episode.n_steps * episode.control_dt
    parts = {
        "distance": distance,
        "mean_speed": distance / max(duration, episode.control_dt),
        "steps_right": steps_right,
        "steps_left": steps_left,
        "duration": duration,
        "fell": float(episode.terminated),
    }
    is_on_both_legs = min(steps_right, steps_left) >= MIN_STEPS
    success = distance >= MIN_DISTANCE and is_on_both_legs and not episode.terminated
    return Score(distance, success, parts)


def count_steps(contact, control_dt):
    """Count the touch-downs of a foot that was off the floor for at least MIN_SWING_S."""
    rows = np.flatnonzero(contact > 0.5)
    n_off = np.diff(rows) - 1
    return int(np.sum(n_off * control_dt >= MIN_SWING_S - 1e-9))
