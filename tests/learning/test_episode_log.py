"""A sample of a training's episodes: whole, in their order, of all simulations."""

from __future__ import annotations

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.start import TrainingStart
from reward_agent.learning.episode_log import EpisodeLog
from reward_agent.learning.starts import TrainingStarts
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.backends import make_simulation

CARD = load_env("hopper")
PROGRAM = """
def compute_reward(state, action, next_state):
    return next_state.torso_up, {"up": next_state.torso_up}
"""
FIELDS = ("torso_height", "joint_angles", "foot_floor_contact")
N = 4


def make_env(total_timesteps: int = 10**6, *, has_log: bool = True) -> RewardVecEnv:
    fields = ["torso_up", *FIELDS] if has_log else ["torso_up"]
    simulation = make_simulation(CARD, N, 0, fields)
    log = EpisodeLog(simulation, ["torso_up"], FIELDS, total_timesteps) if has_log else None
    return RewardVecEnv(CARD, simulation, compile_program(PROGRAM, CARD, 0.99), log=log)


def play(env: RewardVecEnv, n_steps: int, repeat: int = 1) -> list[np.ndarray]:
    """Act at random and return what was observed."""
    rng = np.random.default_rng(0)
    seen = [env.reset()]
    for _ in range(n_steps):
        observation, _, _ = env.advance(rng.uniform(-1, 1, (N, 3)).astype(np.float32), repeat)
        seen.append(observation)
    env.pay()
    return seen


def test_recording_changes_nothing_and_the_reward_is_given_its_own_fields() -> None:
    plain, watched = make_env(has_log=False), make_env()
    assert np.array_equal(play(plain, 300), play(watched, 300))
    assert list(watched._state.fields) == ["torso_up"]


def test_episodes_are_whole_and_begin_where_the_card_says() -> None:
    env = make_env()
    play(env, 600)
    assert env.log is not None
    assert len(env.log.episodes) > 10
    for episode in env.log.episodes:
        height, angles = episode.rows[0, 0], episode.rows[0, 1:4]
        assert height == pytest.approx(1.25, abs=0.01)
        assert np.abs(angles).max() < 0.01
        assert episode.end in {bounds.field for bounds in CARD.termination}
        # Only the last state is beyond what the card allows.
        assert (episode.rows[1:-1, 0] >= 0.7).all()
        assert (np.abs(episode.rows[1:, 5:]).max(axis=1) > 0).all()
    ends = [episode.n_steps for episode in env.log.episodes]
    assert ends == sorted(ends)


def test_an_episode_that_waited_for_others_begins_when_it_moves() -> None:
    env = make_env()
    play(env, 200, repeat=5)
    assert env.log is not None
    assert len(env.log.episodes) > 10
    for episode in env.log.episodes:
        assert not episode.rows[0, -3:].any()
        assert (np.abs(np.diff(episode.rows[:, :4], axis=0)).max(axis=1) > 0).all()


def test_no_more_steps_are_read_than_its_share() -> None:
    env = make_env(total_timesteps=2000 * N)
    log = env.log
    assert log is not None
    play(env, 2000)
    n_lost = sum(len(episode.rows) for episode in log.episodes)
    assert 0 < n_lost < 2000 * N
    assert log._n_read < 0.1 * 2000  # with what episodes under way go on for
    assert log.episodes[-1].n_steps > 1400


def test_an_episode_that_begins_elsewhere_is_not_recorded() -> None:
    start = TrainingStart(share=0.9, until=1.0, fields={"torso_height": ((1.4, 1.6),)})
    simulation = make_simulation(CARD, N, 0, ["torso_up", *FIELDS])
    starts = TrainingStarts(simulation, [start], 0)
    log = EpisodeLog(simulation, ["torso_up"], FIELDS, 10**6)
    reward = compile_program(PROGRAM, CARD, 0.99)
    env = RewardVecEnv(CARD, simulation, reward, starts=starts, log=log)
    play(env, 300)
    assert 0 < len(log.episodes) < 30
    assert all(episode.rows[0, 0] < 1.3 for episode in log.episodes)
