import pytest
from support.rewards import make_card


@pytest.fixture(scope="session")
def card():
    return make_card()
