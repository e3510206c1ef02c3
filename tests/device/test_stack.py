"""A stack of learners: each learns as it would alone, and as ``learning.ppo`` does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LearnerSettings, PPOSettings
from reward_agent.device.stack import Collected, Seat, Stack, StackedBatch, make_rollout
from reward_agent.learning.ppo import PPO, compute_gradient
from reward_agent.learning.vec_env import Ended

CARD = load_env("inverted_pendulum")
M, T, TOTAL = 4, 16, 10 * 4 * 16
SIZE, N_ACTIONS = CARD.observation_size, CARD.n_actions
SETTINGS: dict[str, Any] = {
    "n_envs": M,
    "n_steps": T,
    "batch_size": 32,
    "n_epochs": 3,
    "net_arch": (16, 8),
    "learning_rate": 1e-3,
    "final_learning_rate_share": 0.1,
    "ent_coef": 0.01,
    "log_std_init": -0.5,
}


@dataclass
class ScriptedSteps:
    """Environments whose states do not depend on actions: it is known what a learner meets.

    The same numbers go to ``collected``, as a device would collect them.
    """

    seed: int
    scale: float = 3.0
    card: Any = CARD
    n_envs: int = M
    n_steps: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._generator = np.random.default_rng(self.seed)
        self._now = self._draw()
        self._step, self._rewards = 0, np.zeros((T, M))
        self.collected = make_rollout(1, T, M, CARD, torch.device("cpu"))

    def _draw(self) -> np.ndarray[Any, Any]:
        return (self._generator.standard_normal((M, SIZE)) * self.scale + 1).astype(np.float32)

    def reset(self) -> np.ndarray[Any, Any]:
        return self._now.copy()

    def advance(self, action: np.ndarray[Any, Any], repeat: int) -> Any:
        step, kept = self._step, self.collected
        after = self._draw()
        done = self._generator.random(M) < 0.2
        is_time_out = done & (self._generator.random(M) < 0.5)
        kept.observations[0, step] = torch.tensor(self._now)
        kept.nexts[0, step] = torch.tensor(after)
        kept.done[0, step], kept.is_time_out[0, step] = map(torch.tensor, (done, is_time_out))
        self._rewards[step] = self._generator.standard_normal(M) + action.sum(axis=1)
        self._now = np.where(done[:, None], self._draw(), after)
        kept.last[0] = torch.tensor(self._now)
        self._step = (step + 1) % T
        self.n_steps += M
        ids = np.flatnonzero(done)
        ended = Ended(ids, is_time_out[ids], after[ids]) if len(ids) else None
        return self._now.copy(), done, ended

    def pay(self) -> np.ndarray[Any, Any]:
        self.collected.rewards[0] = torch.tensor(self._rewards)
        return self._rewards


def make_ppo(seed: int, **changes: Any) -> PPO:
    given = LearnerSettings(algo="ppo", **{**SETTINGS, **changes})
    return PPO(ScriptedSteps(seed), given, TOTAL, seed)  # type: ignore[arg-type]


def make_stack(*seats: Seat, dtype: torch.dtype = torch.float32) -> Stack:
    return Stack(CARD, seats, M, T, "cpu", dtype)


def sit(seed: int, **changes: Any) -> Seat:
    return Seat(PPOSettings(**{**SETTINGS, **changes}), seed, TOTAL)


def learn_beside(ppo: PPO, stack: Stack) -> Collected:
    """Let a PPO learn once, and learner 0 of a stack of the same steps; return these."""
    noise = stack.draw_noise()
    ppo.learn()
    collected: Collected = ppo._env.collected  # type: ignore[attr-defined]
    for step in range(T):
        collected.actions[:, step] = stack.act(collected.observations[:, step], noise[:, step])
    stack.learn(collected)
    return collected


VARIANTS: list[dict[str, Any]] = [
    {},
    {"activation": "relu", "normalize_observation": False},
    {"normalize_reward": False, "target_kl": 0.02, "std_hold_share": 1.0},
    {"noise_correlation": 0.5, "gamma": 0.9, "gae_lambda": 0.8, "clip_range": 0.05},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_learner_of_a_stack_learns_as_ppo_does(changes: dict[str, Any]) -> None:
    ppo, stack = make_ppo(7, **changes), make_stack(sit(7, **changes))
    for _ in range(3):
        collected = learn_beside(ppo, stack)
        actions = collected.actions[0].numpy()
        assert np.abs(actions - ppo.rollout.actions).max() < 2e-3
        assert stack.num_timesteps == [ppo.num_timesteps]
        if "target_kl" in changes:  # a pass that is cut short draws fewer orders of steps
            break
    found, expected = stack.make_policy(0), ppo.make_policy()
    assert found.header == expected.header
    assert np.allclose(found.observation_mean, expected.observation_mean, atol=1e-5)
    assert np.allclose(found.observation_scale, expected.observation_scale, rtol=1e-5)
    state, wanted = stack.read_state(0), ppo.read_state()
    assert state.keys() == wanted.keys()
    for name in set(state) - {"random"}:
        assert np.allclose(state[name], wanted[name], rtol=1e-3, atol=1e-3), name
    moved = np.abs(wanted["weights"] - make_ppo(7, **changes).read_state()["weights"]).max()
    assert moved > 5e-3


def make_batch(n_learners: int, n: int = 64, dtype: torch.dtype = torch.float32) -> StackedBatch:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn((n_learners, n, *shape), generator=generator).to(dtype)

    return StackedBatch(draw(SIZE), draw(N_ACTIONS), draw(), draw(), 0.3 * draw() - 2.0)


def test_the_gradient_of_a_minibatch_is_that_of_ppo() -> None:
    ppo, stack = make_ppo(3), make_stack(sit(3), dtype=torch.float64)
    batch = make_batch(1, dtype=torch.float64)
    log_ratio = stack.compute_gradient(batch)
    steps = type(ppo.rollout)(*(v[0].numpy().astype(np.float32) for v in vars(batch).values()))
    expected = compute_gradient(ppo.networks, steps, ppo.settings, ppo._gradient, ppo._head)
    assert np.allclose(log_ratio[0].numpy(), expected, atol=1e-5)
    gradient = ppo._gradient.flat
    assert np.abs(stack._gradient.flat[0].numpy() - gradient).max() < 1e-5 * np.abs(gradient).max()


SEATS = (
    sit(1),
    sit(2, learning_rate=3e-3, gamma=0.9, max_grad_norm=0.1),
    sit(3, target_kl=1e-5, learning_rate=3e-3, clip_range=0.5, gae_lambda=0.5),
    sit(4, log_std_init=0.0, ent_coef=0.02, vf_coef=1.0, noise_correlation=0.3),
)


def collect(stack: Stack, seeds: list[int]) -> Collected:
    """Return what each learner meets in its own scripted environments."""
    parts = []
    noise = stack.draw_noise()
    for k, seed in enumerate(seeds):
        env = ScriptedSteps(seed)
        for step in range(T):
            now = torch.tensor(env.reset())
            action = torch.zeros((len(seeds), M, SIZE))
            action[k] = now
            chosen = stack.act(action, noise[:, step])[k]
            env.collected.actions[0, step] = chosen
            env.advance(chosen.numpy(), 1)
        env.pay()
        parts.append(vars(env.collected))
    return Collected(*(torch.cat([part[name] for part in parts]) for name in parts[0]))


def test_a_learner_among_others_learns_as_alone() -> None:
    together = make_stack(*SEATS)
    alone = [make_stack(seat) for seat in SEATS]
    for _ in range(2):
        together.learn(collect(together, [1, 2, 3, 4]))
        for k, stack in enumerate(alone):
            stack.learn(collect(stack, [k + 1]))
    for k, stack in enumerate(alone):
        mine, own = together.read_state(k), stack.read_state(0)
        for name in set(mine) - {"random"}:
            assert np.abs(mine[name] - own[name]).max() <= 1e-6, (k, name)
    # The third has stopped before its passes were over.
    counts = [int(together.read_state(k)["adam.n_steps"]) for k in range(4)]
    assert counts[0] == counts[1] == 2 * 3 * 2 > counts[2]


def test_whoever_is_paid_nan_stops_and_leaves_the_others_alone() -> None:
    stack, sound = make_stack(*SEATS[:2]), make_stack(SEATS[1])
    collected = collect(stack, [1, 2])
    collected.rewards[0, 5, 1] = float("nan")
    before = stack.read_state(0)
    stack.learn(collected)
    sound.learn(collect(sound, [2]))
    assert stack.is_alive.tolist() == [False, True]
    after = stack.read_state(0)
    for name in ("weights", "observations.mean", "rewards.mean"):
        assert np.array_equal(before[name], after[name]), name
        assert np.allclose(stack.read_state(1)[name], sound.read_state(0)[name], atol=1e-6)


def test_weights_that_blow_up_are_taken_back() -> None:
    stack = make_stack(sit(1, learning_rate=1e9, max_grad_norm=1e9), sit(2))
    before = stack.read_state(0)["weights"]
    stack.learn(collect(stack, [1, 2]))
    assert stack.is_alive.tolist() == [False, True]
    assert np.array_equal(stack.read_state(0)["weights"], before)


def test_a_training_goes_on_where_ppo_left_it_and_back() -> None:
    ppo, stack = make_ppo(5), make_stack(sit(4), sit(5))
    ppo.learn()
    stack.restore(1, ppo.read_state())
    again = make_ppo(5)
    again.restore(stack.read_state(1))
    for name, values in ppo.read_state().items():
        assert np.array_equal(again.read_state()[name], values), name
    policy = stack.make_policy(1)
    assert np.array_equal(policy.layers[0].weight, ppo.networks.actor[0].weight)
    stack.adopt(0, policy)
    adopted = stack.make_policy(0)
    seen = np.random.default_rng(0).standard_normal((5, SIZE))
    assert np.allclose(adopted.act(seen), policy.act(seen), atol=1e-5)
