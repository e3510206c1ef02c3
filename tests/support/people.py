"""What people's rewards are tried on, made once for each environment."""

from __future__ import annotations

import functools
from dataclasses import replace

from reward_agent.definitions.card import load_env
from reward_agent.translation.parity import RecordedSteps
from reward_agent.translation.translate import Ground, find_ground

WHOLE, _FIRST = 2, 8


@functools.cache
def make_ground(env: str) -> Ground:
    """Return random steps: of one simulation all, of others their first alone."""
    ground = find_ground(load_env(env), seed=0)
    return replace(ground, stretches=tuple(_cut(*pair) for pair in enumerate(ground.stretches)))


def _cut(number: int, stretch: RecordedSteps) -> RecordedSteps:
    """Return a stretch without what follows its first steps, unless the episode ends there."""
    is_whole = number == WHOLE or stretch.steps[-1].terminated[0]
    return stretch if is_whole else replace(stretch, steps=stretch.steps[:_FIRST])
