"""What Gymnasium's own environments pay, written with a card's fields: a wrapper's inner reward.

Source: ``gymnasium/envs/mujoco/*_v5.py``, ``_get_rew``; defaults of their constructors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reward_agent.definitions.card import EnvCard


@dataclass(frozen=True)
class InnerReward:
    """Weights of Gymnasium's reward: of speed, of not having terminated, of squared actions.

    Args:
        forward: of the velocity along x.
        healthy: of each step that does not terminate.
        control: of the sum of squared actions.
        distance: of the distance between fingertip and target.
        contact: of contact forces, which no card has.
    """

    forward: float = 0.0
    healthy: float = 0.0
    control: float = 0.0
    distance: float = 0.0
    contact: float = 0.0


_KNOWN = {
    "Ant": InnerReward(1.0, 1.0, 0.5, contact=5e-4),
    "HalfCheetah": InnerReward(1.0, 0.0, 0.1),
    "Hopper": InnerReward(1.0, 1.0, 1e-3),
    "Humanoid": InnerReward(1.25, 5.0, 0.1, contact=5e-7),
    "InvertedPendulum": InnerReward(0.0, 1.0),
    "Reacher": InnerReward(control=1.0, distance=1.0),
    "Swimmer": InnerReward(1.0, 0.0, 1e-4),
    "Walker2d": InnerReward(1.0, 1.0, 1e-3),
}
_OPTIONS = {
    "forward_reward_weight": "forward",
    "healthy_reward": "healthy",
    "ctrl_cost_weight": "control",
    "reward_control_weight": "control",
    "reward_dist_weight": "distance",
    "contact_cost_weight": "contact",
}


def find_inner(card: EnvCard) -> InnerReward | None:
    """Return the weights of the reward that comes with a card's environment, if it is known."""
    name, _, version = (card.gymnasium_id or "").partition("-v")
    known = _KNOWN.get(name) if version == "5" else None
    if known is None:
        return None
    given: Mapping[str, Any] = card.gymnasium_kwargs
    changed = {_OPTIONS[key]: value for key, value in given.items() if key in _OPTIONS}
    return InnerReward(**{**vars(known), **changed})
