"""``python -m reward_agent.worker JOB_DIR``: isolate this process, then do one job."""

import gc
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    gc.disable()  # until all is imported: that makes no garbage to look for
    from reward_agent.worker.dispatch import run_worker

    code = run_worker(Path(sys.argv[1]).resolve())
    sys.stdout.flush()
    sys.stderr.flush()
    # All is on disk: to take the libraries down in order would cost a tenth of a second.
    os._exit(code)
