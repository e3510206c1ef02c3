"""A card's fields on a device are those that the CPU reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reward_agent.definitions.card import load_env
from reward_agent.device.fields import OUTSIDE, FieldRunner, trace_fields
from reward_agent.device.operations import ALLOWED
from reward_agent.errors import DataError
from reward_agent.simulation.mujoco_batch import BatchSimulation

N = 16


@pytest.mark.parametrize(
    "env",
    ["hopper", "half_cheetah", "walker2d", "ant", "humanoid", "reacher", "inverted_pendulum"],
)
def test_fields_of_shipped_robots_are_those_of_the_cpu(env: str) -> None:
    card = load_env(env)
    operations = trace_fields(card)
    assert {step.op for step in operations.steps} <= ALLOWED
    runner = FieldRunner(operations, N, "cpu")
    simulation, rng = BatchSimulation(card, N, seed=0), np.random.default_rng(0)
    simulation.reset()
    for _ in range(12):
        simulation.step(rng.uniform(*card.action_range, (N, card.n_actions)))
    arrays = {
        name: torch.tensor(np.array(simulation._batch.bind(name)), dtype=torch.float32)
        for name in runner.inputs
    }
    assert {name: tuple(array.shape[1:]) for name, array in arrays.items()} == runner.inputs
    found = runner(arrays)
    for name, expected in simulation.read_state().fields.items():
        np.testing.assert_allclose(
            found[name].numpy(), expected, rtol=1e-5, atol=2e-6 * (1 + np.abs(expected).max())
        )
    assert (found[OUTSIDE].numpy() == simulation.find_terminated()).all()


def test_what_a_card_draws_is_refused_with_its_field() -> None:
    card = load_env("hopper")
    field = card.state[0].model_copy(update={"source": "draw:goal", "size": None})
    with pytest.raises(DataError, match="cannot be computed on a device"):
        trace_fields(card.model_copy(update={"state": (field, *card.state[1:])}))
