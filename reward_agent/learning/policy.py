"""A trained policy as a file, and its inference in NumPy.

The file is safetensors: float32 weights, and a JSON header that says how to use them. Who evaluates
a policy so needs neither torch nor pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from safetensors.numpy import save_file

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.learner import MOST_LAYERS
from reward_agent.definitions.tables import Count, Word
from reward_agent.errors import DataError
from reward_agent.files import read_capped
from reward_agent.types import Activation, FileRecord, Finite

FloatArray: TypeAlias = NDArray[np.float32]

_HEADER_KEY = "policy"
# A policy of two layers of 64 is 40 KiB; the largest that anyone trains here is far below.
MAX_POLICY_BYTES = 64 * 2**20
_MOST_HEADER_BYTES = 2**16


class PolicyHeader(FileRecord):
    """What the weights need to become actions."""

    card: Word = Field(description="name of the environment")
    algo: Word = Field("ppo", description="learner that trained it")
    program_sha256: Word = Field("", description="reward program it was trained with")
    seed: int = 0
    total_timesteps: int = Field(0, ge=0, description="env steps it was trained for")
    n_actions: Count
    n_choices: tuple[Count, ...] = Field(
        (), max_length=500, description="of each action, of which the highest score is taken"
    )
    observation_size: Count
    net_arch: tuple[Count, ...] = Field(max_length=MOST_LAYERS)
    activation: Activation
    action_range: tuple[Finite, Finite] = Field(description="the mean action is clipped to it")
    is_squashed: bool = Field(False, description="tanh leads into the range, in place of the clip")
    observation_clip: Finite = Field(10.0, gt=0, description="of the normalised observation")
    action_repeat: int = Field(1, ge=1, description="control steps that each action is held for")

    @property
    def n_outputs(self) -> int:
        """How many numbers the last layer has."""
        return sum(self.n_choices) or self.n_actions

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if self.n_choices and (len(self.n_choices) != self.n_actions or self.is_squashed):
            raise ValueError(f"{len(self.n_choices)} rows of choices for {self.n_actions} actions")
        return self

    @classmethod
    def for_card(cls, card: EnvCard, **values: Any) -> Self:
        """Return the header of a policy for an environment."""
        return cls(
            card=card.name,
            n_actions=card.n_actions,
            n_choices=card.n_choices,
            observation_size=card.observation_size,
            action_range=card.action_range,
            **values,
        )

    def check_card(self, card: EnvCard) -> None:
        """Refuse a policy for another environment.

        Raises:
            DataError: it is of another size.
        """
        expected = (card.observation_size, card.n_actions)
        if (self.observation_size, self.n_actions) != expected:
            raise DataError(
                f"the policy takes {self.observation_size} numbers and gives {self.n_actions}, "
                f"{card.name} has observations of {expected[0]} and {expected[1]} actions",
                "use a policy that was trained in this environment",
            )
        if self.n_choices != card.n_choices:
            kinds = [
                f"choices {list(n)}" if n else "numbers" for n in (self.n_choices, card.n_choices)
            ]
            raise DataError(
                f"the policy's actions are {kinds[0]}, those of {card.name} are {kinds[1]}",
                "use a policy that was trained in this environment",
            )


@dataclass(frozen=True)
class Layer:
    """One linear layer: ``weight`` (n_out, n_in) as torch keeps it, ``bias`` (n_out,)."""

    weight: FloatArray
    bias: FloatArray


def run_layers(
    layers: Sequence[Layer],
    activation: str,
    inputs: FloatArray,
    kept: list[FloatArray] | None = None,
) -> FloatArray:
    """Return the output (N, n_out) of a multilayer perceptron; the last layer is linear.

    What goes into each layer is put into ``kept``, if there is one.
    """
    hidden = inputs
    for layer in layers[:-1]:
        if kept is not None:
            kept.append(hidden)
        hidden = hidden @ layer.weight.T
        hidden += layer.bias
        if activation == "tanh":
            np.tanh(hidden, out=hidden)
        else:
            np.maximum(hidden, 0.0, out=hidden)
    if kept is not None:
        kept.append(hidden)
    return np.asarray(hidden @ layers[-1].weight.T + layers[-1].bias)


@dataclass(frozen=True)
class NumpyPolicy:
    """A deterministic policy: normalise, multilayer perceptron, clip, squash or choose.

    Args:
        header: how to use the weights.
        layers: from the observation to the mean action, or to the scores of choices.
        observation_mean: (observation_size,).
        observation_scale: (observation_size,), one over the standard deviation.
        log_std: (n_actions,), of the exploration while training, not used here; None where it
            depends on the observation, as for policies that squash or choose.
    """

    header: PolicyHeader
    layers: tuple[Layer, ...]
    observation_mean: FloatArray
    observation_scale: FloatArray
    log_std: FloatArray | None = None

    @property
    def repeat(self) -> int:
        """Control steps that each action is held for."""
        return self.header.action_repeat

    def act(self, observation: NDArray[np.floating[Any]]) -> FloatArray:
        """Return the action (N, n_actions) in the card's range for (N, observation_size)."""
        clip = self.header.observation_clip
        normal = normalize(observation, self.observation_mean, self.observation_scale, clip)
        low, high = self.header.action_range
        mean = run_layers(self.layers, self.header.activation, normal)
        if self.header.n_choices:
            return choose_best(mean, list_parts(self.header.n_choices))
        if self.header.is_squashed:
            np.tanh(mean, out=mean)
            mean += 1.0
            mean *= 0.5 * (high - low)
            mean += low
        return np.asarray(np.clip(mean, low, high, out=mean))


