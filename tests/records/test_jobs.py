"""Jobs and how they end, and which end stands when a run is taken up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.executors.journal import read_exit, write_exit
from reward_agent.records.disk import write_text
from reward_agent.records.jobs import (
    JOBS,
    CheckEnvJob,
    FilmJob,
    Limits,
    ProbeJob,
    RelabelJob,
    TrainJob,
    digest_files,
    parse_job,
)
from reward_agent.records.outcomes import TIMEOUT, JobOutcome, name_kill
from reward_agent.sandbox.runner import JobExit
from reward_agent.types import TrainingResult, WorkOutcome

CRASHED = JobOutcome(kind="crashed", detail="it")
CARD = load_env("inverted_pendulum")
KNOWN: dict[str, Any] = {"wall_s": 1.0, "peak_rss_mib": 9.0, "level": "full", "stderr_tail": ""}


def make_training(until: int) -> TrainJob:
    return TrainJob(
        card=CARD, program_sha256="1" * 64, seed=3, total_timesteps=100, until_timesteps=until,
        learner=LearnerSettings(),
    )  # fmt: skip


def test_a_slice_that_is_done_is_not_trained_again(tmp_path: Path) -> None:
    job = make_training(50)
    record = {
        "schema_version": 1,
        "job_sha256": job.digest(),
        "until_timesteps": 50,
        "outcome": {"kind": "ok"},
    }
    result = {
        "schema_version": 1, "outcome": {"kind": "paused"}, "seed": 3, "total_timesteps": 64, "wall_s": 2.0,
        "steps_per_s": 32.0,
    }  # fmt: skip
    write_text(tmp_path / "exit.json", json.dumps(record | KNOWN))
    write_text(tmp_path / "result.json", json.dumps(result))
    known = read_exit(job, tmp_path, Limits())
    assert known is not None
    assert known.outcome.is_ok
    assert isinstance(known.result, TrainingResult)
    assert known.result.outcome == WorkOutcome(kind="paused")
    assert read_exit(make_training(30), tmp_path, Limits()) is not None
    assert read_exit(make_training(80), tmp_path, Limits()) is None


def test_an_end_that_a_limit_made_does_not_stand_under_a_higher_one(tmp_path: Path) -> None:
    job, limits = make_training(50), Limits(wall_s=10, memory_mib=100)
    higher = [limits.model_copy(update=raised) for raised in ({"wall_s": 11}, {"memory_mib": 101})]
    lower = limits.model_copy(update={"wall_s": 9})
    for outcome, stands in ((TIMEOUT, False), (name_kill("memory"), False), (CRASHED, True)):
        job_exit = JobExit(outcome=outcome, **KNOWN)
        write_exit(job, tmp_path, job_exit, limits)
        for same in (limits, lower):
            assert read_exit(job, tmp_path, same) is not None
        assert [read_exit(job, tmp_path, more) is not None for more in higher] == [stands] * 2


def test_a_bad_end_without_generated_code_never_stands(tmp_path: Path) -> None:
    job, limits = FilmJob(card=CARD), Limits()
    write_exit(job, tmp_path, JobExit(outcome=TIMEOUT, **KNOWN), limits)
    assert read_exit(job, tmp_path, limits) is None


def test_how_far_a_training_goes_is_not_part_of_which_it_is() -> None:
    assert make_training(50).digest() == make_training(80).digest()
    assert make_training(50).digest() != make_training(50).model_copy(update={"seed": 4}).digest()


def test_what_a_job_reads_is_part_of_which_it_is() -> None:
    job = RelabelJob(card=CARD, program_sha256="1" * 64)
    first, again, other = (
        job.model_copy(update={"inputs": digest_files({"trajectories.npz": data})})
        for data in (b"1", b"1", b"2")
    )
    assert first.digest() == again.digest() != other.digest()


def test_every_kind_says_what_the_parent_has_to_know() -> None:
    assert len({job.model_fields["kind"].default for job in JOBS}) == len(JOBS)
    for job in JOBS:
        assert job.result_type
        assert job.activity
        # What may use the driver, or starts threads, runs no generated code and is not forked.
        assert not (job.uses_graphics and (job.loads_generated_code or job.starts_warm))


def test_a_program_on_trial_has_ten_seconds_of_processor_time() -> None:
    limits = ProbeJob(card=CARD, program_sha256="1" * 64).limit(Limits(memory_mib=99))
    assert (limits.cpu_s, limits.wall_s, limits.memory_mib) == (10, 120, 99)
    assert FilmJob(card=CARD).limit(Limits()).wall_s == 960
    assert make_training(9).limit(Limits(wall_s=7)).wall_s == 7


@pytest.mark.parametrize(
    "job", [CheckEnvJob(card=CARD), make_training(5)], ids=lambda job: job.kind
)
def test_a_job_is_read_back_as_its_kind(job: TrainJob) -> None:
    assert parse_job(job.model_dump_json().encode()) == job
