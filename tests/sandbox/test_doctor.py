import subprocess
import sys

import pytest

from reward_agent import plugins
from reward_agent.definitions.learner import LEARNERS
from reward_agent.errors import SandboxError
from reward_agent.sandbox import doctor, isolation
from reward_agent.sandbox.filter import find_architecture
from reward_agent.sandbox.isolation import SealReport
from reward_agent.sandbox.landlock import read_abi
from reward_agent.simulation.backends import Graphics


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(doctor, "find_graphics", lambda: Graphics(None, "no video: install EGL"))
    return {mechanism.name: mechanism for mechanism in doctor.survey()}


def test_survey_tells_what_is_missing_and_what_to_do(rows):
    assert not rows["rendering"].available
    assert rows["rendering"].detail == "no video: install EGL"
    assert rows["numpy"].available
    assert all(mechanism.covers for mechanism in rows.values())


def test_every_learner_is_listed_with_its_install_command_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(
        plugins, "find_spec", lambda package: None if package == "sb3_contrib" else package
    )
    found = {row.name: row for row in doctor.survey_members(LEARNERS)}
    assert set(found) >= {row.name for row in LEARNERS.own}
    assert found["ppo"].available
    assert found["sb3:SAC"].detail.startswith("stable_baselines3 ")
    assert not found["sb3:TQC"].available
    assert "pip install 'reward-agent[contrib]'" in found["sb3:TQC"].detail


@pytest.mark.skipif(
    not read_abi() or find_architecture() is None, reason="this machine has no full sandbox"
)
def test_survey_tries_the_sandbox_for_real(rows):
    assert rows["isolation level"].detail == "full"
    assert rows["Landlock"].available
    assert rows["system-call filter"].available


def test_survey_of_a_broken_trial_is_a_row_and_no_crash(monkeypatch):
    monkeypatch.setattr(isolation.sys, "executable", "/nonexistent/python")
    report = isolation.try_seal()
    assert report.level == "process"
    assert "nonexistent" in report.detail


@pytest.mark.parametrize("n_kills", [1, 2])
def test_a_trial_that_something_outside_killed_is_tried_once_more(n_kills, tmp_path, monkeypatch):
    marks, python = tmp_path / "marks", tmp_path / "python"
    marks.write_text("")
    python.write_text(
        f"#!/bin/sh\nif [ $(wc -c < {marks}) -lt {n_kills} ]; then\n"
        f'printf x >> {marks}; kill -KILL $$; fi\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o700)
    expected = isolation.try_seal().level if n_kills == 1 else "process"
    monkeypatch.setattr(isolation.sys, "executable", str(python))
    report = isolation.try_seal()
    assert report.level == expected
    assert n_kills == 1 or "ended with -9" in report.detail


def test_run_below_its_mode_is_refused_before_it_starts(monkeypatch):
    weak = SealReport(level="namespaces", detail="this kernel has no Landlock")
    monkeypatch.setattr(isolation, "try_seal", lambda: weak)
    assert isolation.check_isolation("default") == "namespaces"
    assert isolation.check_isolation("off") == "process"
    with pytest.raises(SandboxError, match="no Landlock"):
        isolation.check_isolation("strict")


def test_parent_side_imports_neither_torch_nor_mujoco():
    code = (
        "import sys; import reward_agent.sandbox.runner, reward_agent.sandbox.doctor\n"
        "print({'torch', 'mujoco', 'numpy', 'gymnasium'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
