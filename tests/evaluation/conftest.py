from collections.abc import Callable

import pytest
from support import toy

from reward_agent.evaluation.metrics import Episode


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    return toy.make_episode
