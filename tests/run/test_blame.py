"""Faults of what surrounds a program are told of it, end the run at once, and cost no call."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from support.runs import PROGRAM, SMALL, write_script
from support.trainings import make_request

import reward_agent
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import load_task
from reward_agent.errors import DataError, JobError, RewardAgentError
from reward_agent.executors import JobRequest, slots
from reward_agent.executors.journal import EXIT_FILE
from reward_agent.llm.replies import read_calls
from reward_agent.records.drafting_jobs import CheckEnvResult, TryCardJob
from reward_agent.records.events import Drafted, Event, IterationStarted, TrainedUntil
from reward_agent.records.job import PROGRESS_FILE, Job, Limits
from reward_agent.records.outcomes import KILLED_FROM_OUTSIDE, OK, TIMEOUT, JobOutcome, name_kill
from reward_agent.records.scoring_jobs import EvaluateJob
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunRecord, RunStore, load_run
from reward_agent.records.training_jobs import ProbeJob, TrainJob
from reward_agent.run.active import NO_METRIC, Lab, recording_end
from reward_agent.run.blame import Surroundings, find_blame
from reward_agent.run.single import open_lab
from reward_agent.sandbox.runner import JobExit, run_job
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


@pytest.mark.parametrize(
    ("outcome", "remedy"),
    [
        (TIMEOUT, "raise --training-timeout-s"),
        (name_kill("memory"), "raise --memory-mib"),
        (CRASHED.model_copy(update={"detail": "MemoryError: Unable to allocate"}), "raise --mem"),
        (
            CRASHED.model_copy(
                update={"detail": "ModuleNotFoundError: No module named 'dm_control.mjcf'"}
            ),
            f"{sys.executable} -m pip install dm_control",
        ),
    ],
)
def test_an_evaluation_without_a_result_ends_the_run_with_the_setting_to_change(
    tmp_path, outcome, remedy
):
    card = load_env("hopper")
    lab = Lab(card, NO_METRIC, RunSettings(), Control(end(outcome)))
    evaluation = EvaluateJob(card=card, snapshots=(), seed=0, n_episodes=1)
    with pytest.raises(JobError, match="the evaluate job ended without a result") as caught:
        lab.run_job(evaluation, tmp_path)
    assert remedy in caught.value.remedy


def test_too_little_memory_for_any_training_is_no_fault_of_a_program(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "run_job", run_job)  # not forked: it is to load all by itself
    request = make_request(tmp_path / "job", limits=Limits(memory_mib=64))
    with (
        open_lab(load_env("inverted_pendulum"), RunSettings(slots=1)) as lab,
        pytest.raises(JobError, match="train job") as caught,
    ):
        lab.run_jobs([request])
    assert caught.value.remedy == "raise --memory-mib"


def test_what_a_remedy_says_to_change_is_not_said_again_as_it_was(tmp_path):
    store = RunStore(tmp_path / "one")
    said = {"training_timeout_s": 0.5, "slots": 2}
    store.write_run(
        RunRecord(
            id="one", created="2026-11-23T00:00:00Z", status="failed", card=load_env("hopper"),
            task=load_task("hopper", "hop_forward"), metric_origin="task", config=said,
            config_sources=dict.fromkeys(said, "command line"), designer="offline",
            sandbox_level="full", versions={},
        )
    )  # fmt: skip
    with pytest.raises(JobError) as caught, recording_end(store):
        raise JobError("too slow", "raise --training-timeout-s")
    assert caught.value.remedy.endswith("--slots 2 --training-timeout-s …`")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, of which little is left."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("n_taken", [750_000, 950_000])
def test_a_full_disk_ends_the_run_before_the_next_call(tmp_path, small_disk, n_taken):
    (small_disk / "others").write_bytes(bytes(n_taken))
    with pytest.raises(RewardAgentError, match=r"full|No space left") as caught:
        design_on(
            "inverted_pendulum", tmp_path, *[PROGRAM % n for n in (0.2, 0.3)],
            runs_dir=small_disk / "runs", iterations=2,
        )  # fmt: skip
    assert caught.value.exit_code == 1
    assert "free disk space" in caught.value.remedy
    store = load_run("last", small_disk / "runs")
    assert len(read_calls(store.dir)) <= 1
    assert not store.list_finished()


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


def design_on(env: Path | str, folder: Path, *replies: str, **options: Any) -> None:
    alone = {"candidates": 1, "critic": False, "analyzer": False}
    reward_agent.design(
        str(env),
        "balance",
        provider=write_script(folder, *replies),
        environ={},
        **(SMALL | {"runs_dir": folder / "runs"} | alone | options),
    )


def test_the_analyzer_is_not_paid_for_a_training_in_what_is_not_there_any_more(tmp_path):
    env = copy_env(tmp_path)
    model = env / "robot.xml"
    edit = break_at(TrainedUntil, lambda: model.write_text(model.read_text() + "<!-- edited -->"))
    replies = PROGRAM % 0.2 + "\n--- reply analyzer ---\n{}"
    with pytest.raises(DataError, match=r"robot.xml was changed while the run was under way"):
        design_on(env, tmp_path, replies, analyzer=True, listen=edit)
    store = load_run("last", tmp_path / "runs")
    assert [call.agent for call in read_calls(store.dir)] == ["designer"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda env: (env / "robot.xml").write_text("<mujoco/>"), "robot.xml is another than when"),
        (lambda env: (env / "part.stl").unlink(), "part.stl, with which the run began, is not th"),
    ],
)
def test_a_run_that_is_taken_up_says_which_file_of_its_environment_is_another(
    tmp_path, change, says
):
    env = copy_env(tmp_path)
    (env / "part.stl").write_bytes(b"solid")
    with pytest.raises(RewardAgentError, match="no candidate passed"):
        design_on(env, tmp_path, "I would rather not.", max_repairs=0)
    (env / "robot.xml").touch()
    (env / "notes.md").write_text("what I found")
    script = write_script(tmp_path, "No.", PROGRAM % 0.2)
    change(env)
    with pytest.raises(DataError, match=says) as caught:
        reward_agent.resume_run(
            "last", env=str(env), provider=script, runs_dir=tmp_path / "runs", environ={}
        )
    assert caught.value.exit_code == 1
    assert "put it back as it was, or start a new run" in caught.value.remedy
    assert len(read_calls(load_run("last", tmp_path / "runs").dir)) == 1


def test_runs_that_lie_in_the_folder_of_an_environment_and_notes_are_no_part_of_it(tmp_path):
    env = copy_env(tmp_path)
    card = load_env(env)
    for name in ("runs/one/run.json", "runs/one/robot.xml", "venv/pyvenv.cfg", "venv/a.xml"):
        (env / name).parent.mkdir(parents=True, exist_ok=True)
        (env / name).write_text("{}")
    for name in ("README.md", "reward.py", "model.png"):
        (env / name).write_text("mine")
    assert set(Surroundings.survey(card).files) == {"robot.xml"}
