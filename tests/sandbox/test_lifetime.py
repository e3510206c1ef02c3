"""Children end: with their parent, with their job, and with everything they started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.hostile import make_card, said

from reward_agent.errors import JobError
from reward_agent.records.job import JOB_FILE, Limits
from reward_agent.records.training_jobs import ProbeJob
from reward_agent.sandbox.isolation import EXIT_INTERNAL
from reward_agent.sandbox.runner import run_job

TESTS = Path(__file__).resolve().parents[1]
PARENT = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path
from support.hostile import run_hostile_job
run_hostile_job(Path({job_dir!r}), "import os, time\\n(job_dir / 'pid').write_text(str(os.getpid()))\\ntime.sleep(60)", mode={mode!r})
"""


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends orphans")
@pytest.mark.parametrize("mode", ["default", "off"])
def test_sigkill_of_the_parent_ends_the_child(tmp_path, mode):
    job_dir = tmp_path / "job"
    code = PARENT.format(tests=str(TESTS), job_dir=str(job_dir), mode=mode)
    parent = subprocess.Popen([sys.executable, "-c", code])
    pid_file = job_dir / "pid"
    try:
        wait_until(lambda: pid_file.is_file() and pid_file.read_text())
        child = int(pid_file.read_text())
        assert is_running(child)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not is_running(child), seconds=5)


def test_a_child_whose_parent_is_gone_before_it_is_sealed_loads_nothing(tmp_path):
    job = ProbeJob(card=make_card(), program_sha256="0" * 64)
    (tmp_path / JOB_FILE).write_text(job.model_dump_json())
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as report:
        done = subprocess.run(
            [sys.executable, "-m", "reward_agent.worker", str(tmp_path)],
            stdin=report,
            capture_output=True,
            text=True,
        )
    assert done.returncode == EXIT_INTERNAL
    assert "BrokenPipeError" in done.stderr
    assert "sha256" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_left_behind_by_an_open_job_are_killed(run_hostile):
    source = (
        "import subprocess, sys\n"
        "report = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid"
    )
    left = int(said(run_hostile(source, mode="off")))
    wait_until(lambda: not is_running(left), seconds=5)


def test_interrupt_of_the_parent_ends_the_child(run_hostile, tmp_path):
    def interrupt(row):
        raise KeyboardInterrupt

    source = (
        "import os, time\n"
        "(job_dir / 'progress.csv').write_text(f'pid\\n{os.getpid()}\\n')\ntime.sleep(60)"
    )
    with pytest.raises(KeyboardInterrupt):
        run_hostile(source, on_progress=interrupt)
    pid = int((tmp_path / "job" / "progress.csv").read_text().split()[1])
    assert not is_running(pid)


def test_folder_that_cannot_be_made_is_a_job_error(tmp_path):
    (tmp_path / "file").touch()
    job = ProbeJob(card=make_card(), program_sha256="0" * 64)
    with pytest.raises(JobError, match="could not be started"):
        run_job(job, tmp_path / "file" / "job")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_parent_keeps_no_descriptor_and_no_zombie(run_hostile):
    def look():
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return len(os.listdir("/proc/self/fd")), children

    before = look()
    run_hostile("report = 1")
    run_hostile("while True: pass", limits=Limits(wall_s=2))
    assert look() == before
