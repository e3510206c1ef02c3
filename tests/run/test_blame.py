"""Faults of what surrounds a program are told of it, end the run at once, and cost no call."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from support.runs import PROGRAM, SMALL, write_script
from support.trainings import make_request

import reward_agent
from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError, JobError, RewardAgentError
from reward_agent.executors import JobRequest
from reward_agent.executors.journal import EXIT_FILE
from reward_agent.llm.replies import read_calls
from reward_agent.records.events import Drafted, Event, IterationStarted
from reward_agent.records.jobs import (
    PROGRESS_FILE,
    CheckEnvResult,
    EvaluateJob,
    Job,
    Limits,
    ProbeJob,
    TrainJob,
    TryCardJob,
)
from reward_agent.records.outcomes import KILLED_FROM_OUTSIDE, OK, TIMEOUT, JobOutcome, name_kill
from reward_agent.records.store import load_run
from reward_agent.run.blame import Surroundings, find_blame
from reward_agent.sandbox.runner import JobExit
from reward_agent.types import FINISHED, Finding, TrainingResult, name_failure

CRASHED = JobOutcome(kind="crashed", detail="DataError: robot.xml does not exist")
TRAINED = TrainingResult(
    outcome=FINISHED, seed=0, total_timesteps=256, wall_s=0.1, steps_per_s=1000.0
)


def end(outcome: JobOutcome, result: Any = None, peak_rss_mib: float = 150.0) -> JobExit:
    return JobExit(
        outcome=outcome, result=result, wall_s=1.0, peak_rss_mib=peak_rss_mib, level="full",
        stderr_tail="",
    )  # fmt: skip


class Control:
    """An executor whose next job ends in a given way."""

    def __init__(self, job_exit: JobExit) -> None:
        self.job_exit, self.jobs = job_exit, list[Job]()

    def map(self, requests: list[JobRequest], on_progress: object = None) -> list[JobExit]:
        self.jobs += [request.job for request in requests]
        return [self.job_exit]


def ask(folder: Path, outcome: JobOutcome, control: JobExit, **facts: Any) -> None:
    request = make_request(folder / "job", steps=10_000, limits=Limits(wall_s=facts.pop("s", 60)))
    find_blame(Control(control), request, end(outcome, **facts))


@pytest.mark.parametrize(
    ("outcome", "control", "says"),
    [
        (CRASHED, end(CRASHED), "no program is at fault.*robot.xml does not exist"),
        (TIMEOUT, end(TIMEOUT), "no program is at fault.*timeout"),
        (name_kill("memory"), end(name_kill("memory")), "no program is at fault.*memory"),
        (KILLED_FROM_OUTSIDE, end(OK, TRAINED), "killed from outside each time"),
        (
            CRASHED,
            end(OK, TRAINED.model_copy(update={"outcome": name_failure("net_arch is empty")})),
            "no program is at fault.*net_arch is empty",
        ),
    ],
)
def test_what_fails_without_a_program_too_is_not_its_fault(tmp_path, outcome, control, says):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / EXIT_FILE).write_text("{}")
    with pytest.raises(JobError, match=says) as caught:
        ask(tmp_path, outcome, control)
    assert caught.value.remedy
    # A run that is taken up runs the job again.
    assert not (tmp_path / "job" / EXIT_FILE).exists()


@pytest.mark.parametrize(
    ("outcome", "facts"),
    [
        (CRASHED, {}),
        (TIMEOUT, {}),
        (name_kill("memory"), {}),
        (KILLED_FROM_OUTSIDE, {"peak_rss_mib": 3000.0}),
    ],
)
def test_what_fails_with_the_program_alone_is_its_fault(tmp_path, outcome, facts):
    ask(tmp_path, outcome, end(OK, TRAINED), **facts)


@pytest.mark.parametrize(("rate", "is_ours"), [(900.0, True), (100.0, False)])
def test_a_clock_too_short_for_any_program_is_told(tmp_path, rate, is_ours):
    (tmp_path / "job").mkdir()
    rows = f"total_timesteps,steps_per_s\n500,{rate}\n"
    (tmp_path / "job" / PROGRESS_FILE).write_text(rows)
    if is_ours:
        with pytest.raises(JobError, match="ended after 5 s, and 10,000 steps take about 10 s"):
            ask(tmp_path, TIMEOUT, end(OK, TRAINED), s=5)
    else:
        ask(tmp_path, TIMEOUT, end(OK, TRAINED), s=5)


def test_control_is_the_same_work_without_the_program(tmp_path):
    card = load_env("inverted_pendulum")
    training = make_request(tmp_path / "job").job
    job, files = training.make_control()
    assert isinstance(job, TrainJob)
    assert job.learner == training.learner
    assert b"compute_reward" in files["reward.py"]
    assert isinstance(ProbeJob(card=card, program_sha256="0").make_control()[0], TryCardJob)
    finding = Finding(rule="card/model", severity="error", message="no joint 'hip'", remedy="")
    control = Control(end(OK, CheckEnvResult(findings=(finding,))))
    probe = JobRequest(ProbeJob(card=card, program_sha256="0"), tmp_path / "probe", Limits())
    with pytest.raises(JobError, match="no joint 'hip'"):
        find_blame(control, probe, end(CRASHED))


def test_no_control_is_run_of_what_went_well_or_holds_no_program(tmp_path):
    control = Control(end(OK))
    find_blame(control, make_request(tmp_path / "job"), end(OK, TRAINED))
    evaluation = EvaluateJob(card=load_env("hopper"), snapshots=(), seed=0, n_episodes=1)
    find_blame(control, JobRequest(evaluation, tmp_path, Limits()), end(CRASHED))
    assert not control.jobs


# --- over whole runs ------------------------------------------------------------------------------


def copy_env(folder: Path) -> Path:
    """Return an environment of a person's own, with its model beside the card."""
    env = folder / "pend"
    shutil.copytree(Path("envs/inverted_pendulum"), env)
    assets = resources.files("gymnasium") / "envs/mujoco/assets"
    (env / "robot.xml").write_text((assets / "inverted_pendulum.xml").read_text())
    card = (env / "env.toml").read_text()
    card = card.replace('gymnasium = "inverted_pendulum.xml"', 'file = "robot.xml"')
    (env / "env.toml").write_text(card)
    return env


