"""Proximal policy optimisation in NumPy, from the first weights to the update.

Read from ``PPO.learn``: a rollout is collected, its advantages are estimated, the networks are
updated. The algorithm is Stable-Baselines3's PPO; tests hold first weights, advantages and update
equal to the library's. What differs is where the work is done: all simulations step together, while
they do only the actor's mean is computed, and all else follows once for the whole rollout, with
gradients written out by hand. For networks this small, most of an autograd step is bookkeeping.

Source: Schulman et al. 2017, https://arxiv.org/abs/1707.06347.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.learner import LearnerSettings, PPOSettings
from reward_agent.learning.heads import Head, make_head
from reward_agent.learning.learner import Arrays, check_finite, check_weights
from reward_agent.learning.policy import (
    Layer,
    NumpyPolicy,
    PolicyHeader,
    check_start,
    normalize,
    run_layers,
)
from reward_agent.learning.vec_env import Ended, RewardVecEnv

FloatArray: TypeAlias = NDArray[np.float32]

# Of orthogonal first weights, by layer: as in Stable-Baselines3's ActorCriticPolicy.
_HIDDEN_GAIN, _ACTION_GAIN, _VALUE_GAIN = math.sqrt(2), 0.01, 1.0
_CLIP, _EPSILON = 10.0, 1e-8  # of normalised observations and rewards, as VecNormalize's


class PPO:
    """PPO on the environments of one training; see ``learner.Learner``.

    Observations and rewards are normalised here; the learning rate falls over ``total_timesteps``;
    the seed is that of weights, actions and minibatches.

    Attributes:
        networks: actor and critic.
        rollout: the steps that were collected last.
        observations: what normalises those that the policy sees.
    """

    def __init__(
        self, env: RewardVecEnv, given: LearnerSettings, total_timesteps: int, seed: int
    ) -> None:
        size, n_outputs = env.card.observation_size, env.card.n_outputs
        self.settings = settings = PPOSettings.model_validate(given.given)
        self._env, self._total_timesteps = env, total_timesteps
        self._generator = np.random.default_rng(seed)
        self._head = make_head(env.card, settings.noise_correlation)
        form = (size, settings.net_arch, n_outputs, self._head.n_deviations)
        self.networks = make_networks(*form)
        draw_first_weights(self.networks, settings.log_std_init, self._generator)
        self._gradient = make_networks(*form)
        self._optimizer = Adam(len(self.networks.flat))
        self.rollout = make_rollout(settings.n_steps, env.n_envs, size, env.card.n_actions)
        self.observations = ObservationNormalizer(size, settings.normalize_observation)
        # Of one action, however many control steps it is held for.
        self._gamma = settings.gamma**settings.action_repeat
        self._rewards = RewardNormalizer(env.n_envs, self._gamma, settings.normalize_reward)
        self.num_timesteps = 0
        self.seconds = {"policy": 0.0, "update": 0.0}
        self._last_observation = env.reset()

    def learn(self) -> None:
        """Collect one rollout and update the policy with it."""
        learning_rate = self.learning_rate
        self.collect_rollout()
        self.update(learning_rate)

    @property
    def learning_rate(self) -> float:
        """Of the next rollout's update: it falls linearly to the end of the training."""
        left = max(1.0 - self.num_timesteps / self._total_timesteps, 0.0)
        share = self.settings.final_learning_rate_share
        return self.settings.learning_rate * (share + (1.0 - share) * left)

    def collect_rollout(self) -> None:
        """Fill ``rollout`` with ``n_steps`` actions in all environments."""
        n_before = self._env.n_steps
        raw, rewards, done, ends = self._step_environments()
        started = time.perf_counter()
        check_finite(rewards, raw)
        rewards = self._rewards(rewards, done)
        rollout, gamma = self.rollout, self._gamma
        values = self._predict_values(rollout.observations)
        last_values = self._predict_values(self.observations(self._last_observation))
        for step, ended in ends:
            # A time limit only cuts an episode off: what would have followed is paid as well.
            # Source: Pardo et al. 2018, https://arxiv.org/abs/1712.00378.
            cut = self.observations(ended.observation[ended.is_time_out])
            rewards[step, ended.ids[ended.is_time_out]] += gamma * self._predict_values(cut)
        rollout.advantages[:] = estimate_advantages(
            rewards, values, last_values, done, gamma, self.settings.gae_lambda
        )
        np.add(rollout.advantages, values, out=rollout.returns)
        outputs = run_layers(self.networks.actor, self.settings.activation, rollout.observations)
        rollout.log_probs[:] = self._head.compute_log_probs(
            outputs, rollout.actions, self.networks.log_std
        )
        self.observations.update(raw)
        self.num_timesteps += self._env.n_steps - n_before
        self.seconds["policy"] += time.perf_counter() - started

    def _step_environments(
        self,
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_], list[tuple[int, Ended]]]:
        """Act for ``n_steps``; normalised observations and actions go to the rollout.

        Returns:
            Raw observations (n_steps, N, size), rewards and ends of episodes, both (n_steps, N),
            and what ended by time limit, with its step.
        """
        env, rollout = self._env, self.rollout
        raw = np.empty_like(rollout.observations)
        done = np.empty(raw.shape[:2], dtype=bool)
        ends = []
        noise = self._head.draw_noise(done.shape, self.networks.log_std, self._generator)
        low, high = env.card.action_range
        started, elsewhere_s = time.perf_counter(), sum(env.seconds.values())
        for step in range(len(raw)):
            raw[step] = self._last_observation
            rollout.observations[step] = normal = self.observations(self._last_observation)
            outputs = run_layers(self.networks.actor, self.settings.activation, normal)
            rollout.actions[step] = action = self._head.choose(outputs, noise[step])
            np.minimum(np.maximum(action, low, out=action), high, out=action)
            advanced = env.advance(action, self.settings.action_repeat)
            self._last_observation, done[step], ended = advanced
            if ended and ended.is_time_out.any():
                ends.append((step, ended))
        rewards = sum_held(env.pay(), self.settings).astype(np.float32)
        elsewhere_s = sum(env.seconds.values()) - elsewhere_s
        self.seconds["policy"] += time.perf_counter() - started - elsewhere_s
        return raw, rewards, done, ends

    def _predict_values(self, observations: FloatArray) -> FloatArray:
        """Return the values (...) of normalised observations (..., size)."""
        return run_layers(self.networks.critic, self.settings.activation, observations)[..., 0]

    def update(self, learning_rate: float) -> None:
        """Update the networks with the rollout: ``n_epochs`` passes in minibatches."""
        started = time.perf_counter()
        steps, settings, networks = self.rollout.flatten(), self.settings, self.networks
        for _ in range(settings.n_epochs):
            if not self._run_epoch(steps, learning_rate):
                break
        log_std = networks.log_std
        if self.num_timesteps < settings.std_hold_share * self._total_timesteps:
            np.maximum(log_std, settings.log_std_init, out=log_std)
        check_weights(networks.flat, log_std if len(log_std) else None)
        self.seconds["update"] += time.perf_counter() - started

    def _run_epoch(self, steps: Steps, learning_rate: float) -> bool:
        """Pass once over the rollout; False when the policy has moved far enough (target_kl)."""
        settings, flat = self.settings, self.networks.flat
        shuffled = steps.take(self._generator.permutation(len(steps)))
        for start in range(0, len(steps), settings.batch_size):
            batch = shuffled.take(slice(start, start + settings.batch_size))
            log_ratio = compute_gradient(self.networks, batch, settings, self._gradient, self._head)
            # Source: John Schulman, http://joschu.net/blog/kl-approx.html, as Stable-Baselines3.
            kl = float((np.exp(log_ratio) - 1.0 - log_ratio).mean()) if settings.target_kl else 0.0
            if settings.target_kl and kl > 1.5 * settings.target_kl:
                return False
            self._optimizer.step(flat, self._gradient.flat, learning_rate, settings.max_grad_norm)
        return True

    def read_state(self) -> Arrays:
        """Return what it takes to go on; not the simulations."""
        generator = json.dumps(self._generator.bit_generator.state)
        counts = {"random": np.array(generator), "num_timesteps": np.array(self.num_timesteps)}
        return self._list_arrays() | counts

    def restore(self, state: Arrays) -> None:
        """Go on from ``read_state``, in new episodes."""
        for name, values in self._list_arrays().items():
            values[...] = state[name]
        self.observations.share_moments()
        self._generator.bit_generator.state = json.loads(str(state["random"]))
        self.num_timesteps = int(state["num_timesteps"])

    def _list_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a training changes."""
        parts = {
            "adam": self._optimizer,
            "observations": self.observations.moments,
            "rewards": self._rewards.moments,
        }
        arrays = {f"{part}.{name}": a for part, it in parts.items() for name, a in vars(it).items()}
        return {"weights": self.networks.flat, **arrays}

    def make_policy(self) -> NumpyPolicy:
        """Return the policy as it is now; it shares the memory of the weights."""
        header = PolicyHeader.for_card(
            self._env.card,
            total_timesteps=self.num_timesteps,
            net_arch=self.settings.net_arch,
            activation=self.settings.activation,
            observation_clip=self.observations.clip,
            action_repeat=self.settings.action_repeat,
        )
        mean, scale = self.observations.mean, self.observations.scale
        log_std = self.networks.log_std if self._head.n_deviations else None
        return NumpyPolicy(header, self.networks.actor, mean, scale, log_std)

    def adopt(self, policy: NumpyPolicy) -> None:
        """Begin with a trained policy; the critic is new, since another reward has other values."""
        check_start(policy, self.make_policy())
        for own, given in zip(self.networks.actor, policy.layers, strict=True):
            own.weight[:], own.bias[:] = given.weight, given.bias
        if policy.log_std is not None:
            self.networks.log_std[:] = policy.log_std
        self.observations.adopt(policy)


@dataclass(frozen=True)
class Networks:
    """The weights of an actor and a critic, or a gradient with respect to them.

    They lead from the normalised observation to what a head makes actions of and to the value;
    ``log_std`` is the head's own, and ``flat`` is all of it as one vector of the same memory.
    """

    actor: tuple[Layer, ...]
    critic: tuple[Layer, ...]
    log_std: FloatArray
    flat: FloatArray


def make_networks(
    observation_size: int, net_arch: Sequence[int], n_outputs: int, n_deviations: int
) -> Networks:
    """Return networks full of zeros, all in one vector."""
    sizes = [[observation_size, *net_arch, n_out] for n_out in (n_outputs, 1)]
    shapes = [(n_out, n_in) for net in sizes for n_in, n_out in pairwise(net)]
    flat = np.zeros(sum(a * b + a for a, b in shapes) + n_deviations, dtype=np.float32)
    layers, start = [], 0
    for n_out, n_in in shapes:
        end = start + n_out * n_in
        layers.append(Layer(flat[start:end].reshape(n_out, n_in), flat[end : end + n_out]))
        start = end + n_out
    depth = len(net_arch) + 1
    return Networks(tuple(layers[:depth]), tuple(layers[depth:]), flat[start:], flat)


def draw_first_weights(
    networks: Networks, log_std_init: float, generator: np.random.Generator
) -> None:
    """Write the weights that a training begins with: orthogonal, small for the actions.

    Source: Saxe et al. 2014, https://arxiv.org/abs/1312.6120, as torch.nn.init.orthogonal_.
    """
    for layers, last_gain in ((networks.actor, _ACTION_GAIN), (networks.critic, _VALUE_GAIN)):
        for layer in layers:
            shape = layer.weight.shape
            q, r = np.linalg.qr(generator.standard_normal((max(shape), min(shape))))
            q *= np.sign(np.diag(r))
            gain = last_gain if layer is layers[-1] else _HIDDEN_GAIN
            layer.weight[:] = gain * (q if shape[0] >= shape[1] else q.T)
    networks.log_std[:] = log_std_init


@dataclass(frozen=True)
class Steps:
    """Steps of a rollout: (n_steps, N, …) as they were collected, or (n, …) in any order.

    Args:
        observations: (…, observation_size), normalised.
        actions: (…, n_actions), before they were clipped.
        advantages: (…).
        returns: (…), targets of the value.
        log_probs: (…), of the actions when they were taken.
    """

    observations: FloatArray
    actions: FloatArray
    advantages: FloatArray
    returns: FloatArray
    log_probs: FloatArray

    def __len__(self) -> int:
        return len(self.returns)

    def take(self, rows: NDArray[np.int64] | slice) -> Steps:
        """Return some of the steps."""
        return Steps(*(values[rows] for values in vars(self).values()))

    def flatten(self) -> Steps:
        """Return the steps (n_steps, N, …) as one a row, in the same memory."""
        return Steps(*(values.reshape(-1, *values.shape[2:]) for values in vars(self).values()))


def make_rollout(n_steps: int, n_envs: int, observation_size: int, n_actions: int) -> Steps:
    """Return room for the steps of a rollout."""
    ends: list[tuple[int, ...]] = [(observation_size,), (n_actions,), (), (), ()]
    return Steps(*(np.zeros((n_steps, n_envs, *end), dtype=np.float32) for end in ends))


def sum_held(rewards: NDArray[np.float64], settings: PPOSettings) -> NDArray[np.float64]:
    """Return what each action is paid, (n_steps, N), discounted over the control steps it is held.

    Source: Sutton, Precup, Singh 1999, Between MDPs and semi-MDPs, section 3.
    """
    discount = settings.gamma ** np.arange(settings.action_repeat)
    held = rewards.reshape(-1, settings.action_repeat, rewards.shape[1])
    return np.asarray(np.tensordot(discount, held, axes=(0, 1))) if len(discount) > 1 else rewards


def estimate_advantages(
    rewards: FloatArray,
    values: FloatArray,
    last_values: FloatArray,
    done: NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> FloatArray:
    """Return by how much each step went better than the value of its state said, (n_steps, N).

    All else is (n_steps, N), too, but for ``last_values`` (N,), of the states after the last step.
    ``done`` says which steps were the last of their episode.

    Source: Schulman et al. 2016, https://arxiv.org/abs/1506.02438, equation 16.
    """
    discount = np.float32(gamma) * ~done
    advantages = rewards - values
    advantages[:-1] += discount[:-1] * values[1:]
    advantages[-1] += discount[-1] * last_values
    weight = np.float32(gae_lambda) * discount
    for step in range(len(rewards) - 2, -1, -1):
        advantages[step] += weight[step] * advantages[step + 1]
    return np.asarray(advantages)


def compute_gradient(
    networks: Networks, steps: Steps, settings: PPOSettings, gradient: Networks, head: Head
) -> FloatArray:
    """Write the gradient of PPO's loss into ``gradient``.

    Source: Schulman et al. 2017, https://arxiv.org/abs/1707.06347, equation 9, with
    Stable-Baselines3's choices: advantages normalised by minibatch, values not clipped.

    Returns:
        Log-ratio (n,) of new to old probabilities.
    """
    activation = settings.activation
    actor_inputs: list[FloatArray] = []
    critic_inputs: list[FloatArray] = []
    outputs = run_layers(networks.actor, activation, steps.observations, actor_inputs)
    values = run_layers(networks.critic, activation, steps.observations, critic_inputs)
    chosen = (outputs, steps.actions, networks.log_std)
    log_ratio = head.compute_log_probs(*chosen) - steps.log_probs
    by_log_prob = _differentiate_surrogate(log_ratio, steps.advantages, settings.clip_range)
    by_outputs, gradient.log_std[:] = head.differentiate(*chosen, by_log_prob, settings.ent_coef)
    weight = np.float32(2.0 * settings.vf_coef / len(steps))
    by_value = weight * (values - steps.returns[:, None])
    _run_backward(networks.actor, activation, actor_inputs, by_outputs, gradient.actor)
    _run_backward(networks.critic, activation, critic_inputs, by_value, gradient.critic)
    return log_ratio


def _differentiate_surrogate(
    log_ratio: FloatArray, advantages: FloatArray, clip_range: float
) -> FloatArray:
    """Return (n,): the derivative of the clipped surrogate's mean by each log-probability."""
    n, low, high = len(advantages), np.float32(1.0 - clip_range), np.float32(1.0 + clip_range)
    advantage = advantages - advantages.mean()
    advantage /= math.sqrt(float(advantage @ advantage) / max(n - 1, 1)) + 1e-8
    ratio = np.exp(log_ratio)
    gain = advantage * ratio
    # Where the clipped gain is the smaller one, the loss does not depend on the policy.
    is_free = gain <= advantage * np.minimum(np.maximum(ratio, low), high)
    return np.asarray(gain * is_free * np.float32(-1.0 / n))


