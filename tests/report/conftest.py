from pathlib import Path

import pytest
from support.reports import write_run


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path / "2026-11-23T04-00-00Z_hopper_hop-forward")
