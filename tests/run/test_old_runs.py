"""Runs that an earlier version wrote: listed, shown, reported, replayed, resumed, answered.

``data/runs_0.1.0.tar.xz`` holds four, made at 76bbb5e on the inverted pendulum: ``model`` (three
roles over a loopback server; a repair, a revision, a candidate without a program, one that was
stopped, confirmations, a feedback session), ``limit`` (ended by --max-calls), ``offline`` and
``sentence`` (a proposed metric).
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.commands import run_command

import reward_agent
from reward_agent.feedback.session import open_session
from reward_agent.records.store import RunStore
from reward_agent.report.page import write_report

ARCHIVE = Path(__file__).parent / "data" / "runs_0.1.0.tar.xz"
NAMES = ("model", "limit", "offline", "sentence")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "runs", filter="data")
    return tmp_path / "runs"


def ask(runs: Path, *arguments: str) -> Any:
    return json.loads(run_command(*arguments, "--runs-dir", str(runs), cwd=runs).stdout)


def list_programs(store: RunStore) -> list[str]:
    return [
        store.read_program(index, candidate.id)
        for index in store.list_iterations()
        for candidate in store.read_iteration(index).candidates
    ]


def test_they_are_listed_and_shown(runs: Path) -> None:
    assert {item["id"] for item in ask(runs, "runs", "list", "--json")} == {
        RunStore(runs / name).read_run().id for name in NAMES
    }
    for name in NAMES:
        shown = ask(runs, "runs", "show", name, "--json", "--full")
        assert shown


def test_what_they_paid_is_told(runs: Path) -> None:
    assert ask(runs, "runs", "costs", "model", "--json")["total"]["n_calls"] == 24


@pytest.mark.parametrize("name", NAMES)
def test_their_report_is_written(runs: Path, name: str) -> None:
    page = write_report(runs / name).read_text()
    for candidate in RunStore(runs / name).read_iteration(0).candidates:
        assert candidate.id in page


def test_a_report_says_how_each_candidate_ended(runs: Path) -> None:
    page = write_report(runs / "model").read_text()
    assert "stopped: 1.71 s at 2,048 steps, the best had 3.45" in page
    assert "no program: the reply holds no code" in page
    assert "is not a field of inverted_pendulum" in page


@pytest.mark.parametrize("name", ["model", "limit", "sentence"])
def test_a_replay_gives_the_same_programs(runs: Path, name: str) -> None:
    old = RunStore(runs / name)
    run = reward_agent.design(
        provider=f"replay:{name}",
        runs_dir=runs,
        environ={},
        slots=1,
        video=False,
        steps=256,
        # The rounds of a session answered a person; they are no part of the search.
        iterations=old.read_run().config["iterations"],
    )
    programs = list_programs(RunStore(runs / run.id))
    assert programs == list_programs(old)[: len(programs)]
    assert len(programs) >= old.read_run().config["candidates"]


def test_a_finished_run_is_resumed_without_a_training(runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.glob("offline/**/result.json")}
    old = RunStore(runs / "offline").read_run()
    run = reward_agent.resume_run("offline", runs_dir=runs, environ={}, video=False)
    assert run.winner is not None
    assert old.winner is not None
    facts = {"candidate", "iteration", "task_score", "task_scores", "success_rate", "is_confirmed"}
    assert run.winner.model_dump(include=facts) == old.winner.model_dump(include=facts)
    after = {path: path.stat().st_mtime_ns for path in runs.glob("offline/**/result.json")}
    # Its best policies were never tried against each other.
    after.pop(runs / "offline" / "policy" / "result.json")
    assert after == before


def test_the_offline_designer_goes_on_from_its_programs(runs: Path) -> None:
    run = reward_agent.resume_run("offline", runs_dir=runs, environ={}, iterations=2, slots=1)
    assert run.status == "finished"
    store = RunStore(runs / "offline")
    departed = [c for c in store.read_iteration(1).candidates if c.parent]
    assert departed
    for candidate in departed:
        said = (store.candidate_dir(1, candidate.id) / "reply.md").read_text()
        assert f"from candidate {candidate.parent}" in said, "its plan was read"


def test_a_session_goes_on(runs: Path) -> None:
    config = RunStore(runs / "model").read_run().config
    said = {name: config[name] for name in ("provider", "model", "base_url")}
    environ = {"OPENAI_COMPATIBLE_API_KEY": "k"}
    with open_session("model", runs_dir=runs, environ=environ, **said) as opened:
        assert len(opened.list_trained()) == 7
        assert not opened.waiting
        opened.note("Seen again.")


def test_an_export_takes_an_old_winner(runs: Path, tmp_path: Path) -> None:
    reward_agent.export_run("model", tmp_path / "taken", runs_dir=runs)
    assert (tmp_path / "taken" / "reward.py").is_file()
