import os
import subprocess
import sys

import pytest

from reward_agent.errors import DataError
from reward_agent.files import read_capped, read_tail, write_atomic
from reward_agent.sandbox.child import measure_folder, measure_nameless_files, read_process


def test_reader_finds_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "result.json"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_are_for_whom_the_umask_says(umask, mode, tmp_path):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "report.html", b"shared")
        write_atomic(tmp_path / "report.html", b"shared again")
    finally:
        os.umask(before)
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == mode


def test_write_replaces_a_link_and_leaves_its_target(tmp_path):
    (tmp_path / "target").write_text("private")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_text() == "private"


def test_file_at_the_cap_is_read_and_one_byte_more_is_not(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_capped(path, 5) == b"12345"
    with pytest.raises(DataError, match="larger than 4 bytes"):
        read_capped(path, 4)
    assert read_tail(path, 2) == b"45"


def test_endless_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a plain file"):
        read_capped(tmp_path / "pipe", 10)


def test_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a plain file"):
        read_capped(tmp_path, 10)


def test_folder_is_measured_without_following_links(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "data").write_bytes(bytes(100_000))
    (tmp_path / "big").write_bytes(bytes(1_000_000))
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    assert 100_000 <= measure_folder(tmp_path / "in") < 200_000


def test_measuring_stops_at_its_bound(tmp_path):
    for number in range(50):
        (tmp_path / str(number)).touch()
    assert measure_folder(tmp_path, stop_at=10_000) <= 10_000 + 2 * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_file_without_a_name_is_measured(tmp_path):
    code = (
        "import os, time\nfile = open('x', 'wb')\nfile.write(bytes(10**6)); file.flush()\n"
        "os.unlink('x'); print('ready', flush=True); time.sleep(30)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        assert measure_nameless_files(process.pid) >= 10**6
        use = read_process(process.pid)
        assert 1 < use.memory_mib <= use.peak_memory_mib
        assert use.n_threads == 1
        process.kill()


def test_process_that_is_gone_uses_nothing():
    assert measure_nameless_files(2**22 - 1) == 0
    assert read_process(2**22 - 1).memory_mib == 0
