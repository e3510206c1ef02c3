"""``STARTS``: a falling share of a training's episodes begins where a program says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.scene import write_scene

from reward_agent.definitions.card import load_env
from reward_agent.definitions.start import TrainingStart
from reward_agent.errors import DataError
from reward_agent.learning.starts import StateBank, TrainingStarts
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.choices import list_settable, read_choices
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.draws import draw_states
from reward_agent.rewards.program import StepReward, load_functions
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import State
from reward_agent.types import RewardProgram
from reward_agent.worker.starts import try_starts

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
        ('[{"share": 0.5, "until": 0.5, "from": "starts"}]', "write def starts(rng, n)"),
        ('[{"share": 0.5, "until": 0.5, "from": "film:3"}]', "event:NAME"),
        ('[{"share": 0.5, "until": 0.5, "from": "event:a\\nb"}]', "event:NAME"),
        ('[{"share": 0.5, "until": 0.5, "from": "event:x", "earns": "all"}]', "event:NAME"),
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
    [finding], _ = try_starts(make_simulation(CARD, 64, 0), read_starts(start))
    assert said in finding.message
    findings, states = try_starts(make_simulation(CARD, 64, 0), read_starts(JUMPING))
    assert findings == []
    assert np.all(states["qvel"][:, 1] == 2.0)


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


DRAWING = """
def starts(rng, n):
    height = rng.uniform(1.3, 1.6, n)
    return {{"torso_height": height, "vertical_velocity": {what}}}


def compute_reward(state, action, next_state):
    return next_state.torso_up, {{"up": next_state.torso_up}}
