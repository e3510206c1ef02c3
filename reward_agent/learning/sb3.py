"""Stable-Baselines3's algorithms as they are, on our environments: ``sb3:SAC``, ``sb3:PPO``, ….

The library gets the environments as its ``VecEnv``, in its ``VecNormalize``; what it has learned
leaves as a policy file. Only a training with such a learner imports this module, and torch.
"""

from __future__ import annotations

import importlib
import io
import json
import time
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
import torch._dynamo  # the first optimiser would: here, once for all forked children
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.learning.learner import Arrays, TrainingFailure, check_finite, check_weights
from reward_agent.learning.policy import Layer, NumpyPolicy, PolicyHeader, check_start
from reward_agent.learning.vec_env import RewardVecEnv

# Ours, not the constructor's.
_OWN = ("n_envs", "normalize_observation", "normalize_reward", "noise_std")
_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
# Of the old steps that a paused training keeps, so that a checkpoint and its successor fit into
# the disk limit of a job: all for most robots, of ant's the newest 300,000.
_MOST_SAVED_BYTES = 256 * 2**20
_EPSILON = 1e-8  # VecNormalize's
_BUFFER_FIELDS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def make_learner(
    env: RewardVecEnv, settings: LearnerSettings, total_timesteps: int, seed: int
) -> Sb3Learner:
    """Return an algorithm of Stable-Baselines3's or sb3-contrib's with the settings of a job."""
    # Two threads on a busy machine are slower than one; trainings run side by side instead.
    torch.set_num_threads(1)
    normalized = VecNormalize(
        Sb3VecEnv(env),
        norm_obs=settings.get("normalize_observation"),
        norm_reward=settings.get("normalize_reward"),
        gamma=settings.gamma,
    )
    algorithm = getattr(
        importlib.import_module(settings.kind.package), settings.algo.partition(":")[2]
    )
    arguments = _make_arguments(settings, total_timesteps, env.card.n_actions)
    model = algorithm("MlpPolicy", normalized, seed=seed, device="cpu", **arguments)
    model.set_logger(Logger(folder=None, output_formats=[]))
    slice_steps = settings.slice_steps
    if settings.kind.is_off_policy:  # short enough that a training has its points
        slice_steps = min(settings.kind.slice_steps, max(total_timesteps // 20, 1))
    return Sb3Learner(env, normalized, model, slice_steps)


def _make_arguments(
    settings: LearnerSettings, total_timesteps: int, n_actions: int
) -> dict[str, Any]:
    """Return what the constructor takes beside policy, environments and seed."""
    arguments = {name: value for name, value in settings.given.items() if name not in _OWN}
    if "policy_kwargs" in arguments:
        policy_kwargs = dict(arguments["policy_kwargs"])
        if "activation_fn" in policy_kwargs:
            policy_kwargs["activation_fn"] = _ACTIVATIONS[policy_kwargs["activation_fn"]]
        arguments["policy_kwargs"] = policy_kwargs
    if settings.kind.is_off_policy:
        # A buffer that is never filled costs memory for nothing.
        most = total_timesteps + settings.slice_steps
        arguments["buffer_size"] = min(settings.get("buffer_size"), most)
        if std := settings.get("noise_std"):
            mean = np.zeros(n_actions)
            arguments["action_noise"] = NormalActionNoise(mean, np.full(n_actions, std))
    return arguments


class Sb3Learner:
    """A model of Stable-Baselines3 at work; see ``learner.Learner``.

    Args:
        env: the environments.
        normalized: the same as the model sees them.
        model: the algorithm.
        slice_steps: env steps of one slice, about.
    """

    def __init__(
        self, env: RewardVecEnv, normalized: VecNormalize, model: BaseAlgorithm, slice_steps: int
    ) -> None:
        self.seconds = {"policy": 0.0, "update": 0.0}
        self._env, self._normalized, self._model = env, normalized, model
        self._slice_steps = slice_steps
        self._update = model.train
        model.train = self._train

    @property
    def num_timesteps(self) -> int:
        """Env steps learned from so far."""
        return int(self._model.num_timesteps)

    def learn(self) -> None:
        """Learn from one more rollout, or off-policy from some hundred steps."""
        started, elsewhere_s = time.perf_counter(), self._sum_elsewhere()
        try:
            self._model.learn(self._slice_steps, log_interval=None, reset_num_timesteps=False)
        except ValueError as error:  # torch's, of weights or actions that are no numbers
            reason = str(error).partition("\n")[0]
            raise TrainingFailure(f"{type(self._model).__name__} failed: {reason}") from error
        elsewhere_s = self._sum_elsewhere() - elsewhere_s
        self.seconds["policy"] += time.perf_counter() - started - elsewhere_s
        policy = self._model.policy
        weights = torch.nn.utils.parameters_to_vector(policy.parameters()).detach().numpy()
        check_weights(weights, self._read_log_std())

    def _sum_elsewhere(self) -> float:
        return sum(self._env.seconds.values()) + self.seconds["update"]

    def _train(self, *arguments: Any, **named: Any) -> None:
        """Let the library update its networks, in its place, and take the time."""
        started = time.perf_counter()
        self._update(*arguments, **named)
        self.seconds["update"] += time.perf_counter() - started

    def read_state(self) -> Arrays:
        """Return what it takes to go on; not the simulations."""
        model, file = self._model, io.BytesIO()
        weights = {"parameters": model.get_parameters(), "variables": self._list_variables()}
        torch.save(weights, file)
        _, key, *rest = np.random.get_state()
        counts = {
            "n_updates": model._n_updates,
            "numpy": rest,
            "actions": model.action_space.np_random.bit_generator.state,
        }
        moments = {
            f"{name}.{part}": np.asarray(values)
            for name, rms in self._list_moments().items()
            for part, values in vars(rms).items()
        }
        return {
            "num_timesteps": np.array(model.num_timesteps),
            "counts": np.array(json.dumps(counts)),
            "numpy": key,
            "torch": torch.get_rng_state().numpy(),
            "weights": np.frombuffer(file.getvalue(), dtype=np.uint8),
            **moments,
            **_read_buffer(getattr(model, "replay_buffer", None)),
        }

    def restore(self, state: Arrays) -> None:
        """Go on from ``read_state``, in new episodes."""
        model = self._model
        saved = torch.load(io.BytesIO(state["weights"].tobytes()), weights_only=True)
        model.set_parameters(saved["parameters"], device="cpu")
        for name, values in self._list_variables().items():
            values.copy_(saved["variables"][name])
        for name, rms in self._list_moments().items():
            rms.mean, rms.var = state[f"{name}.mean"], state[f"{name}.var"]
            rms.count = float(state[f"{name}.count"])
        _restore_buffer(getattr(model, "replay_buffer", None), state)
        counts = json.loads(str(state["counts"]))
        model.num_timesteps, model._n_updates = int(state["num_timesteps"]), counts["n_updates"]
        np.random.set_state(("MT19937", state["numpy"], *counts["numpy"]))
        torch.set_rng_state(torch.from_numpy(state["torch"]))
        model.action_space.np_random.bit_generator.state = counts["actions"]

    def _list_variables(self) -> dict[str, torch.Tensor]:
        """Return tensors that are learned beside the networks, such as SAC's weight of entropy."""
        _, names = self._model._get_torch_save_params()
        return {name: attrgetter(name)(self._model).data for name in names}

    def _list_moments(self) -> dict[str, RunningMeanStd]:
        """Return the statistics of observations, if they are normalised, and of returns."""
        names = ("obs_rms", "ret_rms") if self._normalized.norm_obs else ("ret_rms",)
        return {name: getattr(self._normalized, name) for name in names}

    def make_policy(self) -> NumpyPolicy:
        """Return the policy as it is now."""
        modules, normalized = list_actor(self._model.policy), self._normalized
        layers = fold_layers(modules)
        names = [name for name, kind in _ACTIVATIONS.items() if kind in map(type, modules[:-1])]
        size = self._env.card.observation_size
        mean, scale = np.zeros(size), np.ones(size)
        if normalized.norm_obs:
            rms = normalized.obs_rms
            mean, scale = rms.mean, 1.0 / np.sqrt(rms.var + _EPSILON)
        header = PolicyHeader.for_card(
            self._env.card,
            total_timesteps=self.num_timesteps,
            net_arch=tuple(len(layer.bias) for layer in layers[:-1]),
            activation=names[0] if names else "tanh",
            is_squashed=hasattr(self._model.policy, "actor"),
            observation_clip=normalized.clip_obs if normalized.norm_obs else 1e6,
        )
        return NumpyPolicy(
            header, layers, mean.astype(np.float32), scale.astype(np.float32), self._read_log_std()
        )

    def _read_log_std(self) -> NDArray[np.float32] | None:
        log_std = getattr(self._model.policy, "log_std", None)
        return None if log_std is None else log_std.detach().numpy()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def adopt(self, policy: NumpyPolicy) -> None:
        """Begin with a trained policy; critics stay new, since another reward has other values."""
        check_start(policy, self.make_policy())
        own = self._model.policy
        modules = list_actor(own)
        linear = [module for module in modules if isinstance(module, torch.nn.Linear)]
        for module, layer in zip(linear, policy.layers, strict=True):
            module.weight.copy_(torch.from_numpy(layer.weight))
            module.bias.copy_(torch.from_numpy(layer.bias))
        for module in modules:
            if hasattr(module, "ra_mean"):  # CrossQ's; its effect is in the layers
                module.ra_mean.zero_()
                module.ra_var.fill_(1.0 - module.eps)
                module.scale.fill_(1.0)
                module.bias.zero_()
        if hasattr(own, "actor_target"):
            own.actor_target.load_state_dict(own.actor.state_dict())
        if policy.log_std is not None:
            own.log_std.copy_(torch.from_numpy(policy.log_std))
        if self._normalized.norm_obs:
            rms = self._normalized.obs_rms
            rms.mean = policy.observation_mean.astype(np.float64)
            rms.var = 1.0 / np.square(policy.observation_scale.astype(np.float64)) - _EPSILON
            rms.count = float(max(policy.header.total_timesteps, 1))


def list_actor(policy: BasePolicy) -> list[torch.nn.Module]:
    """Return the modules that lead from the normalised observation to the action, in order."""
    if not hasattr(policy, "actor"):  # on-policy
        return [*policy.mlp_extractor.policy_net, policy.action_net]
    if hasattr(policy.actor, "latent_pi"):  # SAC and its like; their deviation is left out
        return [*policy.actor.latent_pi, policy.actor.mu, torch.nn.Tanh()]
    return list(policy.actor.mu)


def fold_layers(modules: Sequence[torch.nn.Module]) -> tuple[Layer, ...]:
    """Return the linear layers; a normalisation before one becomes part of it."""
    layers, scale, shift = [], None, None
    for module in modules:
        if hasattr(module, "ra_mean"):
            scale = (module.scale / torch.sqrt(module.ra_var + module.eps)).detach().numpy()
            shift = module.bias.detach().numpy() - module.ra_mean.numpy() * scale
        elif isinstance(module, torch.nn.Linear):
            weight, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
            if scale is not None:
                weight, bias = weight * scale, bias + weight @ shift
            layers.append(Layer(weight, bias))
            scale = shift = None
    return tuple(layers)


def _read_buffer(buffer: ReplayBuffer | None) -> dict[str, NDArray[Any]]:
    """Return the newest of the old steps, as many as may be saved."""
    if buffer is None:
        return {}
    arrays = {name: getattr(buffer, name) for name in _BUFFER_FIELDS}
    step_bytes = sum(values[0].nbytes for values in arrays.values())
    n = min(buffer.size(), _MOST_SAVED_BYTES // step_bytes)
    rows: Any = slice(buffer.pos - n, buffer.pos)  # no copy, where nothing was overwritten yet
    if buffer.full:
        rows = np.arange(buffer.pos - n, buffer.pos) % buffer.buffer_size
    return {f"buffer.{name}": values[rows] for name, values in arrays.items()}


def _restore_buffer(buffer: ReplayBuffer | None, state: Arrays) -> None:
    if buffer is None:
        return
    n = len(state["buffer.dones"])
    for name in _BUFFER_FIELDS:
        getattr(buffer, name)[:n] = state[f"buffer.{name}"]
    if n:
        # The next step is of another episode, which no return of several steps may reach into.
        buffer.timeouts[n - 1] = np.logical_or(buffer.timeouts[n - 1], buffer.dones[n - 1] == 0)
    buffer.pos, buffer.full = n % buffer.buffer_size, n == buffer.buffer_size


def make_action_space(card: EnvCard) -> spaces.Space[Any]:
    """Return the space of the actions of a card."""
    if not card.choices:
        return spaces.Box(*card.action_range, (card.n_actions,), np.float32)
    return (
        spaces.Discrete(*card.n_choices)
        if card.n_actions == 1
        else spaces.MultiDiscrete(card.n_choices)
    )


class Sb3VecEnv(VecEnv):  # type: ignore[misc]
    """The environments of a training as Stable-Baselines3 expects them.

    ``infos`` is empty except for episodes that end: ``terminal_observation``, and
    ``TimeLimit.truncated`` (the time limit, not the card's termination, ended it).
    """

    def __init__(self, env: RewardVecEnv) -> None:
        self.render_mode = None
        super().__init__(
            env.n_envs,
            spaces.Box(-np.inf, np.inf, (env.card.observation_size,), np.float32),
            make_action_space(env.card),
        )
        self._env = env
        self._actions: NDArray[np.float32]

    def reset(self) -> NDArray[np.float32]:
        """Start all episodes anew and return the observation (N, observation_size)."""
        return self._env.reset()

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions (N, n_actions), or (N,) of one choice, for ``step_wait``."""
        self._actions = actions.reshape(self.num_envs, -1).astype(np.float32)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step all simulations and pay the step."""
        observation, done, ended = self._env.advance(self._actions)
        rewards = self._env.pay()
        check_finite(rewards, observation)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended:
            for i, is_cut, last in zip(
                ended.ids, ended.is_time_out, ended.observation, strict=True
            ):
                infos[i] = {"terminal_observation": last, "TimeLimit.truncated": bool(is_cut)}
        return observation, rewards[-1].astype(np.float32), done, infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Return an attribute, which all environments share, once for each."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """Return False for each environment: nothing wraps a simulation of a batch."""
        return [False] * len(list(self._get_indices(indices)))

    def _refuse(self, name: str, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"{name}: a simulation of a batch has nothing of its own")

    set_attr = env_method = _refuse
