"""A stranger's executor is an entry point; what this machine can use is told."""

from __future__ import annotations

import importlib.util
import shutil
import threading
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from support.trainings import make_request

from reward_agent import plugins
from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.errors import JobError, UnknownNameError, UsageError
from reward_agent.executors import node
from reward_agent.executors.registry import EXECUTORS, make_places
from reward_agent.executors.remote import N_ATTEMPTS, ClusterOptions, RemotePlace
from reward_agent.executors.slots import SlotExecutor
from reward_agent.sandbox.doctor import survey_members
from reward_agent.types import TrainingResult


class InHouse:
    """Nodes that a stranger wrote: this process, with bytes in between."""

    def __init__(self, options: ClusterOptions) -> None:
        self.n_slots = options.slots or 1

    def work(self, order: bytes, on_progress, cancel: threading.Event) -> bytes | None:
        reply = node.work(order, on_progress, cancel)
        return None if cancel.is_set() else reply

    def close(self) -> None: ...


def set_entries(monkeypatch: pytest.MonkeyPatch, **entries: str) -> None:
    found = [EntryPoint(name, value, EXECUTORS.group) for name, value in entries.items()]
    monkeypatch.setattr(plugins, "list_entry_points", lambda group: found)


def test_an_entry_point_is_an_executor_and_cannot_replace_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_entries(monkeypatch, inhouse=f"{__name__}:InHouse", ray=f"{__name__}:InHouse")
    place, home = make_places("inhouse", ClusterOptions(slots=1), "default", is_warm=False)
    assert isinstance(place, RemotePlace)
    executor = SlotExecutor(place, None, home)
    [job_exit] = executor.map([make_request(tmp_path / "job")])
    executor.close()
    assert isinstance(job_exit.result, TrainingResult)
    assert EXECUTORS.find("ray").factory == "reward_agent.executors.ray:make_nodes"
    with pytest.raises(UnknownNameError, match="inhouse"):
        make_places("inhousr", ClusterOptions(), "default", is_warm=False)


def test_an_entry_point_that_cannot_be_loaded_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    set_entries(monkeypatch, broken="no_such_package:make")
    with pytest.raises(UsageError, match="no_such_package:make"):
        make_places("broken", ClusterOptions(), "default", is_warm=False)


def test_the_survey_names_every_cluster_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_entries(monkeypatch, inhouse=f"{__name__}:InHouse")
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = {row.name: row for row in survey_members(EXECUTORS)}
    assert not rows["slurm"].available
    assert "sbatch" in rows["slurm"].detail
    assert rows["inhouse"].available
    assert rows["ray"].available or "reward-agent[ray]" in rows["ray"].detail


def test_an_environment_of_the_users_own_travels_to_the_node(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(find_env_dir(load_env("inverted_pendulum")), own)
    card_file = own / "env.toml"
    text = card_file.read_text()
    name = "inverted_pendulum.xml"
    assert f'gymnasium = "{name}"' in text
    card_file.write_text(text.replace("gymnasium = ", "file = "))
    package = importlib.util.find_spec("gymnasium")
    assert package is not None
    assert package.origin is not None
    shutil.copy(Path(package.origin).parent / "envs/mujoco/assets" / name, own / name)

    class Elsewhere(InHouse):
        """Has no disk in common: what is not in the order is not there."""

        def work(self, order: bytes, on_progress, cancel: threading.Event) -> bytes | None:
            own.rename(tmp_path / "away")
            return super().work(order, on_progress, cancel)

    request = make_request(tmp_path / "job")
    job = request.job.model_copy(update={"card": load_env(own)})
    place = RemotePlace(Elsewhere(ClusterOptions()), "default")
    job_exit = place.run(replace(request, job=job), None, threading.Event())
    assert (tmp_path / "away").is_dir()
    assert isinstance(job_exit.result, TrainingResult)


def test_a_spoilt_parcel_is_ordered_again_and_never_blamed_on_the_program(tmp_path: Path) -> None:
    class Spoiling(InHouse):
        n_spoilt = 0

        def work(self, order: bytes, on_progress, cancel: threading.Event) -> bytes | None:
            if self.n_spoilt:
                self.n_spoilt -= 1
                return b"half a parcel"
            return super().work(order, on_progress, cancel)

    nodes, told = Spoiling(ClusterOptions()), []
    place = RemotePlace(nodes, "default", told.append)
    nodes.n_spoilt = 1
    job_exit = place.run(make_request(tmp_path / "job"), None, threading.Event())
    assert isinstance(job_exit.result, TrainingResult)
    assert "spoilt" in told[0]
    nodes.n_spoilt = N_ATTEMPTS
    with pytest.raises(JobError, match="spoilt"):
        place.run(make_request(tmp_path / "other"), None, threading.Event())
