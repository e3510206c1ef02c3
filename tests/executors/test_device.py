"""Trainings on a GPU: what a machine without one says, and the way there on Warp's CPU device."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.errors import EnvironmentFailure, UsageError
from reward_agent.executors import JobRequest
from reward_agent.executors.device import DevicePlace
from reward_agent.executors.device_survey import choose_device, describe_survey, survey_device
from reward_agent.executors.slots import LocalPlace, SlotExecutor
from reward_agent.records.job import PROGRAM_FILE, Limits
from reward_agent.records.training_jobs import TrainJob
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
        choose_device("gpu")
    assert "--device cpu" in caught.value.remedy
    assert choose_device("auto") is None
    assert choose_device("cpu") is None


def test_what_the_driver_tells_is_told(driver) -> None:
    pytest.importorskip("mujoco_warp")
    driver("NVIDIA H100 80GB HBM3, 580.65.06, 81559")
    assert choose_device("gpu") == choose_device("auto") == "cuda"
    assert "H100 80GB HBM3, driver 580.65.06, 81,559 MiB" in describe_survey(survey_device())


def test_a_gpu_with_too_little_memory_is_refused(driver) -> None:
    pytest.importorskip("mujoco_warp")
    driver("GeForce GT 1030, 580.65.06, 2048")
    with pytest.raises(UsageError, match="2,048 MiB"):
        choose_device("gpu")
    assert choose_device("auto") is None


def test_words_that_are_no_gpu_are_none(driver) -> None:
    driver("NVIDIA-SMI has failed because it could not communicate with the driver")
    assert survey_device().lacks


@pytest.mark.long
def test_a_gpu_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("mujoco_warp")
    place = LocalPlace(1, "default")
    device = DevicePlace(place, "cuda", lambda _: None)
    try:
        with pytest.raises(EnvironmentFailure, match="PyTorch finds no GPU"):
            device.run(make_request(tmp_path / "a"), None, threading.Event())
    finally:
        device.close()
        place.close()


@pytest.mark.gpu
def test_a_round_trains_together_and_what_cannot_trains_on_the_cores(tmp_path: Path) -> None:
    pytest.importorskip("mujoco_warp")
    said: list[str] = []
    place = LocalPlace(1, "default")
    executor = SlotExecutor(DevicePlace(place, "cpu", said.append), home=place)
    requests = [
        make_request(tmp_path / "a"),
        make_request(tmp_path / "b", seed=1),
        make_request(tmp_path / "c", CHOOSING),
    ]
    try:
        exits = executor.map(requests)
    finally:
        executor.close()
    results = [job_exit.result for job_exit in exits]
    assert [type(result) for result in results] == [TrainingResult] * 3, exits
    assert [result.outcome.kind for result in results] == ["finished"] * 3
    assert len(said) == 1
    assert "trains on the CPU: line 3 of the program decides by the numbers" in said[0]
    assert all((request.job_dir / results[0].snapshots[-1].file).is_file() for request in requests)
