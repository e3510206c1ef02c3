"""Programs are traced in the sealed child, and come back as data."""

from __future__ import annotations

import hashlib

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.records.job import PROGRAM_FILE, Limits
from reward_agent.records.training_jobs import TraceJob, TraceResult
from reward_agent.sandbox.runner import run_job

pytestmark = pytest.mark.long
GOOD = """
def compute_reward(state, action, next_state):
    return next_state.forward_velocity, {"speed": next_state.forward_velocity}
"""
CHOOSING = GOOD.replace(
    "    return", "    if next_state.torso_height[0] > 1:\n        pass\n    return"
)


def trace(tmp_path, source: str) -> TraceResult:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / PROGRAM_FILE).write_text(source)
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    job = TraceJob(card=load_env("hopper"), program_sha256=sha256)
    done = run_job(job, folder, limits=Limits(wall_s=120), mode="default")
    assert isinstance(done.result, TraceResult), done
    return done.result


def test_a_program_comes_back_as_operations(tmp_path) -> None:
    result = trace(tmp_path, GOOD)
    assert result.refusal == ""
    assert result.program is not None
    assert result.program.terms == ("speed",)


def test_what_cannot_be_traced_comes_back_with_the_reason(tmp_path) -> None:
    result = trace(tmp_path, CHOOSING)
    assert result.program is None
    assert "line 3 of the program decides by the numbers" in result.refusal
