"""Which episode is shown to a person, and what is written on its pictures."""

from __future__ import annotations

from reward_agent.evaluation.artist import Footage
from reward_agent.evaluation.events import find_events
from reward_agent.evaluation.rollout import Rollout
from reward_agent.evaluation.scoring import rank_episodes
from reward_agent.simulation.card import EnvCard
from reward_agent.types import EpisodeScore, Evaluation

_N_MOMENTS = 7


def make_footages(
    card: EnvCard, rollout: Rollout, best: Evaluation, caption: str, n_episodes: int = 1
) -> list[Footage]:
    """Return the median episode, for the best one would flatter the policy; then others.

    Args:
        card: the environment.
        rollout: of the policy.
        best: the scores of these episodes.
        caption: of the run; its first line is completed by which episode it is.
        n_episodes: how many, as far as there are: median, best, worst, upper quartile.
    """
    order = rank_episodes(best)
    places = {
        "median": len(order) // 2,
        "best": 0,
        "worst": len(order) - 1,
        "upper quartile": len(order) // 4,
    }
    chosen = {order[place]: name for name, place in reversed(places.items())}
    names = {name: index for index, name in chosen.items()}
    first, _, rest = caption.partition("\n")
    footages = []
    for name in [name for name in places if name in names][:n_episodes]:
        index = names[name]
        shown = f"{name} of {len(order)} episodes"
        title = f"{first}, {shown}" if first else shown
        footages.append(
            Footage(
                qpos=rollout.qpos[index],
                action=rollout.trajectories.episode(index).action,
                seed=best.seed + index,
                caption=f"{title}\n{rest}" if rest else title,
                verdict=_describe(best.episodes[index]),
                moments=_choose_moments(card, rollout, index, best.episodes[index]),
            )
        )
    return footages


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
