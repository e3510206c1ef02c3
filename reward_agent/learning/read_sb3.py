"""Read: a policy that Stable-Baselines3 saved -> a policy file of ours: ``ReadSb3Job``.

Of the zip two entries are read: ``data``, as plain JSON, and ``policy.pth``, its tensors alone
(``weights_only``). Nothing is unpickled, and no name of an entry becomes that of a file. What acts
has to be a multilayer perceptron of observations to actions that are numbers: that of PPO, A2C and
TRPO, of SAC and TQC, of TD3 and DDPG; or to the scores of choices: of PPO, A2C, TRPO and DQN.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.files import read_capped
from reward_agent.learning.policy import (
    MAX_POLICY_BYTES,
    Layer,
    NumpyPolicy,
    PolicyHeader,
    save_policy,
)
from reward_agent.records.drafting_jobs import ReadSb3Job, ReadSb3Result
from reward_agent.records.job import GIVEN_FILE, MAX_SB3_BYTES, POLICY_FILE, STATISTICS_FILE
from reward_agent.types import Activation

_MAX_DATA_BYTES = 16 * 2**20
_MAX_STATISTICS_BYTES = 2**20
# VecNormalize's own.
_EPSILON, _CLIP = 1e-8, 10.0
# A policy without VecNormalize clips nothing.
_NO_CLIP = 1e6
_ACTIVATIONS: dict[str, Activation] = {"Tanh": "tanh", "ReLU": "relu"}
_OURS = ("stable_baselines3.", "sb3_contrib.")
# What does not act: critics, targets, and what explores.
_IDLE = re.compile(
    r"(mlp_extractor\.)?value_net\.|(critic|actor|q_net)_target\.|critic\.|(actor\.)?log_std(\.|$)"
)
_STRANGE = {
    "features_extractor": "its observations go through a network of their own, as of a CnnPolicy",
    "lstm": "it remembers, and a policy here does not",
    "ra_mean": "its layers normalise what goes through them",
}
_TAKEN = "what is read are the plain MLP policies of PPO, A2C, TRPO, SAC, TQC, TD3, DDPG and DQN"
# Spaces of the library, by what an action or an observation then is.
_CHOICES, _NUMBERS = ("Discrete", "MultiDiscrete", "MultiBinary"), ("Box",)


def run(job: ReadSb3Job, job_dir: Path) -> ReadSb3Result:
    """Write the policy into the job's folder, or say why there is none."""
    content = read_capped(job_dir / GIVEN_FILE, MAX_SB3_BYTES)
    path = job_dir / STATISTICS_FILE
    statistics = read_capped(path, MAX_SB3_BYTES) if path.exists() else None
    try:
        policy = read_policy(content, job.card, job.activation, statistics)
        save_policy(job_dir / POLICY_FILE, policy)
    except DataError as error:
        return ReadSb3Result(refusal=error.message, remedy=error.remedy or _TAKEN)
    except ValueError as error:  # a number of it is none
        return ReadSb3Result(refusal=str(error), remedy=_TAKEN)
    return ReadSb3Result()


@dataclass(frozen=True)
class LibraryActor:
    """What acts in a model of Stable-Baselines3.

    Args:
        layers: from the observation to the mean action.
        is_squashed: tanh leads into the range of the actions.
        activation: the library's default for such a policy.
    """

    layers: tuple[Layer, ...]
    is_squashed: bool
    activation: Activation


