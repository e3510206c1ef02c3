"""Seconds that the robot goes at the asked speed."""

import numpy as np

from reward_agent.types import Score

TARGET = 1.0  # m/s, forward
FULL = 0.2  # m/s from the target: full credit up to here
NONE = 0.8  # m/s from the target: none from here
WINDOW_S = 1.0  # over which speed is measured: a gait's own swing is no fault
SUCCESS_S = 6.0


def score(episode):
    """Time at the asked speed, weighted by how near, in s.

    The speed of an instant is the change of ``x_position`` over the last ``WINDOW_S``, divided by
    it; its credit is 1 within ``FULL`` of ``TARGET`` and falls linearly to 0 at ``NONE``, and is 0
    while the torso is inverted. ``task_score`` is the sum of it. Standing still is off by the
    whole target, a dash or a dive is over before a window is full, and what is too fast earns no
    more than what is too slow. ``success``: ``SUCCESS_S`` and no early end.

    Parts: ``mean_speed`` m/s; ``on_speed`` s within ``FULL``; ``inverted_share`` of the time;
    ``duration`` s; ``fell`` 0/1.
    """
    n_window = round(WINDOW_S / episode.control_dt)
    x = episode.x_position
    speed = (x[n_window:] - x[:-n_window]) / WINDOW_S
    error = np.abs(speed - TARGET)
    is_upright = episode.torso_up[n_window:] > 0
    credit = np.clip((NONE - error) / (NONE - FULL), 0.0, 1.0) * is_upright
    seconds = float(np.sum(credit)) * episode.control_dt
    duration = episode.n_steps * episode.control_dt
    parts = {
        "mean_speed": (x[-1] - x[0]) / max(duration, episode.control_dt),
        "on_speed": np.sum((error <= FULL) & is_upright) * episode.control_dt,
        "inverted_share": np.mean(episode.torso_up < 0),
        "duration": duration,
        "fell": float(episode.terminated),
    }
    return Score(seconds, seconds >= SUCCESS_S and not episode.terminated, parts)
