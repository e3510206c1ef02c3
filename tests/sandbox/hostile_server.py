"""A server of warm children that runs hostile jobs: what it has imported, an attack inherits."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from hostile_worker import run_hostile_worker

from reward_agent.worker import server

if __name__ == "__main__":
    server.run_worker = run_hostile_worker
    sys.exit(server.run_server())
