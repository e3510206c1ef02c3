"""A rollout of a whole round looks at no number: it runs on tensors that have none.

What the host would have to wait for on a GPU is a number of one of them, and ends the test.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

pytest.importorskip("mujoco_warp", reason="pip install 'reward-agent[gpu]'")

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.learner import PPOSettings
from reward_agent.device import round as rounds
from reward_agent.device.fields import FieldRunner, trace_fields
from reward_agent.device.program import ProgramRunner
from reward_agent.device.stack import Seat
from reward_agent.types import RewardProgram
from reward_agent.worker.trace import trace_program

pytestmark = pytest.mark.gpu

CARD = load_env("hopper")
REMEMBERS = """
def init_memory(state):
    return {"best": state.x_position.copy()}


def compute_reward(state, action, next_state, memory):
    best = np.maximum(memory["best"], next_state.x_position)
    progress = best - memory["best"]
    effort = -0.001 * np.sum(np.square(action), axis=-1)
    return progress + effort, {"progress": progress, "effort": effort}, {"best": best}


def potential(state):
    return np.interp(state.torso_height, [0.7, 1.2], [0.0, 1.0])
"""


MODE = FakeTensorMode()


def make_round(monkeypatch: pytest.MonkeyPatch) -> rounds.Round:
    """Return a round of tensors without numbers, whose worlds stand still."""
    fields = trace_fields(CARD)
    shapes = FieldRunner(fields, 2, "cpu").inputs

    def stand_still(card: EnvCard, n: int, *_: Any) -> SimpleNamespace:
        arrays = {name: torch.zeros((n, *shape), device="cpu") for name, shape in shapes.items()}
        has_diverged = torch.zeros(n, dtype=torch.bool, device="cpu")
        ignore: Callable[[torch.Tensor], None] = lambda _: None  # noqa: E731
        return SimpleNamespace(
            read=arrays.__getitem__, advance=ignore, reset=ignore, has_diverged=has_diverged
        )

    monkeypatch.setattr(rounds, "Worlds", stand_still)
    monkeypatch.setattr(rounds, "trace_fields", lambda *_: fields)

    def put(_: object, values: Any, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(np.shape(values), dtype=dtype, device="cpu")

    monkeypatch.setattr(rounds.Stack, "_put", put)
    program = trace_program(REMEMBERS, CARD, 0.99)
    seats = [Seat(PPOSettings(net_arch=(8, 8)), seed, 1000) for seed in range(2)]
    with MODE:
        return rounds.Round(
            CARD,
            {program.program_sha256: ProgramRunner(program, 6, "cpu")},
            [RewardProgram(REMEMBERS).sha256] * 2,
            seats,
            rounds.Shape(3, 4),
            "cpu",
            seed=1,
        )


def run(ours: rounds.Round) -> None:
    with MODE:
        ours._run(torch.zeros((2, 4, 3, CARD.n_actions), device="cpu"), ours._begin())


def test_a_rollout_asks_the_host_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = make_round(monkeypatch)
    run(ours)
    assert ours._states.lengths.shape == (6,)


def test_a_decision_of_the_host_in_it_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = make_round(monkeypatch)
    act = ours.stack.act
    monkeypatch.setattr(ours.stack, "act", lambda *a: act(*a) * float(a[0].sum() > 0))
    with pytest.raises(DataDependentOutputException):
        run(ours)
