"""How much of the way to the target the fingertip has made when the episode ends."""

import numpy as np

from reward_agent.types import Score

REACHED = 0.02  # m
HOLD_S = 0.2
MIN_START = 0.05  # m; a target drawn next to the fingertip would make the share meaningless


def score(episode):
    """Share of the starting distance that is closed during the last ``HOLD_S``.

    ``task_score`` = 1 - (mean ``target_distance`` of the last ``HOLD_S``) / (that of the start, at
    least ``MIN_START``), clipped at -1: 0 for not moving, 1 for on the target. Only the end counts,
    so sweeping past the target at speed is worth nothing. ``success``: within ``REACHED`` during
    all of the last ``HOLD_S``.

    Parts: ``start_distance``, ``final_distance`` (mean of the last ``HOLD_S``), ``closest`` m,
    ``final_speed`` m/s of the fingertip (mean of the last ``HOLD_S``).
    """
    n_hold = max(round(HOLD_S / episode.control_dt), 1)
    distance = episode.target_distance
    final = distance[-n_hold:]
    moves = np.linalg.norm(np.diff(episode.fingertip_position, axis=0), axis=-1)
    start = max(distance[0], MIN_START)
    parts = {
        "start_distance": distance[0],
        "final_distance": np.mean(final),
        "closest": np.min(distance),
        "final_speed": np.sum(moves[-n_hold:]) / n_hold / episode.control_dt,
    }
    is_held = len(distance) > n_hold and np.max(final) <= REACHED
    return Score(max(1 - np.mean(final) / start, -1.0), is_held, parts)