def read_policy(
    content: bytes,
    card: EnvCard,
    activation: Activation | None = None,
    statistics: bytes | None = None,
) -> NumpyPolicy:
    """Return the policy that a zip holds, for an environment.

    Args:
        content: the zip.
        card: the environment.
        activation: of the hidden layers; by default what the zip says in plain words.
        statistics: an ``.npz`` with ``mean`` and ``var`` of the observations, and ``epsilon`` and
            ``clip`` where they are not VecNormalize's own.

    Raises:
        DataError: there is none that can be read.
    """
    data = _parse_data(read_entry(content, "data", _MAX_DATA_BYTES))
    weights = read_weights(read_entry(content, "policy.pth", MAX_SB3_BYTES))
    kind = _check_spaces(data, card)
    actor = find_actor(weights, data)
    if kind == "MultiBinary":
        actor = replace(actor, layers=_score_both(actor.layers))
    sizes = [layer.weight.shape[0] for layer in actor.layers]
    header = PolicyHeader(
        card=card.name,
        algo="sb3",
        n_actions=len(card.choices) or sizes[-1],
        n_choices=card.n_choices,
        observation_size=actor.layers[0].weight.shape[1],
        net_arch=tuple(sizes[:-1]),
        activation=activation or find_activation(data, actor.activation),
        action_range=card.action_range,
        is_squashed=actor.is_squashed,
        total_timesteps=_read_timesteps(data),
        observation_clip=_NO_CLIP,
    )
    header.check_card(card)
    if sizes[-1] != card.n_outputs:
        raise DataError(
            f"its actions are {sizes[-1]} scores, {card.name} has choices {list(card.n_choices)}",
            "use a policy that was trained in this environment",
        )
    is_as_it_is = actor.is_squashed or card.choices
    layers = actor.layers if is_as_it_is else _rescale(actor.layers, data, card)
    mean, scale, clip = _read_statistics(statistics, header.observation_size)
    log_std = None if is_as_it_is else np.zeros(header.n_actions, np.float32)
    return NumpyPolicy(
        header.model_copy(update={"observation_clip": clip}), layers, mean, scale, log_std
    )


def read_entry(content: bytes, name: str, limit: int) -> bytes:
    """Return one entry of a zip, of so many bytes at most.

    Raises:
        DataError: it is no zip, or has no such entry.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        found = [info for info in archive.infolist() if info.filename == name]
        if len(found) != 1:
            raise DataError(f"it has {len(found)} entries {name!r}, expected one")
        with archive.open(found[0]) as file:
            data = file.read(limit + 1)
    except DataError:
        raise
    except Exception as error:  # whatever zipfile makes of such a file
        raise DataError(f"its entry {name!r} cannot be read: {error}") from error
    if len(data) > limit:
        raise DataError(f"its entry {name!r} is larger than {limit / 2**20:.0f} MiB")
    return data


def _parse_data(text: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its entry 'data' is no JSON: {type(error).__name__}") from error
    if not isinstance(data, dict):
        raise DataError("its entry 'data' is no table")
    return data


def read_weights(content: bytes) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``policy.pth``, by name; nothing in it is run.

    Raises:
        DataError: it holds anything else, or too much.
    """
    try:
        inner = zipfile.ZipFile(io.BytesIO(content))
        entries = inner.infolist()
    except Exception as error:
        raise DataError(f"its 'policy.pth' is no file of torch's: {error}") from error
    if any(entry.compress_type for entry in entries) or (
        sum(entry.file_size for entry in entries) > MAX_SB3_BYTES
    ):
        raise DataError("its 'policy.pth' is packed, or claims to be larger than it is")
    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # it is a stranger's: what torch says of it runs over lines
        raise DataError(
            "its 'policy.pth' holds something else than tensors, or is damaged"
        ) from error
    if not isinstance(weights, dict) or not all(map(_is_plain, weights, weights.values())):
        raise DataError("its 'policy.pth' is no table of plain tensors")
    return weights


def _is_plain(name: Any, value: Any) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.is_floating_point()
        and value.dim() <= 4
        and 4 * value.numel() <= MAX_POLICY_BYTES
    )


