"""Warm children: the same as cold ones, but for the start."""

import contextlib
import os
import signal
import sys
import threading
import time

import pytest
from support.hostile import make_hostile_job, make_hostile_server, run_hostile_job, said

from reward_agent.records.job import Limits
from reward_agent.records.outcomes import KILLED_FROM_OUTSIDE
from reward_agent.sandbox.runner import run_job
from reward_agent.sandbox.warm import make_warm_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children start cold elsewhere")

TELL = """
import os, sys
report = repr((os.getcwd(), os.environ["HOME"], os.getpgrp() == os.getpid(), "mujoco" in sys.modules,
               sorted(map(int, os.listdir("/proc/self/fd")))[:3], os.environ.get("OPENAI_API_KEY")))
"""


@pytest.fixture(scope="module")
def warm():
    server = make_hostile_server()
    yield server
    server.close()


def test_a_warm_child_is_at_home_in_its_folder_and_has_no_key(warm, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    told = said(run_hostile_job(tmp_path / "job", TELL, warm=warm))
    # The first descriptor free after standard streams is that of the listing itself.
    job_dir = str(tmp_path / "job")
    assert told == repr((job_dir, job_dir, True, True, [0, 1, 2], None))


def test_jobs_do_not_see_what_earlier_ones_did_to_the_process(warm, tmp_path):
    dirty = "import numpy, os\nnumpy.e = 0\nos.environ['DIRT'] = '1'"
    said(run_hostile_job(tmp_path / "one", dirty, warm=warm))
    look = "import numpy, os\nreport = f'{numpy.e:.2f} {os.environ.get(\"DIRT\")}'"
    assert said(run_hostile_job(tmp_path / "two", look, warm=warm)) == "2.72 None"


def test_ends_of_a_warm_child_have_the_same_names(warm, tmp_path):
    ends = {
        "import time\ntime.sleep(60)": "timeout",
        "raise KeyError('lost')": "crashed: KeyError: 'lost'",
        "import os\nos._exit(3)": "crashed: exit code 3",
        "held = bytearray(600 * 2**20)\nwhile True: pass": "killed: memory",
    }
    for number, (source, expected) in enumerate(ends.items()):
        limits = Limits(wall_s=2.0, memory_mib=500)
        job_exit = run_hostile_job(tmp_path / str(number), source, limits=limits, warm=warm)
        assert str(job_exit.outcome).startswith((expected, "crashed: MemoryError")), job_exit
        assert job_exit.level == "full"


def test_side_by_side_children_keep_apart(warm, tmp_path):
    answers = {}

    def run(number):
        job = make_hostile_job(tmp_path / str(number), f"report = {number}")
        answers[number] = said(run_job(job, tmp_path / str(number), warm=warm))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(number) for number in range(4)}


def test_without_its_server_a_child_starts_cold(tmp_path):
    server = make_hostile_server()
    assert said(run_hostile_job(tmp_path / "one", "report = 1", warm=server)) == "1"
    os.kill(server._process.pid, signal.SIGKILL)
    assert said(run_hostile_job(tmp_path / "two", "report = 2", warm=server)) == "2"
    server.close()


def test_a_server_that_answers_late_is_given_up(tmp_path):
    server = make_hostile_server()
    assert said(run_hostile_job(tmp_path / "one", "report = 1", warm=server)) == "1"
    server._channel.settimeout(0.2)
    os.kill(server._process.pid, signal.SIGSTOP)
    assert said(run_hostile_job(tmp_path / "two", "report = 2", warm=server)) == "2"
    with pytest.raises(ProcessLookupError):  # nor will it ever start a second child there
        os.kill(server._process.pid, signal.SIGCONT)
    tell = "import os\nreport = os.getppid()"
    assert said(run_hostile_job(tmp_path / "three", tell, warm=server)) == str(os.getpid())
    server.close()


def test_a_job_whose_server_is_given_up_is_killed_from_outside(tmp_path):
    server = make_hostile_server()
    exits = []
    job = make_hostile_job(tmp_path, "import time\nopen('begun', 'w')\ntime.sleep(20)")
    thread = threading.Thread(target=lambda: exits.append(run_job(job, tmp_path, warm=server)))
    thread.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    os.kill(server._process.pid, signal.SIGKILL)
    thread.join(30)
    assert [job_exit.outcome for job_exit in exits] == [KILLED_FROM_OUTSIDE]
    server.close()


def test_a_closed_server_leaves_no_process():
    server = make_warm_server()
    server.close()
    with contextlib.suppress(ProcessLookupError):  # a moment later at most
        while True:
            os.kill(server._process.pid, 0)
            time.sleep(0.05)
