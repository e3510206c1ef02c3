"""The trained policy in other forms, made of ``policy.safetensors`` beside this file.

``python convert.py onnx``   ``policy.onnx``, observation in, action out; needs onnx
``python convert.py torch``  ``policy.pt2``, a torch program: ``torch.export.load(file).module()``
``python convert.py sb3``    ``policy.zip``, from which Stable-Baselines3 trains on, and what its
                             observations are normalised by: ``vecnormalize.pkl`` for the library,
                             ``vecnormalize.npz`` for whoever reads no pickles

All but the last take the observation as the environment gives it: its normalisation is inside.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# VecNormalize adds it to the variance.
_EPSILON = 1e-8


def list_layers(weights: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return weight ``(n_out, n_in)`` and bias ``(n_out,)`` of each layer."""
    n_layers = sum(name.endswith(".bias") for name in weights)
    return [(weights[f"actor.{i}.weight"], weights[f"actor.{i}.bias"]) for i in range(n_layers)]


def make_onnx(policy: Any, contract: dict[str, Any]) -> Any:
    """Return the policy as an ONNX model: ``observation (N, n)`` to ``action (N, k)``, float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    settings, weights = policy.settings, policy.weights
    nodes: list[Any] = []
    constants = {"mean": weights["observation.mean"], "scale": weights["observation.scale"]}

    def add(operation: str, source: str, *others: tuple[str, Any], **attributes: Any) -> str:
        constants.update(others)
        target = f"value_{len(nodes)}"
        names = [source, *(name for name, _ in others)]
        nodes.append(helper.make_node(operation, names, [target], **attributes))
        return target

    def clip(source: str, name: str, low: float, high: float) -> str:
        bounds = (f"{name}_low", np.float32(low)), (f"{name}_high", np.float32(high))
        return add("Clip", source, *bounds)

    value = add("Sub", "observation", ("mean", constants["mean"]))
    value = add("Mul", value, ("scale", constants["scale"]))
    bound = settings["observation_clip"]
    value = clip(value, "normal", -bound, bound)
    layers = list_layers(weights)
    for i, (weight, bias) in enumerate(layers):
        value = add("Gemm", value, (f"weight_{i}", weight), (f"bias_{i}", bias), transB=1)
        if i < len(layers) - 1:
            value = add("Tanh" if settings["activation"] == "tanh" else "Relu", value)
    low, high = settings["action_range"]
    if settings.get("n_choices"):
        best = _choose_in_onnx(add, settings["n_choices"], value)
        nodes.append(helper.make_node("Concat", best, [value := "choices"], axis=1))
    if settings.get("is_squashed"):
        value = add("Tanh", value)
        value = add("Add", value, ("one", np.float32(1.0)))
        value = add("Mul", value, ("half", np.float32(0.5 * (high - low))))
        value = add("Add", value, ("low", np.float32(low)))
    if not settings.get("n_choices"):
        value = clip(value, "action", low, high)
    nodes.append(helper.make_node("Identity", [value], ["action"]))

    def describe(name: str, size: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])

    graph = helper.make_graph(
        nodes,
        "policy",
        [describe("observation", settings["observation_size"])],
        [describe("action", settings["n_actions"])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"contract": json.dumps(contract)})
    onnx.checker.check_model(model, full_check=True)
    return model


def _choose_in_onnx(add: Any, n_choices: list[int], scores: str) -> list[str]:
    """Add what takes the number of each action's highest score; return the names of those."""
    from onnx import TensorProto

    starts, best = np.cumsum([0, *n_choices]), []
    for i in range(len(n_choices)):
        ends = {"from": starts[i], "to": starts[i + 1], "axis": 1}
        parts = [(f"{name}_{i}", np.array([end], np.int64)) for name, end in ends.items()]
        number = add("ArgMax", add("Slice", scores, *parts), axis=1, keepdims=1)
        best.append(add("Cast", number, to=TensorProto.FLOAT))
    return best


