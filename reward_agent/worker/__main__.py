"""``python -m reward_agent.worker JOB_DIR``: isolate this process, then do one job."""

import sys
from pathlib import Path

from reward_agent.worker.dispatch import run_worker

if __name__ == "__main__":
    sys.exit(run_worker(Path(sys.argv[1]).resolve()))
