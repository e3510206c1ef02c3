"""A run as one file: what goes in says nothing of who made it, what comes out is a run, or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.commands import run_command

import reward_agent
from reward_agent.errors import DataError, RewardAgentError, UsageError
from reward_agent.export import bundle, unpack
from reward_agent.export.anonymous import Cleaner
from reward_agent.export.bundle import pack_run
from reward_agent.export.unpack import open_bundle
from reward_agent.feedback.session import open_session
from reward_agent.llm.replies import read_replies
from reward_agent.records.store import RunStore
from reward_agent.report.page import write_report

# Four runs of the inverted pendulum: "model" (three roles; a repair, a revision, a candidate without
# a program, one that was stopped, confirmations, a feedback session), "limit" (ended by
# --max-calls), "offline" and "sentence" (a proposed metric).
ARCHIVE = Path(__file__).parent / "data" / "runs.tar.xz"
ALICE = {
    "USER": "alicem",
    "HOSTNAME": "gpu-box-7",
    "OPENAI_API_KEY": "very-private-key-0123456789",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs, and one of them packed."""
    folder = tmp_path_factory.mktemp("made")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder / "runs", filter="data")
    pack_run(RunStore(folder / "runs" / "model"), folder / "model.run.zip")
    return folder


@pytest.fixture
def packed(made: Path) -> Path:
    return made / "model.run.zip"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def read_members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_bundle(path: Path, members: dict[str, bytes], **changes: object) -> Path:
    """Write a bundle whose list of files is true, whatever they hold."""
    files = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in members.items()
        if name != bundle.BUNDLE_FILE
    }
    listed = json.loads(members[bundle.BUNDLE_FILE]) | {"files": files} | changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in (members | {bundle.BUNDLE_FILE: json.dumps(listed).encode()}).items():
            archive.writestr(name, data)
    return path


def assert_refused(path: Path, runs: Path, match: str) -> str:
    """See that a file is refused in one line and leaves nothing."""
    around = sorted(runs.parent.rglob("*"))
    with pytest.raises(RewardAgentError, match=match) as caught:
        open_bundle(path, runs)
    assert "\n" not in caught.value.message
    assert sorted(runs.parent.rglob("*")) == around
    return caught.value.message


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model", "limit", "offline", "sentence"])
def test_an_opened_run_is_the_run_that_was_packed(made: Path, runs: Path, name: str) -> None:
    old = RunStore(made / "runs" / name)
    new = open_bundle(pack_run(old, made / f"{name}-again.run.zip"), runs)
    assert new.dir == runs / old.read_run().id
    assert new.list_finished() == old.list_finished()
    for candidate in old.list_finished():
        place = candidate.iteration, candidate.id
        assert new.read_program(*place) == old.read_program(*place)
    if name != "offline":
        assert [(r.request, r.completion) for r in read_replies(new.dir)] == [
            (r.request, r.completion) for r in read_replies(old.dir)
        ]


def test_all_that_is_done_with_a_run_is_done_with_an_opened_one(packed: Path, runs: Path) -> None:
    store = open_bundle(packed, runs)
    for words in (["runs", "show"], ["runs", "costs"], ["runs", "replies"], ["report"]):
        done = run_command(*words, "last", "--runs-dir", str(runs), cwd=runs)
        assert done.returncode == 0, done.stderr
    assert store.list_finished()[0].id in write_report(store.dir).read_text()
    environ = {"OPENAI_COMPATIBLE_API_KEY": "k"}
    with open_session("last", runs_dir=runs, environ=environ, provider="offline") as session:
        session.note("Seen elsewhere.")
        assert session.list_trained()


def test_an_opened_run_is_replayed(packed: Path, runs: Path) -> None:
    store = open_bundle(packed, runs)
    run = reward_agent.design(
        provider=f"replay:{store.dir.name}", runs_dir=runs, environ={}, slots=1, video=False,
        iterations=1, winner_seeds=0,
    )  # fmt: skip
    again = RunStore(runs / run.id)
    mine = [again.read_program(0, c.id) for c in again.read_iteration(0).candidates]
    assert mine == [store.read_program(0, c.id) for c in store.read_iteration(0).candidates]


def test_a_run_is_opened_twice_beside_itself(packed: Path, runs: Path) -> None:
    first, second = open_bundle(packed, runs), open_bundle(packed, runs)
    assert second.dir.name == f"{first.dir.name}-2" == second.read_run().id
    assert sorted(path.name for path in runs.iterdir()) == [first.dir.name, second.dir.name]


def test_the_same_run_packs_to_the_same_bytes(made: Path, packed: Path) -> None:
    again = pack_run(RunStore(made / "runs" / "model"), made / "same.run.zip")
    assert again.read_bytes() == packed.read_bytes()


