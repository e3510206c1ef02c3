"""Steps that the pole stays up."""

from reward_agent.types import Score


def score(episode):
    """Return the steps until the episode ended; ``success`` is all of them.

    Parts: ``own_return``, the sum of Gymnasium's own reward.
    """
    parts = {"own_return": float(episode.own_reward[1:].sum())}
    return Score(float(episode.n_steps), episode.n_steps >= 500, parts)