def list_parts(n_choices: Sequence[int]) -> list[slice]:
    """Return where each action's scores stand among all."""
    ends = [0, *np.cumsum(n_choices).tolist()]
    return [slice(start, end) for start, end in pairwise(ends)]


def choose_best(scores: FloatArray, parts: Sequence[slice]) -> FloatArray:
    """Return (…, n_actions): the number of the highest of each action's scores."""
    best = [scores[..., part].argmax(axis=-1) for part in parts]
    return np.stack(best, axis=-1).astype(np.float32)


def check_start(given: NumpyPolicy, own: NumpyPolicy) -> None:
    """Refuse to begin with a policy of another form than a learner's own.

    Raises:
        DataError: its layers are of other sizes, or become actions in another way.
    """
    names = ("observation_size", "net_arch", "n_actions", "n_choices", "activation", "is_squashed")
    for name in names:
        found, expected = getattr(given.header, name), getattr(own.header, name)
        if found != expected:
            raise DataError(
                f"the initial policy has {name} {found}, expected {expected}",
                "start without --warm-start",
            )


def normalize(
    observation: NDArray[np.floating[Any]], mean: FloatArray, scale: FloatArray, clip: float
) -> FloatArray:
    """Return ``clip((observation - mean) * scale)`` as float32, shape unchanged."""
    normal = np.subtract(observation, mean, dtype=np.float32, casting="same_kind")
    normal *= scale
    # Faster than np.clip on the few rows of a control step.
    np.maximum(normal, -clip, out=normal)
    return np.asarray(np.minimum(normal, clip, out=normal))


def save_policy(path: Path, policy: NumpyPolicy) -> None:
    """Write a policy; the file appears whole or not at all.

    Raises:
        ValueError: a weight is not finite.
    """
    values = [policy.observation_mean, policy.observation_scale]
    values += [] if policy.log_std is None else [policy.log_std]
    values += [array for layer in policy.layers for array in (layer.weight, layer.bias)]
    names = _list_shapes(policy.header)
    tensors = {n: np.ascontiguousarray(array) for n, array in zip(names, values, strict=True)}
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} of the policy is not finite")
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={_HEADER_KEY: policy.header.model_dump_json()})
    partial.replace(path)


def load_policy(path: Path) -> NumpyPolicy:
    """Load a policy; the file is not trusted.

    Raises:
        DataError: it is not a policy, or its weights do not fit its header.
    """
    try:
        return parse_policy(read_capped(path, MAX_POLICY_BYTES))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", "train it again") from error
    except DataError as error:
        raise DataError(f"{path} is not a policy: {error.message}", "train it again") from error


def parse_policy(content: bytes) -> NumpyPolicy:
    """Return the policy that a file holds; sizes are checked before anything is allocated.

    Raises:
        DataError: it is not a policy, or its weights do not fit its header.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        if len(content) < 8 or size > min(_MOST_HEADER_BYTES, len(content) - 8):
            raise ValueError(f"its header has {size} bytes")
        entries = json.loads(content[8 : 8 + size])
        header = PolicyHeader.model_validate_json(entries.pop("__metadata__")[_HEADER_KEY])
        shapes = _list_shapes(header)
        if entries.keys() != shapes.keys():
            raise ValueError(f"it holds {len(entries)} tensors, not those of its networks")
        tensors = {
            name: _read_tensor(name, shape, entries[name], memoryview(content)[8 + size :])
            for name, shape in shapes.items()
        }
    except (ValidationError, RecursionError, AttributeError, LookupError, TypeError) as error:
        raise DataError(f"its header is none: {str(error).partition(chr(10))[0]}") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    n_layers = len(header.net_arch) + 1
    return NumpyPolicy(
        header,
        tuple(
            Layer(tensors[f"actor.{i}.weight"], tensors[f"actor.{i}.bias"]) for i in range(n_layers)
        ),
        tensors["observation.mean"],
        tensors["observation.scale"],
        tensors.get("log_std"),
    )


def _list_shapes(header: PolicyHeader) -> dict[str, tuple[int, ...]]:
    sizes = (header.observation_size, *header.net_arch, header.n_outputs)
    shapes: dict[str, tuple[int, ...]] = {
        "observation.mean": (header.observation_size,),
        "observation.scale": (header.observation_size,),
    }
    if not (header.is_squashed or header.n_choices):
        shapes["log_std"] = (header.n_actions,)
    for index in range(len(sizes) - 1):
        shapes[f"actor.{index}.weight"] = (sizes[index + 1], sizes[index])
        shapes[f"actor.{index}.bias"] = (sizes[index + 1],)
    return shapes


def _read_tensor(
    name: str, shape: tuple[int, ...], entry: Mapping[str, Any], body: memoryview
) -> FloatArray:
    start, end = entry["data_offsets"]
    form = (entry["dtype"], entry["shape"], type(start), type(end), end - start)
    is_within = 0 <= start <= end <= len(body)
    if form != ("F32", list(shape), int, int, 4 * prod(shape)) or not is_within:
        raise ValueError(f"{name} is {form[:2]}, expected F32 {list(shape)} within the file")
    values = np.frombuffer(body[start:end], "<f4").reshape(shape).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} is not finite")
    return values


def check_policy(path: Path, card: EnvCard) -> None:
    """Refuse a file that is no policy for this environment: a child may have written anything.

    Raises:
        DataError: it is not a policy, or one of another size.
    """
    load_policy(path).header.check_card(card)
