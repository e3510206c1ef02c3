"""An environment as data: the ``EnvCard`` read from ``envs/<env>/env.toml``.

Nothing here imports MuJoCo: the parent process reads cards, the child simulates them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reward_agent.types import FileRecord, Record

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class ModelSource(Record):
    """Where the MJCF lies: ``gymnasium`` names a file in its assets, ``file`` one beside the card."""

    gymnasium: str | None = None
    file: str | None = None
    frame_skip: int = Field(ge=1)
    derived_fields: Literal["current", "lagged"] = Field(
        "current",
        description="'lagged': derived fields describe the state one substep earlier, as "
        "Gymnasium's own environment reads them",
    )


class StateField(Record):
    """One named measurement of the simulation.

    ``size`` is None for a scalar field, ``(N,)``, else the field is ``(N, size)``.
    """

    name: Identifier
    source: str
    size: int | None = None
    unit: str
    range: tuple[float, float]
    doc: str


class FieldRange(Record):
    """Healthy range of a field, exclusive; the episode terminates outside of it."""

    field: Identifier
    min: float = float("-inf")
    max: float = float("inf")


class ResetNoise(Record):
    """Noise around the model's initial state, in Gymnasium's draws."""

    qpos_uniform: float = 0.0
    qvel_uniform: float = 0.0
    qvel_normal: float = 0.0
    recipe: str | None = Field(None, description="name of a special reset, such as 'reacher_goal'")


class PPOSettings(Record):
    """PPO hyper-parameters, in Stable-Baselines3's names."""

    n_envs: int = 16
    n_steps: int = 256
    batch_size: int = 256
    n_epochs: int = 10
    learning_rate: float = 3e-4
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    net_arch: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"
    log_std_init: float = 0.0
    normalize_observation: bool = True
    normalize_reward: bool = True


class TrainingBudget(Record):
    """Environment steps of one training under each preset."""

    quick: int = 200_000
    standard: int = 1_000_000
    thorough: int = 2_000_000


class EnvCard(FileRecord):
    """An environment: model, state fields, actions, observation, reset, termination, PPO."""

    name: Identifier
    title: str
    description: str
    notes: tuple[str, ...] = ()
    gymnasium_id: str | None = None
    gymnasium_kwargs: dict[str, bool | float | str] = {}
    model: ModelSource
    control_dt: float = Field(gt=0, description="seconds of one control step")
    max_episode_steps: int = Field(ge=1)
    actions: tuple[str, ...] = Field(description="name of each action; all within -1..1 or range")
    action_range: tuple[float, float] = (-1.0, 1.0)
    action_doc: str = ""
    state: tuple[StateField, ...]
    observation: tuple[str, ...] = Field(description="sources, concatenated in this order")
    observation_size: int
    reset: ResetNoise = ResetNoise()
    termination: tuple[FieldRange, ...] = ()
    ppo: PPOSettings = PPOSettings()
    budget: TrainingBudget = TrainingBudget()
