"""K learners of PPO side by side: each layer of all of them is one batched product.

Learner k of K learns as one alone, and as ``learning.ppo`` does with its settings: weights, noise
and minibatches are drawn by the same generator in the same order, the gradient is the same one
written out. Nothing here waits for the device but what leaves it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.learner import PPOSettings
from reward_agent.learning.heads import Gaussian
from reward_agent.learning.learner import Arrays
from reward_agent.learning.policy import NumpyPolicy, PolicyHeader, check_start
from reward_agent.learning.ppo import draw_first_weights, make_networks

Tensor: TypeAlias = torch.Tensor

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_CLIP, _EPSILON = 10.0, 1e-8  # of normalised observations and rewards, as learning.ppo's
_BETA_1, _BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-5
_LARGEST_WEIGHT, _LARGEST_LOG_STD = 1e6, 50.0
# What learners of one stack must have in common: the shapes of its arrays and of its minibatches.
FORM = (
    "net_arch", "activation", "batch_size", "n_epochs", "normalize_observation", "normalize_reward",
)  # fmt: skip


@dataclass(frozen=True)
class Seat:
    """A learner of a stack.

    Args:
        settings: its hyper-parameters; how many environments and steps is the stack's affair.
        seed: of its weights, actions and minibatches.
        total_timesteps: env steps over which its learning rate falls.
    """

    settings: PPOSettings
    seed: int
    total_timesteps: int


@dataclass(frozen=True)
class Collected:
    """T steps of K learners in M worlds each.

    Args:
        observations: (K, T, M, size), before each step, as they are.
        nexts: (K, T, M, size), after each step, before a new episode begins.
        last: (K, M, size), what the next rollout begins with.
        actions: (K, T, M, n_actions), before they were clipped.
        rewards: (K, T, M).
        done: (K, T, M) bool, whether the step was the last of its episode.
        is_time_out: (K, T, M) bool, whether the time limit alone ended it.
    """

    observations: Tensor
    nexts: Tensor
    last: Tensor
    actions: Tensor
    rewards: Tensor
    done: Tensor
    is_time_out: Tensor


def make_rollout(
    n_learners: int, n_steps: int, n_worlds: int, card: EnvCard, device: torch.device
) -> Collected:
    """Return room for a rollout."""
    k, t, m, size = n_learners, n_steps, n_worlds, card.observation_size
    zeros = torch.zeros
    return Collected(
        observations=zeros((k, t, m, size), device=device),
        nexts=zeros((k, t, m, size), device=device),
        last=zeros((k, m, size), device=device),
        actions=zeros((k, t, m, card.n_actions), device=device),
        rewards=zeros((k, t, m), device=device),
        done=zeros((k, t, m), dtype=torch.bool, device=device),
        is_time_out=zeros((k, t, m), dtype=torch.bool, device=device),
    )


@dataclass(frozen=True)
class StackedBatch:
    """Steps to learn from, (K, n, …): see ``learning.ppo.Steps``."""

    observations: Tensor
    actions: Tensor
    advantages: Tensor
    returns: Tensor
    log_probs: Tensor

    def take(self, rows: Tensor) -> StackedBatch:
        """Return rows (K, B) of each learner's steps."""
        learners = torch.arange(len(rows), device=rows.device)[:, None]
        return StackedBatch(*(values[learners, rows] for values in vars(self).values()))


@dataclass(frozen=True)
class StackedNetworks:
    """Actors and critics as views of ``flat`` (K, P), in the order of ``learning.ppo.Networks``.

    A layer is its weight (K, n_out, n_in) and its bias (K, n_out); ``log_std`` is (K, n_actions).
    """

    actor: tuple[tuple[Tensor, Tensor], ...]
    critic: tuple[tuple[Tensor, Tensor], ...]
    log_std: Tensor
    flat: Tensor


@dataclass(frozen=True)
class StackedLearner:
    """Learner ``k`` of a stack, as a record is kept of it."""

    stack: Stack
    k: int

    @property
    def num_timesteps(self) -> int:
        """Env steps so far."""
        return self.stack.num_timesteps[self.k]

    def read_state(self) -> Arrays:
        """Return what it goes on from."""
        return self.stack.read_state(self.k)

    def make_policy(self) -> NumpyPolicy:
        """Return the policy as it is now."""
        return self.stack.make_policy(self.k)


