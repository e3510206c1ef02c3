"""``STAGES``: which of them episodes come to, what is paid there, and which is practised."""

from __future__ import annotations

import numpy as np
import pytest
from support.counting import CountingSimulation

from reward_agent.definitions.card import load_env
from reward_agent.learning.stages import count_stages
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.choices import TrainingChoices, read_choices
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.library import next_stage
from reward_agent.rewards.program import CompiledReward, compile_program, load_functions
from reward_agent.rewards.trial import pay_steps, roll_out_random_policy
from reward_agent.simulation.state import State
from reward_agent.types import RewardProgram

CARD = load_env("hopper").model_copy(update={"max_episode_steps": 9})
# A simulation's count is beyond 1 after two steps, beyond 4 after five, where it comes so far.
PROGRAM = """
STAGES = ("rise", "turn")
TRAINING = {TRAINING}


def init_memory(state):
    return {"stage": 1.0 * (state.count < 0)}


def compute_reward(state, action, next_state, memory):
    stage = next_stage(memory["stage"], next_state.count > 1, next_state.count > 4)
    pay = 1.0 + 10.0 * memory["stage"]
    return pay, {"pay": pay}, {"stage": stage}
"""


def write(training: str = "{}") -> str:
    return PROGRAM.replace("{TRAINING}", training)


# A jump by hand. With its stages it says where episodes stay; what it pays is the same.
JUMP = """
def init_memory(state):
    zero = np.zeros_like(state.torso_height)
    return {"stage": zero, "best": zero + 0.0}


def compute_reward(state, action, next_state, memory):
    low = next_state.torso_height < 1.2
    lifted = next_state.lowest_point > 0.05
    down = (next_state.foot_floor_contact > 0.5) & (next_state.torso_up > 0.9)
    stage = next_stage(memory["stage"], low, lifted, down)
    best = np.maximum(memory["best"], next_state.lowest_point)
    crouch = 0.5 * (stage > memory["stage"]) * (memory["stage"] == 0)
    height = 20.0 * (best - memory["best"])
    landing = 0.2 * (stage == 3) * next_state.torso_up
    terms = {"crouch": crouch, "height": height, "landing": landing}
    return sum(terms.values()), terms, {"stage": stage, "best": best}
"""
STAGED = 'STAGES = ("crouch", "flight", "landing")\nTRAINING = {"stage_steps": [60, 120]}\n' + JUMP


def make_env(ends: list[int], steps: tuple[int, ...] = ()) -> RewardVecEnv:
    source = write()
    reward = CompiledReward(load_functions(source), 0.99, None, read_choices(source).stages)
    env = RewardVecEnv(CARD, CountingSimulation(ends), reward, steps)
    env.reset()
    return env


def run_steps(env: RewardVecEnv, n_steps: int) -> list[np.ndarray]:
    action = np.zeros((env.n_envs, 3), dtype=np.float32)
    ends = [env.advance(action)[1] for _ in range(n_steps)]
    env.pay()
    return ends


def test_stages_say_more_of_a_jump_and_pay_the_same() -> None:
    hopper = load_env("hopper")
    assert check_program(RewardProgram(JUMP), hopper).is_accepted
    assert check_program(RewardProgram(STAGED), hopper).is_accepted
    plain, staged = (compile_program(source, hopper, 0.99) for source in (JUMP, STAGED))
    assert (plain.stages, staged.stages) == ((), ("crouch", "flight", "landing"))
    steps = roll_out_random_policy(hopper, 0, n_sims=8, n_steps=60)
    paid = [[step.reward for step in pay_steps(reward, steps)] for reward in (plain, staged)]
    np.testing.assert_array_equal(*paid)
    assert max(int(staged.stage.max()) for _ in pay_steps(staged, steps)) >= 1


def test_gate_of_the_present_stage_alone_leads_on() -> None:
    stage = next_stage([0, 0, 1, 1, 2], [True, False, True, True, True], [1, 1, 0, 1, 1])
    np.testing.assert_array_equal(stage, [1, 0, 1, 2, 2])


def test_share_that_came_to_each_stage_and_its_pay_are_counted() -> None:
    env = make_env([1, 3, 8])
    run_steps(env, 8)
    stretch = env.pop_stretch()
    assert stretch.n_episodes == 8 + 2 + 1
    rise, turn, done = count_stages(env.practice.stages, stretch.stages, stretch.n_episodes)
    assert (rise.name, rise.n_episodes, rise.n_reached) == ("rise", 11, 11)
    assert (turn.name, turn.n_episodes, turn.n_reached) == ("turn", 11, 3)
    assert (done.name, done.n_episodes, done.n_reached) == ("done", 11, 1)
    # By steps: the third simulation is in each stage for two, three and three of its steps.
    n_rise, n_turn = 8 + (2 + 2 + 2) + 2, (1 + 1) + 3
    assert rise.pay == pytest.approx(n_rise * 1 / 11)
    assert turn.pay == pytest.approx(n_turn * 11 / 11)
    assert done.pay == pytest.approx(3 * 21 / 11)
    assert not env.practice.pop().any()