def test_nothing_is_overwritten(made: Path, packed: Path) -> None:
    with pytest.raises(UsageError, match="is there already"):
        pack_run(RunStore(made / "runs" / "model"), packed)


def test_a_run_that_is_worked_on_is_not_packed(made: Path, tmp_path: Path) -> None:
    store = RunStore(made / "runs" / "model")
    script = (
        "import sys; from pathlib import Path; from reward_agent.records.store import RunStore\n"
        "with RunStore(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.dir)], stdin=-1, stdout=-1
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match="being worked on"):
            pack_run(store, tmp_path)
        other.communicate(b"")


# --- nothing of this machine ----------------------------------------------------------------------


def test_nothing_of_the_machine_goes_with_a_run(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ALICE.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "home" / "alicem" / "runs" / "one"
    shutil.copytree(made / "runs" / "model", folder)
    private = f"alicem@gpu-box-7:{folder}/x.log with {ALICE['OPENAI_API_KEY']}"
    run = json.loads((folder / "run.json").read_text())
    run["note"] = run["limit"] = f"as {private} at http://u:p@10.1.2.3:8000/v1?key=abc says"
    run["card"]["folder"] = "/home/bob/robots/mine"
    run["config"] |= {"base_url": "http://gpu-box-7:9/v1", "provider": "scripted:/home/bob/s.md"}
    run["config_sources"]["steps"] = "/home/bob/reward-agent.toml"
    run["designer"] = "given: C:\\Users\\bob\\reward.py"
    (folder / "run.json").write_text(json.dumps(run))
    iteration = json.loads((folder / "iterations/0/iteration.json").read_text())
    iteration["candidates"][0]["outcome"] = {"kind": "failed", "detail": f"no {private}"}
    (folder / "iterations/0/iteration.json").write_text(json.dumps(iteration))
    with (folder / "feedback/session.jsonl").open("a") as file:
        n = len((folder / "feedback/session.jsonl").read_text().splitlines())
        file.write(json.dumps({"kind": "noted", "number": n, "time": "t", "text": private}) + "\n")
    (folder / "LOCK").write_text("gpu-box-7")
    (folder / "tracking").mkdir()
    (folder / "tracking/a.log").write_text("alicem")
    members = read_members(pack_run(RunStore(folder), tmp_path))
    everything = b"\n".join([*map(str.encode, members), *members.values()])
    for word in ("alicem", "gpu-box-7", "bob", "10.1.2.3", "/home/", "Users", str(tmp_path),
                 "very-private", "key=abc", "base_url", "u:p@"):  # fmt: skip
        assert word.encode() not in everything, word
    config = json.loads(members["run.json"])["config"]
    assert config["steps"] == run["config"]["steps"]
    assert not {"provider", "sandbox", "executor", "max_usd", "slots"} & set(config)


def test_a_program_with_a_path_of_this_machine_is_not_handed_over(
    made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made / "runs" / "model", tmp_path / "run")
    store = RunStore(tmp_path / "run")
    path = next(store.dir.glob("iterations/*/candidates/*/reward.py"))
    path.write_text(path.read_text() + "# see /home/bob/notes.txt\n")
    with pytest.raises(DataError, match="a program is known by its digest"):
        pack_run(store, tmp_path)
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("speed in m/s, 3/4 of it; a / b", "speed in m/s, 3/4 of it; a / b"),
        ("see /home/x/y.py and ~/z or ~bob/z/a", "see [path] and [path] or [path]"),
        (r"C:\Users\bob\a.py failed", "[path] failed"),
        (r"on \\server\share\a", "on [path]"),
        ("at https://u:p@h.example:9/v1?k=1", "at [address]"),
        ("10.0.0.1:80 is down, 2.4.6 is not", "[address] is down, 2.4.6 is not"),
        ("by alicem, on gpu-box-7", "by [hidden], on [hidden]"),
        ("alicemore", "alicemore"),
        ("mail bob.x@lab.example now", "mail [hidden] now"),
        ("it was very-private-key-0123456789", "it was [hidden]"),
        ("sk-abcdefghijklmnop12345", "[hidden]"),
    ],
)
def test_prose_is_cleaned(text: str, cleaned: str) -> None:
    assert Cleaner((), ALICE).clean_prose(text) == cleaned


def test_code_stays_as_it_is() -> None:
    code = 'def f(key=lambda x: x / 2):\n    """m/s, a/b/c"""\n    return x /y/ z @ w\n'
    assert Cleaner((), ALICE | {"USER": "lambda", "LOGNAME": "key"}).clean_code(code) == code


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_cleaning_is_done_once_and_for_all(text: str) -> None:
    cleaner = Cleaner((), ALICE)
    once = cleaner.clean_prose(text)
    assert "alicem" not in once.split()
    assert cleaner.clean_prose(once) == once


# --- a stranger's file ----------------------------------------------------------------------------


