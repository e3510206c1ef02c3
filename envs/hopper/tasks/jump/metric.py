"""Metres of the hopper's best jump."""

import numpy as np

from reward_agent.types import Score

MIN_HEIGHT = 0.3  # m
STAY_S = 0.5  # s after the landing without a fall
UNLANDED_CREDIT = 0.5


def score(episode):
    """Height of the best jump, in m.

    A *jump* is a flight that begins with the foot on the floor; its height is the largest
    ``lowest_point`` in it, so that pulling the foot up counts and stretching the torso does not.
    ``task_score`` is that of the best one, times ``UNLANDED_CREDIT`` if the flight does not end on
    the foot: any lift off is worth something, a leap into a fall half. ``success``: ``MIN_HEIGHT``,
    landed, and the episode goes on for ``STAY_S`` after it.

    Parts: ``height`` m and ``landed`` 0/1 of the best jump; ``stayed`` s after its landing;
    ``jumps``; ``duration`` s; ``fell`` 0/1.
    """
    rows = np.flatnonzero(episode.foot_floor_contact > 0.5)
    ends = np.append(rows, len(episode.lowest_point))[1:]
    flights = [(a, b) for a, b in zip(rows, ends, strict=True) if b > a + 1]
    judged = [judge_flight(episode, start, end) for start, end in flights]
    nothing = {"height": 0.0, "landed": 0.0, "stayed": 0.0}
    best = max(judged, key=add_up, default=nothing)
    is_success = best["height"] >= MIN_HEIGHT and best["stayed"] >= STAY_S - 1e-9
    parts = {
        **best,
        "jumps": float(len(flights)),
        "duration": episode.n_steps * episode.control_dt,
        "fell": float(episode.terminated),
    }
    return Score(add_up(best), is_success, parts)


def judge_flight(episode, start, end):
    """Return the parts of the flight between two rows on the floor."""
    is_landed = end < len(episode.lowest_point)
    after = (len(episode.lowest_point) - 1 - end) * episode.control_dt
    return {
        "height": float(max(np.max(episode.lowest_point[start : end + 1]), 0.0)),
        "landed": float(is_landed),
        "stayed": after if is_landed else 0.0,
    }


def add_up(parts):
    """Return the score of one jump, in m."""
    return parts["height"] * (1.0 if parts["landed"] else UNLANDED_CREDIT)
