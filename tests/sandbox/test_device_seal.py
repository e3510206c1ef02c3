"""The process that has a GPU has no network and writes in its folders alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reward_agent.sandbox.filter import find_architecture
from reward_agent.sandbox.landlock import read_abi

TRY = """
import os, socket, sys
from pathlib import Path
from reward_agent.sandbox.seal import confine_device
inside, outside = map(Path, sys.argv[1:])
opened = (outside / "opened").open("w")
assert confine_device([inside]) == []
(inside / "a").write_text("a")
(inside / "a").rename(inside / "b")
opened.write("still open")
Path("/etc/hosts").read_text()
open("/dev/null", "w").close()
def attempt(what):
    try:
        what()
    except OSError as error:
        print(error.errno)
attempt(lambda: (outside / "a").write_text("a"))
attempt(lambda: (outside / "opened").unlink())
attempt(lambda: os.mkdir(outside / "folder"))
attempt(socket.socket)
"""


@pytest.mark.skipif(not read_abi() or find_architecture() is None, reason="no Landlock here")
def test_what_is_open_stays_open_and_nothing_else_is_written(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    command = [sys.executable, "-c", TRY, str(inside), str(outside)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told == ["13", "13", "13", "1"]
    assert (outside / "opened").read_text() == "still open"
