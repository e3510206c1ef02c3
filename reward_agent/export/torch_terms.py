"""The terms of ``reward.py`` over torch tensors, as mjlab and Isaac Lab take them.

A reward there is a table of terms, each a function of the environment that returns ``(num_envs,)``:

    from torch_terms import make_terms

    def read_fields(env):
        robot = env.scene["robot"].data
        return {"torso_height": robot.root_link_pos_w[:, 2], ...}  # every name in FIELDS

    terms = make_terms(read_fields)
    cfg.rewards = {
        name: RewardTermCfg(func=term, weight=1.0 / env_step_dt) for name, term in terms.items()
    }

Their managers multiply by the time of a step, hence the weight. What each field is, with its unit,
stands at ``class State`` of ``reward.py``. The program is NumPy; torch traces it into operations on
tensors, on whatever device these lie. A potential and a memory it must not have.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import reward  # type: ignore[import-not-found]

FIELDS: tuple[str, ...] = tuple(reward.METADATA["fields"])
Tensors = Mapping[str, torch.Tensor]


class Instant:
    """Some fields of all simulations at one instant."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        for name, values in fields.items():
            setattr(self, name, values)


@torch.compiler.wrap_numpy  # type: ignore[untyped-decorator]
def _pay(before: Mapping[str, Any], action: Any, after: Mapping[str, Any]) -> Any:
    return reward.compute_reward(Instant(before), action, Instant(after))


class TermTable:
    """What a step pays, by term: computed once a step, whichever term asks first.

    Args:
        read_fields: takes the environment, returns the ``FIELDS``, each ``(num_envs,)`` or
            ``(num_envs, k)``.
        read_action: takes the environment, returns the action ``(num_envs, n_actions)``.
        backend: of ``torch.compile``; ``eager`` needs no compiler, ``inductor`` is faster.
    """

    def __init__(
        self,
        read_fields: Callable[[Any], Tensors],
        read_action: Callable[[Any], torch.Tensor],
        backend: str = "eager",
    ) -> None:
        self._read_fields, self._read_action = read_fields, read_action
        self._pay = torch.compile(_pay, backend=backend, fullgraph=True)
        self._last: dict[str, torch.Tensor] = {}
        self._terms: Tensors = {}
        self._step = -1

    def compute(self, env: Any, name: str) -> torch.Tensor:
        """Return what a term pays in this step; the first step of an episode begins where it is."""
        if self._step != env.common_step_counter:
            self._advance(env)
            self._step = env.common_step_counter
        return self._terms[name]

    def _advance(self, env: Any) -> None:
        now = {name: values.clone() for name, values in self._read_fields(env).items()}
        is_new = env.episode_length_buf <= 1
        before = {
            name: torch.where(_widen(is_new, values), values, self._last.get(name, values))
            for name, values in now.items()
        }
        _, self._terms = self._pay(before, self._read_action(env), now)
        self._last = now


def _widen(rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return rows.reshape(-1, *[1] * (values.dim() - 1))


def make_terms(
    read_fields: Callable[[Any], Tensors],
    read_action: Callable[[Any], torch.Tensor] = lambda env: env.action_manager.action,
    names: tuple[str, ...] = tuple(reward.METADATA["terms"]),
    backend: str = "eager",
) -> dict[str, Callable[..., torch.Tensor]]:
    """Return a function of the environment for each term; see ``TermTable``."""
    table = TermTable(read_fields, read_action, backend)

    def make(name: str) -> Callable[..., torch.Tensor]:
        def term(env: Any, **_: Any) -> torch.Tensor:
            return table.compute(env, name)

        term.__name__ = name
        return term

    return {name: make(name) for name in names}
