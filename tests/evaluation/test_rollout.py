from dataclasses import replace

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.evaluation.rollout import NOT_FINITE, KeptSimulations, roll_out
from reward_agent.evaluation.trajectories import DECIDED, TRUNCATED
from reward_agent.simulation.backends import MUJOCO
from reward_agent.simulation.mujoco_batch import BatchSimulation

FEW = replace(MUJOCO, most_simulations=3)


class Constant:
    """The same action always; counts the episodes that it is asked about."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.n_asked: list[int] = []

    repeat = 1

    def act(self, observation):
        self.n_asked.append(len(observation))
        return np.full((len(observation), 3), self.value)


@pytest.fixture(scope="module")
def hopper():
    return load_env("hopper").model_copy(update={"max_episode_steps": 60})


def test_episode_is_that_of_a_simulation_alone(hopper):
    rollouts = roll_out(hopper, [Constant(0.3), Constant(-0.3)], n_episodes=2, seed=40)
    alone = BatchSimulation(hopper, 1, seed=43)
    alone.reset()
    heights = [alone.read_state().torso_height[0]]
    while not alone.find_terminated()[0] and len(heights) <= 60:
        alone.step(np.full((1, 3), -0.3))
        heights.append(alone.read_state().torso_height[0])
    episode = rollouts[1].trajectories.episode(1)
    np.testing.assert_array_equal(episode.torso_height, np.float32(heights))
    assert episode.terminated
    assert rollouts[1].trajectories.ends[1] == alone.termination_reason(0)


def test_a_few_simulations_at_a_time_give_the_same_episodes(hopper, monkeypatch):
    policies = [Constant(0.3), Constant(-0.3)]
    together = roll_out(hopper, policies, n_episodes=4, seed=40)
    monkeypatch.setattr("reward_agent.evaluation.rollout.find_backend", lambda card: FEW)
    apart = roll_out(hopper, policies, n_episodes=4, seed=40)
    for one, other in zip(together, apart, strict=True):
        assert one.trajectories.ends == other.trajectories.ends
        for index in range(4):
            first, second = one.trajectories.episode(index), other.trajectories.episode(index)
            np.testing.assert_array_equal(first.observation, second.observation)
            np.testing.assert_array_equal(one.pose[index], other.pose[index])


def test_every_field_action_and_position_is_recorded(hopper):
    [rollout] = roll_out(hopper, [Constant(0.1)], n_episodes=2, seed=0)
    for index, qpos in enumerate(rollout.pose):
        episode = rollout.trajectories.episode(index)
        assert set(episode.fields) == {field.name for field in hopper.fields}
        assert qpos.shape == (episode.n_steps + 1, 6)
        np.testing.assert_allclose(qpos[:, 1], episode.torso_height, rtol=1e-6)
        assert episode.action == pytest.approx(0.1)


def test_policy_is_not_asked_about_episodes_that_have_ended(hopper):
    policy = Constant(1.0)
    [rollout] = roll_out(hopper, [policy], n_episodes=3, seed=0)
    lengths = sorted(rollout.trajectories.lengths)
    assert lengths[-1] < 60
    assert len(policy.n_asked) == lengths[-1]
    assert sum(policy.n_asked) == sum(lengths)


def test_policy_acts_as_seldom_as_it_was_trained_to(hopper):
    class Counting(Constant):
        repeat = 4

        def act(self, observation):
            self.value = 0.1 * len(self.n_asked)
            return super().act(observation)

    card = hopper.model_copy(update={"termination": (), "max_episode_steps": 10})
    often, seldom = roll_out(card, [Constant(0.5), Counting(0.0)], n_episodes=2, seed=0)
    held = seldom.trajectories.episode(1).action[:, 0]
    np.testing.assert_allclose(held, [0.0] * 4 + [0.1] * 4 + [0.2] * 2, rtol=1e-6)
    assert often.trajectories.episode(1).action == pytest.approx(0.5)


def test_time_limit_truncates_and_does_not_terminate(hopper):
    card = hopper.model_copy(update={"termination": (), "max_episode_steps": 20})
    [rollout] = roll_out(card, [Constant(0.0)], n_episodes=1, seed=0)
    assert rollout.trajectories.ends == (TRUNCATED,)
    assert rollout.trajectories.lengths.tolist() == [20]
    assert not rollout.trajectories.episode(0).terminated


def test_policy_that_returns_nan_ends_its_own_episodes_only(hopper):
    nan, good = roll_out(hopper, [Constant(np.nan), Constant(0.0)], n_episodes=2, seed=0)
    assert nan.trajectories.ends == (NOT_FINITE,) * 2
    assert nan.trajectories.lengths.tolist() == [0, 0]
    assert min(good.trajectories.lengths) > 5


def test_same_seed_gives_the_same_episodes_and_another_does_not(hopper):
    first, again, other = (
        roll_out(hopper, [Constant(0.2)], n_episodes=1, seed=seed)[0].trajectories.episode(0)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.torso_height, again.torso_height)
    assert first.torso_height[0] != other.torso_height[0]


def test_an_episode_ends_where_it_is_decided(hopper):
    [whole] = roll_out(hopper, [Constant(0.0)], n_episodes=3, seed=0)
    falls = [whole.trajectories.episode(i).torso_height < 1.24 for i in range(3)]
    [cut] = roll_out(
        hopper,
        [Constant(0.0)],
        n_episodes=3,
        seed=0,
        is_decided=lambda state: state.torso_height < 1.24,
    )
    for index, has_fallen in enumerate(falls):
        episode = cut.trajectories.episode(index)
        assert 0 < episode.n_steps == int(has_fallen[1:].argmax()) + 1
        assert cut.trajectories.ends[index] == DECIDED
        assert not episode.terminated
        np.testing.assert_array_equal(
            episode.torso_height,
            whole.trajectories.episode(index).torso_height[: episode.n_steps + 1],
        )


def test_kept_simulations_are_made_once_and_go_on_with_their_draws(hopper, monkeypatch):
    module = "reward_agent.evaluation.rollout"
    made = []

    def make(card, n_sims, seed, fields=None, is_randomised=False):
        made.append(n_sims)
        return BatchSimulation(card, n_sims, seed)

    monkeypatch.setattr(f"{module}.make_simulation", make)
    monkeypatch.setattr(f"{module}.find_backend", lambda card: FEW)
    kept = KeptSimulations(hopper)
    starts = []
    for n_episodes in (4, 2):
        [rollout] = roll_out(hopper, [Constant(0.1)], n_episodes, seed=0, kept=kept)
        assert rollout.trajectories.n_episodes == n_episodes
        starts += [tuple(rollout.trajectories.episode(i).observation[0]) for i in range(n_episodes)]
    assert made == [3]
    assert len(set(starts)) == len(starts)
    [fresh] = roll_out(hopper, [Constant(0.1)], 1, seed=0)
    assert tuple(fresh.trajectories.episode(0).observation[0]) == starts[0]


def test_simulations_that_read_few_fields_move_the_same(hopper):
    [whole] = roll_out(hopper, [Constant(0.2)], n_episodes=3, seed=5)
    kept = KeptSimulations(hopper, {"x_position", "foot_floor_contact"})
    [few] = roll_out(hopper, [Constant(0.2)], n_episodes=3, seed=5, kept=kept)
    assert set(few.trajectories.fields) == {"x_position", "foot_floor_contact"}
    assert few.trajectories.ends == whole.trajectories.ends
    for name, values in few.trajectories.fields.items():
        np.testing.assert_array_equal(values, whole.trajectories.fields[name])
    for first, second in zip(whole.pose, few.pose, strict=True):
        np.testing.assert_array_equal(first, second)
