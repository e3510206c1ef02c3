"""Environments that step in a process of another Python."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.drafts.survey import read_survey, survey_named
from reward_agent.errors import EnvironmentFailure, UsageError
from reward_agent.records.training_jobs import ProbeJob
from reward_agent.sandbox.filter import find_architecture, make_guards, make_program
from reward_agent.sandbox.landlock import RUN, find_file_rules
from reward_agent.simulation import gymnasium_process
from reward_agent.simulation.backends import (
    PYTHON_VARIABLE,
    find_python,
    list_code,
    make_simulation,
    use_python,
)
from reward_agent.simulation.gymnasium_batch import GymnasiumSimulation
from reward_agent.simulation.gymnasium_host import EnvError

ENVS = Path(__file__).parents[1] / "support" / "envs"
CART_POLE = load_env(ENVS / "cart_pole")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[gymnasium_process.HostProcess]:
    """A process of this very Python, which knows nothing of this package."""
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    monkeypatch.setattr(gymnasium_process, "hosts", [])
    gymnasium_process.start_host(CART_POLE)
    [process] = gymnasium_process.hosts
    yield process
    process.close()


def test_episodes_are_those_of_this_process(
    host: gymnasium_process.HostProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = make_simulation(CART_POLE, 3, seed=5)
    monkeypatch.delenv(PYTHON_VARIABLE)
    here = make_simulation(CART_POLE, 3, seed=5)
    rng = np.random.default_rng(0)
    for simulation in (there, here):
        simulation.reset()
    for _ in range(40):
        action = rng.integers(2, size=(3, 1))
        for simulation in (there, here):
            simulation.step(action)
        np.testing.assert_array_equal(there.observation, here.observation)
        ended = here.find_terminated()
        np.testing.assert_array_equal(there.find_terminated(), ended)
        for simulation in (there, here):
            simulation.reset(ended)
    assert ended.sum() >= 0
    np.testing.assert_array_equal(there.read_state().own_reward, here.read_state().own_reward)


def test_a_group_is_closed_once(host: gymnasium_process.HostProcess) -> None:
    for _ in range(3):
        simulation = GymnasiumSimulation(CART_POLE, 1, 0, fields=())
        simulation.group.close()
        del simulation


@pytest.mark.parametrize("name", ["CartPole-v1", "InvertedPendulum-v5"])
def test_a_survey_comes_over_as_data(host: gymnasium_process.HostProcess, name: str) -> None:
    there = read_survey(host.ask("survey", name=name, options={}, folder=""))
    here = survey_named(name, {}, "")
    for key in ("name", "names", "n", "doc", "dt", "limit", "model"):
        np.testing.assert_equal(getattr(there, key), getattr(here, key))
    assert repr(there.actions) == repr(here.actions)
    for key in ("episodes", "rewards", "info", "odd_info", "n_terminated"):
        np.testing.assert_equal(getattr(there.watched, key), getattr(here.watched, key))
    one, other = there.scattered, here.scattered
    assert (one is None) == (other is None) == (name == "CartPole-v1")
    if one and other:
        assert one.signals == other.signals
        assert one.parts == other.parts
        np.testing.assert_array_equal(one.moved, other.moved)
        np.testing.assert_allclose(one.columns, other.columns)


def test_killed_process_is_one_line_and_no_hang(host: gymnasium_process.HostProcess) -> None:
    simulation = make_simulation(CART_POLE, 2, seed=0)
    simulation.reset()
    os.kill(host.pid, signal.SIGKILL)
    with pytest.raises(EnvironmentFailure, match=r"ended by itself \(signal 9\) during 'step'"):
        simulation.step([[0], [1]])


@pytest.mark.skipif(find_architecture() is None, reason="there is no system-call filter here")
def test_sealed_process_starts_no_other(host: gymnasium_process.HostProcess) -> None:
    arch = find_architecture()
    assert arch is not None
    host.seal(make_program(arch, make_guards(host.pid, has_devices=False)), arch.seccomp)
    given = {"name": "odd_envs:make_forking", "options": {}, "folder": str(ENVS / "odd")}
    with pytest.raises(EnvError, match="Operation not permitted"):
        host.make(n_envs=1, seed=0, infos=[], is_drawn=False, **given)


def test_folders_of_the_other_python_may_be_run_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    code = list_code(CART_POLE)
    assert Path(sys.prefix).resolve() in code
    assert Path("/") not in code
    rules = find_file_rules(tmp_path, None, has_devices=False, code=code)
    assert {rule.rights for rule in rules if rule.path in code} == {RUN}


def test_a_card_of_mujoco_has_no_other_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    assert find_python(load_env("hopper")) == ""
    assert list_code(load_env("hopper")) == ()


def test_python_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no program"):
        use_python(str(tmp_path / "python"))
    monkeypatch.setenv(PYTHON_VARIABLE, "/bin/false")
    with pytest.raises(UsageError, match="the Python /bin/false cannot be used"):
        list_code(CART_POLE)


def test_no_child_is_forked_from_a_process_without_the_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from reward_agent.sandbox.warm import WarmServer

    monkeypatch.setattr(WarmServer, "_wait_until_ready", lambda self: True)
    server = object.__new__(WarmServer)
    job = ProbeJob(card=CART_POLE, program_sha256="0" * 64, gamma=0.99, seed=0)
    assert server.can_start(job)
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    assert not server.can_start(job)
