"""A new kind of job is one file and one row."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from reward_agent.definitions.card import load_env
from reward_agent.executors import JobRequest, slots
from reward_agent.executors.journal import EXIT_FILE
from reward_agent.executors.slots import LocalPlace, SlotExecutor
from reward_agent.records import jobs
from reward_agent.records.job import Limits
from reward_agent.records.timing import TimeLedger
from reward_agent.sandbox import child
from reward_agent.sandbox.runner import run_job

WORKER = Path(__file__).with_name("new_job_worker.py")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("new_job_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "new_job_worker", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(jobs, "JOBS", (*jobs.JOBS, module.CountJob))
    command = [sys.executable, "-s", "-P", str(WORKER)]
    monkeypatch.setattr(slots, "run_job", run_job)  # not forked from one that knows no such kind
    monkeypatch.setattr(child, "make_child_command", lambda job_dir: [*command, str(job_dir)])
    return module


def test_a_new_kind_of_job_runs_in_the_real_sandbox_and_is_not_repeated(
    count, tmp_path: Path
) -> None:
    ledger = TimeLedger(1)
    executor = SlotExecutor(LocalPlace(1, "default"), ledger)
    job = count.CountJob(card=load_env("inverted_pendulum"), word="reward")
    request = JobRequest(job, tmp_path, Limits(wall_s=3600, memory_mib=512))
    [done] = executor.map([request])
    assert done.outcome.is_ok, done
    assert done.level in ("full", "namespaces")
    assert done.result == count.CountResult(n_letters=6, has_network=False)
    assert request.limits.wall_s == 120, "the clock of short jobs is the usual one"
    written = (tmp_path / EXIT_FILE).stat().st_mtime_ns
    assert executor.map([request]) == [done]
    assert (tmp_path / EXIT_FILE).stat().st_mtime_ns == written
    executor.close()
    assert "counting" in ledger.account(), "a free slot waited for it"


def test_a_kind_that_is_nowhere_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValidationError, match="kind is 'count', expected one of probe, train, "):
        jobs.parse_job(b'{"kind": "count", "word": "reward"}')