def _check_spaces(data: Mapping[str, Any], card: EnvCard) -> str:
    """Return what kind of space its actions are of; '' where that is not said.

    Raises:
        DataError: the card's are of another kind, or its observations are no plain numbers.
    """
    kind = ""
    # The library itself writes a Discrete observation as this project does, one number a choice.
    known = {"observation_space": (*_NUMBERS, *_CHOICES),
             "action_space": _CHOICES if card.choices else _NUMBERS}  # fmt: skip
    for name, kinds in known.items():
        space = data.get(name)
        said = str(space.get(":type:")) if isinstance(space, dict) else ""
        kind = said.removesuffix("'>").rpartition(".")[2]
        if kind and kind not in kinds:
            expected = "choices" if kinds is _CHOICES else "numbers (Box)"
            raise DataError(f"its {name} is a {kind}, and {card.name}'s is {expected}", _TAKEN)
    return kind


def _score_both(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Return layers that score both choices of each flag, whose own score is that of the second."""
    last = layers[-1]
    weight = np.zeros((2 * len(last.bias), last.weight.shape[1]), np.float32)
    bias = np.zeros(2 * len(last.bias), np.float32)
    weight[1::2], bias[1::2] = last.weight, last.bias
    return (*layers[:-1], Layer(weight, bias))


def find_actor(weights: Mapping[str, torch.Tensor], data: Mapping[str, Any]) -> LibraryActor:
    """Return what acts, by the names that the library gives its layers.

    Raises:
        DataError: it is not one of the kinds that are known.
    """
    shared, own = (
        _list_numbered(weights, f"mlp_extractor.{part}_net") for part in ("shared", "policy")
    )
    kinds: tuple[tuple[list[str], list[str], Activation], ...] = (
        (["action_net"], [*shared, *own], "tanh"),
        (["actor.mu"], _list_numbered(weights, "actor.latent_pi"), "relu"),
        ([], _list_numbered(weights, "actor.mu"), "relu"),
        ([], _list_numbered(weights, "q_net.q_net"), "relu"),
    )
    for last, hidden, activation in kinds:
        names = [*hidden, *last]
        parts = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
        others = [n for n in weights if n not in parts and not _IDLE.match(n)]
        if names and parts <= weights.keys() and not others:
            is_squashed = names[-1].startswith("actor.") or (
                _read_kwargs(data).get("squash_output") is True
            )
            return LibraryActor(_make_layers(weights, names), is_squashed, activation)
    reasons = [said for part, said in _STRANGE.items() if any(part in name for name in weights)]
    shown = next((n for n in weights if not _IDLE.match(n)), "nothing")
    raise DataError(next(iter(reasons), f"what acts in it is no plain MLP: it has {shown[:80]!r}"))


def _list_numbered(weights: Mapping[str, torch.Tensor], prefix: str) -> list[str]:
    pattern = re.compile(re.escape(prefix) + r"\.(\d{1,3})\.weight")
    numbers = sorted(int(m.group(1)) for m in map(pattern.fullmatch, weights) if m)
    return [f"{prefix}.{number}" for number in numbers]


def _make_layers(weights: Mapping[str, torch.Tensor], names: list[str]) -> tuple[Layer, ...]:
    layers = [
        Layer(*(weights[f"{name}.{part}"].to(torch.float32).contiguous().numpy() for part in
                ("weight", "bias")))
        for name in names
    ]  # fmt: skip
    size = layers[0].weight.shape[-1]
    for layer in layers:
        if layer.weight.ndim != 2 or layer.bias.shape != layer.weight.shape[:1]:
            raise DataError("the sizes of its layers do not fit each other")
        if layer.weight.shape[1] != size or not layer.bias.size:
            raise DataError("the sizes of its layers do not fit each other")
        size = layer.weight.shape[0]
    return tuple(layers)


def _read_kwargs(data: Mapping[str, Any]) -> Mapping[str, Any]:
    given = data.get("policy_kwargs")
    return given if isinstance(given, dict) else {}


def find_activation(data: Mapping[str, Any], default: Activation) -> Activation:
    """Return the activation of the hidden layers, by what stands there in plain words.

    Raises:
        DataError: it is another one, or nobody can tell.
    """
    said = _read_kwargs(data).get("activation_fn")
    policy_class = data.get("policy_class")
    home = str(policy_class.get("__module__")) if isinstance(policy_class, dict) else ""
    if said is None:
        if "policy_kwargs" in data and home.startswith(_OURS):
            return default
        raise DataError(
            "its activation cannot be told without unpickling it",
            "say --activation tanh or --activation relu",
        )
    found = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w{1,40})'>", str(said))
    name = found.group(1) if found else str(said)[:80]
    if name not in _ACTIVATIONS:
        raise DataError(
            f"its activation is {name}, and a policy here has Tanh or ReLU",
            "say --activation tanh or --activation relu, if that is a class of your own for one",
        )
    return _ACTIVATIONS[name]


def _read_timesteps(data: Mapping[str, Any]) -> int:
    given = data.get("num_timesteps")
    return given if isinstance(given, int) and 0 <= given < 2**53 else 0


def _rescale(
    layers: tuple[Layer, ...], data: Mapping[str, Any], card: EnvCard
) -> tuple[Layer, ...]:
    """Return the layers with actions of the card's range in place of the zip's own."""
    low, high = card.action_range
    last = layers[-1]
    own = [_read_bounds(data, name, len(last.bias)) for name in ("low", "high")]
    if own[0] is None or own[1] is None or not np.all(own[1] > own[0]):
        return layers
    factor = (high - low) / (own[1] - own[0])
    shift = low - own[0] * factor
    if np.allclose(factor, 1.0, atol=1e-6) and np.allclose(shift, 0.0, atol=1e-6):
        return layers
    weight = (last.weight * factor[:, None]).astype(np.float32)
    return (*layers[:-1], Layer(weight, (last.bias * factor + shift).astype(np.float32)))


def _read_bounds(data: Mapping[str, Any], name: str, size: int) -> NDArray[np.float64] | None:
    """Return the lowest or highest actions; None where they are not said, or have no end."""
    space = data.get("action_space")
    text = space.get(name) if isinstance(space, dict) else None
    try:
        words = str(text)[:100_000].strip().strip("[]").split()
        values = np.array([float(word) for word in words])
    except ValueError:
        return None
    return values if values.shape == (size,) and np.isfinite(values).all() else None


def _read_statistics(
    content: bytes | None, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Return mean, one over the deviation, and where normalised observations are clipped."""
    if content is None:
        return np.zeros(size, np.float32), np.ones(size, np.float32), _NO_CLIP
    given: dict[str, NDArray[np.float64]] = {}
    for name, shape, default in (
        ("mean", (size,), None), ("var", (size,), None),
        ("epsilon", (), _EPSILON), ("clip", (), _CLIP),
    ):  # fmt: skip
        is_said = f"{name}.npy".encode() in content
        given[name] = (
            np.array(default)
            if default is not None and not is_said
            else _read_numbers(content, name, shape)
        )
    variance, clip = given["var"] + given["epsilon"], float(given["clip"])
    if not (np.all(variance > 0) and clip > 0):
        raise DataError("its statistics have a variance or a clip that is not above 0")
    scale = np.asarray(1.0 / np.sqrt(variance), np.float32)
    return given["mean"].astype(np.float32), scale, clip


def _read_numbers(content: bytes, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    entry = read_entry(content, f"{name}.npy", _MAX_STATISTICS_BYTES)
    try:
        values = np.lib.format.read_array(io.BytesIO(entry), allow_pickle=False)
    except Exception as error:  # a header of a stranger
        raise DataError(f"its statistics' {name} is no array of numbers") from error
    if values.shape != shape or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        wanted = f"{shape[0]} finite numbers" if shape else "a finite number"
        raise DataError(f"its statistics' {name} is not {wanted}")
    return values.astype(np.float64)
