"""Temporary folders of killed processes go, those of the living and of others stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from reward_agent import files
from reward_agent.files import make_scratch

OLD = 3600.0
OWNER = """
import sys, time
from reward_agent.files import make_scratch
with make_scratch() as folder:
    (folder / "left").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    files._sweep_scratch.cache_clear()
    yield folder
    monkeypatch.undo()
    tempfile.tempdir = None


def start_owner() -> tuple[subprocess.Popen[str], Path]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, Path(owner.stdout.readline().strip()).parent


def age(folder: Path) -> None:
    then = time.time() - OLD
    os.utime(folder, (then, then), follow_symlinks=False)


def sweep() -> None:
    files._sweep_scratch.cache_clear()
    with make_scratch():
        pass


def test_a_folder_is_there_while_it_is_used(temporary: Path) -> None:
    with make_scratch() as folder:
        assert folder.is_relative_to(temporary)
        assert list(folder.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_a_later_one(temporary: Path) -> None:
    owner, folder = start_owner()
    age(folder)
    sweep()
    assert (folder / "work" / "left").is_file(), "its owner lives"
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    age(folder)
    sweep()
    assert list(temporary.iterdir()) == []


def test_a_folder_that_is_just_being_made_stays(temporary: Path) -> None:
    young = temporary / "reward-agent-young"
    young.mkdir()
    (young / "lock").touch()
    sweep()
    assert young.is_dir()


@pytest.mark.parametrize("name", ["reward-agent-", "other-", "reward-agent-notes"])
def test_folders_without_a_lock_or_of_another_name_stay(temporary: Path, name: str) -> None:
    folder = temporary / name
    folder.mkdir()
    (folder / ("lock" if name == "other-" else "notes")).touch()
    age(folder)
    sweep()
    assert list(folder.iterdir())


def test_links_are_not_followed(temporary: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    for name in ("lock", "kept"):
        (precious / name).write_text("x")
    age(precious)
    (temporary / "reward-agent-link").symlink_to(precious)
    age(temporary / "reward-agent-link")
    inside = temporary / "reward-agent-inside"
    inside.mkdir()
    (inside / "lock").touch()
    (inside / "work").symlink_to(precious)
    linked = temporary / "reward-agent-linked-lock"
    linked.mkdir()
    (linked / "lock").symlink_to(precious / "lock")
    age(inside)
    age(linked)
    sweep()
    assert sorted(path.name for path in precious.iterdir()) == ["kept", "lock"]
    assert (temporary / "reward-agent-link").is_symlink()
    assert linked.is_dir()
    assert not inside.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_another_users_folder_stays(temporary: Path) -> None:
    folder = temporary / "reward-agent-theirs"
    folder.mkdir()
    (folder / "lock").touch()
    os.chown(folder, 65534, 65534)
    age(folder)
    sweep()
    assert folder.is_dir()


def test_a_folder_of_temporary_files_that_cannot_be_listed_is_no_error(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", refuse)
    sweep()