def break_at(kind: type[Event], do: Callable[[], object]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, kind):
            do()

    return listen


@pytest.mark.parametrize(
    ("kind", "error", "says", "n_calls"),
    [
        (IterationStarted, DataError, "robot.xml, which the run needs, cannot be read", 0),
        (Drafted, JobError, "no program is at fault.*robot.xml does not exist", 1),
    ],
)
def test_a_folder_that_is_moved_ends_the_run_before_the_next_call(
    tmp_path, kind, error, says, n_calls
):
    env = copy_env(tmp_path)
    away = break_at(kind, lambda: env.rename(tmp_path / "elsewhere") if env.exists() else None)
    with pytest.raises(RewardAgentError, match=says) as caught:
        reward_agent.design(
            str(env),
            "balance",
            provider=write_script(tmp_path, PROGRAM % 0.2, PROGRAM % 0.3, PROGRAM % 0.4),
            runs_dir=tmp_path / "runs",
            environ={},
            listen=away,
            **(SMALL | {"candidates": 1, "iterations": 2, "critic": False, "analyzer": False}),
        )
    assert isinstance(caught.value, error)
    assert caught.value.exit_code == 1
    store = load_run("last", tmp_path / "runs")
    assert store.read_run().status == "failed"
    assert len(list(read_calls(store.dir))) == n_calls
    assert not store.list_finished()


def test_a_model_that_is_edited_is_another_and_one_that_is_touched_is_not(tmp_path):
    env = copy_env(tmp_path)
    known = Surroundings.survey(load_env(env))
    assert "robot.xml" in known.files
    (env / "robot.xml").touch()
    (env / "env.toml").write_text("edited")
    (env / "video.mp4").write_text("new")
    known.check()
    (env / "robot.xml").write_text("<mujoco/>")
    with pytest.raises(DataError, match=r"robot.xml was changed while the run was under way"):
        known.check()