def make_module(policy: Any) -> Any:
    """Return the policy as a ``torch.nn.Module``: ``(N, n)`` to ``(N, k)``, float32."""
    import torch

    settings, weights = policy.settings, policy.weights
    low, high = settings["action_range"]
    activation = torch.nn.Tanh if settings["activation"] == "tanh" else torch.nn.ReLU

    class Module(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            parts: list[Any] = []
            for weight, bias in list_layers(weights):
                linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
                _fill(linear, weight, bias)
                parts += [linear, activation()]
            self.layers = torch.nn.Sequential(*parts[:-1])
            for name in ("mean", "scale"):
                value = weights[f"observation.{name}"].copy()
                self.register_buffer(name, torch.from_numpy(value))

        def forward(self, observation: Any) -> Any:
            bound = settings["observation_clip"]
            normal = ((observation - self.mean) * self.scale).clamp(-bound, bound)
            action = self.layers(normal)
            if settings.get("n_choices"):
                scores = action.split(settings["n_choices"], dim=-1)
                best = [part.argmax(dim=-1) for part in scores]
                return torch.stack(best, dim=-1).to(torch.float32)
            if settings.get("is_squashed"):
                action = low + (action.tanh() + 1.0) * (0.5 * (high - low))
            return action.clamp(low, high)

    return Module().eval()


def make_sb3(policy: Any, env: Any = None) -> Any:
    """Return a Stable-Baselines3 model that acts as the policy does, and what normalises for it.

    PPO, or SAC for a policy whose actions are squashed. Its critics are new. It is trained on over
    ``VecNormalize.load("vecnormalize.pkl", venv)``.

    Args:
        policy: what ``policy.py`` loads.
        env: an environment with the spaces that it will be trained in; those of Gymnasium's MuJoCo
            environments by default.
    """
    import torch
    from stable_baselines3 import PPO, SAC
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    settings, weights = policy.settings, policy.weights
    activation = torch.nn.Tanh if settings["activation"] == "tanh" else torch.nn.ReLU
    env = env or _make_spaces(settings)
    venv = VecNormalize(
        DummyVecEnv([lambda: env]), clip_obs=settings["observation_clip"], epsilon=_EPSILON
    )
    venv.obs_rms.mean = np.asarray(weights["observation.mean"], np.float64)
    venv.obs_rms.var = 1.0 / np.asarray(weights["observation.scale"], np.float64) ** 2 - _EPSILON
    venv.obs_rms.count = float(settings.get("total_timesteps") or 1.0)
    kind = SAC if settings.get("is_squashed") else PPO
    sizes = list(settings["net_arch"])
    model = kind(
        "MlpPolicy",
        venv,
        policy_kwargs={"net_arch": sizes, "activation_fn": activation},
        device="cpu",
    )
    model.num_timesteps = settings.get("total_timesteps", 0)
    if kind is SAC:
        hidden, last = model.policy.actor.latent_pi, model.policy.actor.mu
    else:
        hidden, last = model.policy.mlp_extractor.policy_net, model.policy.action_net
    linear = [part for part in hidden if isinstance(part, torch.nn.Linear)]
    for part, (weight, bias) in zip([*linear, last], list_layers(weights), strict=True):
        _fill(part, weight, bias)
    if kind is PPO and "log_std" in weights:
        with torch.no_grad():
            model.policy.log_std.copy_(torch.from_numpy(weights["log_std"].copy()))
    return model, venv


def _make_spaces(settings: dict[str, Any]) -> Any:
    """Return an environment that has spaces and nothing else: no reward is run for a file."""
    import gymnasium

    env: Any = gymnasium.Env()
    low, high = settings["action_range"]
    size, n_actions = settings["observation_size"], settings["n_actions"]
    env.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float64)
    env.action_space = gymnasium.spaces.Box(low, high, (n_actions,), np.float32)
    if n_choices := settings.get("n_choices"):
        one = len(n_choices) == 1
        spaces = gymnasium.spaces
        env.action_space = spaces.Discrete(*n_choices) if one else spaces.MultiDiscrete(n_choices)
    return env


def _fill(linear: Any, weight: Any, bias: Any) -> None:
    import torch

    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight.copy()))
        linear.bias.copy_(torch.from_numpy(bias.copy()))


def convert(form: str, folder: Path = HERE) -> list[Path]:
    """Write the policy in a form beside the others; return the files."""
    from policy import Policy  # type: ignore[import-not-found]

    policy = Policy(folder / "policy.safetensors")
    repeat = policy.settings.get("action_repeat", 1)
    if repeat > 1 and form in ("torch", "sb3"):
        held = f"holds each action for {repeat} control steps"
        print(f"it {held}, which the file could not say", file=sys.stderr)
        raise SystemExit(2)
    if form == "onnx":
        contract = json.loads((folder / "policy.json").read_text())
        (folder / "policy.onnx").write_bytes(make_onnx(policy, contract).SerializeToString())
        return [folder / "policy.onnx"]
    if form == "torch":
        import torch

        example = torch.zeros(2, policy.settings["observation_size"])
        axes = {"observation": {0: torch.export.Dim("N", min=1)}}
        program = torch.export.export(make_module(policy), (example,), dynamic_shapes=axes)
        torch.export.save(program, folder / "policy.pt2")
        return [folder / "policy.pt2"]
    if form == "sb3":
        model, venv = make_sb3(policy)
        model.save(folder / "policy.zip")
        venv.save(folder / "vecnormalize.pkl")
        moments = {"mean": venv.obs_rms.mean, "var": venv.obs_rms.var}
        np.savez(folder / "vecnormalize.npz", epsilon=venv.epsilon, clip=venv.clip_obs, **moments)
        names = ("policy.zip", "vecnormalize.pkl", "vecnormalize.npz")
        return [folder / name for name in names]
    raise SystemExit(f"unknown form {form!r}: onnx, torch or sb3")


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        for file in convert(wanted):
            print(file)
