"""A diamond is dug."""

from reward_agent.types import Score

FAR = 8.0  # cells: none is in view
UNDONE_SHARE = 0.5  # of the score, for a diamond beside the player


def score(episode):
    """``task_score`` is 1 with success; else by the nearest that a diamond was.

    Parts: ``least_diamond_distance`` cells, ``first_in_view``, ``first_dug`` steps (the length of
    the episode where it never was), ``cells_seen``, ``died_in_lava`` 0/1.
    """
    dug = episode.collect_diamond > 0
    is_seen = episode.diamond_distance < FAR
    is_success = bool(dug.any())
    nearest = float(episode.diamond_distance.min())
    parts = {
        "least_diamond_distance": nearest,
        "first_in_view": float(is_seen.argmax() if is_seen.any() else episode.n_steps),
        "first_dug": float(dug.argmax() if is_success else episode.n_steps),
        "cells_seen": float(episode.cells_seen[-1]),
        "died_in_lava": float(episode.in_lava[-1]),
    }
    undone = UNDONE_SHARE * (FAR - nearest) / (FAR - 1.0)
    return Score(1.0 if is_success else undone, is_success, parts)


def is_decided(state):
    """One is enough: ``(N,)`` where it is dug."""
    return state.collect_diamond > 0
