"""A run is held in one way, by whoever works on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import reward_agent
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import make_task
from reward_agent.errors import MissingKeyError, RewardAgentError, UsageError
from reward_agent.feedback.session import open_session
from reward_agent.records.disk import read_record
from reward_agent.records.settings import RunSettings, list_settings
from reward_agent.records.store import RunRecord, RunStore
from reward_agent.run import open as open_module
from reward_agent.run import resume as resume_module
from reward_agent.run.open import HeldRun, open_run
from reward_agent.run.repeat import find_repeated

SETTINGS = RunSettings(provider="offline", sandbox="any", slots=1)


def make_record(store: RunStore, status: str, **config: object) -> RunRecord:
    card = load_env("inverted_pendulum")
    return RunRecord(
        id=store.dir.name, created="2026-11-22T23:41:05Z", status=status, card=card,
        task=make_task(card.name, "balance the pole"), metric_origin="none",
        config=SETTINGS.model_dump() | config, config_sources={}, designer="x",
        sandbox_level="unknown", versions={},
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs" / "a_run")
    store.write_run(make_record(store, "interrupted"))
    return store


def resume(store: RunStore) -> None:
    reward_agent.resume_run(str(store.dir), environ={})


def converse(store: RunStore) -> None:
    with open_session(str(store.dir), environ={}):
        pass


@pytest.mark.parametrize("work", [resume, converse])
def test_who_comes_second_is_refused(store: RunStore, work: Callable[[RunStore], None]) -> None:
    with store.lock(), pytest.raises(UsageError, match="another process works on run a_run"):
        work(store)


@pytest.mark.parametrize("work", [resume, converse])
def test_what_another_process_wrote_until_the_lock_was_taken_is_kept(
    work: Callable[[RunStore], None], store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunStore.lock

    def wait_for_another(self: RunStore) -> AbstractContextManager[None]:
        self.write_run(self.read_run().model_copy(update={"total_timesteps": 7}))
        return real(self)

    monkeypatch.setattr(RunStore, "lock", wait_for_another)
    monkeypatch.setattr(resume_module, "follow", lambda held, choice: held.store.read_run())
    work(store)
    assert store.read_run().total_timesteps == 7


@pytest.mark.parametrize(
    ("earlier", "now", "kept"),
    [("process", "full", "process"), ("full", "namespaces", "namespaces"), ("?", "full", "full")],
)
def test_of_two_levels_of_the_sandbox_the_weaker_is_kept(
    earlier: str, now: str, kept: str, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_run(store.read_run().model_copy(update={"sandbox_level": earlier}))
    monkeypatch.setattr(open_module, "check_isolation", lambda mode: now)
    converse(store)
    assert store.read_run().sandbox_level == kept


def test_a_session_over_a_run_whose_process_is_gone_leaves_it_interrupted(
    store: RunStore,
) -> None:
    store.write_run(make_record(store, "running"))
    converse(store)
    assert read_record(store.dir / "run.json", RunRecord).status == "interrupted"


def test_what_is_missing_is_said_before_there_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(MissingKeyError):
        reward_agent.design(
            "inverted_pendulum", "balance", provider="openai", runs_dir=tmp_path, environ={}
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "ends_as"), [("running", "failed"), ("interrupted", "interrupted")]
)
def test_how_it_ended_is_recorded_of_a_run_that_is_to_be_finished_alone(
    status: str, ends_as: str, store: RunStore
) -> None:
    def describe(held: HeldRun) -> RunRecord:
        return make_record(store, status)

    with (
        pytest.raises(RewardAgentError, match="no model"),
        open_run(store, SETTINGS, describe, lambda event: None, {}) as held,
        held.activate(),
    ):
        raise RewardAgentError("no model", "wait")
    assert store.read_run().status == ends_as
    assert store.read_run().sandbox_level != "unknown"


def test_a_replay_takes_over_what_is_of_the_search_and_nothing_else(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "a_run")
    theirs = {"steps": 7, "recall": "score", "sandbox": "off", "executor": "slurm", "max_usd": 9.0}
    store.write_run(make_record(store, "finished", **theirs))
    repeated = find_repeated("replay:a_run", tmp_path)
    assert repeated is not None
    assert repeated.settings["steps"] == 7
    assert repeated.settings["recall"] == "score"
    assert repeated.settings["provider"] == "replay:a_run"
    assert set(repeated.settings) - {"provider"} == set(list_settings(is_personal=False))
