"""The server of warm children: what it imports, and when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reward_agent.sandbox.environment import make_child_environment

SHORT_JOBS = """
import sys
from reward_agent.worker import server
server.preload()
assert "reward_agent.worker.train" in sys.modules
assert "torch" not in sys.modules, "a probe would wait for torch"
if sys.platform == "linux":
    assert server._count_threads() == 1
"""


def test_no_job_waits_for_torch(tmp_path: Path) -> None:
    environment = make_child_environment(tmp_path, renders=False)
    command = [sys.executable, "-c", SHORT_JOBS]
    subprocess.run(command, check=True, timeout=120, env=environment)
