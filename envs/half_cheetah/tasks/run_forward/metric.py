"""Metres that the half cheetah gets in one direction, the right way up."""

import numpy as np

from reward_agent.types import Score

DIRECTION = 1.0  # of x_position: 1 forward, -1 backward
MIN_DISTANCE = 100.0  # m
MAX_INVERTED_SHARE = 0.01
MAX_BODY_SHARE = 0.05


def score(episode):
    """Distance in the asked direction over the whole episode, the right way up.

    ``task_score`` is the change of ``x_position`` in that direction, in m, without what was gained
    while the torso was inverted (``torso_up`` below 0): this robot is known to learn to slide on
    its back, which is no running. ``success`` asks for ``MIN_DISTANCE`` and for torso and head off
    the floor.

    Parts: ``distance`` m, right way up or not; ``mean_speed`` m/s of that; ``inverted_share`` and
    ``body_on_floor_share`` (torso or head) of the time, 0..1.
    """
    gains = DIRECTION * np.diff(episode.x_position)
    inverted = episode.torso_up < 0
    distance = float(np.sum(gains))
    upright_distance = min(distance, float(np.sum(gains[~inverted[1:]])))
    body_on_floor = (episode.torso_floor_contact > 0.5) | (episode.head_floor_contact > 0.5)
    parts = {
        "distance": distance,
        "mean_speed": distance / (max(episode.n_steps, 1) * episode.control_dt),
        "inverted_share": np.mean(inverted),
        "body_on_floor_share": np.mean(body_on_floor),
    }
    success = (
        upright_distance >= MIN_DISTANCE
        and parts["inverted_share"] <= MAX_INVERTED_SHARE
        and parts["body_on_floor_share"] <= MAX_BODY_SHARE
    )
    return Score(upright_distance, success, parts)
