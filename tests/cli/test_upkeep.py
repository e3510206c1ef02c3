"""Many runs at once: how large they are, which are deleted, how two differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.reports import write_run
from typer.testing import CliRunner

from reward_agent.cli import upkeep
from reward_agent.cli.app import app
from reward_agent.errors import UsageError
from reward_agent.records.disk import write_record
from reward_agent.records.store import DIAGNOSIS_FILE, GivenReward, RunStore, load_run
from reward_agent.summary.diagnosis import RewardDiagnosis


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name)
    store = RunStore(tmp_path / "runs" / "b")
    run = store.read_run()
    store.write_run(run.model_copy(update={"status": "paused", "config": run.config | {"seed": 7}}))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "large").write_bytes(bytes(5_000_000))
    (store.dir / "link").symlink_to(tmp_path / "outside")
    return tmp_path / "runs"


def call(runs: Path, *arguments: str) -> Any:
    done = CliRunner().invoke(app, ["runs", *arguments, "--runs-dir", str(runs)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_a_list_is_cut_to_the_newest_and_to_what_is_asked_for(runs: Path) -> None:
    def names(*arguments: str) -> list[str]:
        return [run["id"] for run in json.loads(call(runs, "list", "--json", *arguments))]

    assert names() == ["a", "b"]
    assert names("--limit", "1") == ["b"]
    assert names("--status", "finished") == ["a"]
    assert names("--status", "finished", "--limit", "1") == ["a"]
    assert names("--env", "ant") == []


def test_sizes_are_of_what_lies_in_the_run(runs: Path) -> None:
    listed = json.loads(call(runs, "du", "--json"))
    assert {item["run"] for item in listed} == {"a", "b"}
    least = sum(path.stat().st_size for path in (runs / "a").rglob("*") if path.is_file())
    assert {item["run"]: item["bytes"] for item in listed}["a"] >= least
    assert all(item["bytes"] < 5_000_000 for item in listed)
    assert "together" in call(runs, "du")


def test_runs_are_deleted_after_a_yes_and_nothing_behind_a_link(runs: Path) -> None:
    with pytest.raises(UsageError, match="wants a yes"):
        call(runs, "rm", "a", "b")
    assert (runs / "a").exists()
    with RunStore(runs / "b").lock(), pytest.raises(UsageError, match="works on run b"):
        call(runs, "rm", "a", "b", "--yes")
    assert (runs / "a").exists()
    call(runs, "rm", "a", "b", "--yes")
    assert not list(runs.iterdir())
    assert (runs.parent / "outside" / "large").exists()


@pytest.mark.parametrize(("answer", "is_deleted"), [("y", True), ("", False), ("no", False)])
def test_a_person_is_asked(
    runs: Path, monkeypatch: pytest.MonkeyPatch, answer: str, is_deleted: bool
) -> None:
    monkeypatch.setattr("builtins.input", lambda: answer)
    monkeypatch.setattr(upkeep.sys, "stdin", type("T", (), {"isatty": staticmethod(lambda: True)}))
    if is_deleted:
        upkeep.rm_command(["a"], runs_dir=runs)
    else:
        with pytest.raises(UsageError, match="nothing was deleted"):
            upkeep.rm_command(["a"], runs_dir=runs)
    assert (runs / "a").exists() != is_deleted


def test_two_runs_side_by_side_say_what_differs(runs: Path) -> None:
    told = json.loads(call(runs, "compare", "a", "b", "--json"))
    assert told["settings"] == {"seed": [0, 7]}
    assert [run["status"] for run in told["runs"]] == ["finished", "paused"]
    assert told["runs"][0]["scores_of_seeds"] == [5.7, 6.1]
    shown = call(runs, "compare", "a", "b")
    assert "--seed" in shown
    assert "5.7, 6.1" in shown


@pytest.fixture
def diagnosed(runs: Path) -> Path:
    """The runs, and a diagnosis that is newer."""
    reward = GivenReward(file="mine.py", program_sha256="0" * 64, form="as it is")
    write_record(
        runs / "c" / DIAGNOSIS_FILE,
        RewardDiagnosis(
            reward=reward,
            env="hopper",
            steps=4096,
            max_episode_steps=1000,
            headline="pays standing still: alive pays 1 a step",
        ),
    )
    return runs


def test_a_diagnosis_is_listed_and_shown_beside_runs(diagnosed: Path) -> None:
    listed = json.loads(call(diagnosed, "list", "--json"))
    assert [(item["id"], item["kind"]) for item in listed] == [
        ("a", "design"), ("b", "design"), ("c", "diagnosis"),
    ]  # fmt: skip
    assert listed[2]["task"].endswith("pays standing still: alive pays 1 a step")
    [row] = json.loads(call(diagnosed, "list", "--json", "--env", "hopper", "--limit", "1"))
    assert row["status"] == "finished"
    shown = call(diagnosed, "show", "last")
    assert shown.startswith("pays standing still")
    assert str(diagnosed / "c" / "diagnosis.html") in shown
    assert json.loads(call(diagnosed, "show", "c", "--json"))["kind"] == "diagnosis"
    assert "mine.py: pays standing" in " ".join(call(diagnosed, "list").split())


def test_a_diagnosis_is_measured_and_deleted_as_a_run_is(diagnosed: Path) -> None:
    assert "c" in {item["run"] for item in json.loads(call(diagnosed, "du", "--json"))}
    call(diagnosed, "rm", "c", "--yes")
    assert sorted(path.name for path in diagnosed.iterdir()) == ["a", "b"]


def test_what_asks_for_a_run_says_that_it_was_given_a_diagnosis(diagnosed: Path) -> None:
    with pytest.raises(UsageError, match="c is a diagnosis, no run"):
        call(diagnosed, "costs", "c")
    assert load_run("last", diagnosed).dir.name == "b"
