"""Below a guarded folder no link is followed, with descriptors of folders and without them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reward_agent import files
from reward_agent.errors import DataError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links")


@pytest.fixture(params=[True, False], ids=["relative", "looked at beforehand"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A guarded folder ``run`` with a link ``out`` to a folder outside, and one ``file`` to a file."""
    monkeypatch.setattr(files, "_IS_RELATIVE", request.param)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret\n")
    run = files.guard(tmp_path / "run")
    (run / "in").mkdir(parents=True)
    (run / "out").symlink_to(tmp_path / "outside")
    (run / "in" / "file").symlink_to(tmp_path / "outside" / "secret")
    return tmp_path


ACTS: dict[str, Callable[[Path], Any]] = {
    "read": files.read_bytes,
    "read text": lambda path: files.read_text(path, "default"),
    "read what a child wrote": lambda path: files.read_capped(path, 99),
    "tail": lambda path: files.read_tail(path, 9),
    "append": lambda path: files.append_line(path, "more"),
    "check": files.check_plain,
}
MORE: dict[str, Callable[[Path], Any]] = {
    "write": lambda path: files.write_atomic(path, b"other"),
    "remove": files.remove,
    "make": lambda path: files.make_folder(path / "new"),
    "list": lambda path: files.list_names(path.parent),
    "move away": lambda path: files.move(path, path.with_name("other")),
    "move there": lambda path: files.move(path.parents[1] / "in", path),
    "links": lambda path: files.refuse_links(path.parent),
}


@pytest.mark.parametrize("act", [*ACTS, *MORE])
@pytest.mark.parametrize(
    "place", ["out/secret", "out/new", "in/../out/secret", "../outside/secret"]
)
def test_no_way_leads_through_a_link_or_out(act: str, place: str, world: Path) -> None:
    before = sorted(os.listdir(world / "outside"))
    with pytest.raises(DataError):
        (ACTS | MORE)[act](world / "run" / place)
    assert sorted(os.listdir(world / "outside")) == before
    assert (world / "outside" / "secret").read_text() == "secret\n"


@pytest.mark.parametrize("act", ACTS)
def test_a_link_itself_is_not_opened(act: str, world: Path) -> None:
    with pytest.raises(DataError):
        ACTS[act](world / "run" / "in" / "file")
    assert (world / "outside" / "secret").read_text() == "secret\n"


def test_a_link_is_replaced_or_removed_and_its_target_stays(world: Path) -> None:
    path = world / "run" / "in" / "file"
    files.write_atomic(path, b"new")
    assert path.read_text() == "new"
    path.unlink()
    path.symlink_to(world / "outside")
    files.remove(path)
    assert not path.is_symlink()
    assert (world / "outside" / "secret").read_text() == "secret\n"


def test_what_is_plain_is_read_written_moved_and_removed(world: Path) -> None:
    run = world / "run"
    files.write_atomic(run / "a" / "b" / "c", b"1")
    files.append_line(run / "a" / "log", "one")
    with (run / "a" / "log").open("a") as file:
        file.write("torn")
    files.append_line(run / "a" / "log", "two")
    assert files.read_text(run / "a" / "log") == "one\ntwo\n"
    files.move(run / "a" / "b", run / "d" / "b")
    assert files.read_bytes(run / "d" / "b" / "c") == b"1"
    assert files.list_names(run / "d") == ["b"]
    assert files.list_names(run / "nothing") == []
    assert files.read_text(run / "nothing" / "at all", "") == ""
    files.remove(run / "d")
    files.remove(run / "d")
    assert not (run / "d").exists()


def test_a_guarded_folder_may_itself_be_named_by_a_link(world: Path) -> None:
    (world / "runs").symlink_to(world / "run")
    assert files.guard(world / "runs") == world / "run"


def test_what_is_written_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append("fsync"))
    monkeypatch.setattr(
        os, "replace", lambda *names, **folders: done.append("name") or replace(*names, **folders)
    )
    files.write_atomic(tmp_path / "run.json", b"{}")
    assert done == ["fsync", "name"]
    files.append_line(tmp_path / "events.jsonl", "{}")
    assert done == ["fsync", "name", "fsync"]
