"""A cow is found."""

from reward_agent.types import Score

FAR = 8.0  # cells: none is in view
UNDONE_SHARE = 0.5  # of the score, for a cow beside the player that it does not face


def score(episode):
    """``task_score`` is 1 with success, a cow that is faced; else by the nearest that one was.

    Where an episode begins counts, too: some begin in view of a cow.

    Parts: ``least_cow_distance`` cells, ``first_in_view``, ``first_faced`` steps (the length of
    the episode where it never was), ``cells_seen``, ``health_at_end``.
    """
    faced = episode.faces_cow[1:] > 0.5
    is_success = bool(faced.any())
    nearest = float(episode.cow_distance.min())
    is_seen = episode.cow_distance < FAR
    parts = {
        "least_cow_distance": nearest,
        "first_in_view": float(is_seen.argmax() if is_seen.any() else episode.n_steps),
        "first_faced": float(faced.argmax() + 1 if is_success else episode.n_steps),
        "cells_seen": float(episode.cells_seen[-1]),
        "health_at_end": float(episode.health[-1]),
    }
    undone = UNDONE_SHARE * (FAR - nearest) / (FAR - 1.0)
    return Score(1.0 if is_success else undone, is_success, parts)


def is_decided(state):
    """A cow that was faced is found: ``(N,)`` where one is."""
    return state.faces_cow > 0.5
