"""A program that is there already: trained and scored like any, repaired by nobody."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import reward_agent
from reward_agent.designers.given import GivenDesigner
from reward_agent.designers.team import make_team
from reward_agent.errors import UsageError
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunStore
from reward_agent.types import RewardProgram

PROGRAM = """\
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    return upright, {"upright": upright}
"""
SMALL = {
    "candidates": 1, "iterations": 1, "steps": 2048, "winner_seeds": 0, "eval_episodes": 2,
    "video": False,
}  # fmt: skip


def design(folder: Path, source: str):
    path = folder / "reward.py"
    path.write_text(source)
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"given:{path}", runs_dir=folder / "runs",
        environ={}, **SMALL,
    )  # fmt: skip
    return run, RunStore(folder / "runs" / run.id)


def test_a_file_is_trained_and_scored_as_it_is(tmp_path: Path) -> None:
    run, store = design(tmp_path, PROGRAM)
    assert run.designer == "given: reward.py"
    assert run.usage.n_calls == 0
    assert run.winner is not None
    folder = store.candidate_dir(0, run.winner.candidate)
    assert (folder / "reward.py").read_text() == PROGRAM
    assert not (store.dir / "replies.sqlite").exists()


def test_what_is_wrong_with_it_is_its_outcome_and_nobody_repairs_it(brief, examine) -> None:
    designer = GivenDesigner(RewardProgram("x = 1"), "mine")
    proposal = designer.propose(brief)
    assert proposal.is_final
    assert designer.repair(brief, examine(proposal)) == proposal


def test_it_brings_no_metric(card) -> None:
    proposal = GivenDesigner(RewardProgram(PROGRAM), "mine").propose_metric(card, "Slide.")
    assert proposal.source is None
    assert "--metric FILE" in proposal.outcome.detail


@pytest.mark.parametrize(("spec", "says"), [("given", "needs a file"), ("given:no.py", "no.py")])
def test_file_that_is_not_there_is_a_named_error(spec: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        make_team(RunSettings(provider=spec), tmp_path, {}, threading.Event())
