"""The run directory: whole records, one owner, names that find runs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import make_task
from reward_agent.errors import DataError, RewardAgentError, UnknownNameError, UsageError
from reward_agent.records import store
from reward_agent.records.disk import read_record, write_record, write_text
from reward_agent.records.store import (
    Iteration,
    RunRecord,
    RunStore,
    check_run_name,
    find_candidate,
    load_run,
    make_run_id,
    name_candidate,
)
from reward_agent.types import Critique, Usage


def make_runs(folder: Path, *names: str) -> None:
    for name in names:
        write_text(folder / name / "run.json", "{}")


def test_a_record_survives_the_round_trip(tmp_path: Path) -> None:
    critique = Critique(verdict="revise", summary="too much pay for standing")
    write_record(tmp_path / "critique.json", critique)
    assert read_record(tmp_path / "critique.json", Critique) == critique


def test_a_record_with_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    write_text(tmp_path / "c.json", json.dumps({"verdict": "accept", "summary": "", "risk": 1}))
    with pytest.raises(DataError, match=r"c\.json is no Critique: risk"):
        read_record(tmp_path / "c.json", Critique)


def test_writing_replaces_a_link_in_place_of_following_it(tmp_path: Path) -> None:
    target = tmp_path / "precious.txt"
    target.write_text("keep me")
    (tmp_path / "run.json").symlink_to(target)
    write_text(tmp_path / "run.json", "new")
    assert target.read_text() == "keep me"
    assert not (tmp_path / "run.json").is_symlink()


def test_a_full_disk_is_one_error_with_a_remedy() -> None:
    with pytest.raises(RewardAgentError, match="cannot write /dev/full") as caught:
        write_text(Path("/dev/full/run.json"), "text")
    assert "resume" in caught.value.remedy


def test_a_failed_write_leaves_the_old_record(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_text(path, "old")

    class Unwritable(str):
        def encode(self, *_: str) -> bytes:
            raise OSError(28, "No space left on device")

    with pytest.raises(RewardAgentError, match="No space left on device"):
        write_text(path, Unwritable("new"))
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["run.json"]


def test_one_process_at_a_time_works_on_a_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    with (
        store.lock(),
        pytest.raises(UsageError, match="another process works on run"),
        RunStore(tmp_path / "run").lock(),
    ):
        pass
    with store.lock():
        pass


def test_an_iteration_is_complete_when_its_file_exists(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    (store.iteration_dir(0) / "candidates").mkdir(parents=True)
    assert store.list_iterations() == []
    store.write_iteration(Iteration(index=0, candidates=(), wall_s=1.0))
    assert store.list_iterations() == [0]


def test_runs_are_found_by_path_start_and_last(tmp_path: Path) -> None:
    make_runs(tmp_path, "2026-01-01_a", "2026-01-02_b")
    assert load_run("2026-01-01", tmp_path).dir.name == "2026-01-01_a"
    assert load_run("last", tmp_path).dir.name == "2026-01-02_b"
    assert load_run(str(tmp_path / "2026-01-01_a"), tmp_path).dir.name == "2026-01-01_a"


def test_a_whole_id_is_that_run_also_where_another_begins_so(tmp_path: Path) -> None:
    make_runs(tmp_path, "2026-01-01_a", "2026-01-01_a-2")
    assert load_run("2026-01-01_a", tmp_path).dir.name == "2026-01-01_a"


def test_an_ambiguous_or_unknown_run_is_refused(tmp_path: Path) -> None:
    make_runs(tmp_path, "2026-01-01_a", "2026-01-02_b")
    for name in ("2026", "2027"):
        with pytest.raises(UnknownNameError):
            load_run(name, tmp_path)


def test_a_run_is_named_after_environment_and_task() -> None:
    assert make_run_id("hopper", "Do a back flip!").endswith("Z_hopper_do-a-back-flip")


def test_usage_adds_up_and_knows_when_there_is_no_price() -> None:
    free = Usage(n_calls=1, input_tokens=10)
    paid = Usage(n_calls=2, input_tokens=5, usd=0.5)
    assert (free + free).usd is None
    assert free + paid == Usage(n_calls=3, input_tokens=15, usd=0.5)


def test_two_runs_of_one_second_do_not_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "now_utc", lambda: "2026-11-22T23:41:05Z")
    names = []
    for _ in range(3):
        folder = store.make_run_dir(tmp_path, "hopper", "hop_forward")
        assert folder.is_dir()
        names.append(folder.name)
    first = "2026-11-22T23-41-05Z_hopper_hop-forward"
    assert names == [first, f"{first}-2", f"{first}-3"]


def test_the_command_that_resumes_names_a_run_elsewhere_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWARD_AGENT_RUNS_DIR", str(tmp_path))
    assert RunStore(tmp_path / "a").resume_command == "reward-agent design --resume a"
    elsewhere = tmp_path / "elsewhere" / "a"
    assert RunStore(elsewhere).resume_command == f"reward-agent design --resume {elsewhere}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"schema_version": 2}', "form of version 2, this program reads version 1"),
        (b"{", "is no Iteration: Invalid JSON"),
        (b"\x80\xff", "is no Iteration: Invalid JSON"),
        (b'{"schema_version": 1, "index": "x"}', "is no Iteration: index: "),
    ],
)
def test_a_spoilt_record_says_which_and_how_to_go_on(
    content: bytes, message: str, tmp_path: Path
) -> None:
    run = RunStore(tmp_path / "iterations" / "run")
    path = run.iteration_dir(3) / "iteration.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        run.read_iteration(3)
    if "version 2" not in message:
        assert f"remove {run.iteration_dir(3)} and resume" in caught.value.remedy


def test_a_folder_that_is_no_round_is_passed_over(tmp_path: Path) -> None:
    for name in ("0", "x", "backup of 1"):
        write_text(tmp_path / "iterations" / name / "iteration.json", "{}")
    assert RunStore(tmp_path).list_iterations() == [0]


def test_a_run_whose_process_is_gone_was_interrupted(tmp_path: Path) -> None:
    run = RunStore(tmp_path / "run")
    with run.lock():
        assert run.is_locked()
    assert not run.is_locked()
    record = make_record("run")
    with run.lock():
        run.write_run(record)
        assert run.read_run().status == "running"
    assert run.read_run().status == "interrupted"
    run.write_run(record.model_copy(update={"status": "finished"}))
    assert run.read_run().status == "finished"


def test_a_lock_is_seen_from_outside_and_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom reward_agent.records.store import RunStore\n"
        "with RunStore(Path(sys.argv[1])).lock():\n    print('held', flush=True)\n    time.sleep(60)"
    )
    run = RunStore(tmp_path / "run")
    command = [sys.executable, "-c", code, str(run.dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert run.is_locked()
        with pytest.raises(UsageError, match="another process works on run"), run.lock():
            pass
        holder.kill()
    assert not run.is_locked()


def test_who_looks_whether_a_run_is_locked_stops_nobody(tmp_path: Path) -> None:
    run = RunStore(tmp_path / "run")
    with run.lock():
        pass
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            run.is_locked()
            time.sleep(0.001)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(50):
            assert not run.is_locked()
            with run.lock():
                pass
    finally:
        stop.set()
        looker.join()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RewardAgentError, match="cannot be written") as caught,
        RunStore(tmp_path / "file" / "run").lock(),
    ):
        pass
    assert "--runs-dir" in caught.value.remedy
    with pytest.raises(UsageError, match="is not a folder"):
        find_runs_dir(tmp_path / "file")


def make_record(name: str) -> RunRecord:
    card = load_env("inverted_pendulum")
    return RunRecord(
        id=name, created="2026-11-22T23:41:05Z", status="running", card=card,
        task=make_task(card.name, "balance the pole"), metric_origin="none", config={},
        config_sources={}, designer="x", sandbox_level="full", versions={},
    )  # fmt: skip


def test_a_run_is_found_by_the_name_that_it_was_given(tmp_path: Path) -> None:
    for name in ("walk-2", "walk", None):
        folder = store.make_run_dir(tmp_path, "hopper", "hop_forward", name)
        (folder / "run.json").write_text("{}")
    assert load_run("walk", tmp_path).dir.name.endswith("Z_walk")
    assert load_run("walk-2", tmp_path).dir.name.endswith("Z_walk-2")
    assert load_run("hopper_hop-forward", tmp_path).dir == folder
    with pytest.raises(UsageError, match="there is a run 'walk'"):
        check_run_name("walk", tmp_path)


@pytest.mark.parametrize("name", ["", "last", "2026-11", "a b", "../up", "ä", "-x", "x" * 41])
def test_what_is_no_name_of_a_run_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a run cannot be called"):
        check_run_name(name, tmp_path)


def test_candidates_have_names_that_people_can_say() -> None:
    ideas = ["momentum-first", "momentum-first", "An idea of yours!"]
    names = [name_candidate(idea, 1, ideas[:n].count(idea)) for n, idea in enumerate(ideas)]
    assert names == ["momentum-first-2", "momentum-first-2b", "an-idea-of-yours-2"]
    assert len({name_candidate("x", 0, n) for n in range(60)}) == 60


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("momentum-first-2", "momentum-first-2"),
        ("momentum first 2b", "momentum-first-2b"),
        ("min", "minimal-1"),
        ("0fa0", "0fa074c7"),
    ],
)
def test_a_candidate_is_found_by_its_name_or_the_start_of_it(said: str, found: str) -> None:
    known = ("momentum-first-2", "momentum-first-2b", "minimal-1", "0fa074c7")
    assert find_candidate(said, known) == found


@pytest.mark.parametrize("said", ["momentum", "safe-first-1", "", " "])
def test_a_candidate_that_is_none_or_several_is_refused(said: str) -> None:
    with pytest.raises(UnknownNameError):
        find_candidate(said, ("momentum-first-2", "momentum-first-2b"))
