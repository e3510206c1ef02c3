"""A whole ``reward-agent design``, watched from outside, and what its record says."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measurements import WholeRun
from benchmarks.setting import TASKS
from reward_agent.errors import DataError
from reward_agent.records.store import load_run
from reward_agent.records.timing import find_waste
from reward_agent.sandbox.child import measure_folder, read_process

_POLL_S = 0.2


def make_run(env: str, steps: int | None) -> WholeRun:
    """Run the offline designer with the quick preset and return what the run took.

    Args:
        env: environment.
        steps: env steps of a training; None for the preset's.

    Raises:
        DataError: the run failed.
    """
    command = [
        *(sys.executable, "-m", "reward_agent", "design", "--env", env, "--task", TASKS[env]),
        *("--provider", "offline", "--preset", "quick"),
        *(("--steps", str(steps)) if steps else ()),
    ]
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as runs_dir:
        with (Path(runs_dir) / "output.txt").open("w+") as output:
            process = subprocess.Popen(
                [*command, "--runs-dir", runs_dir], stdout=output, stderr=subprocess.STDOUT
            )
            peak_mib = 0.0
            while process.poll() is None:
                peak_mib = max(peak_mib, read_process(process.pid).peak_memory_mib)
                time.sleep(_POLL_S)
            output.seek(0)
            # 3: the run ended below its target score, as a short one does.
            if process.returncode not in (0, 3):
                raise DataError(f"the run failed: {output.read()[-500:]}", "")
        run = load_run("last", Path(runs_dir))
        return read_run(str(run.dir)).model_copy(update={"parent_peak_mib": peak_mib})


def read_run(run_dir: str) -> WholeRun:
    """Return what the record of a run says.

    Raises:
        DataError: it does not say where its time went.
    """
    store = load_run(run_dir)
    record = store.read_run()
    waste = find_waste(record.slot_seconds)
    if waste is None:
        raise DataError(f"{run_dir} has no account of its time", "make a new run")
    folders = [path.parent for path in store.dir.glob("iterations/*/candidates/*/training")]
    return WholeRun(
        run_dir=run_dir,
        wall_s=record.wall_s,
        waste=waste,
        slot_seconds=record.slot_seconds,
        candidate_bytes=tuple(measure_folder(folder) for folder in sorted(set(folders))),
    )
