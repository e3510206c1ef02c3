"""How far the player comes past lava, alive."""

import numpy as np

from reward_agent.types import Score

FAR_ENOUGH = 15.0  # cells


def score(episode):
    """``task_score`` is the share of ``FAR_ENOUGH`` at the furthest; 0 for who dies, even later.

    ``success`` is all of it.

    Standing still is safe and earns nothing.

    Parts: ``furthest`` cells from the start, ``died_in_lava`` 0/1, ``least_lava_distance`` cells,
    ``n_steps``.
    """
    away = np.abs(episode.position).sum(axis=1)
    is_alive = episode.health[-1] > 0
    share = float(np.clip(away.max() / FAR_ENOUGH, 0.0, 1.0)) if is_alive else 0.0
    parts = {
        "furthest": float(away.max()),
        "died_in_lava": float(episode.in_lava[-1]),
        "least_lava_distance": float(episode.lava_distance.min()),
        "n_steps": float(episode.n_steps),
    }
    return Score(share, share >= 1.0, parts)
