"""Seconds that the humanoid stands still."""

import numpy as np

from reward_agent.types import Score

MIN_HEIGHT = 1.2  # m, torso centre
MIN_UP = 0.9  # cosine of the tilt
SPEED = (0.2, 1.0)  # m/s of the centre of mass: full credit, none
DRIFT = (0.3, 1.0)  # m in the plane from where it began
SUCCESS_S = 14.0

OTHER_PARTS = (
    "right_shin",
    "right_thigh",
    "left_shin",
    "left_thigh",
    "pelvis",
    "right_upper_arm",
    "right_forearm",
    "left_upper_arm",
    "left_forearm",
    "torso",
)


def score(episode):
    """Time spent standing, weighted by how still, in s.

    An instant counts when the torso is high and upright and nothing but the feet touches the
    floor, weighted by stillness: 1 up to the first number of ``SPEED`` and ``DRIFT``, falling
    linearly to 0 at the second; ``task_score`` is the sum. Walking about, drifting away, sitting
    and kneeling lose it; a slow fall earns the second or so that it takes. ``success``:
    ``SUCCESS_S`` and no fall.

    Parts: ``standing`` s, still or not; ``mean_speed`` m/s and ``drift`` m (at the end) of the
    centre of mass; ``duration`` s; ``fell`` 0/1.
    """
    contacts = np.stack([episode.fields[f"{part}_floor_contact"] for part in OTHER_PARTS])
    on_feet = np.max(contacts, axis=0) < 0.5
    upright = (episode.torso_height > MIN_HEIGHT) & (episode.torso_up >= MIN_UP)
    standing = (on_feet & upright)[1:]
    speed = np.linalg.norm(episode.com_velocity, axis=-1)
    offset = episode.com_position[:, :2] - episode.com_position[0, :2]
    drift = np.linalg.norm(offset, axis=-1)
    stillness = (grade(speed, SPEED) * grade(drift, DRIFT))[1:]
    seconds = np.sum(standing * stillness) * episode.control_dt
    parts = {
        "standing": np.sum(standing) * episode.control_dt,
        "mean_speed": np.mean(speed),
        "drift": drift[-1],
        "duration": episode.n_steps * episode.control_dt,
        "fell": float(episode.terminated),
    }
    return Score(seconds, seconds >= SUCCESS_S and not episode.terminated, parts)


def grade(values, limits):
    """Return 1 up to the first limit, falling linearly to 0 at the second."""
    full, none = limits
    return np.clip((values - none) / (full - none), 0.0, 1.0)