def add(name: str, data: bytes = b"x", **fields: int) -> Callable[[Path, Path], None]:
    """Return what adds a member to a bundle, behind its list."""

    def change(source: Path, target: Path) -> None:
        shutil.copy(source, target)
        with zipfile.ZipFile(target, "a") as archive:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, data)

    return change


SUMMARY = "iterations/0/candidates/aaaaaaaa/summary.md"


_NONE, _FORM = "is no file of a run", "a link, is encrypted or packed in another way"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (add("../evil.py"), _NONE),
        (add("iterations/../../evil.py"), _NONE),
        (add("/etc/evil"), _NONE),
        (add("C:\\evil.py"), _NONE),
        (add("iterations\\0\\evil.py"), _NONE),
        (add("LOCK"), _NONE),
        (add("events.jsonl"), _NONE),
        (add("replies.sqlite"), _NONE),
        (add("feedback/"), _NONE),
        (add("iterations/0/candidates/../reward.py"), _NONE),
        (add("iterations/0/candidates/a b/reward.py"), _NONE),
        (add("iterations/0/candidates/\u202eevil/reward.py"), _NONE),
        (add("reward.py"), "twice"),
        (add("REWARD.PY"), _NONE),
        (add("Reward.py"), _NONE),
        (add(SUMMARY, external_attr=(stat.S_IFLNK | 0o777) << 16), _FORM),
        (add(SUMMARY, external_attr=(stat.S_IFCHR | 0o666) << 16), _FORM),
        (add(SUMMARY, external_attr=(stat.S_IFIFO | 0o666) << 16), _FORM),
        (add(SUMMARY, external_attr=(stat.S_IFDIR | 0o777) << 16), _FORM),
        (add(SUMMARY, external_attr=0x10), _FORM),
        (add(SUMMARY, compress_type=zipfile.ZIP_BZIP2), _FORM),
        (add(SUMMARY, compress_type=zipfile.ZIP_LZMA), _FORM),
        (add(SUMMARY), "named or packed, but not both"),
        (add(SUMMARY, b"0" * (5 * 2**20)), "too large"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_no_run_has_is_refused(
    change: Callable[[Path, Path], None], why: str, packed: Path, tmp_path: Path, runs: Path
) -> None:
    change(packed, tmp_path / "evil.zip")
    assert_refused(tmp_path / "evil.zip", runs, why)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("run.json", b"{}", "id: Field required"),
        ("run.json", b'{"a":' * 100_000, "recursion limit"),
        ("run.json", b"\xff\xfe", "Invalid JSON"),
        ("iterations/0/iteration.json", b"[]", "should be an object"),
        ("reward.py", b"\xff", "can't decode byte"),
        ("replies.jsonl", b'{"key": "a"}\n', "replies.jsonl: request: Field required"),
        ("replies.jsonl", b"[" * 200_000 + b"\n", "recursion depth"),
        ("replies.jsonl", b"7\n", "a line is no object"),
        ("calls.jsonl", b"words\n", "Expecting value"),
        ("feedback/session.jsonl", b"NaN\n", "a number is nan"),
        ("feedback/session.jsonl", b"[1]\n", "a line is no object"),
        (
            "iterations/0/candidates/a/evaluation/seed_0/video.webp",
            b"<svg onload=alert(1)>",
            "neither",
        ),
        (
            "iterations/0/candidates/a/evaluation/seed_0/policy.safetensors",
            b"\x80\x04pickle",
            "not a policy",
        ),
        ("iterations/0/candidates/a/evaluation/seed_0/p.safetensors", b"\xff" * 64, "not a policy"),
        ("metric/0/words.json", b'{"meaning": 1e999}', "a number is inf"),
    ],
)
def test_what_is_not_what_its_name_promises_is_refused(
    name: str, data: bytes, why: str, packed: Path, tmp_path: Path, runs: Path
) -> None:
    path = write_bundle(tmp_path / "evil.zip", read_members(packed) | {name: data})
    assert len(assert_refused(path, runs, why)) < len(str(tmp_path)) + 200


def test_a_run_that_leads_elsewhere_is_refused(packed: Path, tmp_path: Path, runs: Path) -> None:
    for key, value in (
        ("id", "../evil"), ("id", "/etc"), ("id", "a/b"), ("id", ""), ("id", "."),
        ("extra", 1), ("schema_version", 2),
    ):  # fmt: skip
        members = read_members(packed)
        run = json.loads(members["run.json"]) | {key: value}
        members["run.json"] = json.dumps(run).encode()
        assert_refused(write_bundle(tmp_path / "evil.zip", members, run="evil"), runs, f"{key}: ")
    members = read_members(packed)
    run = json.loads(members["run.json"])
    for path in ("../../x.safetensors", "/etc/passwd", "a/../../b"):
        run["winner"]["policy_file"] = path
        members["run.json"] = json.dumps(run).encode()
        assert_refused(write_bundle(tmp_path / "evil.zip", members), runs, "policy_file: ")