"""
# Where a list of starts stands in a program that draws some itself.
SHARED = '{"share": 0.5, "until": 0.5, "torso_height": 1.4}'


def draw(what: str, n: int = 6, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    source = DRAWING.format(what=what)
    assert check_program(RewardProgram(source), CARD).is_accepted
    return draw_states(load_functions(source), CARD, n, np.random.default_rng(seed))


def test_a_program_draws_states_itself() -> None:
    drawn = draw("rng.normal(loc=1.0, scale=0.1, size=n) + rng.choice([0.0, 1.0], n)")
    assert {name: values.shape for name, values in drawn.items()} == {
        "torso_height": (6, 1),
        "vertical_velocity": (6, 1),
    }
    again = draw("rng.normal(loc=1.0, scale=0.1, size=n) + rng.choice([0.0, 1.0], n)")
    assert all(np.array_equal(drawn[name], again[name]) for name in drawn)
    [start] = read_choices(DRAWING.format(what="1.0")).starts
    assert (start.origin, start.share) == ("starts", 0.5)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("rng.uniform(0, 1, 1000000000)", "more than 1,000,000 numbers"),
        ("np.zeros(n) / 0", "is nan"),
        ("np.full(n, 1e9)", "at most 1e+06"),
        ("np.zeros((n, 2))", "another shape"),
        ("np.zeros(2 * n)", "another shape"),
        ("{}", "is a dict"),
        ("rng.uniform", "is a method"),
        ("rng", "is a Draws"),
        ("rng.choice(['a', 'b'], n)", "numbers"),
    ],
)
def test_what_is_no_state_is_refused_when_it_is_drawn(what: str, said: str) -> None:
    with pytest.raises(ContractError, match=re.escape(said)):
        draw(what)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("rng.integers(0, 3, n)", "draw with rng.choice"),
        ("rng.bit_generator", "draw with rng.choice"),
        ("rng._generator", "underscore"),
        ("np.random.rand(n)", "not part of the language"),
    ],
)
def test_a_program_reaches_nothing_else_of_the_generator(what: str, said: str) -> None:
    [finding, *_] = check_program(RewardProgram(DRAWING.format(what=what)), CARD).errors
    assert said in finding.message + finding.remedy


def test_what_a_program_draws_counts_among_the_shares() -> None:
    source = f"STARTS = [{SHARED}]\n" + DRAWING.format(what="0.0")
    [finding] = check_program(RewardProgram(source), CARD).errors
    assert "is 1 of the episodes together" in finding.message


def test_a_keyframe_is_a_start(tmp_path: Path) -> None:
    card = write_scene(tmp_path)
    simulation = make_simulation(card, 4, 0)
    [name, *_] = simulation.list_keyframes()
    start = TrainingStart(share=0.5, until=0.5, origin=f"keyframe:{name}")
    findings, states = try_starts(simulation, [start])
    assert findings == []
    assert np.all(states["qpos"] == simulation.find_keyframe(name)["qpos"])
    unknown = start.model_copy(update={"origin": "keyframe:on its head"})
    [finding], _ = try_starts(simulation, [unknown])
    assert "no keyframe" in finding.message


def make_recorded() -> dict[str, dict[str, NDArray[np.float64]]]:
    way = np.linspace(1.25, 1.65, 5)
    return {"take-off": {"torso_height": np.stack([way, way + 0.02])[:, :, None]}}


def test_a_recorded_start_moves_back_as_it_is_earned() -> None:
    simulation = make_simulation(CARD, 200, 0)
    start = TrainingStart(share=0.9, until=0.9, origin="event:take-off", earns=3.0)
    starts = TrainingStarts(simulation, [start], 0, StateBank(simulation, None, make_recorded()))
    simulation.starter = starts

    def begin() -> NDArray[np.float64]:
        simulation.reset()
        return simulation.read_state().torso_height[starts.origins == 0]

    heights = begin()
    assert set(np.round(heights, 3)) == {1.65, 1.67}
    assert 160 < len(heights) < 200
    for _ in range(5):
        starts.judge(np.zeros(20, dtype=int), np.full(20, 3.0))
    heights = begin()
    assert heights.min() >= 1.3  # between a quarter and a half of the way
    assert heights.max() <= 1.48
    assert 60 < len(heights) < 120
    starts.judge(np.zeros(40, dtype=int), np.zeros(40))  # it is lost again
    assert starts.summarise()[0].earned == 0.3
    starts.progress = 0.95
    assert len(begin()) == 0


def test_time_alone_leaves_a_recorded_start_where_it_is() -> None:
    simulation = make_simulation(CARD, 100, 0)
    start = TrainingStart(share=0.9, until=1.0, origin="event:take-off")
    starts = TrainingStarts(simulation, [start], 0, StateBank(simulation, None, make_recorded()))
    simulation.starter, starts.progress = starts, 0.5
    simulation.reset()
    heights = simulation.read_state().torso_height[starts.origins == 0]
    assert set(np.round(heights, 3)) == {1.65, 1.67}
    assert 25 < len(heights) < 70


def test_an_event_that_was_not_recorded_is_told_with_those_that_were() -> None:
    simulation = make_simulation(CARD, 4, 0)
    bank = StateBank(simulation, None, make_recorded())
    start = TrainingStart(share=0.5, until=0.5, origin="event:takeoff")
    [finding], _ = try_starts(simulation, [start], bank)
    assert "did you mean 'take-off'" in finding.message
    assert "take-off" in finding.remedy


def test_what_is_earned_is_counted_by_where_an_episode_began() -> None:
    """The returns of episodes go to the starts that they began with, over rollouts."""

    class Height:
        has_memory = False

        def begin(self, state: State) -> None: ...

        def restart(self, ids: NDArray[np.intp], state: State) -> None: ...

        def step(
            self, state: State, action: object, next_state: State, terminated: object
        ) -> StepReward:
            height = np.where(next_state.torso_height > 1.3, 1.0, 0.0)
            return StepReward(height, {"height": height})

    card = CARD.model_copy(update={"max_episode_steps": 3})
    simulation = make_simulation(card, 50, 0)
    start = TrainingStart(share=0.5, until=1.0, earns=3.0, fields={"torso_height": ((1.6, 1.6),)})
    starts = TrainingStarts(simulation, [start], 0)
    env = RewardVecEnv(card, simulation, Height(), starts=starts)
    env.reset()
    n_begun = int((starts.origins == 0).sum())
    for n_steps in (2, 1):
        for _ in range(n_steps):
            env.advance(np.zeros((50, 3), np.float32))
        env.pay()
    [use] = starts.summarise()
    assert (use.n_episodes, use.n_earned, use.mean_return) == (n_begun, n_begun, 3.0)
    kept = starts.to_plain()
    other = TrainingStarts(simulation, [start], 0)
    other.restore(kept)
    assert other.summarise() == starts.summarise()
