"""Temporary folders of killed processes go, those of the living and of others stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reward_agent import files
from reward_agent.files import make_scratch

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
    sweep()
    assert (folder / "work" / "left").is_file(), "its owner lives"
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    sweep()
    assert list(temporary.iterdir()) == []


def test_a_folder_that_is_swept_while_it_is_made_is_made_anew(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, take = [], files._take_scratch

    def take_late(outer: Path, flags: int = 0) -> int | None:
        if not taken:  # the other process comes between the lock's file and its lock
            taken.append(outer)
            (outer / "lock").touch()
            sweeper = "from reward_agent import files\nwith files.make_scratch(): pass"
            subprocess.run([sys.executable, "-c", sweeper], check=True)
            flags = os.O_CREAT
        return take(outer, flags)

    monkeypatch.setattr(files, "_take_scratch", take_late)
    with make_scratch() as folder:
        assert folder.is_dir()
        assert folder.parent != taken[0]
        assert not taken[0].exists()


def test_processes_that_start_side_by_side_leave_each_others_folders_alone(
    temporary: Path,
) -> None:
    code = (
        "from reward_agent import files\n"
        "for _ in range(60):\n"
        "    files._sweep_scratch.cache_clear()\n"
        "    with files.make_scratch() as folder:\n"
        "        (folder / 'mine').write_text('x')\n"
        "        files._sweep_scratch.cache_clear()\n"
        "        with files.make_scratch(): pass\n"
        "        assert (folder / 'mine').read_text() == 'x'\n"
    )
    owners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [owner.wait() for owner in owners] == [0] * 4
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["reward-agent-", "other-", "reward-agent-notes"])
def test_folders_without_a_lock_or_of_another_name_stay(temporary: Path, name: str) -> None:
    folder = temporary / name
    folder.mkdir()
    (folder / ("lock" if name == "other-" else "notes")).touch()
    sweep()
    assert list(folder.iterdir())


def test_a_folder_elsewhere_is_hidden_and_swept_there(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    left = runs / ".reward-agent-left"
    left.mkdir()
    (left / "lock").touch()
    with make_scratch(runs) as folder:
        assert folder.parent.parent == runs
        assert folder.parent.name.startswith(".")
        assert not left.exists()
    assert list(runs.iterdir()) == []


def test_links_are_not_followed(temporary: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    for name in ("lock", "kept"):
        (precious / name).write_text("x")
    (temporary / "reward-agent-link").symlink_to(precious)
    inside = temporary / "reward-agent-inside"
    inside.mkdir()
    (inside / "lock").touch()
    (inside / "work").symlink_to(precious)
    linked = temporary / "reward-agent-linked-lock"
    linked.mkdir()
    (linked / "lock").symlink_to(precious / "lock")
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
    sweep()
    assert folder.is_dir()


def test_a_folder_of_temporary_files_that_cannot_be_listed_is_no_error(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", refuse)
    sweep()
