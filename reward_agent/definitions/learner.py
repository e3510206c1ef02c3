"""Which learner trains, with which hyper-parameters, and what is true of each learner.

A card or a task may say it in a table ``[learner]``: ``algo``, and hyper-parameters by the names of
its library. Nothing here imports a library: what Stable-Baselines3's constructors take is written
out, and a test holds it equal to their signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from reward_agent.definitions.tables import Count, Steps, Word, check_values
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.plugins import Plugin, Seam
from reward_agent.types import Finite, Record

MOST_LAYERS = 16
MOST_ENVIRONMENTS = 65_536
MOST_REPEATS = 16
Environments = Annotated[int, Field(ge=1, le=MOST_ENVIRONMENTS)]
Share = Annotated[Finite, Field(ge=0, le=1)]


class PPOSettings(Record):
    """PPO hyper-parameters, in Stable-Baselines3's names.

    The defaults are what served most of the cards best: short rollouts and small first actions.
    """

    n_envs: Environments = 16
    n_steps: Count = 64
    batch_size: Steps = 256
    n_epochs: Count = 10
    learning_rate: Finite = Field(3e-4, ge=0)
    final_learning_rate_share: Share = Field(
        1.0, description="it falls linearly to this share of itself over the training"
    )
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    clip_range: Finite = Field(0.2, ge=0)
    ent_coef: Finite = 0.0
    vf_coef: Finite = 0.5
    max_grad_norm: Finite = Field(0.5, ge=0)
    target_kl: Finite | None = Field(None, ge=0)
    net_arch: tuple[Count, ...] = Field((64, 64), max_length=MOST_LAYERS)
    activation: Literal["tanh", "relu"] = "tanh"
    log_std_init: Finite = -1.0
    std_hold_share: Share = Field(
        0.0, description="share of the training in which actions vary no less than at its beginning"
    )
    noise_correlation: Share = Field(
        0.0, lt=1, description="of an action's noise with that of the step before"
    )
    action_repeat: int = Field(1, ge=1, le=MOST_REPEATS, description="control steps of one action")
    normalize_observation: bool = True
    normalize_reward: bool = True


@dataclass(frozen=True)
class Tunable:
    """A hyper-parameter that a reward program may set for its own training, and its range.

    Args:
        low: lowest value, or of each number of a list; where it is whole, so are the others.
        high: highest.
        help: what it does, for a model that has not seen the library.
        most: numbers of a list; 0: it is one number.
        is_of_rollouts: whether it says something else to a learner that stores old steps.
    """

    low: float
    high: float
    help: str
    most: int = 0
    is_of_rollouts: bool = False

    def find_fault(self, value: Any) -> str:
        """Return what is expected in place of a value, or nothing where it is right."""
        if not self.most:
            noun = "a whole number" if self._is_whole else "a number"
            return "" if self._is_inside(value) else f"{noun} from {self.low:g} to {self.high:g}"
        is_list = isinstance(value, list | tuple) and 1 <= len(value) <= self.most
        if is_list and all(map(self._is_inside, value)):
            return ""
        return f"a list of 1 to {self.most} whole numbers from {self.low:g} to {self.high:g}"

    @property
    def _is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def _is_inside(self, value: Any) -> bool:
        kinds = int if self._is_whole else int | float
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high


# By the names of the library. A learner has those of them that it takes.
TUNABLE = {
    "gamma": Tunable(0.8, 0.9999, "discount of a control step; nearer 1 looks further ahead"),
    "learning_rate": Tunable(1e-5, 3e-3, "step size of the update"),
    "final_learning_rate_share": Tunable(0.0, 1.0, "it falls linearly to this share of itself"),
    "ent_coef": Tunable(0.0, 0.05, "bonus for actions that vary"),
    "log_std_init": Tunable(-3.0, 0.5, "log of the actions' first standard deviation"),
    "std_hold_share": Tunable(0.0, 1.0, "share of the training in which it falls no lower"),
    "noise_correlation": Tunable(
        0.0, 0.95, "of the noise from step to step: whole movements are tried, not single actions"
    ),
    "action_repeat": Tunable(
        1, MOST_REPEATS, "control steps that each action is held for, when scored as well"
    ),
    "noise_std": Tunable(0.0, 0.5, "noise on the actions"),
    "gae_lambda": Tunable(0.8, 1.0, "how far advantages trust what was paid over the critic"),
    "n_steps": Tunable(
        16,
        512,
        "actions of each simulation from update to update; more of them make surer, fewer updates",
        is_of_rollouts=True,
    ),
    "clip_range": Tunable(0.05, 0.4, "how far an update may move the policy"),
    "net_arch": Tunable(8, 512, "sizes of the hidden layers", most=3),
}


@dataclass(frozen=True)
class LearnerKind(Plugin):
    """A learner; its factory makes a ``learning.learner.Learner``, as that says.

    Args:
        title: what prompts and reports call the algorithm.
        is_off_policy: whether it learns from a store of old steps.
        defaults: its hyper-parameters and their defaults; empty: not known here, anything goes.
        record: what checks their values, if there is more to it than their kind.
        slice_steps: env steps of one slice; 0: a rollout, ``n_envs`` times ``n_steps``.
        takes_choices: whether actions may be choices.
    """

    title: str = ""
    is_off_policy: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    record: type[Record] | None = None
    slice_steps: int = 0
    takes_choices: bool = False

    @property
    def tunable(self) -> dict[str, Tunable]:
        """What a program may set of its hyper-parameters; nothing where they are not known."""
        known = {*self.defaults, *self.defaults.get("policy_kwargs", ())}
        return {
            name: bounds
            for name, bounds in TUNABLE.items()
            if name in known and not (self.is_off_policy and bounds.is_of_rollouts)
        }


class LearnerSettings(Record):
    """A learner's name and the hyper-parameters that are not left to its defaults."""

    model_config = ConfigDict(extra="allow")

    algo: Word = Field("ppo", description="ppo, sb3:SAC, …, or an installed one")

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        for name, value in self.given.items():
            try:
                check_values({name: value})
            except ValueError as error:
                raise ValueError(f"{name[:80]}: {error}") from error
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The hyper-parameters by name."""
        return dict(self.model_extra or {})

    @property
    def kind(self) -> LearnerKind:
        """The facts about the learner.

        Raises:
            UnknownNameError: there is none of this name.
        """
        return LEARNERS.find(self.algo)

    def get(self, name: str) -> Any:
        """Return a hyper-parameter, or its default."""
        return {**_COMMON, **self.kind.defaults, **self.given}[name]

    @property
    def title(self) -> str:
        """What prompts and reports call the algorithm."""
        return self.kind.title or self.algo

    @property
    def gamma(self) -> float:
        """Discount of a control step."""
        return float(self.get("gamma"))

    @property
    def slice_steps(self) -> int:
        """Most env steps that are learned from at once: by so many a training may overshoot."""
        n_steps = self.get("train_freq" if self.kind.slice_steps else "n_steps")
        n_steps *= self.get("action_repeat")
        return self.kind.slice_steps + int(self.get("n_envs")) * int(n_steps)

    def merge(self, other: LearnerSettings | None) -> LearnerSettings:
        """Return the settings with those of a task: hyper-parameters of one learner add up."""
        if other is None or other.algo != self.algo:
            return other or self
        return LearnerSettings(algo=self.algo, **{**self.given, **other.given})

    def choose(self, values: Mapping[str, Any]) -> LearnerSettings:
        """Return the settings with what a program chose, as far as the learner takes it."""
        known = self.kind.tunable
        chosen = {name: value for name, value in values.items() if name in known}
        inner = {
            name: chosen.pop(name)
            for name in values
            if name not in self.kind.defaults and name in chosen
        }
        if inner:
            chosen["policy_kwargs"] = {**self.given.get("policy_kwargs", {}), **inner}
        return LearnerSettings(algo=self.algo, **{**self.given, **chosen})

    def check(self) -> None:
        """Refuse what the learner does not know, without importing it.

        Raises:
            UnknownNameError: there is no such learner, or it has no such hyper-parameter.
            UsageError: a hyper-parameter is not of the kind of its default, or out of its range.
        """
        kind, n_envs = self.kind, self.get("n_envs")
        if kind.defaults:
            _check_like(self.given, kind.defaults, f"hyper-parameter of {self.algo}")
        if not isinstance(n_envs, int) or not 1 <= n_envs <= MOST_ENVIRONMENTS:
            raise UsageError(
                f"n_envs of {self.algo} is {n_envs}",
                f"give at most {MOST_ENVIRONMENTS}, at least 1",
            )
        try:
            if kind.record is not None:
                kind.record.model_validate(self.given)
        except ValidationError as error:
            wrong = error.errors()[0]
            name = ".".join(map(str, wrong["loc"]))
            raise UsageError(f"{name} of {self.algo}: {wrong['msg']}", "correct it") from error

    def require(self) -> None:
        """See that the learner is installed here, without importing it.

        Raises:
            UsageError: it is not; the message names the install command.
        """
        kind = self.kind
        if kind.missing:
            raise UsageError(f"the learner {self.algo} needs {kind.missing}", kind.way_out)


def read_earlier_table(given: Any, others: str = "") -> Any:
    """Take a table ``ppo``, which earlier cards, tasks and runs have: settings of that learner.

    Where another learner is named beside it, it is one of the ``others``, if there is such a key.
    """
    ppo = given.get("ppo") if isinstance(given, Mapping) else None
    learner = given.get("learner") or {} if isinstance(given, Mapping) else None
    if not isinstance(ppo, Mapping) or not isinstance(learner, Mapping):
        return given
    kept = {name: value for name, value in given.items() if name != "ppo"}
    if learner.get("algo", "ppo") != "ppo":
        return {**kept, others: [{"algo": "ppo", **ppo}]} if others else kept
    return {**kept, "learner": {**ppo, **learner}} if ppo else kept


def _check_like(given: Mapping[str, Any], defaults: Mapping[str, Any], noun: str) -> None:
    """Refuse names without a default, here and in tables within, and values of another kind.

    What has no plain number as its default may be anything.
    """
    for name, value in given.items():
        if name not in defaults:
            raise UnknownNameError(noun, name, defaults)
        default = defaults[name]
        kind = _KINDS.get(type(default), object)
        is_flag = isinstance(value, bool) and not isinstance(default, bool) and kind is not object
        if not isinstance(value, kind) or is_flag:
            raise UsageError(f"{name} = {value!r}, a {noun}: its default is {default!r}", _REMEDY)
        if isinstance(default, Mapping):
            _check_like(value, default, f"{name} key")
        elif default is _ACTIVATIONS and value not in _ACTIVATIONS:
            raise UnknownNameError(name, str(value), _ACTIVATIONS)


_REMEDY = "give a value of that kind"
_KINDS: dict[type, Any] = {bool: bool, int: int, float: int | float, dict: Mapping}
_ACTIVATIONS = ("tanh", "relu")  # what a policy file knows

# What every learner is asked for, here for those of which nothing else is known.
_COMMON: dict[str, Any] = {
    "n_envs": 16,
    "n_steps": 1024,
    "train_freq": 1,
    "action_repeat": 1,
    "gamma": 0.99,
    "normalize_observation": True,
    "normalize_reward": False,
}

# What Stable-Baselines3 and sb3-contrib 2.9 take, but for what a table cannot say (classes, paths,
# devices) and for exploration that depends on the state (use_sde), which a policy file has not.
# Ours are n_envs, normalize_… and noise_std, by RL Zoo's names.
_ON_POLICY: dict[str, Any] = {
    "n_envs": 4,
    "normalize_observation": True,
    "normalize_reward": True,
    "learning_rate": 3e-4,
    "n_steps": 2048,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "normalize_advantage": True,
    "policy_kwargs": {
        **dict.fromkeys(("net_arch", "log_std_init", "ortho_init")),
        "activation_fn": _ACTIVATIONS,
    },
}
_GRADIENT = {"ent_coef": 0.0, "vf_coef": 0.5, "max_grad_norm": 0.5}
_PPO = {
    "batch_size": 64,
    "n_epochs": 10,
    "clip_range": 0.2,
    "clip_range_vf": None,
    "target_kl": None,
    **_GRADIENT,
}
_A2C = {
    "learning_rate": 7e-4,
    "n_steps": 5,
    "gae_lambda": 1.0,
    "normalize_advantage": False,
    "rms_prop_eps": 1e-5,
    "use_rms_prop": True,
    **_GRADIENT,
}
_TRPO = {
    "learning_rate": 1e-3,
    "batch_size": 128,
    "cg_max_steps": 15,
    "cg_damping": 0.1,
    "line_search_shrinking_factor": 0.8,
    "line_search_max_iter": 10,
    "n_critic_updates": 10,
    "target_kl": 0.01,
    "sub_sampling_factor": 1,
}

_OFF_POLICY: dict[str, Any] = {
    "n_envs": 1,
    "normalize_observation": True,
    # Old steps are learned from again: their rewards would change with every new one.
    "normalize_reward": False,
    "noise_std": 0.0,
    "learning_rate": 3e-4,
    "buffer_size": 1_000_000,
    "learning_starts": 100,
    "batch_size": 256,
    "gamma": 0.99,
    "train_freq": 1,
    "gradient_steps": 1,
    "n_steps": 1,
    "policy_kwargs": {"net_arch": None, "n_critics": None, "activation_fn": _ACTIVATIONS},
}
_ENTROPY = {"ent_coef": "auto", "target_entropy": "auto"}
_SAC = {"tau": 0.005, "target_update_interval": 1, **_ENTROPY}
# A policy that does not vary its actions by itself explores nothing without noise.
_DDPG = {"tau": 0.005, "learning_rate": 1e-3, "noise_std": 0.1}
_TD3 = {"policy_delay": 2, "target_policy_noise": 0.2, "target_noise_clip": 0.5, **_DDPG}
_TQC = {
    "top_quantiles_to_drop_per_net": 2,
    "policy_kwargs": {**_OFF_POLICY["policy_kwargs"], "n_quantiles": None},
    **_SAC,
}
_CROSSQ = {"learning_rate": 1e-3, "policy_delay": 3, **_ENTROPY}
_OFF_POLICY_SLICE = 1000


_OURS = LearnerKind(
    "ppo",
    "reward_agent.learning.ppo:PPO",
    "proximal policy optimisation, fast for many environments",
    title="PPO",
    defaults=PPOSettings().model_dump(),
    record=PPOSettings,
    takes_choices=True,
)
_LIBRARY = (
    ("PPO", "Stable-Baselines3's PPO", _ON_POLICY, _PPO, ""),
    ("A2C", "advantage actor-critic", _ON_POLICY, _A2C, ""),
    ("SAC", "soft actor-critic", _OFF_POLICY, _SAC, ""),
    ("TD3", "twin delayed DDPG", _OFF_POLICY, _TD3, ""),
    ("DDPG", "deterministic policy", _OFF_POLICY, _DDPG, ""),
    ("TRPO", "trust region", _ON_POLICY, _TRPO, "contrib"),
    ("TQC", "truncated quantile critics", _OFF_POLICY, _TQC, "contrib"),
    ("CrossQ", "SAC without target networks", _OFF_POLICY, _CROSSQ, "contrib"),
)
_ROWS = [
    LearnerKind(
        f"sb3:{name}",
        "reward_agent.learning.sb3:make_learner",
        help,
        package="sb3_contrib" if extra else "stable_baselines3",
        extra=extra,
        title=name,
        is_off_policy=base is _OFF_POLICY,
        defaults={**base, **changes},
        slice_steps=_OFF_POLICY_SLICE if base is _OFF_POLICY else 0,
        takes_choices=base is _ON_POLICY,
    )
    for name, help, base, changes, extra in _LIBRARY
]
LEARNERS = Seam("learner", "reward_agent.learners", LearnerKind, (_OURS, *_ROWS))
