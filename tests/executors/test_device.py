"""Trainings on a GPU: what a machine without one says, and the way there on Warp's CPU device."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.errors import EnvironmentFailure, UsageError
from reward_agent.executors import JobRequest
from reward_agent.executors.device import DevicePlace
from reward_agent.executors.device_survey import choose_device, describe_survey, survey_device
from reward_agent.executors.slots import LocalPlace, SlotExecutor
from reward_agent.records.job import PROGRAM_FILE, Limits
from reward_agent.records.training_jobs import TrainJob
from reward_agent.rewards.choices import read_choices
from reward_agent.types import TrainingResult

SPEED = """
def compute_reward(state, action, next_state):
    return next_state.forward_velocity, {"speed": next_state.forward_velocity}
"""
CHOOSING = SPEED.replace(
    "    return", "    if next_state.torso_height[0] > 1:\n        pass\n    return"
)
# No machine of ours lists one.
TOOL = "#!/bin/sh\necho '{}'\n"


def ignore(_: str) -> None: ...


@pytest.fixture
def driver(tmp_path: Path, monkeypatch):
    """Put an ``nvidia-smi`` on the path that says something."""

    def say(text: str) -> None:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(TOOL.format(text))
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")

    return say


@contextmanager
def open_executor(
    folder: Path, device: str, tell: Callable[[str], None] = ignore, **options: bool
) -> Iterator[SlotExecutor]:
    """Yield an executor of a device, whose home is the cores."""
    pytest.importorskip("mujoco_warp")
    place = LocalPlace(1, "default")
    executor = SlotExecutor(DevicePlace(place, device, tell, folder, **options), home=place)
    try:
        yield executor
    finally:
        executor.close()


def make_request(folder: Path, source: str = SPEED, **changes) -> JobRequest:
    folder.mkdir(parents=True)
    (folder / PROGRAM_FILE).write_text(source)
    card = load_env("hopper")
    given = {
        "card": card,
        "program_sha256": hashlib.sha256(source.encode()).hexdigest(),
        "seed": 0,
        "total_timesteps": 2048,
        "until_timesteps": 2048,
        "learner": card.learner,
    }
    return JobRequest(TrainJob(**given | changes), folder, Limits(wall_s=200))


def test_without_a_driver_a_gpu_is_refused_with_what_to_do(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="no NVIDIA driver") as caught:
        choose_device("gpu", ignore)
    assert "--device cpu" in caught.value.remedy
    said: list[str] = []
    assert choose_device("auto", said.append) is None
    assert said == ["--device auto: no NVIDIA driver answers here; trainings run on the cores"]
    assert choose_device("cpu", ignore) is None


def test_what_the_driver_tells_is_told(driver) -> None:
    pytest.importorskip("mujoco_warp")
    driver("NVIDIA H100 80GB HBM3, 580.65.06, 81559")
    assert choose_device("gpu", ignore) == choose_device("auto", ignore) == "cuda"
    assert "H100 80GB HBM3, driver 580.65.06, 81,559 MiB" in describe_survey(survey_device())


def test_a_gpu_with_too_little_memory_is_refused(driver) -> None:
    pytest.importorskip("mujoco_warp")
    driver("GeForce GT 1030, 580.65.06, 2048")
    with pytest.raises(UsageError, match="2,048 MiB"):
        choose_device("gpu", ignore)
    assert choose_device("auto", ignore) is None


def test_words_that_are_no_gpu_are_none(driver) -> None:
    driver("NVIDIA-SMI has failed because it could not communicate with the driver")
    assert survey_device().lacks


class Cores:
    """Cores that note what is trained on them."""

    n_slots, is_remote = 1, False

    def __init__(self) -> None:
        self.ran: list[JobRequest] = []

    def run(self, request: JobRequest, *_: object) -> str:
        self.ran.append(request)
        return "trained"

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        ('TRAINING = {"action_repeat": 2}', "it holds each action for several steps"),
        ('STARTS = [{"share": 0.3, "until": 1, "torso_height": (0.9, 1.1)}]', "begin elsewhere"),
    ],
)
def test_what_a_device_cannot_begin_or_hold_trains_on_the_cores_and_a_line_says_so(
    choice: str, why: str, tmp_path: Path
) -> None:
    said: list[str] = []
    cores: Any = Cores()
    choices = read_choices(choice + SPEED)
    learner = choices.apply(load_env("hopper")).learner
    source, starts = choice + SPEED, choices.starts
    request = make_request(tmp_path / "a", source, learner=learner, starts=starts)
    device = DevicePlace(cores, "cpu", said.append, tmp_path)
    try:
        assert not device.takes_more(request, threading.Event())
        for _ in range(2):
            assert device.run(request, None, threading.Event()) == "trained"
    finally:
        device.close()
    assert cores.ran == [request] * 2
    [line] = said
    assert "trains on the CPU" in line
    assert why in line


@pytest.mark.long
def test_a_gpu_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with (
        open_executor(tmp_path, "cuda") as executor,
        pytest.raises(EnvironmentFailure, match="PyTorch finds no GPU"),
    ):
        executor.map([make_request(tmp_path / "a")])


@pytest.mark.gpu
def test_a_round_trains_together_and_what_cannot_trains_on_the_cores(tmp_path: Path) -> None:
    said: list[str] = []
    requests = [
        make_request(tmp_path / "a"),
        make_request(tmp_path / "b", seed=1),
        make_request(tmp_path / "c", CHOOSING),
    ]
    rows: list[tuple[JobRequest, dict[str, float]]] = []
    with open_executor(tmp_path, "cpu", said.append) as executor:
        exits = executor.map(requests, lambda *row: rows.append(row))
    results = [job_exit.result for job_exit in exits]
    assert [type(result) for result in results] == [TrainingResult] * 3, exits
    assert [result.outcome.kind for result in results] == ["finished"] * 3
    assert len(said) == 1
    told = {request.job_dir.name for request, row in rows if row["total_timesteps"] == 2048}
    assert told == {"a", "b", "c"}
    assert "trains on the CPU: line 3 of the program decides by the numbers" in said[0]
    assert all((request.job_dir / results[0].snapshots[-1].file).is_file() for request in requests)


@pytest.mark.long
def test_a_device_that_fails_leaves_its_trainings_to_the_cores_where_it_may(tmp_path: Path) -> None:
    said: list[str] = []
    request = make_request(tmp_path / "a")
    with open_executor(tmp_path, "cuda", said.append, is_required=False) as executor:
        assert executor.takes_more(request)
        [job_exit] = executor.map([request])
        assert not executor.takes_more(request)
    assert isinstance(job_exit.result, TrainingResult)
    assert job_exit.result.outcome.kind == "finished"
    [line] = said
    assert "the GPU: PyTorch finds no GPU" in line
    assert "trainings go on on the CPU" in line


@pytest.mark.gpu
def test_a_process_that_is_killed_loses_no_slice_that_it_had_trained(tmp_path: Path) -> None:
    said: list[str] = []
    with open_executor(tmp_path, "cpu", said.append, is_required=False) as executor:
        [first] = executor.map([make_request(tmp_path / "a", until_timesteps=1024)])
        process = executor._place._queue._process
        assert process is not None
        process.kill()
        again = make_request(tmp_path / "b")
        folder = tmp_path / "a"
        [second] = executor.map([JobRequest(again.job, folder, again.limits)])
    assert first.result.total_timesteps == 1024
    assert second.result.total_timesteps == 2048
    assert [s.total_timesteps for s in second.result.snapshots][:1] == [
        s.total_timesteps for s in first.result.snapshots
    ][:1]
    assert not said or "the GPU: its process ended" in said[0]
