import functools

import pytest
from support.hostile import run_hostile_job


@pytest.fixture
def run_hostile(tmp_path):
    return functools.partial(run_hostile_job, tmp_path / "job")
