"""``STARTS``: a falling share of a training's episodes begins where a program says."""

from __future__ import annotations

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.start import TrainingStart
from reward_agent.errors import DataError
from reward_agent.learning.starts import TrainingStarts, try_starts
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.choices import list_settable, read_choices
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.simulation import Simulation
from reward_agent.types import RewardProgram

CARD = load_env("hopper")
PROGRAM = """
STARTS = {starts}


def compute_reward(state, action, next_state):
    return next_state.torso_up, {{"up": next_state.torso_up}}
"""
JUMPING = '{"share": 0.5, "until": 0.5, "torso_height": (1.4, 1.6), "vertical_velocity": 2}'


def read_starts(*starts: str) -> tuple[TrainingStart, ...]:
    source = PROGRAM.format(starts=f"[{', '.join(starts)}]")
    assert check_program(RewardProgram(source), CARD).is_accepted
    return read_choices(source).starts


def find_fault(starts: str) -> str:
    source = PROGRAM.format(starts=starts)
    [finding, *_] = check_program(RewardProgram(source), CARD).errors
    assert (finding.rule, finding.line) == ("training/start", 2)
    return f"{finding.message}; {finding.remedy}"


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        ("5", "no list of 1 to 8"),
        ("[]", "no list of 1 to 8"),
        ('[{"share": 0.5, "torso_height": 1.4}]', "share and until"),
        ('[{"share": 1e9, "until": 0.5, "torso_height": 1.4}]', "share and until"),
        ('[{"share": 0.5, "until": 0.5}]', "share and until"),
        ('[{"share": 0.5, "until": 0.5, "torso_height": (1e400, 1e401)}]', "share and until"),
        ('[{"share": 0.5, "until": 0.5, "torso_hight": 1.4}]', "did you mean 'torso_height'"),
        ('[{"share": 0.5, "until": 0.5, "com_height": 1.4}]', "begun by"),
        ('[{"share": 0.5, "until": 0.5, "joint_angles": (0, 1)}]', "has 3 entries"),
        ('[{"share": 0.5, "until": 0.5, "torso_height": (2, 1)}]', "above the highest"),
        (f"[{JUMPING}, {JUMPING}]", "at most 0.9"),
        ('[{"share": 0.5, "until": 0.5, "torso_height": np.pi}]', "share and until"),
    ],
)
def test_what_is_no_start_is_refused(starts: str, said: str) -> None:
    assert said in find_fault(starts)


def test_a_falling_share_of_episodes_begins_there() -> None:
    simulation = make_simulation(CARD, 400, 0)
    starts = TrainingStarts(simulation, read_starts(JUMPING), seed=0)
    simulation.starter = starts

    def count(progress: float) -> int:
        starts.progress = progress
        simulation.reset()
        state = simulation.read_state()
        is_there = state.vertical_velocity == 2.0
        assert np.all((state.torso_height[is_there] >= 1.4) & (state.torso_height[is_there] <= 1.6))
        assert np.all(np.abs(state.torso_height[~is_there] - 1.25) < 0.01)
        return int(is_there.sum())

    assert 160 < count(0.0) < 240
    assert 70 < count(0.25) < 130
    assert count(0.5) == 0


def test_only_those_that_begin_are_moved() -> None:
    simulation = make_simulation(CARD, 8, 0)
    simulation.reset()
    before = simulation.read_state().torso_height
    start = TrainingStart(share=1.0, until=1.0, fields={"torso_height": ((1.5, 1.5),)})
    simulation.starter = TrainingStarts(simulation, [start], seed=0)
    simulation.reset([2, 5])
    after = simulation.read_state().torso_height
    assert set(np.flatnonzero(after != before)) == {2, 5}
    assert np.all(after[[2, 5]] == 1.5)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ('{"share": 0.5, "until": 0.5, "torso_height": (0.7, 0.75)}', "in the floor"),
        ('{"share": 0.5, "until": 0.5, "torso_pitch": (1, 2)}', "torso_pitch ends it at once"),
    ],
)
def test_a_start_in_which_no_episode_can_begin_is_told(start: str, said: str) -> None:
    [finding] = try_starts(make_simulation(CARD, 64, 0), read_starts(start))
    assert said in finding.message
    assert try_starts(make_simulation(CARD, 64, 0), read_starts(JUMPING)) == []


def test_a_back_end_that_cannot_says_so() -> None:
    class Other(Simulation):
        def __init__(self) -> None:
            self.card, self.n_sims = CARD, 1

        compile_leaf = begin = advance = None  # type: ignore[assignment]

    with pytest.raises(DataError, match="cannot begin in a state"):
        Other().put_fields(np.zeros(1, np.int32), {})


@pytest.mark.parametrize("env", ["ant", "hopper", "half_cheetah", "reacher"])
def test_what_may_be_set_is_read_back(env: str) -> None:
    card = load_env(env)
    simulation = make_simulation(card, 4, 0)
    simulation.reset()
    for name in list_settable(card):
        before = np.atleast_2d(simulation.read_state().fields[name].T).T
        value = before + 0.01 if "position" not in name or before.shape[1] != 4 else before
        simulation.put_fields(np.arange(4, dtype=np.int32), {name: value})
        after = np.atleast_2d(simulation.read_state().fields[name].T).T
        assert np.allclose(after, value), name