def _run_backward(
    layers: Sequence[Layer],
    activation: str,
    inputs: Sequence[FloatArray],
    by_output: FloatArray,
    gradient: Sequence[Layer],
) -> None:
    """Write the gradient of each layer, given each layer's inputs and the output's derivative."""
    ones = np.ones(len(by_output), dtype=np.float32)
    for index in reversed(range(len(layers))):
        np.matmul(by_output.T, inputs[index], out=gradient[index].weight)
        np.matmul(ones, by_output, out=gradient[index].bias)
        if index:
            by_output = by_output @ layers[index].weight
            if activation == "tanh":
                slope = np.square(inputs[index])
                by_output *= np.subtract(1.0, slope, out=slope)
            else:
                by_output *= inputs[index] > 0.0


class Adam:
    """Adam on one vector of some size, with the gradient's norm clipped first.

    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1; defaults of
    Stable-Baselines3 (epsilon 1e-5).
    """

    _BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-5

    def __init__(self, size: int) -> None:
        self.mean = np.zeros(size, dtype=np.float32)
        self.square = np.zeros(size, dtype=np.float32)
        self.n_steps = np.zeros((), dtype=np.int64)

    def step(
        self, weights: FloatArray, gradient: FloatArray, learning_rate: float, max_norm: float
    ) -> None:
        """Move the weights; the gradient is scaled in place if its norm exceeds ``max_norm``."""
        norm = math.sqrt(float(gradient @ gradient))
        if norm > max_norm:
            gradient *= np.float32(max_norm / (norm + 1e-6))
        self.n_steps += 1
        n_steps = int(self.n_steps)
        self.mean *= self._BETA_1
        self.mean += (1.0 - self._BETA_1) * gradient
        self.square *= self._BETA_2
        self.square += (1.0 - self._BETA_2) * np.square(gradient)
        root = np.sqrt(self.square)
        root *= 1.0 / math.sqrt(1.0 - self._BETA_2**n_steps)
        root += self._EPSILON
        np.divide(self.mean, root, out=root)
        root *= learning_rate / (1.0 - self._BETA_1**n_steps)
        weights -= root


