"""Seconds that the robot stands still."""

import numpy as np

from reward_agent.types import Score

MIN_HEIGHT = 1.1  # m, torso centre; 1.25 standing straight
MAX_PITCH = 0.2  # rad
ON_FLOOR = 0.01  # m, lowest point
FULL_SPEED, NO_SPEED = 0.1, 0.5  # m/s of the centre of mass: full credit up to, none from
FULL_DRIFT, NO_DRIFT = 0.2, 1.0  # m from where it began
SUCCESS_S = 7.0


def score(episode):
    """Time spent standing, weighted by how still, in s.

    An instant counts when the torso is high and upright and the robot touches the floor, weighted
    by stillness: 1 up to the full speed and drift, falling linearly to 0 at the others.
    ``task_score`` is the sum. Hopping, wandering off, crouching and sitting lose it; a slow fall
    earns the moment that it takes. ``success``: ``SUCCESS_S`` and no early end.

    Parts: ``standing`` s, still or not; ``mean_speed`` m/s and ``drift`` m (at the end) of the
    centre of mass; ``duration`` s; ``fell`` 0/1.
    """
    is_high = episode.torso_height > MIN_HEIGHT
    is_upright = np.abs(episode.torso_pitch) <= MAX_PITCH
    standing = (is_high & is_upright & (episode.lowest_point <= ON_FLOOR))[1:]
    speed = np.linalg.norm(episode.com_velocity, axis=-1)
    drift = np.abs(episode.com_position[:, 0] - episode.com_position[0, 0])
    still = grade(speed, FULL_SPEED, NO_SPEED) * grade(drift, FULL_DRIFT, NO_DRIFT)
    seconds = float(np.sum(standing * still[1:])) * episode.control_dt
    parts = {
        "standing": np.sum(standing) * episode.control_dt,
        "mean_speed": np.mean(speed),
        "drift": drift[-1],
        "duration": episode.n_steps * episode.control_dt,
        "fell": float(episode.terminated),
    }
    return Score(seconds, seconds >= SUCCESS_S and not episode.terminated, parts)


def grade(values, full, none):
    """Return 1 up to the first limit, falling linearly to 0 at the second."""
    return np.clip((none - values) / (none - full), 0.0, 1.0)
