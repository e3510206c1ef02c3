"""``TRAINING``: what a program may choose of how its policy learns, and who sees it."""

from __future__ import annotations

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LEARNERS, TUNABLE
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.choices import describe_choices, list_choices, read_choices
from reward_agent.types import RewardProgram

CARD = load_env("hopper")
PROGRAM = """
TRAINING = {table}


def compute_reward(state, action, next_state):
    speed = next_state.forward_velocity
    return speed, {{"speed": speed}}
"""


def write(table: str) -> str:
    return PROGRAM.format(table=table)


def find_fault(table: str) -> str:
    [finding] = check_program(RewardProgram(write(table)), CARD).errors
    assert finding.rule == "training/choice"
    assert finding.line == 2
    return f"{finding.message}; {finding.remedy}"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('{"gama": 0.9}', "did you mean 'gamma'"),
        ('{"gamma": 2}', "from 0.8 to 0.9999"),
        ('{"gamma": True}', "from 0.8 to 0.9999"),
        ('{"gamma": 1e400}', "from 0.8 to 0.9999"),
        ('{"gamma": [0.9]}', "from 0.8 to 0.9999"),
        ('{"gamma": 0.99, "gamma": 7}', "from 0.8 to 0.9999"),
        ('{"net_arch": [1000000]}', "whole numbers from 8 to 512"),
        ('{"net_arch": [64, 64, 64, 64]}', "a list of 1 to 3"),
        ('{"net_arch": []}', "a list of 1 to 3"),
        ('{"episode_steps": 1000000000}', "from 10 to 4000"),
        ('{"episode_steps": 50.5}', "a whole number from 10 to 4000"),
        ('{"action_repeat": 0}', "a whole number from 1 to 16"),
        ('{"algo": "sb3:SAC", "action_repeat": 2}', "no choice with sb3:SAC"),
        ('{"algo": "sb3:SAK"}', "did you mean 'sb3:SAC'"),
        ('{"algo": 3}', "choose one of ppo"),
        ('{"algo": "sb3:SAC", "noise_correlation": 0.5}', "no choice with sb3:SAC"),
        ("dict(gamma=0.9)", "not a dictionary of plain names"),
        ('{"gamma": 1 - 0.01}', "not a dictionary of plain names"),
        ("[]", "not a dictionary of plain names"),
    ],
)
def test_what_is_no_choice_is_refused_with_what_is(table: str, said: str) -> None:
    assert said in find_fault(table)


def test_choices_change_the_card_of_the_training_alone() -> None:
    table = '{"gamma": 0.95, "net_arch": [32], "episode_steps": 200, "noise_correlation": 0.5}'
    assert check_program(RewardProgram(write(table)), CARD).is_accepted
    chosen = read_choices(write(table)).apply(CARD)
    assert chosen.learner.gamma == 0.95
    assert list(chosen.learner.get("net_arch")) == [32]
    assert chosen.learner.get("n_steps") == CARD.learner.get("n_steps")
    assert chosen.max_episode_steps == 200
    assert CARD.max_episode_steps == 1000
    chosen.learner.check()


def test_another_learner_takes_its_own_hyper_parameters() -> None:
    chosen = read_choices(write('{"algo": "sb3:SAC", "net_arch": [32], "gamma": 0.9}')).apply(CARD)
    assert chosen.learner.given == {"gamma": 0.9, "policy_kwargs": {"net_arch": [32]}}
    chosen.learner.check()


def test_the_learner_that_a_person_chose_stays() -> None:
    card = CARD.choose_learner("sb3:TD3")
    choices = read_choices(write('{"algo": "ppo", "gamma": 0.9, "noise_correlation": 0.5}'))
    learner = choices.apply(card, "sb3:TD3").learner
    assert (learner.algo, learner.gamma) == ("sb3:TD3", 0.9)
    learner.check()


def test_a_policy_that_goes_on_keeps_its_shape() -> None:
    choices = read_choices(write('{"algo": "sb3:SAC", "net_arch": [32], "gamma": 0.9}'))
    assert choices.drop_shape().apply(CARD).learner == CARD.learner.choose({"gamma": 0.9})


def test_a_program_without_choices_trains_as_the_card_says() -> None:
    assert read_choices("x = 1").apply(CARD) == CARD


@pytest.mark.parametrize("kind", LEARNERS.own, ids=lambda kind: kind.name)
def test_a_learner_takes_what_may_be_chosen_of_it(kind) -> None:
    choices = list_choices(CARD, kind)
    assert "gamma" in choices
    values = {n: [c.low] if c.most else c.low for n, c in kind.tunable.items()}
    values = {n: [int(v[0])] if isinstance(v, list) else v for n, v in values.items()}
    CARD.choose_learner(kind.name).learner.choose(values).check()


def test_the_designer_is_told_of_every_choice_and_its_range() -> None:
    told = describe_choices(CARD)
    for name in ("algo", "episode_steps", *CARD.learner.kind.tunable):
        assert f"`{name}`" in told
    assert "`algo`" not in describe_choices(CARD, "ppo")
    assert set(TUNABLE) >= set(CARD.learner.kind.tunable)
