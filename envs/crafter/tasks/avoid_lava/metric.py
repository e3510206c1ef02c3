"""How far the player comes past lava, alive."""

import numpy as np

from reward_agent.types import Score

FAR_ENOUGH = 15.0  # cells


def score(episode):
    """``task_score`` is the share of ``FAR_ENOUGH`` at the furthest; 0 for who dies on the way.

    ``success`` is all of it; what comes after is another matter. Standing still is safe and earns
    nothing.

    Parts: ``furthest`` cells from the start, ``died`` and ``died_in_lava`` 0/1,
    ``least_lava_distance`` cells, ``n_steps``.
    """
    is_alive = episode.health > 0
    furthest = float(np.where(is_alive, np.abs(episode.position).sum(axis=1), 0.0).max())
    is_success = furthest >= FAR_ENOUGH
    parts = {
        "furthest": furthest,
        "died": 1.0 - float(is_alive[-1]),
        "died_in_lava": float(episode.in_lava[-1]),
        "least_lava_distance": float(episode.lava_distance.min()),
        "n_steps": float(episode.n_steps),
    }
    share = furthest / FAR_ENOUGH if is_alive[-1] else 0.0
    return Score(1.0 if is_success else share, is_success, parts)


def is_decided(state):
    """Who is away is away: ``(N,)`` where it is far enough."""
    return (np.abs(state.position).sum(axis=1) >= FAR_ENOUGH) & (state.health > 0)
