"""The trained policy in NumPy: ``Policy("policy.safetensors").act(observation)``."""

import json
from pathlib import Path
from typing import Any

import numpy as np


class Policy:
    """Normalise the observation, run the layers, then clip, squash or choose.

    ``observation`` is ``(observation_size,)`` or ``(N, observation_size)``, as the environment
    gives it: its normalisation is part of the file. Hold it for ``settings["action_repeat"]``.
    """

    def __init__(self, path: str | Path) -> None:
        content = Path(path).read_bytes()
        size = int.from_bytes(content[:8], "little")
        header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
        self.settings = json.loads(header.pop("__metadata__")["policy"])
        self.weights: dict[str, Any] = {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            values = np.frombuffer(body[start:end], np.float32)
            self.weights[name] = values.reshape(entry["shape"])

    def act(self, observation: Any) -> Any:
        """Return the action ``(n_actions,)`` or ``(N, n_actions)``; of choices their numbers."""
        weights, clip = self.weights, self.settings["observation_clip"]
        mean, scale = weights["observation.mean"], weights["observation.scale"]
        hidden = np.clip((np.float32(observation) - mean) * scale, -clip, clip)
        n_hidden = len(self.settings["net_arch"])
        for i in range(n_hidden + 1):
            hidden = hidden @ weights[f"actor.{i}.weight"].T + weights[f"actor.{i}.bias"]
            if i < n_hidden:
                tanh = self.settings["activation"] == "tanh"
                hidden = np.tanh(hidden) if tanh else np.maximum(hidden, 0.0)
        if n_choices := self.settings.get("n_choices"):
            parts = np.split(hidden, np.cumsum(n_choices)[:-1], -1)
            return np.stack([scores.argmax(-1) for scores in parts], -1)
        low, high = self.settings["action_range"]
        squashed = low + (np.tanh(hidden) + 1.0) * (0.5 * (high - low))
        return np.clip(squashed if self.settings.get("is_squashed") else hidden, low, high)