class Moments:
    """Mean and variance of all rows seen so far.

    Source: Chan et al. 1979, as in Stable-Baselines3's RunningMeanStd.
    """

    def __init__(self, size: int) -> None:
        self.mean, self.var = np.zeros(size), np.ones(size)
        self.count = np.array(1e-4)

    def update(self, rows: NDArray[np.floating[Any]]) -> None:
        """Take in rows (n, size)."""
        rows, n = rows.astype(np.float64), len(rows)
        total = self.count + n
        delta = rows.mean(axis=0) - self.mean
        squares = self.var * self.count + rows.var(axis=0) * n
        self.var[:] = (squares + np.square(delta) * (self.count * n / total)) / total
        self.mean += delta * (n / total)
        self.count += n

    @property
    def scale(self) -> NDArray[np.float64]:
        """One over the standard deviation."""
        return np.asarray(1.0 / np.sqrt(self.var + _EPSILON))


class ObservationNormalizer:
    """Centres and scales each entry of the observation, if it is on.

    As Stable-Baselines3's ``VecNormalize``, except that the statistics stand still during a
    rollout: what the policy saw when it acted is what it is updated with.
    """

    def __init__(self, size: int, is_on: bool) -> None:
        self.moments, self._is_on = Moments(size), is_on
        self.mean = np.zeros(size, dtype=np.float32)
        self.scale = np.ones(size, dtype=np.float32)
        self.clip = _CLIP if is_on else 1e6

    def __call__(self, observation: FloatArray) -> FloatArray:
        """Return the normalised observation, shape unchanged."""
        return normalize(observation, self.mean, self.scale, self.clip)

    def update(self, observations: FloatArray) -> None:
        """Take in raw observations (n_steps, N, size)."""
        if self._is_on:
            self.moments.update(observations.reshape(-1, observations.shape[-1]))
            self.share_moments()

    def adopt(self, policy: NumpyPolicy) -> None:
        """Begin with the statistics of a policy, as if of so many observations."""
        if self._is_on:
            self.moments.mean[:] = policy.observation_mean
            self.moments.var[:] = 1.0 / np.square(policy.observation_scale.astype(float)) - _EPSILON
            self.moments.count[...] = max(policy.header.total_timesteps, 1)
            self.share_moments()

    def share_moments(self) -> None:
        """Normalise with the moments as they are now."""
        if self._is_on:
            self.mean[:], self.scale[:] = self.moments.mean, self.moments.scale


class RewardNormalizer:
    """Divides rewards of N environments by the spread of their discounted return, if it is on."""

    def __init__(self, n_envs: int, gamma: float, is_on: bool) -> None:
        self.moments, self._gamma, self._is_on = Moments(1), gamma, is_on
        self._returns = np.zeros(n_envs)

    def __call__(self, rewards: FloatArray, done: NDArray[np.bool_]) -> FloatArray:
        """Take in the rewards of a rollout and ends of episodes, (n_steps, N); normalise them."""
        if not self._is_on:
            return rewards
        returns = np.empty(rewards.shape)
        for step, reward in enumerate(rewards):
            self._returns = self._returns * self._gamma + reward
            returns[step] = self._returns
            self._returns[done[step]] = 0.0
        self.moments.update(returns.reshape(-1, 1))
        return np.asarray(np.clip(rewards * self.moments.scale, -_CLIP, _CLIP), dtype=np.float32)
