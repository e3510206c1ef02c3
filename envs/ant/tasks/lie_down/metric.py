"""Lies the ant flat, belly down and quiet, and does it stay so?"""

import numpy as np

from reward_agent.types import Score

JUDGED_S = 5.0  # the last seconds of the episode

# (limit for lying, where the credit ends)
HEIGHT = (0.42, 0.55)  # m; spread flat at the ankles' limits the torso is at 0.38 m
LEVEL = (0.95, 0.8)  # cosine of the tilt
SPEED = (0.1, 0.5)  # m/s of the torso
JOINT_SPEED = (0.5, 2.0)  # rad/s, root mean square of the eight joints


def score(episode):
    """Mean over the last ``JUDGED_S`` of low times level times quiet, 0 to 1.

    This robot cannot put its belly on the floor: its ankles point at least 30 degrees down, so
    that right way up the torso's centre stays above 0.38 m. Lying down therefore means spread
    flat, which powered legs reach and limp ones sag to.

    ``task_score`` is a share of the judged time: low, level and quiet are 1 within the limits
    above and fall linearly to 0 at their second number; their product is the credit of an instant.
    On its back (lower still) level is 0; passing through the posture, wriggling in it or running
    flat is not quiet; going down after half the time loses its share. ``success``: within all four
    limits at every instant judged.

    Parts, means over the judged time: ``height`` m, ``torso_up``, ``speed`` m/s, ``joint_speed``
    rad/s; ``lying_share`` of it within all limits; ``flipped`` 0/1 when upside down at the end.
    """
    n_judged = max(round(JUDGED_S / episode.control_dt), 1)
    last = slice(-n_judged, None)
    height = episode.torso_height[last]
    up = episode.torso_up[last]
    speed = np.linalg.norm(episode.torso_velocity[last], axis=-1)
    joint_speed = np.sqrt(np.mean(np.square(episode.joint_velocities[last]), axis=-1))

    quiet = grade(speed, SPEED) * grade(joint_speed, JOINT_SPEED)
    credit = grade(height, HEIGHT) * grade(up, LEVEL) * quiet
    lying = credit >= 1.0
    parts = {
        "height": np.mean(height),
        "torso_up": np.mean(up),
        "speed": np.mean(speed),
        "joint_speed": np.mean(joint_speed),
        "lying_share": np.mean(lying),
        "flipped": float(up[-1] < 0),
    }
    # A shorter episode has not stayed: its missing instants count as zero.
    return Score(np.sum(credit) / n_judged, int(np.sum(lying)) == n_judged, parts)


def grade(values, limits):
    """Return 1 up to the first limit, falling linearly to 0 at the second."""
    full, none = limits
    return np.clip((values - none) / (full - none), 0.0, 1.0)
