from collections.abc import Callable

import pytest
from support import toy

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode


@pytest.fixture
def toy_card() -> EnvCard:
    return toy.make_card()


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    return toy.make_episode
