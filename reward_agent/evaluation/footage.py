"""Which episode is shown to a person, and what is written on its pictures."""

from __future__ import annotations

from reward_agent.evaluation.events import find_events
from reward_agent.evaluation.rollout import Rollout
from reward_agent.evaluation.scoring import rank_episodes
from reward_agent.evaluation.video import Footage
from reward_agent.simulation.card import EnvCard
from reward_agent.types import EpisodeScore, Evaluation

_N_MOMENTS = 7


def make_footage(card: EnvCard, rollout: Rollout, best: Evaluation, caption: str) -> Footage:
    """Return the median episode: the best one would flatter the policy.

    Args:
        card: the environment.
        rollout: of the policy.
        best: the scores of these episodes.
        caption: of the run.
    """
    order = rank_episodes(best)
    index = order[len(order) // 2]
    shown = f"median of {len(order)} episodes"
    return Footage(
        qpos=rollout.qpos[index],
        caption=f"{caption}, {shown}" if caption else shown,
        verdict=_describe(best.episodes[index]),
        moments=_choose_moments(card, rollout, index, best.episodes[index]),
    )


def _describe(score: EpisodeScore) -> str:
    if score.task_score is None:
        return ""
    return f"episode score {score.task_score:.3g}" + (", success" if score.success else "")


def _choose_moments(
    card: EnvCard, rollout: Rollout, index: int, score: EpisodeScore
) -> dict[int, str]:
    """Return the start, the weightiest events, and evenly spaced steps where these are few."""
    episode = rollout.trajectories.episode(index)
    moments = {0: "start"}
    events = find_events(card, episode, rollout.trajectories.ends[index], score.success_step)
    gap = max(1, episode.n_steps // 40)
    for event in sorted(events, key=lambda event: -event.weight):
        if all(abs(event.step - step) >= gap for step in moments):
            moments[event.step] = event.label
    moments = dict(list(moments.items())[:_N_MOMENTS])
    for part in range(1, _N_MOMENTS):
        step = episode.n_steps * part // (_N_MOMENTS - 1)
        if len(moments) < _N_MOMENTS and all(abs(step - other) >= gap for other in moments):
            moments[step] = ""
    return moments
