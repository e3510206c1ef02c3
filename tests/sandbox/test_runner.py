import shutil
import sys
import threading
import types

import pytest
from support.hostile import make_card, said

from reward_agent.errors import JobError
from reward_agent.records.job import Limits
from reward_agent.records.training_jobs import ProbeJob
from reward_agent.sandbox import child
from reward_agent.sandbox.runner import run_job


def test_orderly_job_hands_back_its_result(run_hostile, tmp_path):
    job_exit = run_hostile("report = 6 * 7")
    assert said(job_exit) == "42"
    assert (tmp_path / "job" / "result.json").is_file()


def test_timeout_kills_infinite_loop(run_hostile):
    job_exit = run_hostile("while True: pass", limits=Limits(wall_s=1.5))
    assert str(job_exit.outcome) == "timeout"
    assert job_exit.result is None
    assert job_exit.wall_s < 5


def test_cancel_ends_the_job(run_hostile):
    cancel = threading.Event()
    timer = threading.Timer(1.0, cancel.set)
    timer.start()
    job_exit = run_hostile("import time\ntime.sleep(30)", cancel=cancel)
    timer.join()
    assert str(job_exit.outcome) == "cancelled"
    assert job_exit.wall_s < 5


def test_failure_of_the_child_is_an_outcome_with_its_cause(run_hostile):
    job_exit = run_hostile("raise KeyError('lost')")
    assert str(job_exit.outcome).startswith("crashed: ")
    assert "lost" in job_exit.stderr_tail


def test_rows_of_progress_reach_the_parent(run_hostile):
    rows = []
    source = (
        "import time\nfile = open(job_dir / 'progress.csv', 'w', buffering=1)\n"
        "print('total_timesteps,reward/speed', file=file)\n"
        "for i in range(3): print(f'{i},nan' if i == 1 else f'{i},0.5', file=file); time.sleep(.1)\n"
    )
    said(run_hostile(source, on_progress=rows.append))
    assert rows == [
        {"total_timesteps": 0.0, "reward/speed": 0.5},
        {"total_timesteps": 1.0},
        {"total_timesteps": 2.0, "reward/speed": 0.5},
    ]


def test_keys_of_the_parent_are_not_in_the_childs_environment(run_hostile, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    source = "import os\nreport = open('/proc/self/environ').read() + str(dict(os.environ))"
    job_exit = run_hostile(source)
    assert "canary" not in str(job_exit)


def test_attempt_that_the_program_hides_is_told(run_hostile):
    source = (
        "import os, socket\n"
        "for attempt in (socket.socket, os.fork, lambda: os.kill(os.getppid(), 9)):\n"
        "    for _ in range(3):\n"
        "        try: attempt()\n        except OSError: pass\n"
    )
    job_exit = run_hostile(source)
    assert str(job_exit.outcome) == "ok"
    told = [line for line in job_exit.stderr_tail.splitlines() if "attempt" in line]
    assert told == [
        f"sandbox: attempt: {name}" for name in ("socket.__new__", "os.fork", "os.kill")
    ]


def test_honest_job_tells_nothing(run_hostile):
    source = (
        "import numpy, json\n(job_dir / 'x.json').write_text(json.dumps(numpy.ones(3).tolist()))"
    )
    assert run_hostile(source).stderr_tail == ""


@pytest.mark.parametrize(
    ("worker", "cause", "remedy"),
    [
        ("raise RuntimeError('bad isolation record')", "bad isolation record", "output.txt"),
        ("import time\ntime.sleep(30)", "timeout", "--training-timeout-s"),
        ("import os\nos.kill(os.getpid(), 6)", "SIGABRT", "output.txt"),
    ],
)
def test_what_fails_before_the_seal_is_our_error_not_the_programs_outcome(
    worker, cause, remedy, monkeypatch, tmp_path
):
    script = tmp_path / "worker.py"
    script.write_text(worker)
    monkeypatch.setattr(child, "make_child_command", lambda job_dir: [sys.executable, str(script)])
    job = ProbeJob(card=make_card(), program_sha256="0" * 64)
    with pytest.raises(JobError, match="did not get as far as its program") as caught:
        run_job(job, tmp_path / "job", limits=Limits(wall_s=1.5))
    assert cause in caught.value.message
    assert remedy in caught.value.remedy


def test_full_disk_is_not_the_programs_fault(run_hostile, monkeypatch):
    def measure(folder):
        return types.SimpleNamespace(free=0)

    monkeypatch.setattr(shutil, "disk_usage", measure)
    assert str(run_hostile("report = 1").outcome) == "ok"
    with pytest.raises(JobError, match="the disk is full"):
        run_hostile("raise OSError(28, 'No space left on device')")
