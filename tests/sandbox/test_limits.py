import pytest
from support.hostile import said

from reward_agent.records.job import Limits


def test_memory_hog_ends(run_hostile):
    source = "hog = []\nwhile True: hog.append(bytearray(2**24))"
    job_exit = run_hostile(source, limits=Limits(wall_s=20, memory_mib=300))
    # The kernel refuses the allocation, or the parent sees the memory first.
    assert str(job_exit.outcome) in {"crashed: MemoryError: ", "killed: memory"}
    assert 100 < job_exit.peak_rss_mib < 350


def test_shared_memory_hog_is_killed_by_the_parent(run_hostile):
    source = (
        "import mmap\nhog = mmap.mmap(-1, 2**30)\n"
        "for start in range(0, 2**30, 4096): hog[start] = 1\nimport time; time.sleep(30)"
    )
    job_exit = run_hostile(source, limits=Limits(wall_s=20, memory_mib=300))
    assert str(job_exit.outcome) == "killed: memory"


def test_cpu_hog_ends(run_hostile):
    job_exit = run_hostile("while True: pass", limits=Limits(wall_s=20, cpu_s=1))
    assert str(job_exit.outcome) == "killed: cpu"


def test_full_disk_is_stopped(run_hostile):
    source = (
        "block = bytes(2**20)\nfor i in range(10_000): (job_dir / f'{i}.bin').write_bytes(block)\n"
    )
    job_exit = run_hostile(source, limits=Limits(wall_s=20, disk_mib=20))
    assert str(job_exit.outcome) == "killed: disk"


def test_removed_files_that_stay_open_count_as_disk(run_hostile):
    source = (
        "block, kept = bytes(2**20), []\n"
        "while True:\n"
        "    path = job_dir / 'x.bin'\n    kept.append(path.open('wb'))\n    path.unlink()\n"
        "    kept[-1].write(block); kept[-1].flush()\n"
        "    if len(kept) == 100: import time; time.sleep(30)\n"
    )
    job_exit = run_hostile(source, limits=Limits(wall_s=20, disk_mib=20))
    assert str(job_exit.outcome) == "killed: disk"


def test_many_empty_files_count_as_disk(run_hostile):
    source = "for i in range(10**6): (job_dir / f'{i}').touch()"
    job_exit = run_hostile(source, limits=Limits(wall_s=20, disk_mib=10))
    assert str(job_exit.outcome) == "killed: disk"


def test_file_too_large_is_refused(run_hostile):
    source = (
        "try: (job_dir / 'x').write_bytes(bytes(3 * 2**20))\n"
        "except OSError as error: report = error.strerror\n"
    )
    assert said(run_hostile(source, limits=Limits(file_mib=1))) == "File too large"


def test_too_many_open_files_are_refused(run_hostile):
    source = (
        "files = []\ntry:\n    while True: files.append(open('/dev/null'))\n"
        "except OSError as error: report = len(files)\n"
    )
    assert int(said(run_hostile(source, limits=Limits(n_open_files=40)))) < 40


def test_flood_of_threads_is_stopped(run_hostile):
    source = (
        "import threading, time\nthreading.stack_size(2**16)\n"
        "for _ in range(300): threading.Thread(target=time.sleep, args=(30,)).start()"
    )
    job_exit = run_hostile(source, limits=Limits(wall_s=20, n_threads=100))
    assert str(job_exit.outcome) == "killed: threads"


def test_flood_of_output_is_stopped(run_hostile, tmp_path):
    source = "while True: print('x' * 1000, flush=True)"
    job_exit = run_hostile(source, limits=Limits(wall_s=20, output_kib=64))
    assert str(job_exit.outcome) == "killed: output"
    assert len(job_exit.stderr_tail) <= 4000
    assert (tmp_path / "job" / "output.txt").stat().st_size <= 64 * 1024


def test_timeout_ends_threads_that_swallow_everything(run_hostile):
    source = (
        "import signal, threading\n"
        "for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "def spin():\n"
        "    while True:\n"
        "        try:\n            while True: pass\n"
        "        except BaseException: pass\n"
        "for _ in range(3): threading.Thread(target=spin).start()\nspin()\n"
    )
    job_exit = run_hostile(source, limits=Limits(wall_s=1.5))
    assert str(job_exit.outcome) == "timeout"
    assert job_exit.wall_s < 6


@pytest.mark.parametrize("wrong", [{"wall_s": 0}, {"memory_mib": 1}, {"walls": 3}])
def test_senseless_limits_are_refused(wrong):
    with pytest.raises(ValueError, match="validation error"):
        Limits(**wrong)
