"""MetaWorld's own verdict on an episode, the same for each of its tasks."""

import numpy as np

from reward_agent.types import Score

FULL_REWARD = 10.0  # what MetaWorld's dense reward pays in a step when the task is done
UNDONE_SHARE = 0.9  # of the score, for the best that was done without success


def score(episode):
    """Success at any step, as MetaWorld counts it.

    ``task_score`` is 1 with success; without, ``UNDONE_SHARE`` of the highest dense reward of a
    step, as a share of ``FULL_REWARD``: how far the best moment was, by MetaWorld's own measure.

    Parts: ``best_reward`` and ``mean_reward`` of a step, of the environment's own reward;
    ``success_time`` s until the first success (the whole episode without one), ``success_share``
    of the steps that count as done, ``success_at_end`` 0/1.
    """
    done = episode.success[1:] > 0.5
    paid = episode.own_reward[1:]
    is_success = bool(done.any())
    first = int(done.argmax()) + 1 if is_success else episode.n_steps
    best = float(paid.max()) if len(paid) else 0.0
    parts = {
        "best_reward": best,
        "mean_reward": float(paid.mean()) if len(paid) else 0.0,
        "success_time": first * episode.control_dt,
        "success_share": float(done.mean()) if len(done) else 0.0,
        "success_at_end": float(done[-1]) if len(done) else 0.0,
    }
    undone = UNDONE_SHARE * float(np.clip(best / FULL_REWARD, 0.0, 1.0))
    return Score(1.0 if is_success else undone, is_success, parts)
