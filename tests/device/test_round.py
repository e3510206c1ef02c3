"""A round on Warp's CPU device: what is collected is what the path in NumPy collects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LearnerSettings, PPOSettings
from reward_agent.device.program import ProgramRunner
from reward_agent.device.stack import Seat
from reward_agent.learning.ppo import PPO
from reward_agent.learning.term_log import Stretch
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.types import RewardProgram
from reward_agent.worker.trace import trace_program

pytest.importorskip("mujoco_warp", reason="pip install 'reward-agent[gpu]'")

from reward_agent.device.round import Round, Shape
from reward_agent.device.worlds import Room

pytestmark = pytest.mark.gpu

CARD = load_env("hopper")
PLAIN = """
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.torso_pitch, bounds=(-0.2, 0.2), margin=0.6)
    effort = -0.001 * np.sum(np.square(action), axis=-1)
    contact = 0.1 * next_state.foot_floor_contact
    terms = {"upright": upright, "effort": effort, "contact": contact}
    return sum(terms.values()), terms
"""
REMEMBERS = """
def init_memory(state):
    return {"best": state.x_position.copy()}


def compute_reward(state, action, next_state, memory):
    best = np.maximum(memory["best"], next_state.x_position)
    progress = best - memory["best"]
    return progress, {"progress": progress}, {"best": best}


def potential(state):
    return state.torso_height
"""
BREAKS = """
def compute_reward(state, action, next_state):
    root = np.sqrt(next_state.torso_height - 1.2)
    return root, {"root": root}
"""
M, T = 32, 40


def load(rows: int, *sources: str) -> dict[str, ProgramRunner]:
    programs = [trace_program(source, CARD, 0.99) for source in sources]
    return {item.program_sha256: ProgramRunner(item, rows, "cpu") for item in programs}


def make_round(sources: list[str], n_seeds: int = 1, **changes: Any) -> Round:
    settings = PPOSettings(**{"log_std_init": -0.5, "batch_size": 256, **changes})
    seats = [Seat(settings, seed, 100_000) for _ in sources for seed in range(n_seeds)]
    payers = [RewardProgram(source).sha256 for source in sources for _ in range(n_seeds)]
    programs = load(n_seeds * M, *sources)
    return Round(CARD, programs, payers, seats, Shape(M, T), "cpu", seed=1)


def collect_in_numpy(source: str, seed: int, n_rollouts: int) -> Stretch:
    given = LearnerSettings(algo="ppo", n_envs=M, n_steps=T, log_std_init=-0.5)
    env = RewardVecEnv(CARD, BatchSimulation(CARD, M, seed=0), compile_program(source, CARD, 0.99))
    ppo = PPO(env, given, 100_000, seed)
    for _ in range(n_rollouts):
        ppo.collect_rollout()
    return env.pop_stretch()


@pytest.mark.parametrize("source", [PLAIN, REMEMBERS])
def test_lengths_and_pay_are_those_of_the_path_in_numpy(source: str) -> None:
    seeds, n = range(4), 3
    ours = make_round([source], n_seeds=len(seeds), n_epochs=1, learning_rate=0.0)
    found = []
    for _ in range(n):
        found.append(ours.learn([True] * len(seeds)))
    device = [sum(row[1:], start=row[0]) for row in zip(*found, strict=True)]
    numpy = [collect_in_numpy(source, seed, n) for seed in seeds]
    assert device[0].names == numpy[0].names
    assert not ours.failures
    measures = [lambda s: s.episode_length, lambda s: s.total[0] / s.n_steps]
    measures += [lambda s: s.generated_return, lambda s: s.n_episodes]
    for measure in measures:
        pair = [np.array([measure(stretch) for stretch in side]) for side in (device, numpy)]
        error = np.hypot(*(side.std(ddof=1) / np.sqrt(len(side)) for side in pair))
        assert abs(pair[0].mean() - pair[1].mean()) < 3 * error + 0.02 * abs(pair[1].mean())


def test_a_program_whose_pay_is_no_number_ends_its_training_alone() -> None:
    ours = make_round([PLAIN, BREAKS])
    for _ in range(4):
        stretches = ours.learn([True, True])
    assert isinstance(ours.failures[1], ContractError)
    assert "root" in str(ours.failures[1])
    assert list(ours.failures) == [1]
    assert [stretch is None for stretch in stretches] == [False, True]
    assert ours.stack.num_timesteps[0] == 4 * M * T > ours.stack.num_timesteps[1]
    assert np.isfinite(ours.stack.make_policy(1).layers[0].weight).all()


def test_a_rollout_with_too_little_room_is_repeated_and_comes_out_the_same() -> None:
    tight, wide = make_round([PLAIN]), make_round([PLAIN])
    tight.worlds._room = Room(contacts=2, rows=6)
    saved = tight.worlds.save()
    tight.worlds._allocate()
    tight.worlds.restore(saved)
    found, expected = tight.collect(), wide.collect()
    assert tight.n_repeated
    assert not wide.n_repeated
    assert torch.allclose(tight._collected.rewards, wide._collected.rewards, atol=1e-3)
    assert found[0].n_episodes == expected[0].n_episodes


def test_episodes_end_by_the_clock_with_what_would_have_followed() -> None:
    card = CARD.model_copy(update={"max_episode_steps": 7})
    ours = Round(
        card, load(M, PLAIN), [RewardProgram(PLAIN).sha256], [Seat(PPOSettings(), 0, 1000)],
        Shape(M, T), "cpu", seed=0,
    )  # fmt: skip
    ours.collect()
    kept = ours._collected
    assert kept.is_time_out.any()
    assert not (kept.is_time_out & ~kept.done).any()
    assert ours._states.lengths.max() < 7
    # The next step begins elsewhere than this one has ended, near the start pose.
    ended = kept.is_time_out[0, :-1]
    jump = (kept.observations[0, 1:] - kept.nexts[0, :-1]).abs().amax(dim=-1)
    assert jump[ended].min() > 1e-4
    assert jump[~kept.done[0, :-1]].max() == 0.0