class Stack:
    """K learners, each with its own settings, at the beginning of their trainings.

    Args:
        card: the environment.
        seats: the learners; they have ``FORM`` in common.
        n_worlds: of each learner, M.
        n_steps: of a rollout, T.
        device: where they learn.
        dtype: of weights and gradients.

    Attributes:
        num_timesteps: env steps of each learner so far.
        is_alive: (K,) bool: who has learned from the last rollout.
    """

    def __init__(
        self,
        card: EnvCard,
        seats: Sequence[Seat],
        n_worlds: int,
        n_steps: int,
        device: str | torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.card, self.seats, self.n_worlds, self.n_steps = card, seats, n_worlds, n_steps
        self.device, self._dtype = torch.device(device), dtype
        self._first = first = seats[0].settings
        self._form = (card.observation_size, first.net_arch, card.n_outputs, card.n_actions)
        self._generators = [np.random.default_rng(seat.seed) for seat in seats]
        self._heads = [Gaussian(card.n_actions, s.settings.noise_correlation) for s in seats]
        weights = [self._draw_weights(*pair) for pair in zip(seats, self._generators, strict=True)]
        self._networks = self._view(self._put(np.stack(weights), dtype))
        self._gradient = self._view(torch.zeros_like(self._networks.flat))
        k, size = len(seats), card.observation_size
        self._adam = {
            "mean": torch.zeros_like(self._networks.flat),
            "square": torch.zeros_like(self._networks.flat),
            "n_steps": torch.zeros(k, dtype=torch.int64, device=self.device),
        }
        self._observations = StackedMoments(k, size, self.device)
        self._rewards = StackedMoments(k, 1, self.device)
        self._mean = torch.zeros((k, 1, size), device=self.device)
        self._scale = torch.ones((k, 1, size), device=self.device)
        self._returns = torch.zeros((k, n_worlds), dtype=torch.float64, device=self.device)
        self._columns = {name: self._make_column(name) for name in _COLUMNS}
        self.num_timesteps = [0] * k
        self.is_alive = torch.ones(k, dtype=torch.bool, device=self.device)

    def _draw_weights(self, seat: Seat, generator: np.random.Generator) -> np.ndarray[Any, Any]:
        networks = make_networks(*self._form)
        draw_first_weights(networks, seat.settings.log_std_init, generator)
        return networks.flat

    def _put(self, values: Any, dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(np.array(values)).to(self.device, dtype)

    def _make_column(self, name: str) -> Tensor:
        """Return a hyper-parameter of each learner, (K, 1)."""
        values = [getattr(seat.settings, name) for seat in self.seats]
        return self._put([[math.inf if v is None else v] for v in values], self._dtype)

    def _view(self, flat: Tensor) -> StackedNetworks:
        """Return the layers in vectors (K, P)."""
        size, net_arch, n_outputs, n_deviations = self._form
        layers, start = [], 0
        for n_last in (n_outputs, 1):
            widths = [size, *net_arch, n_last]
            for n_in, n_out in pairwise(widths):
                end = start + n_out * n_in
                weight = flat[:, start:end].unflatten(1, (n_out, n_in))
                layers.append((weight, flat[:, end : end + n_out]))
                start = end + n_out
        depth = len(net_arch) + 1
        log_std = flat[:, start : start + n_deviations]
        return StackedNetworks(tuple(layers[:depth]), tuple(layers[depth:]), log_std, flat)

    # --- acting ---------------------------------------------------------------------------------

    def draw_noise(self) -> Tensor:
        """Return how far the actions of a rollout are from their means, (K, T, M, n_actions)."""
        shape, unit = (self.n_steps, self.n_worlds), np.zeros(self.card.n_actions, np.float32)
        drawn = zip(self._heads, self._generators, strict=True)
        noise = np.stack([head.draw_noise(shape, unit, own) for head, own in drawn])
        return self._put(noise, torch.float32) * self._networks.log_std.float().exp()[:, None, None]

    def normalize(self, observations: Tensor) -> Tensor:
        """Return what networks see, (K, …, size), of observations as they are."""
        clip = _CLIP if self._first.normalize_observation else 1e6
        flat = observations.flatten(1, -2)
        return ((flat - self._mean) * self._scale).clamp(-clip, clip).view_as(observations)

    def act(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return actions (K, M, n_actions), not yet clipped, for observations (K, M, size)."""
        mean = self._run(self._networks.actor, self.normalize(observations).to(self._dtype))
        return mean.float() + noise

    def _run(
        self,
        layers: Sequence[tuple[Tensor, Tensor]],
        inputs: Tensor,
        kept: list[Tensor] | None = None,
    ) -> Tensor:
        """Return the outputs (K, n, n_out) of networks; ``kept`` gets what each layer was given."""
        hidden = inputs
        for index, (weight, bias) in enumerate(layers):
            if kept is not None:
                kept.append(hidden)
            hidden = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2))
            if index < len(layers) - 1:
                hidden = hidden.tanh() if self._first.activation == "tanh" else hidden.relu()
        return hidden

    # --- learning -------------------------------------------------------------------------------

    def learn(self, rollout: Collected, is_running: Sequence[bool] | None = None) -> None:
        """Update the learners that are running, all if None, as ``PPO.learn`` does.

        ``is_alive`` then says of whom all was finite, and whose weights did not blow up; the others
        are as they were before.
        """
        running = [True] * len(self.seats) if is_running is None else is_running
        self.is_alive.copy_(self._put(running, torch.bool))
        rates = [self._find_learning_rate(k) for k in range(len(self.seats))]
        is_finite = rollout.rewards.flatten(1).isfinite().all(dim=1)
        is_finite &= rollout.observations.flatten(1).isfinite().all(dim=1)
        self.is_alive &= is_finite
        batch = self._make_batch(rollout)
        if self._first.normalize_observation:
            self._observations.update(rollout.observations.flatten(1, 2), self.is_alive)
        n_new = self.n_steps * self.n_worlds
        counts = zip(self.num_timesteps, running, strict=True)
        self.num_timesteps = [steps + n_new * one for steps, one in counts]
        self.update(batch, self._put(rates, self._dtype)[:, None])
        if self._first.normalize_observation:
            self._share_moments()

    def _find_learning_rate(self, k: int) -> float:
        settings, total = self.seats[k].settings, self.seats[k].total_timesteps
        left = max(1.0 - self.num_timesteps[k] / total, 0.0)
        share = settings.final_learning_rate_share
        return settings.learning_rate * (share + (1.0 - share) * left)

    def _share_moments(self) -> None:
        """Normalise with the moments as they are now."""
        self._mean.copy_(self._observations.mean[:, None])
        self._scale.copy_(self._observations.scale[:, None])

    def _make_batch(self, rollout: Collected) -> StackedBatch:
        """Return the steps of a rollout with their advantages, one a row."""
        normal = self.normalize(rollout.observations).to(self._dtype).flatten(1, 2)
        shape, gamma = rollout.rewards.shape, self._columns["gamma"]
        values = self._predict(normal).view(shape)
        last_values = self._predict(self.normalize(rollout.last).to(self._dtype))
        after = self._predict(self.normalize(rollout.nexts).to(self._dtype).flatten(1, 2))
        paid = self._normalize_rewards(rollout.rewards, rollout.done).to(self._dtype)
        # A time limit only cuts an episode off: what would have followed is paid as well.
        # Source: Pardo et al. 2018, https://arxiv.org/abs/1712.00378.
        paid = paid + torch.where(rollout.is_time_out, gamma[..., None] * after.view(shape), 0.0)
        advantages = self._estimate_advantages(paid, values, last_values, rollout.done)
        actions = rollout.actions.to(self._dtype).flatten(1, 2)
        outputs = self._run(self._networks.actor, normal)
        log_probs = self._compute_log_probs(outputs, actions)
        returns = (advantages + values).flatten(1)
        return StackedBatch(normal, actions, advantages.flatten(1), returns, log_probs)

    def _predict(self, normal: Tensor) -> Tensor:
        """Return values (K, n) of normalised observations (K, n, size)."""
        return self._run(self._networks.critic, normal)[..., 0]

    def _normalize_rewards(self, rewards: Tensor, done: Tensor) -> Tensor:
        """Divide rewards (K, T, M) by the spread of their discounted return, if that is on."""
        if not self._first.normalize_reward:
            return rewards
        gamma = self._columns["gamma"].double()
        rewards = torch.where(self.is_alive[:, None, None], rewards, 0.0).double()
        returns = torch.empty_like(rewards)
        for step in range(self.n_steps):
            self._returns = self._returns * gamma + rewards[:, step]
            returns[:, step] = self._returns
            self._returns = torch.where(done[:, step], 0.0, self._returns)
        self._rewards.update(returns.flatten(1)[..., None], self.is_alive)
        return (rewards * self._rewards.scale[..., None]).clamp(-_CLIP, _CLIP).float()

    def _estimate_advantages(
        self, rewards: Tensor, values: Tensor, last_values: Tensor, done: Tensor
    ) -> Tensor:
        """Return (K, T, M); see ``learning.ppo.estimate_advantages``."""
        discount = self._columns["gamma"][..., None] * ~done
        following = torch.cat([values[:, 1:], last_values[:, None]], dim=1)
        advantages = rewards - values + discount * following
        weight = self._columns["gae_lambda"][..., None] * discount
        for step in range(self.n_steps - 2, -1, -1):
            advantages[:, step] += weight[:, step] * advantages[:, step + 1]
        return advantages

    def _compute_log_probs(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Return the log-density (K, n) of actions about the outputs (K, n, n_actions)."""
        log_std = self._networks.log_std
        z = (actions - outputs) * (-log_std).exp()[:, None]
        constant = log_std.sum(dim=1) + log_std.shape[1] * _HALF_LOG_TWO_PI
        return -0.5 * z.square().sum(dim=-1) - constant[:, None]

    def update(self, batch: StackedBatch, learning_rate: Tensor) -> None:
        """Update the networks with steps: ``n_epochs`` passes in minibatches; rates are (K, 1)."""
        before = self._networks.flat.clone()
        is_running = self.is_alive.clone()
        n_rows = batch.returns.shape[1]
        for rows in self._draw_orders(n_rows).unbind(1):
            for part in rows.split(self._first.batch_size, dim=1):
                log_ratio = self.compute_gradient(batch.take(part))
                # Source: John Schulman, http://joschu.net/blog/kl-approx.html.
                kl = (log_ratio.exp() - 1.0 - log_ratio).mean(dim=1)
                is_running &= kl <= 1.5 * self._columns["target_kl"][:, 0]
                self._step(learning_rate, is_running[:, None])
        self._hold_deviations()
        self._freeze(before)

    def _draw_orders(self, n_rows: int) -> Tensor:
        """Return in which order each learner takes its steps in each epoch, (K, n_epochs, n)."""
        epochs = range(self._first.n_epochs)
        drawn = [[own.permutation(n_rows) for _ in epochs] for own in self._generators]
        return self._put(drawn, torch.int64)

    def compute_gradient(self, batch: StackedBatch) -> Tensor:
        """Write the gradient of PPO's loss; return the log-ratio (K, n) of new to old.

        Source: ``learning.ppo.compute_gradient``, learner by learner.
        """
        networks, gradient, columns = self._networks, self._gradient, self._columns
        actor_inputs: list[Tensor] = []
        critic_inputs: list[Tensor] = []
        outputs = self._run(networks.actor, batch.observations, actor_inputs)
        values = self._run(networks.critic, batch.observations, critic_inputs)
        log_ratio = self._compute_log_probs(outputs, batch.actions) - batch.log_probs
        by_log_prob = self._differentiate_surrogate(log_ratio, batch.advantages)
        inverse_std = (-networks.log_std).exp()[:, None]
        z = (batch.actions - outputs) * inverse_std
        by_outputs = by_log_prob[..., None] * z * inverse_std
        by_log_std = torch.einsum("kn,kna->ka", by_log_prob, z.square() - 1.0)
        gradient.log_std.copy_(by_log_std - columns["ent_coef"])
        weight = 2.0 * columns["vf_coef"] / log_ratio.shape[1]
        by_value = (weight * (values[..., 0] - batch.returns))[..., None]
        self._run_backward(networks.actor, actor_inputs, by_outputs, gradient.actor)
        self._run_backward(networks.critic, critic_inputs, by_value, gradient.critic)
        return log_ratio

    def _differentiate_surrogate(self, log_ratio: Tensor, advantages: Tensor) -> Tensor:
        """Return (K, n): the derivative of the clipped surrogate's mean by log-probabilities."""
        n, clip = log_ratio.shape[1], self._columns["clip_range"]
        advantage = advantages - advantages.mean(dim=1, keepdim=True)
        spread = (advantage.square().sum(dim=1, keepdim=True) / max(n - 1, 1)).sqrt()
        advantage = advantage / (spread + 1e-8)
        ratio = log_ratio.exp()
        gain = advantage * ratio
        is_free = gain <= advantage * ratio.clamp(1.0 - clip, 1.0 + clip)
        return gain * is_free * (-1.0 / n)

    def _run_backward(
        self,
        layers: Sequence[tuple[Tensor, Tensor]],
        inputs: Sequence[Tensor],
        by_output: Tensor,
        gradient: Sequence[tuple[Tensor, Tensor]],
    ) -> None:
        """Write the gradient of each layer, given its inputs and the output's derivative."""
        for index in reversed(range(len(layers))):
            by_weight, by_bias = gradient[index]
            by_weight.copy_(by_output.transpose(1, 2) @ inputs[index])
            by_bias.copy_(by_output.sum(dim=1))
            if index:
                by_output = by_output @ layers[index][0]
                if self._first.activation == "tanh":
                    by_output = by_output * (1.0 - inputs[index].square())
                else:
                    by_output = by_output * (inputs[index] > 0.0)

    def _step(self, learning_rate: Tensor, is_running: Tensor) -> None:
        """Take a step of Adam with each learner that is running, its gradient's norm clipped."""
        gradient, most = self._gradient.flat, self._columns["max_grad_norm"]
        norm = gradient.norm(dim=1, keepdim=True)
        gradient = torch.where(norm > most, gradient * (most / (norm + 1e-6)), gradient)
        mean, square, n_steps = self._adam.values()
        n_steps += is_running[:, 0]
        count = n_steps[:, None].double()
        mean.copy_(torch.where(is_running, mean.lerp(gradient, 1.0 - _BETA_1), mean))
        grown = square.lerp(gradient.square(), 1.0 - _BETA_2)
        square.copy_(torch.where(is_running, grown, square))
        root = square.sqrt() / (1.0 - _BETA_2**count).sqrt().to(self._dtype) + _ADAM_EPSILON
        size = learning_rate / (1.0 - _BETA_1**count).to(self._dtype)
        moved = self._networks.flat - size * mean / root
        self._networks.flat.copy_(torch.where(is_running, moved, self._networks.flat))

    def _hold_deviations(self) -> None:
        """Let actions vary no less than at the beginning, where the settings still ask for it."""
        lowest = [
            seat.settings.log_std_init
            if steps < seat.settings.std_hold_share * seat.total_timesteps
            else -math.inf
            for seat, steps in zip(self.seats, self.num_timesteps, strict=True)
        ]
        held = torch.maximum(self._networks.log_std, self._put(lowest, self._dtype)[:, None])
        self._networks.log_std.copy_(held)

    def _freeze(self, before: Tensor) -> None:
        """Take back the update of learners whose weights blew up; they learn no more."""
        flat, log_std = self._networks.flat, self._networks.log_std
        is_sound = (flat.abs() < _LARGEST_WEIGHT).all(dim=1)
        is_sound &= (log_std < _LARGEST_LOG_STD).all(dim=1)
        self.is_alive &= is_sound
        flat.copy_(torch.where(self.is_alive[:, None], flat, before))

    # --- what leaves the device -----------------------------------------------------------------

    def make_policy(self, k: int) -> NumpyPolicy:
        """Return the policy of learner ``k`` as it is now."""
        settings = self.seats[k].settings
        header = PolicyHeader.for_card(
            self.card,
            total_timesteps=self.num_timesteps[k],
            net_arch=settings.net_arch,
            activation=settings.activation,
            observation_clip=_CLIP if settings.normalize_observation else 1e6,
        )
        networks = make_networks(*self._form)
        networks.flat[:] = self._networks.flat[k].cpu().numpy()
        mean, scale = (values[k, 0].cpu().numpy().copy() for values in (self._mean, self._scale))
        return NumpyPolicy(header, networks.actor, mean, scale, networks.log_std)

    def adopt(self, k: int, policy: NumpyPolicy) -> None:
        """Let learner ``k`` begin with a trained policy; its critic is new.

        Raises:
            DataError: the policy is of another form.
        """
        check_start(policy, self.make_policy(k))
        for (weight, bias), given in zip(self._networks.actor, policy.layers, strict=True):
            weight[k] = self._put(given.weight, self._dtype)
            bias[k] = self._put(given.bias, self._dtype)
        if policy.log_std is not None:
            self._networks.log_std[k] = self._put(policy.log_std, self._dtype)
        if self._first.normalize_observation:
            var = 1.0 / np.square(policy.observation_scale.astype(float)) - _EPSILON
            count = max(policy.header.total_timesteps, 1)
            self._observations.set(k, policy.observation_mean, var, count)
            self._share_moments()

    def read_state(self, k: int) -> Arrays:
        """Return what learner ``k`` goes on from, as ``PPO.read_state``."""
        state = {name: values[k].cpu().numpy().copy() for name, values in self._list().items()}
        generator = json.dumps(self._generators[k].bit_generator.state)
        counts = {"random": generator, "num_timesteps": self.num_timesteps[k]}
        return state | {name: np.array(value) for name, value in counts.items()}

    def restore(self, k: int, state: Arrays) -> None:
        """Let learner ``k`` go on from ``read_state``, also from that of ``learning.ppo``."""
        for name, values in self._list().items():
            values[k] = self._put(state[name], values.dtype)
        if self._first.normalize_observation:
            self._share_moments()
        self._generators[k].bit_generator.state = json.loads(str(state["random"]))
        self.num_timesteps[k] = int(state["num_timesteps"])

    def _list(self) -> dict[str, Tensor]:
        """Return what a training changes, a row a learner."""
        parts = {
            "adam": self._adam,
            "observations": vars(self._observations),
            "rewards": vars(self._rewards),
        }
        arrays = {f"{part}.{name}": a for part, it in parts.items() for name, a in it.items()}
        return {"weights": self._networks.flat, **arrays}


# Hyper-parameters that the arithmetic reads, one of each learner.
_COLUMNS = (
    "gamma", "gae_lambda", "clip_range", "ent_coef", "vf_coef", "max_grad_norm", "target_kl",
)  # fmt: skip


class StackedMoments:
    """Mean and variance, (K, size), of all rows that each of K learners has seen.

    Source: Chan et al. 1979, as ``learning.ppo.Moments``.
    """

    def __init__(self, n_learners: int, size: int, device: torch.device) -> None:
        self.mean = torch.zeros((n_learners, size), dtype=torch.float64, device=device)
        self.var = torch.ones_like(self.mean)
        self.count = torch.full((n_learners,), 1e-4, dtype=torch.float64, device=device)

    def update(self, rows: Tensor, is_alive: Tensor) -> None:
        """Take in rows (K, n, size) of the learners that are alive."""
        rows, n, chosen = rows.double(), rows.shape[1], is_alive[:, None]
        count = self.count[:, None]
        total = count + n
        delta = rows.mean(dim=1) - self.mean
        var = rows.var(dim=1, unbiased=False)
        squares = self.var * count + var * n + delta.square() * (count * n / total)
        self.var.copy_(torch.where(chosen, squares / total, self.var))
        self.mean.copy_(torch.where(chosen, self.mean + delta * (n / total), self.mean))
        self.count += n * is_alive

    def set(self, k: int, mean: Any, var: Any, count: float) -> None:
        """Begin anew for learner ``k``."""
        for own, given in zip((self.mean, self.var), (mean, var), strict=True):
            own[k] = torch.as_tensor(np.array(given), dtype=torch.float64)
        self.count[k] = count

    @property
    def scale(self) -> Tensor:
        """One over the standard deviation, (K, size)."""
        return 1.0 / (self.var + _EPSILON).sqrt()
