"""Tests of short commands on long work: begun detached, asked, answered, stopped, taken up."""

import json
import os
import subprocess
import sys
import time

import pytest
from support.commands import run_command

from reward_agent.cli import steer
from reward_agent.errors import UsageError
from reward_agent.records.store import RunStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
TINY = ("--provider", "offline", "--candidates", "1", "--iterations", "1", "--no-video")


def call(folder, *words, code=0):
    if words[0] == "design" or words[1] == "answer":  # what goes on in a process of its own
        command = [sys.executable, "-m", "reward_agent", *words]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
    else:
        done = run_command(*words, cwd=folder)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done


def ask(folder, *words, code=0):
    return json.loads(call(folder, *words, "--json", code=code).stdout)


def test_a_run_by_short_commands_alone(tmp_path):
    design = ("design", "--env", "inverted_pendulum", "--task", "balance", *TINY)
    begun = ask(tmp_path, *design, "--steps", "4000000", "--detach")
    run = begun["id"]
    status = ask(tmp_path, "runs", "status", run)
    assert (status["id"], status["status"]) == (run, "running")
    assert ask(tmp_path, "runs", "wait", run, "--timeout", "0.1", code=4)["status"] == "running"
    while not any(e["kind"] == "drafted" for e in status.get("events", [])):
        lines = call(tmp_path, "runs", "events", run, "--json").stdout.splitlines()
        status["events"] = [json.loads(line) for line in lines]
        time.sleep(0.3)
    stopped = ask(tmp_path, "runs", "stop", run)
    assert stopped["status"] == "interrupted"
    assert stopped["resume"].startswith("reward-agent design --resume")
    assert ask(tmp_path, "runs", "wait", run, code=1)["status"] == "interrupted"
    assert not RunStore(tmp_path / "runs" / run).is_locked()
    told = (tmp_path / "runs" / run / "output.log").read_text()
    assert '"code": "interrupted"' in told


def test_a_question_is_a_state_that_is_answered(tmp_path):
    sentence = "balance upright for 2 s"
    design = ("design", "--env", "inverted_pendulum", "--task", sentence, *TINY)
    run = ask(tmp_path, *design, "--steps", "2048", "--winner-seeds", "1", "--detach")["id"]
    asked = ask(tmp_path, "runs", "wait", run, "--for", "question", "--timeout", "90")
    assert asked["status"] == "paused"
    assert asked["question"]["answers"] == ["accept", "own", "unranked"]
    assert asked["question"]["criterion"]
    wrong = call(tmp_path, "runs", "answer", run, "yes", "--json", code=2)
    assert json.loads(wrong.stderr)["code"] == "usage"
    assert ask(tmp_path, "runs", "answer", run, "accept", "--provider", "offline")["id"] == run
    over = ask(tmp_path, "runs", "wait", run, "--timeout", "110")
    assert over["status"] == "finished"
    assert over["winner"]["of_seeds"]
    shown = ask(tmp_path, "runs", "show", run)
    assert [item["outcome"] for item in shown["candidates"]] == ["trained"]
    refused = call(tmp_path, "runs", "answer", run, "accept", code=2)
    assert "asks nothing" in refused.stderr


def test_what_keeps_a_run_from_beginning_is_told_to_the_caller(tmp_path):
    done = call(tmp_path, "design", "--env", "hoper", "--task", "hop", "--detach", "--json", code=2)
    assert json.loads(done.stderr)["message"].startswith("unknown environment 'hoper'")
    assert done.stdout == ""


def test_a_run_that_nobody_works_on_has_no_holder(tmp_path):
    store = RunStore(tmp_path)
    with store.lock():
        assert store.find_holder() == os.getpid()
    assert store.find_holder() is None
    # What a stranger wrote into the file names no process to be ended.
    (tmp_path / "LOCK").write_text("1")
    assert store.find_holder() is None


def test_a_run_that_ends_of_itself_meanwhile_is_stopped(tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    held = iter([True, True, False])
    monkeypatch.setattr(steer, "_POLL_S", 0.01)
    monkeypatch.setattr(store, "is_locked", lambda: next(held))
    steer._interrupt(store)
    assert next(held, None) is None


def test_what_holds_a_run_and_is_not_known_is_told(tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    monkeypatch.setattr(steer, "_POLL_S", 0.01)
    monkeypatch.setattr(steer, "_KNOWN_S", 0.02)
    monkeypatch.setattr(store, "is_locked", lambda: True)
    with pytest.raises(UsageError, match="no process of this machine"):
        steer._interrupt(store)
