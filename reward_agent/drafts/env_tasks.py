"""Tasks of an environment: its own verdict, what its fields allow, and its own return."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reward_agent.definitions.tables import make_plain
from reward_agent.drafts.env_fields import EnvFields
from reward_agent.drafts.survey import Survey
from reward_agent.drafts.tasks import DraftTask

_WALK, _G = 0.5, 9.81  # of the speed with Froude number 1, as for a robot's model
_SUCCESS = '''\
"""Whether the environment itself counts the task as done."""

from reward_agent.types import Score


def score(episode):
    """1 if the environment says so at any step, else 0.

    Parts: ``own_return``, the sum of its own reward; ``success_share`` of the steps;
    ``success_at_end`` 0/1.
    """
    done = episode.{success}[1:] > 0.5
    parts = {{
        "own_return": float(episode.own_reward[1:].sum()),
        "success_share": float(done.mean()) if len(done) else 0.0,
        "success_at_end": float(done[-1]) if len(done) else 0.0,
    }}
    return Score(float(done.any()), bool(done.any()), parts)
'''
_RETURN = '''\
"""The environment's own return."""

from reward_agent.types import Score

TARGET = {target!r}  # {who}


def score(episode):
    """The sum of the environment's own reward over the episode.

    Parts: ``steps`` of the episode; ``ended`` 1 where the environment ended it.
    """
    total = float(episode.own_reward[1:].sum())
    parts = {{"steps": float(episode.n_steps), "ended": float(episode.terminated)}}
    return Score(total, {success}, parts)
'''


def list_env_tasks(
    made: EnvFields, goal: str, survey: Survey, max_episode_steps: int
) -> list[DraftTask]:
    """Return the tasks of an environment, the one to try first in front."""
    own = [_make_success(made, goal)] if made.success else []
    told = list(_list_told(made, survey, max_episode_steps))
    return [*own, *told, _make_return(goal, survey)]


def _make_success(made: EnvFields, goal: str) -> DraftTask:
    return DraftTask(
        "own_success",
        _say(goal, "Do what the environment counts as success."),
        "1 if the environment itself says at any step that the task is done, else 0. This is its "
        "own verdict, not a metric of ours.",
        _SUCCESS.format(success=made.success),
        1.0,
        "share",
    )


def _make_return(goal: str, survey: Survey) -> DraftTask:
    target = survey.threshold if survey.threshold else None
    who = "by Gymnasium's registry" if target is not None else "nobody says what is enough"
    asked = (
        f"Success: at least {target:g}, by Gymnasium's registry"
        if target is not None
        else "Nobody says which return is enough: no episode is called a success"
    )
    returns = survey.watched.returns
    usual = f"{np.median(returns):.3g}" if returns else "nothing"
    return DraftTask(
        "own_return",
        _say(goal, "Earn as much of the environment's own reward as can be."),
        "The sum of the environment's own reward over the episode: what it pays itself, not a "
        f"metric of ours. Random actions earn about {usual} in up to 300 steps. {asked}.",
        _RETURN.format(target=target, who=who, success="total >= TARGET" if target else "False"),
        target,
        "return",
    )


def _say(goal: str, otherwise: str) -> str:
    return make_plain(goal, 400) or otherwise


def _list_told(made: EnvFields, survey: Survey, max_episode_steps: int) -> Iterator[DraftTask]:
    """Yield what the fields' roles allow, as for a robot's model."""
    seconds = max_episode_steps * survey.dt
    place, near = made.find("object_target_distance"), made.find("target_distance")
    if place is not None:
        yield _make_near("place", "Bring the object to the target.", place.name, "place", seconds)
    elif near is not None:
        yield _make_near("reach", "Reach the target and stay there.", near.name, "reach", seconds)
    if made.find("up") is not None and made.find("pole_angle") is not None:
        yield DraftTask(
            "balance",
            "Keep the pole upright.",
            f"Seconds, of {seconds:g} s, in which pole_up is near 1: full credit above 0.95, none "
            "below 0.9. Success: full credit for 3 s without a break.",
            'score = keep_height("pole_up", at=1.0, within=0.05, seconds=3.0)',
            _round(0.8 * seconds),
        )
    going = made.find("forward_velocity")
    height = made.find("height")
    if going is not None and made.find("pole_angle") is None and not _is_cart(going.name):
        above = float(np.mean(height.bounds)) if height and height.bounds else 0.5
        speed = _round(_WALK * float(np.sqrt(_G * max(above, 0.1))))
        guard = f', height="{height.name}"' if height is not None else ""
        yield DraftTask(
            "go_forward",
            f"Move forward at {speed:g} m/s.",
            f"Seconds, of {seconds:g} s, in which {going.name}, averaged over the last second, is "
            f"near {speed:g} m/s: full credit within a quarter of it, none at a difference as "
            "large as it. Success: full credit for 3 s without a break, and no fall.",
            f'score = travel("{going.name}", speed={speed:g}{guard})',
            _round(0.6 * seconds),
        )


def _is_cart(name: str) -> bool:
    return name.startswith("cart")


def _make_near(name: str, what: str, field: str, metric: str, seconds: float) -> DraftTask:
    within = 0.05
    return DraftTask(
        name,
        what,
        f"Seconds, of {seconds:g} s, in which {field}, at its worst of 0.5 s, is small: full "
        f"credit within {within:g} m, none at the distance at the start. Success: full credit for "
        "0.5 s without a break.",
        f'score = {metric}("{field}", within={within:g})',
        _round(0.5 * seconds),
    )


def _round(value: float) -> float:
    return float(f"{value:.2g}")
