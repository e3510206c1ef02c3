"""A worker whose jobs run ``reward.py`` raw: every static rule is out of the way.

What the program binds to ``report`` comes back in the result.
"""

import socket
import subprocess
import sys
import types
from pathlib import Path

from reward_agent.records.film_jobs import FilmResult
from reward_agent.sandbox import seal
from reward_agent.types import Finding, ProbeReport
from reward_agent.worker.dispatch import run_worker

PREPARED = []


def run_probe(job, job_dir):
    finding = Finding(rule="raw", severity="hint", message=run_raw(job, job_dir))
    return ProbeReport(program_sha256=job.program_sha256, findings=(finding,))


def run_film(job, job_dir):
    return FilmResult(video_note=run_raw(job, job_dir))


def prepare(job):
    """Do what torch and glfw do at import: start a process and open a socket."""
    subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
    socket.socket().close()
    PREPARED.append(job.kind)


def run_raw(job, job_dir):
    names = {"job": job, "job_dir": job_dir, "prepared": PREPARED, "__name__": "hostile"}
    exec(compile((job_dir / "reward.py").read_text(), "reward.py", "exec"), names)
    return str(names.get("report", ""))


def pretend(job_dir):
    """Be another machine, as files in the job's folder ask."""
    if (job_dir / "no_landlock").exists():
        seal.read_abi = lambda: 0
    if (job_dir / "first_landlock").exists():
        seal.read_abi = lambda: 1
    if (job_dir / "no_filter").exists():
        seal.find_architecture = lambda: None
    if (job_dir / "other_system").exists():
        sys.platform = "darwin"
    if (job_dir / "leaky").exists():
        seal.restrict_files = lambda rules, abi: None


def replace_jobs(job_dir):
    """Put the raw jobs in the place of the real ones."""
    for run in (run_probe, run_film):
        module = types.ModuleType(run.__name__.replace("run_", "reward_agent.worker."))
        module.run = run
        if (job_dir / "prepares").exists():
            module.prepare = prepare
        sys.modules[module.__name__] = module


def run_hostile_worker(job_dir):
    pretend(job_dir)
    replace_jobs(job_dir)
    return run_worker(job_dir)


if __name__ == "__main__":
    sys.exit(run_hostile_worker(Path(sys.argv[1])))
