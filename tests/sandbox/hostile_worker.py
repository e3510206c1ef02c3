"""A worker whose ``probe`` job runs ``reward.py`` raw: every static rule is out of the way.

What the program binds to ``report`` becomes a finding of the result.
"""

import sys
import types
from pathlib import Path

from reward_agent.types import Finding, ProbeReport
from reward_agent.worker.dispatch import run_worker


def run_raw(job, job_dir):
    names = {"job": job, "job_dir": job_dir, "__name__": "hostile"}
    exec(compile((job_dir / "reward.py").read_text(), "reward.py", "exec"), names)
    finding = Finding(rule="raw", severity="hint", message=str(names.get("report", "")))
    return ProbeReport(program_sha256=job.program_sha256, findings=(finding,))


if __name__ == "__main__":
    module = types.ModuleType("reward_agent.worker.probe")
    module.run = run_raw
    sys.modules[module.__name__] = module
    sys.exit(run_worker(Path(sys.argv[1])))
