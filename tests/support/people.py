"""What people's rewards are tried on, made once for each environment."""

from __future__ import annotations

import functools

from reward_agent.definitions.card import load_env
from reward_agent.translation.translate import Ground, find_ground


@functools.cache
def make_ground(env: str) -> Ground:
    return find_ground(load_env(env), seed=0)
