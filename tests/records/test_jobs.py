"""Jobs and how they end: what runs of earlier versions hold is read, and is said in their words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.executors.journal import ExitRecord, read_exit, write_exit
from reward_agent.records.disk import write_text
from reward_agent.records.drafting_jobs import CheckEnvJob
from reward_agent.records.film_jobs import FilmJob
from reward_agent.records.job import Limits
from reward_agent.records.jobs import JOBS, digest_files, parse_job
from reward_agent.records.outcomes import JobOutcome
from reward_agent.records.scoring_jobs import RelabelJob, ScoreResult
from reward_agent.records.training_jobs import ProbeJob, TrainJob
from reward_agent.sandbox.runner import JobExit
from reward_agent.types import TrainingResult, WorkOutcome

CARD = load_env("inverted_pendulum")
EARLIER = {"wall_s": 1.0, "peak_rss_mib": 9.0, "level": "full", "stderr_tail": ""}


def make_training(until: int) -> TrainJob:
    return TrainJob(
        card=CARD, program_sha256="1" * 64, seed=3, total_timesteps=100, until_timesteps=until,
        learner=LearnerSettings(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "kind", "detail"),
    [
        ("ok", "ok", ""),
        ("timeout", "timeout", ""),
        ("killed: forbidden system call", "killed", "forbidden system call"),
        ("crashed: KeyError: 'lost'", "crashed", "KeyError: 'lost'"),
        ("invalid: a/result.json is missing", "invalid", "a/result.json is missing"),
    ],
)
def test_an_end_in_words_is_read_and_said_again(words: str, kind: str, detail: str) -> None:
    outcome = JobOutcome.model_validate(words)
    assert (outcome.kind, outcome.detail) == (kind, detail)
    assert str(outcome) == words
    assert JobOutcome.model_validate_json(outcome.model_dump_json()) == outcome


@pytest.mark.parametrize(
    ("words", "kind", "reason"),
    [
        ("finished", "finished", ""),
        ("paused", "paused", ""),
        ("scored", "finished", ""),
        ("relabelled", "finished", ""),
        ("failed: contract/size: 1e99: too large", "failed", "contract/size: 1e99: too large"),
    ],
)
def test_what_a_child_said_in_words_is_read(words: str, kind: str, reason: str) -> None:
    outcome = WorkOutcome.model_validate(words)
    assert (outcome.kind, outcome.reason) == (kind, reason)
    assert ScoreResult.model_validate({"outcome": words}).outcome == outcome


@pytest.mark.parametrize("words", ["", "done", "ok!", "killed"])
def test_an_end_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(ValidationError):
        WorkOutcome.model_validate(words)


def test_a_slice_of_an_earlier_version_is_not_trained_again(tmp_path: Path) -> None:
    job = make_training(50)
    record = {
        "schema_version": 1,
        "job_sha256": job.digest(),
        "until_timesteps": 50,
        "outcome": "ok",
    }
    result = {
        "schema_version": 1, "outcome": "paused", "seed": 3, "total_timesteps": 64, "wall_s": 2.0,
        "steps_per_s": 32.0,
    }  # fmt: skip
    write_text(tmp_path / "exit.json", json.dumps(record | EARLIER))
    write_text(tmp_path / "result.json", json.dumps(result))
    known = read_exit(job, tmp_path, Limits())
    assert known is not None
    assert known.outcome.is_ok
    assert isinstance(known.result, TrainingResult)
    assert known.result.outcome == WorkOutcome(kind="paused")
    assert read_exit(make_training(30), tmp_path, Limits()) is not None
    assert read_exit(make_training(80), tmp_path, Limits()) is None


def test_a_bad_end_of_an_earlier_version_keeps_its_words() -> None:
    record = ExitRecord.model_validate(EARLIER | {"job_sha256": "0" * 64, "outcome": "killed: cpu"})
    assert str(record.outcome) == "killed: cpu"


def test_an_end_that_a_limit_made_does_not_stand_under_a_higher_one(tmp_path: Path) -> None:
    job, limits = make_training(50), Limits(wall_s=10, memory_mib=100)
    higher = [limits.model_copy(update=raised) for raised in ({"wall_s": 11}, {"memory_mib": 101})]
    lower = limits.model_copy(update={"wall_s": 9})
    for words, stands in {"timeout": False, "killed: memory": False, "crashed: it": True}.items():
        job_exit = JobExit.model_validate(EARLIER | {"outcome": words})
        write_exit(job, tmp_path, job_exit, limits)
        for same in (limits, lower):
            assert read_exit(job, tmp_path, same) is not None
        assert [read_exit(job, tmp_path, more) is not None for more in higher] == [stands] * 2


def test_a_bad_end_without_generated_code_never_stands(tmp_path: Path) -> None:
    job, limits = FilmJob(card=CARD), Limits()
    write_exit(job, tmp_path, JobExit.model_validate(EARLIER | {"outcome": "timeout"}), limits)
    assert read_exit(job, tmp_path, limits) is None


def test_how_far_a_training_goes_is_not_part_of_which_it_is() -> None:
    assert make_training(50).digest() == make_training(80).digest()
    assert make_training(50).digest() != make_training(50).model_copy(update={"seed": 4}).digest()


def test_how_long_a_training_may_take_is_not_part_of_which_it_is() -> None:
    assert (
        make_training(50).model_copy(update={"most_s": 9.0}).digest() == make_training(50).digest()
    )


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
