"""Pieces of wood that are cut from trees."""

from reward_agent.types import Score

PIECES = 5


def score(episode):
    """``task_score`` is the pieces cut, ``PIECES`` at most; ``success`` is all of them.

    What is spent again stays counted.

    Parts: ``first_step``, ``last_step`` of the pieces that count, the length of the episode where
    there is none; ``least_tree_distance`` cells, ``health_at_end``.
    """
    cut = episode.collect_wood
    parts = {
        "first_step": float((cut < 1).sum()),
        "last_step": float((cut < PIECES).sum()),
        "least_tree_distance": float(episode.tree_distance.min()),
        "health_at_end": float(episode.health[-1]),
    }
    return Score(float(min(cut[-1], PIECES)), bool(cut[-1] >= PIECES), parts)


def is_decided(state):
    """No more counts: ``(N,)`` where all pieces are cut."""
    return state.collect_wood >= PIECES
