"""Tests of how far a run is, by its folder."""

import json

import pytest

from reward_agent.control.status import RunStatus, read_events, read_status
from reward_agent.export.shipped import find_shipped
from reward_agent.export.unpack import open_bundle


@pytest.fixture
def store(tmp_path):
    return open_bundle(find_shipped("back_flip"), tmp_path)


def write_events(store, *events):
    lines = [json.dumps({"time": f"2026-11-27T10:00:{10 * i:02d}Z", **e}) for i, e in events]
    (store.dir / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))


ACCEPTED = {"kind": "accepted"}
BEGUN = [
    {"kind": "run_started"},
    {"kind": "iteration_started", "iteration": 0, "ideas": ["a"]},
    {"kind": "drafted", "id": "aa", "outcome": ACCEPTED},
    {"kind": "drafted", "id": "bb", "outcome": {"kind": "rejected"}},
    {"kind": "trained_until", "candidate": "aa", "seed": 0, "until": 60_000},
    {"kind": "trained_until", "candidate": "aa", "seed": 0, "until": 100_000},
]


def test_a_finished_run_says_its_winner_and_waits_for_nothing(store):
    status = read_status(store)
    assert (status.status, status.round, status.rounds) == ("finished", 3, 3)
    assert status.winner is not None
    assert status.winner.of_seeds == (1.0, pytest.approx(0.926, abs=0.001))
    assert (status.question, status.left_s, status.at_work) == (None, None, ())
    assert status.outcomes["trained"] >= 1
    assert len(status.model_dump_json()) < 2500


def test_a_run_at_work_says_who_trains_how_many_steps_and_what_is_left(store):
    record = store.read_run().model_copy(update={"status": "running", "total_timesteps": 0})
    write_events(store, *enumerate(BEGUN))
    with store.lock():
        store.write_run(record)
        status = read_status(store)
        assert status.status == "running"
        assert status.at_work == ("aa",)
        assert status.env_steps == 100_000
        assert status.last_event is not None
        assert status.last_event.kind == "trained_until"
        # 100,000 steps took 50 s.
        assert status.left_s == pytest.approx((4_275_000 - 100_000) / 2000, rel=0.2)
    lost = read_status(store)
    assert (lost.status, lost.left_s, lost.at_work) == ("interrupted", None, ())
    assert lost.resume.startswith("reward-agent design --resume")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        '{"kind": "drafted", "outcome": 3}',
        '{"time": [], "kind": {}}',
        "\x00" * 9,
    ],
)
def test_a_log_that_a_stranger_wrote_is_data(store, line):
    (store.dir / "events.jsonl").write_text(f"{line}\n" + json.dumps({"kind": "finished"}) + "\n{")
    assert read_status(store).status == "finished"
    assert read_events(store)[-1] == {"time": "", "kind": "finished"}
    assert read_events(store, 2) == []


def test_what_scripts_read_keeps_its_names():
    assert list(RunStatus.model_fields) == [
        "schema_version", "id", "folder", "status", "reason", "env", "task", "designer", "round", "rounds",
        "at_work", "outcomes", "best", "winner", "target_score", "env_steps", "calls", "usd", "wall_s", "left_s",
        "question", "requests", "candidates", "last_event", "resume",
    ]  # fmt: skip


def test_a_broken_line_counts_as_no_event(store):
    (store.dir / "events.jsonl").write_text('{\n{"kind": "sandbox"}\n{"kind": "finished"}\n')
    assert [event["kind"] for event in read_events(store)] == ["sandbox", "finished"]
    assert [event["kind"] for event in read_events(store, 1)] == ["finished"]
    assert read_events(store, 2) == []