def test_episode_that_begins_in_a_stage_says_nothing_of_the_way_to_it() -> None:
    env = make_env([3])
    env._simulation._counts[:] = -1
    env._simulation.reset = lambda ids=None: env._simulation._counts.fill(-1)
    env.reset()
    run_steps(env, 4)
    rise, turn, done = count_stages(env.practice.stages, env.pop_stretch().stages, 1)
    assert (rise.n_episodes, turn.n_episodes, turn.share) == (1, 0, None)
    assert (done.n_episodes, done.n_reached) == (1, 0)


def test_later_stages_get_longer_episodes_once_half_come_past_the_first() -> None:
    env = make_env([100] * 10, steps=(3, 6))
    assert [done.any() for done in run_steps(env, 6)] == [False, False, True] * 2
    run_steps(env, 3 * 8)
    assert env.practice.current == 1
    assert [done.any() for done in run_steps(env, 6)] == [False] * 5 + [True]
    run_steps(env, 6 * 9)
    assert (env.practice.current, env.practice.most_steps) == (2, CARD.max_episode_steps)
    run_steps(env, 9 * 11)
    assert env.practice.current == 2


def test_who_waits_while_an_action_is_held_comes_to_no_stage() -> None:
    env = make_env([1, 3])
    for _ in range(4):
        env.advance(np.zeros((2, 3), dtype=np.float32), 4)
    env.pay()
    rise, turn, _ = count_stages(env.stages, env.pop_stretch().stages, 8)
    assert (rise.n_reached, turn.n_reached, turn.pay) == (8, 4, 4 * 11 / 8)


def test_stage_that_few_come_past_stays_practised() -> None:
    env = make_env([100] * 4 + [1] * 6, steps=(3, 6))
    run_steps(env, 200)
    assert (env.practice.current, env.practice.most_steps) == (0, 3)


@pytest.mark.parametrize("stage", ["0.5 + 0.0 * z", "3.0 + 0.0 * z", "z - 1.0"])
def test_stage_that_is_none_is_refused_where_it_is_remembered(stage: str) -> None:
    source = write().replace("1.0 * (state.count < 0)", stage.replace("z", "state.torso_height"))
    source = source.replace("next_state.count", "next_state.torso_height")
    reward = compile_program(source, CARD, 0.99)
    with pytest.raises(ContractError, match="expected a whole number from 0 to 2"):
        reward.begin(State({"torso_height": np.zeros(4)}))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('("rise",)', "no list of 2 to 8"),
        ('("rise", "rise")', "no list of 2 to 8"),
        ('("rise", "done")', "no list of 2 to 8"),
        ('("rise", "a\\nb")', "no list of 2 to 8"),
        ('("rise", 2)', "no list of 2 to 8"),
        ('"rise"', "no list of 2 to 8"),
        ('("a", "b", "c", "d", "e", "f", "g", "h", "i")', "no list of 2 to 8"),
    ],
)
def test_what_are_no_stages_is_refused(table: str, said: str) -> None:
    source = write().replace('("rise", "turn")', table).replace("count", "torso_height")
    [finding] = check_program(RewardProgram(source), CARD).errors
    assert finding.rule == "training/stages"
    assert said in finding.message


def test_stages_that_nothing_remembers_are_refused() -> None:
    source = write().replace('"stage"', '"phase"').replace("count", "torso_height")
    [finding] = check_program(RewardProgram(source), CARD).errors
    assert "no memory 'stage'" in finding.message


@pytest.mark.parametrize("steps", ["[9]", "[10, 1000000]", "[20.5]", "30", "[]"])
def test_lengths_of_stages_have_a_range(steps: str) -> None:
    source = write(f'{{"stage_steps": {steps}}}').replace("count", "torso_height")
    [finding] = check_program(RewardProgram(source), CARD).errors
    assert "a list of 1 to 8 whole numbers from 10 to 36" in finding.remedy


def test_lengths_of_stages_need_stages() -> None:
    source = (
        'TRAINING = {"stage_steps": [20]}\n\n\ndef compute_reward(state, action, next_state):\n'
    )
    source += "    up = next_state.torso_up\n    return up, {'up': up}\n"
    [finding] = check_program(RewardProgram(source), CARD).errors
    assert "which are not named" in finding.message


def test_stages_are_read_and_change_no_card() -> None:
    choices = read_choices(write('{"stage_steps": [20, 30]}'))
    assert (choices.stages, choices.stage_steps) == (("rise", "turn"), (20, 30))
    assert choices.apply(CARD) == CARD
    assert choices.drop_shape() == choices
    assert str(choices) == "stage_steps [20, 30]"
    assert read_choices("STAGES = 5\nTRAINING = {'stage_steps': 5}") == TrainingChoices()