def test_a_list_that_is_not_that_of_the_members_is_refused(
    packed: Path, tmp_path: Path, runs: Path
) -> None:
    members = read_members(packed)
    changed = members | {"reward.py": b"import os\n"}
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for name, data in changed.items():
            archive.writestr(name, data)
    assert_refused(tmp_path / "evil.zip", runs, "reward.py is not what was packed")
    assert_refused(
        write_bundle(tmp_path / "evil.zip", members, kind="else"),
        runs,
        "Input should be 'reward-agent run'",
    )
    assert_refused(write_bundle(tmp_path / "evil.zip", members, run="another"), runs, "another run")
    del members["run.json"]
    assert_refused(write_bundle(tmp_path / "evil.zip", members), runs, r"holds no run\.json")


def test_a_bomb_is_refused_before_it_is_opened(
    packed: Path, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_TOTAL_BYTES", 50 * 2**20)
    monkeypatch.setattr(unpack, "MAX_FILES", 500)
    path = tmp_path / "evil.zip"
    members = read_members(packed)
    films = {
        f"iterations/0/candidates/a{n}/evaluation/seed_0/video.webp": b"\0" * (30 * 2**20)
        for n in range(2)
    }
    assert_refused(write_bundle(path, members | films), runs, "holds too much")
    many = {f"iterations/{n}/candidates/a/summary.md": b"" for n in range(unpack.MAX_FILES)}
    assert_refused(write_bundle(path, members | many), runs, r"holds too much: 5\d\d files$")
    path.write_bytes(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 9, 9, 2**31, 0, 0))
    assert_refused(path, runs, "is no packed run$")


@pytest.mark.parametrize(
    ("size", "why"),
    [(0, "CRC"), (1, "CRC"), (10**6, "not as long as"), (2**31, "is too large: 2,147,483,648")],
)
def test_sizes_that_lie_are_refused(
    size: int, why: str, packed: Path, tmp_path: Path, runs: Path
) -> None:
    path, data = tmp_path / "evil.zip", bytearray(packed.read_bytes())
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        name = next(n for n in archive.namelist() if n.endswith("reward.py")).encode()
    at = data.rindex(name) - 46  # its place in the index
    data[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    assert_refused(path, runs, why)


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"x" * 1000, b"PK\x05\x06" + b"\0" * 18, b"\x1f\x8b" + b"\0" * 99],
)
def test_what_is_no_bundle_is_refused(data: bytes, tmp_path: Path, runs: Path) -> None:
    (tmp_path / "evil.zip").write_bytes(data)
    assert_refused(tmp_path / "evil.zip", runs, r"is no packed run$|holds no run\.json$")


def test_a_file_that_is_none_is_refused(packed: Path, tmp_path: Path, runs: Path) -> None:
    runs.mkdir()
    assert_refused(tmp_path / "missing.zip", runs, r"No such file .*missing\.zip")
    for path in (tmp_path, Path("/dev/zero")):
        assert_refused(path, runs, f"^{path} is not a plain file$")


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_bundle_is_opened_whole_or_not_at_all(
    made: Path, packed: Path, tmp_path: Path, data: st.DataObject
) -> None:
    packed_run = RunStore(made / "runs" / "model")
    content = bytearray(packed.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    runs = tmp_path / "damaged"
    shutil.rmtree(runs, ignore_errors=True)
    path = tmp_path / "damaged.zip"
    path.write_bytes(content)
    try:
        opened = open_bundle(path, runs)
    except RewardAgentError:
        assert not runs.exists()
    else:
        assert [folder.name for folder in runs.iterdir()] == [opened.dir.name]
        assert opened.list_finished() == packed_run.list_finished()


def test_a_stranger_decides_nothing_about_this_machine(
    packed: Path, tmp_path: Path, runs: Path
) -> None:
    members = read_members(packed)
    run = json.loads(members["run.json"])
    evil = {"sandbox": "off", "base_url": "http://evil", "executor": "ray", "provider": "openai"}
    run["config"] |= evil
    run["card"]["folder"] = str(tmp_path)
    members["run.json"] = json.dumps(run).encode()
    opened = open_bundle(write_bundle(tmp_path / "evil.zip", members), runs).read_run()
    assert not set(evil) & set(opened.config)
    assert opened.card.folder is None


def test_a_session_of_a_stranger_ends_in_one_line(packed: Path, tmp_path: Path, runs: Path) -> None:
    members = read_members(packed) | {"feedback/session.jsonl": b'{"kind": "evil"}\n'}
    store = open_bundle(write_bundle(tmp_path / "odd.zip", members), runs)
    with pytest.raises(DataError), open_session(str(store.dir), environ={}, provider="offline"):
        pass
