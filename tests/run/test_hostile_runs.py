"""A run's directory is data of a stranger: whatever it holds, nothing outside of it is touched.

Directories are spoilt in every way that came to mind (links, pipes, sizes, names, numbers, depth);
then each command that takes a run meets them. It does its work or ends with one line of error.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reward_agent.cli.app import _UsageErrors as UsageErrors
from reward_agent.cli.app import app
from reward_agent.errors import RewardAgentError
from reward_agent.feedback.session import open_session
from reward_agent.run import open as open_module

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")

CANARY = "CANARY-of-the-person"
NAME = "a_run"
READING = (
    ("runs", "list"),
    ("runs", "list", "--json"),
    ("runs", "show", NAME),
    ("runs", "show", NAME, "--json"),
    ("runs", "costs", NAME),
    ("runs", "replies", NAME),
    ("report", NAME),
    ("export", NAME, "-o", "exported"),
)
SMALL = ["--iterations=1", "--candidates=2", "--steps=2048", "--slots=1", "--no-video"]
WORKING = (
    ("design", "--resume", NAME),
    ("feedback", NAME, "--note", "well"),
    ("feedback", NAME, "--json"),
    ("design", "--provider", f"replay:{NAME}", *SMALL),
)
FOREIGN = {
    "subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork", "os.spawn",
    "socket.connect", "socket.getaddrinfo", "socket.bind",
}  # fmt: skip


@dataclass
class Watch:
    """What a command did that it must not do."""

    is_on: bool = False
    seen: list[str] = field(default_factory=list)

    def note(self, event: str, arguments: Any) -> None:
        if self.is_on and event in FOREIGN:
            self.seen.append(f"{event} {arguments!r:.200}")


WATCH = Watch()
sys.addaudithook(WATCH.note)


class NoPlace:
    """A place that runs nothing."""

    n_slots, is_remote = 1, False

    def run(self, *_: object) -> Any:
        raise RewardAgentError("a job would be run", "")

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class World:
    """A folder with a run that somebody handed over, and what is the person's own beside it."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "runs" / NAME

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    def describe_outside(self) -> dict[str, tuple[Any, ...]]:
        """Return all that is outside the runs, with content and times of writing."""
        found = {}
        for path in sorted(self.outside.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
        return found


def make_world(source: Path, root: Path) -> World:
    world = World(root)
    shutil.copytree(source, world.run)
    shutil.copy(source.parents[1] / "replies.md", root)
    world.outside.mkdir()
    (world.outside / "secret.txt").write_text(CANARY)
    (world.outside / "folder").mkdir()
    (world.outside / "folder" / "secret.json").write_text(json.dumps({"secret": CANARY}))
    return world


@pytest.fixture(scope="module")
def handed_over(judged_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that was talked about."""
    folder = tmp_path_factory.mktemp("handed_over")
    shutil.copytree(judged_run, folder, dirs_exist_ok=True)
    [path] = (folder / "runs").iterdir()
    provider = f"scripted:{folder / 'replies.md'}"
    with open_session(str(path), environ={}, provider=provider) as session:
        session.note("It stands.")
        first, second = (entry.candidate.id for entry in session.list_trained())
        session.prefer(first, second, "a")
        session.choose(second)
    return path


@pytest.fixture
def world(handed_over: Path, tmp_path: Path, quiet: None) -> World:
    return make_world(handed_over, tmp_path)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job is run: what a spoilt run makes necessary is asked of a place that refuses."""
    place = NoPlace()
    monkeypatch.setattr(open_module, "make_places", lambda *_, **__: (place, place))
    monkeypatch.setattr(open_module, "check_isolation", lambda mode: "full")
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)


def call(world: World, *arguments: str, watches: bool) -> RewardAgentError | None:
    """Run a command and return its error; any end but a named error is a fault of ours."""
    before = os.getcwd()
    work = world.root / "work"
    work.mkdir(exist_ok=True)
    os.chdir(work)
    WATCH.is_on = watches
    try:
        command = typer.main.get_command(app)
        command([*arguments, "--runs-dir", str(world.run.parent)], standalone_mode=False)
    except RewardAgentError as error:
        return error
    except (typer.Exit, UsageErrors):
        return None
    finally:
        WATCH.is_on = False
        os.chdir(before)
    return None


def meet_all(world: World, capfd: pytest.CaptureFixture[str]) -> list[RewardAgentError | None]:
    """Let every command meet the run; nothing of the person's is read, changed or shown."""
    before = world.describe_outside()
    WATCH.seen.clear()
    told = [call(world, *arguments, watches=True) for arguments in READING]
    assert WATCH.seen == []
    own = f"scripted:{world.root / 'replies.md'}"
    for arguments in WORKING:
        provider = () if "--provider" in arguments else ("--provider", own)
        told.append(call(world, *arguments, *provider, watches=False))
    for error in filter(None, told):
        assert "\n" not in error.message + error.remedy
        assert "\x1b" not in error.message + error.remedy
    assert world.describe_outside() == before
    shown = capfd.readouterr()
    assert CANARY not in shown.out + shown.err
    assert "\x1b]" not in shown.out + shown.err
    for path in world.root.glob("work/**/*"):
        assert CANARY not in (path.read_text("utf-8", "replace") if path.is_file() else "")
    for path in world.run.parent.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1:
            assert CANARY.encode() not in path.read_bytes(), path
    return told


# --- what was found once ------------------------------------------------------------------------


def test_the_run_as_it_is_meets_every_command(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    told = meet_all(world, capfd)
    assert told[: len(READING)] == [None] * len(READING)
    assert told[len(READING) + 1 :][:2] == [None, None], "the session opens"
    assert all(error is None or error.message == "a job would be run" for error in told)


PLACES = (
    "LOCK", "events.jsonl", "feedback/session.jsonl", "run.json", "metric.py", "reward.py",
    "report.html", "replies.sqlite", "replies.sqlite-journal", "feedback", "iterations",
    "iterations/0", "iterations/0/iteration.json", "iterations/0/candidates", "metric",
)  # fmt: skip


FOLDERS = ("feedback", "iterations", "iterations/0", "iterations/0/candidates", "metric")
# One of each way to write and to read: held, added to, written anew; a database, text, a folder.
MADE = ("LOCK", "events.jsonl", "run.json")
PIPES = (*MADE, "metric.py", "replies.sqlite", "feedback")
# What is like another place: only the long loop tries it.
LIKE = pytest.mark.slow


def list_links() -> Iterator[Any]:
    for place in PLACES:
        yield pytest.param(place, "secret.txt")
        yield pytest.param(place, "folder", marks=() if place in FOLDERS else LIKE)
        yield pytest.param(place, "not/there", marks=() if place in MADE else LIKE)


@pytest.mark.parametrize(("place", "target"), [*list_links()])
def test_a_link_is_not_followed(
    place: str, target: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    replace_by_link(world.run / place, world.outside / target)
    meet_all(world, capfd)


@pytest.mark.parametrize("pattern", ["reward.py", "draft.json", "summary.json", "training/seed_0",
                                     "evaluation/seed_0", "reply.md", "evaluation/seed_0/result.json",
                                     "evaluation/seed_0/trajectories.npz", "relabel"])  # fmt: skip
def test_a_link_in_a_candidate_is_not_followed(
    pattern: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in list(world.run.glob(f"iterations/0/candidates/*/{pattern}")):
        replace_by_link(path, world.outside / ("folder" if path.is_dir() else "secret.txt"))
    meet_all(world, capfd)


@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=() if place in PIPES else LIKE) for place in PLACES]
)
def test_a_pipe_makes_nobody_wait(
    place: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    clear(world.run / place)
    os.mkfifo(world.run / place)
    meet_all(world, capfd)


@pytest.mark.parametrize("place", ["LOCK", "events.jsonl", "feedback/session.jsonl"])
def test_a_second_name_of_a_file_of_ours_is_not_written(
    place: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    clear(world.run / place)
    os.link(world.outside / "secret.txt", world.run / place)
    meet_all(world, capfd)


def test_names_in_records_lead_nowhere_else(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("../../outside/secret.txt", str(world.outside / "secret.txt"), "..", "a/../../b"):
        for key in ("policy_file", "video_file", "candidate"):
            record = json.loads((world.run / "run.json").read_text())
            record["winner"][key] = name
            (world.run / "run.json").write_text(json.dumps(record))
            meet_all(world, capfd)
            shutil.rmtree(world.root / "work")


def write_lying_arrays(path: Path) -> None:
    """Write an archive whose header promises an array of a terabyte."""
    header = io.BytesIO()
    promised = {"descr": "<f8", "fortran_order": False, "shape": (2**37,)}
    np.lib.format.write_array_header_1_0(header, promised)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("columns.npy", "starts.npy", "action.npy", "x.npy"):
            archive.writestr(name, header.getvalue())


def write_zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("columns.npy", bytes(2**26))
        archive.writestr("starts.npy", b"\x93NUMPY\x01\x00" + b"\xff\xff" + b"(" * 65535)


@pytest.mark.parametrize(
    ("pattern", "spoil"),
    [
        ("evaluation/seed_0/trajectories.npz", write_lying_arrays),
        ("evaluation/seed_0/trajectories.npz", write_zip_bomb),
        ("relabel/terms.npz", write_lying_arrays),
        ("summary.json", lambda path: path.write_bytes(b'{"a": "' + bytes(30 * 2**20) + b'"}')),
        ("summary.json", lambda path: path.write_text("[" * 10**6)),
        ("draft.json", lambda path: path.write_text('{"a":' * 10**5)),
        ("reward.py", lambda path: path.write_bytes(b"\xff\xfe#")),
        ("reply.md", lambda path: path.write_bytes(b"\x00\xff" * 99)),
    ],
)
def test_what_lies_about_its_size_is_refused(
    pattern: str,
    spoil: Callable[[Path], Any],
    world: World,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for path in list(world.run.glob(f"iterations/0/candidates/*/{pattern}")):
        spoil(path)
    meet_all(world, capfd)


FILES = ("draft.json", "probe.json", "training/seed_0/exit.json", "training/seed_0/result.json")


@pytest.mark.parametrize("name", FILES)
def test_a_round_that_is_taken_up_again_meets_whatever_its_records_say(
    name: str, world: World
) -> None:
    (world.run / "iterations/0/iteration.json").unlink()
    path = sorted(world.run.glob(f"iterations/0/candidates/*/{name}"))[0]
    record, kept = json.loads(path.read_text()), world.root / "kept"
    before = world.describe_outside()
    world.run.rename(kept)
    for key in record:
        shutil.copytree(kept, world.run)
        value = 2**62 if isinstance(record[key], int | float) else -1
        path.write_text(json.dumps({**record, key: value}))
        own = f"scripted:{world.root / 'replies.md'}"
        call(world, "design", "--resume", NAME, "--provider", own, watches=False)
        shutil.rmtree(world.run)
    assert world.describe_outside() == before


# --- what a generator finds -----------------------------------------------------------------------

VALUES: tuple[Any, ...] = (
    "../../outside/secret.txt", "/etc/passwd", "..", "", "\x1b]0;owned\x07\u202e\u200b", "x" * 70_000,
    10**400, -1, 0, 2**62, 2**64, 1e308, -1e308, 0.5, None, True, [], {}, [[[]]], {"x": 1},
)  # fmt: skip


def clear(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace_by_link(path: Path, target: Path) -> None:
    clear(path)
    path.symlink_to(target)


def list_places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in a JSON value something could be replaced."""
    yield place
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:3])
    for key, item in items:
        yield from list_places(item, (*place, key))


def replace_value(path: Path, choose: Callable[[list[Any]], Any], value: Any) -> None:
    """Put a value anywhere in a record, or beside its keys; of lines, in the last."""
    text = path.read_text("utf-8", "replace")
    *lines, last = text.splitlines() if path.suffix == ".jsonl" else [text]
    record: Any = None
    with suppress(ValueError, RecursionError):
        record = json.loads(last)
    if not isinstance(record, dict):
        record = {}
    place = choose(list(list_places(record)))
    if place:
        inner = record
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    else:
        record["extra"] = value
    path.write_text("\n".join([*lines, json.dumps(record)]) + "\n")


def write_hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(40 * 2**20)


def spoil_one(world: World, data: st.DataObject) -> None:
    """Spoil one file or folder of the run."""
    paths = sorted(path for path in world.run.rglob("*") if not path.is_symlink())
    records = [path for path in paths if path.suffix in (".json", ".jsonl")]
    if records and data.draw(st.booleans(), label="value"):
        path = data.draw(st.sampled_from(records), label="record")
        value = data.draw(st.sampled_from(VALUES), label="value")
        replace_value(path, lambda places: data.draw(st.sampled_from(places), label="place"), value)
        return
    path = data.draw(st.sampled_from(paths), label="path")
    content = path.read_bytes() if path.is_file() else b""
    secret = world.outside / "secret.txt"
    ways: dict[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to(secret),
        "link to a folder": lambda: path.symlink_to(world.outside / "folder"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "hole": lambda: write_hole(path),
        "cut": lambda: path.write_bytes(content[: len(content) // 2]),
        "noise": lambda: path.write_bytes(bytes(range(256)) * 4),
        "depth": lambda: path.write_text("[" * 200_000),
        "no number": lambda: path.write_bytes(content.replace(b": 0", b": NaN", 3)),
        "second name": lambda: os.link(secret, path),
        "nothing": lambda: None,
    }
    way = data.draw(st.sampled_from(sorted(ways)), label="way")
    clear(path)
    ways[way]()


@pytest.mark.slow
@given(data=st.data())
@settings(
    max_examples=40,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_however_it_is_spoilt_nothing_outside_is_touched(
    data: st.DataObject,
    handed_over: Path,
    quiet: None,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
) -> None:
    world = make_world(handed_over, tmp_path_factory.mktemp("world"))
    try:
        for _ in range(data.draw(st.integers(1, 3), label="times")):
            spoil_one(world, data)
        meet_all(world, capfd)
    finally:
        shutil.rmtree(world.root)
