"""A toy that no simulator reads: its card, its episodes made by hand, a policy of one layer."""

from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard, FieldRange, ModelSource, StateField
from reward_agent.evaluation.metrics import Episode
from reward_agent.learning.policy import Layer, NumpyPolicy, PolicyHeader, save_policy

DT = 0.02


def _field(name: str, unit: str, low: float, high: float, group: str, size: int | None = None):
    return StateField(
        name=name, source="qpos[0]", unit=unit, range=(low, high), doc="a", group=group, size=size
    )


def make_card() -> EnvCard:
    return EnvCard(
        name="toy",
        title="Toy",
        description="a toy",
        model=ModelSource(file="toy.xml", frame_skip=1),
        control_dt=DT,
        max_episode_steps=100,
        actions=("push",),
        state=(
            _field("x_position", "m", -5, 20, "torso"),
            _field("torso_height", "m", 0, 2, "torso"),
            _field("torso_pitch", "rad", -7, 7, "torso"),
            _field("forward_velocity", "m/s", -5, 5, "torso"),
            _field("knee_angle", "rad", -2, 2, "joints"),
            _field("com_position", "m", -5, 20, "whole body", size=3),
            _field("foot_floor_contact", "0/1", 0, 1, "contacts"),
            _field("torso_floor_contact", "0/1", 0, 1, "contacts"),
        ),
        observation=("qpos",),
        observation_size=2,
        termination=(FieldRange(field="torso_pitch", min=-0.2, max=0.2),),
    )


def make_episode(n_steps: int = 50, terminated: bool = False, action=None, **fields) -> Episode:
    """Make an episode of the toy; a field that is not given stays at rest."""
    n = n_steps + 1
    rest = {
        "x_position": np.zeros(n),
        "torso_height": np.ones(n),
        "torso_pitch": np.zeros(n),
        "forward_velocity": np.zeros(n),
        "knee_angle": np.zeros(n),
        "com_position": np.zeros((n, 3)),
        "foot_floor_contact": np.ones(n),
        "torso_floor_contact": np.zeros(n),
        "observation": np.zeros((n, 2)),
    }
    push = np.zeros((n_steps, 1)) if action is None else action
    return Episode(rest | fields, push, DT, terminated)


def write_policy(path: Path, card: EnvCard, action: float) -> None:
    """Write a policy of one layer that always gives the same action."""
    size, n_actions = card.observation_size, card.n_actions
    header = PolicyHeader(
        card=card.name,
        n_actions=n_actions,
        observation_size=size,
        net_arch=(),
        activation="tanh",
        action_range=card.action_range,
    )
    layer = Layer(np.zeros((n_actions, size), "f4"), np.full(n_actions, action, "f4"))
    zeros, ones = np.zeros(size, "f4"), np.ones(size, "f4")
    save_policy(path, NumpyPolicy(header, (layer,), zeros, ones, np.zeros(n_actions, "f4")))
