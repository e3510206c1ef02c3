"""What holds for every task folder; a new one is picked up without new test code."""

import math
import re

import numpy as np
import pytest

from reward_agent.definitions.card import list_envs, load_env
from reward_agent.definitions.task import (
    apply_task,
    list_tasks,
    load_task,
    read_reference_reward,
    read_sparse_reward,
    read_task_metric,
)
from reward_agent.rewards.checks import check_metric, check_program
from reward_agent.types import RewardProgram

TASKS = [(env, task) for env in list_envs() for task in list_tasks(env)]
READERS = {"reference": read_reference_reward, "sparse": read_sparse_reward}
REWARDS = [
    pytest.param(env, task, read, id=f"{env}-{task}-{kind}")
    for env, task in TASKS
    for kind, read in READERS.items()
    if read(env, load_task(env, task)) is not None
]
N_STEPS = 150
# A target next to where the fingertip starts would be reached by not moving.
SEED = 3

# What EnvPool simulates is tried in test_metaworld.py.
PLAYED = [names for names in TASKS if load_env(names[0]).model.backend == "mujoco"]
every_task = pytest.mark.parametrize(
    ("env", "task"), [pytest.param(*names, id="-".join(names)) for names in TASKS]
)


every_played_task = pytest.mark.parametrize(
    ("env", "task"), [pytest.param(*names, id="-".join(names)) for names in PLAYED]
)


def make_random_actions(card, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(*card.action_range, size=(card.max_episode_steps, card.n_actions))


def test_every_environment_has_a_task():
    assert {env for env, _ in TASKS} == set(list_envs())


@every_task
def test_task_says_what_is_asked_and_how_it_is_judged(env, task):
    spec = load_task(env, task)
    assert spec.env == env
    assert spec.description.endswith(".")
    assert len(spec.description.split()) >= 5
    assert re.search(r"\d", spec.criterion), "the criterion is given with its numbers"
    assert "Success" in spec.criterion
    assert spec.unit
    assert spec.target_score is not None


@every_task
def test_metric_is_in_the_language_that_a_designer_may_propose_it_in(env, task):
    source = read_task_metric(env, load_task(env, task))
    report = check_metric(re.sub(r"^(?:import|from) .*\n", "", source, flags=re.M), load_env(env))
    assert [finding.message for finding in report.findings if finding.severity == "error"] == []


@every_task
def test_metric_explains_its_score_and_unit(env, task, load_metric):
    text = load_metric(env, task).__doc__
    assert "task_score" in text
    assert "success" in text
    assert "Parts" in text


@every_task
def test_overrides_fit_the_card(env, task):
    card = apply_task(load_env(env), load_task(env, task))
    assert card.max_episode_steps >= 50


@every_played_task
def test_random_policy_gets_a_finite_score_and_no_success(env, task, load_metric, record):
    card = apply_task(load_env(env), load_task(env, task))
    score = load_metric(env, task)(record(env, task, make_random_actions(card)[:N_STEPS], SEED))
    assert math.isfinite(score.task_score)
    assert score.parts
    assert not score.success
    assert score.task_score < load_task(env, task).target_score


@every_played_task
def test_doing_nothing_is_no_success(env, task, load_metric, record):
    card = apply_task(load_env(env), load_task(env, task))
    score = load_metric(env, task)(record(env, task, 0 * make_random_actions(card), SEED))
    assert not score.success
    assert score.task_score < load_task(env, task).target_score


@every_played_task
@pytest.mark.parametrize("n_steps", [1, 2])
def test_very_short_episode_is_no_success(env, task, n_steps, load_metric, record):
    card = apply_task(load_env(env), load_task(env, task))
    assert not load_metric(env, task)(
        record(env, task, make_random_actions(card)[:n_steps])
    ).success


@pytest.mark.parametrize(("env", "task", "read"), REWARDS)
def test_persons_reward_is_a_program_of_the_reward_language(env, task, read):
    source = read(env, load_task(env, task))
    report = check_program(RewardProgram(source), load_env(env))
    assert report.is_accepted, report.findings


@every_task
def test_every_task_has_a_sparse_reward(env, task):
    assert read_sparse_reward(env, load_task(env, task))
