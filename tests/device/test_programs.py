"""Reward programs traced to operations pay what they pay by NumPy, or say why they have none."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from support.rewards import make_card, make_state, read_cases

from reward_agent.definitions.card import load_env
from reward_agent.device import operations
from reward_agent.device.program import ProgramRunner
from reward_agent.device.tracing import TraceRefusal
from reward_agent.errors import DataError
from reward_agent.records.operations import TracedProgram
from reward_agent.rewards.program import CompiledReward, load_functions
from reward_agent.rewards.trial import sample_steps
from reward_agent.simulation.state import Transition
from reward_agent.worker.trace import check_parity, trace_program

ROOT = Path(__file__).resolve().parents[2]
LEGITIMATE = read_cases("legitimate.txt")
# Of the programs above: what they do that a device does not.
ON_CPU_ONLY = {
    "divide_where_out": "fails on a device",
    "linear_algebra": "not on the list of operations",
    "guarded_numpy": "fails on a device",
    "integer_masks": "np.isin has no form",
    "functions_named_like_methods": "np.insert has no form",
    "defaults_that_are_lists": "decides by the numbers",
    "written_like_models_pad_history": "decides by the numbers",
    "written_like_models_mask_assign": "decides by the numbers",
}
HOPPER = {
    path.parent.name + "/" + path.stem: path.read_text()
    for path in sorted((ROOT / "envs/hopper/tasks").glob("*/*_reward.py"))
}
FAULTS = [
    json.loads(line) for line in (ROOT / "tests/summary/data/faults.jsonl").read_text().splitlines()
]


def make_steps(n_steps: int = 4, n_sims: int = 32) -> list[Transition]:
    """Steps whose fields jump about; some episodes end at each."""
    card, rng = make_card(), np.random.default_rng(7)
    states = [make_state(n_sims, seed) for seed in range(n_steps + 1)]
    return [
        Transition(
            before, rng.uniform(-1, 1, (n_sims, card.n_actions)), after, rng.random(n_sims) < 0.2
        )
        for before, after in itertools.pairwise(states)
    ]


def try_program(source: str, steps: list[Transition] | None = None) -> TracedProgram:
    """Trace a program on the card of the corpora, carry it as JSON, compare it with NumPy."""
    traced = trace_program(source, make_card(), 0.99)
    carried = TracedProgram.model_validate_json(traced.model_dump_json())
    assert carried == traced
    check_parity(carried, CompiledReward(load_functions(source), 0.99), steps or make_steps())
    return carried


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.parametrize("case", LEGITIMATE, ids=lambda case: case.name)
def test_programs_as_models_write_them_pay_the_same(case) -> None:
    if case.name in ON_CPU_ONLY:
        with pytest.raises(TraceRefusal, match=ON_CPU_ONLY[case.name]):
            try_program(case.source)
    else:
        try_program(case.source)


@pytest.mark.parametrize("name", HOPPER)
def test_the_shipped_rewards_of_a_robot_pay_the_same_on_the_probes_steps(name: str) -> None:
    card = load_env("hopper")
    steps = sample_steps(card, 0, [field.name for field in card.fields])
    traced = trace_program(HOPPER[name], card, 0.99)
    check_parity(traced, CompiledReward(load_functions(HOPPER[name]), 0.99), steps)


@pytest.mark.parametrize("fault", FAULTS[::4], ids=lambda fault: fault["name"])
def test_recorded_programs_become_operations_that_are_on_the_list(fault) -> None:
    traced = trace_program(fault["program"], load_env(fault["env"]), 0.99)
    assert {step.op for step in traced.reward.steps} <= operations.ALLOWED


REMEMBERING = """
LIMIT = np.array([1.0, 0.5, 0.25])

def init_memory(state):
    return {"best": np.full(state.torso_height.shape[0], -1.0), "flying": state.torso_height > 9}

def potential(state):
    return -np.abs(state.torso_pitch)

def compute_reward(state, action, next_state, memory):
    best = np.maximum(memory["best"], next_state.torso_height)
    rise = best - memory["best"]
    memory["best"][rise > 0] = 0.0
    flying = memory["flying"] | (next_state.forward_velocity > 0)
    near = np.interp(next_state.torso_pitch, [-1.0, 0.0, 2.0], [0.0, 1.0, 0.5])
    own = np.zeros((len(rise), 3))
    own[:, 1] = near
    own[own > 0.9] = 0.9
    pay = np.add.reduce([rise, own[:, 1], 0.1 * flying]) - (action[:, :3] ** 2) @ LIMIT
    ended = np.where(next_state.terminated > 0.5, -1.0, 0.0)
    return pay + ended, {"rise": rise, "near": near, "const": 2}, {"best": best, "flying": flying}
"""


def test_memory_potential_own_arrays_and_ends_pay_the_same_over_steps() -> None:
    traced = try_program(REMEMBERING)
    assert traced.terms == ("rise", "near", "const", "potential_shaping")


def test_operations_run_for_any_number_of_rows() -> None:
    traced = try_program(REMEMBERING)
    for rows in (1, 5, 300):
        steps = [step.take(np.arange(rows) % 32) for step in make_steps()]
        check_parity(traced, CompiledReward(load_functions(REMEMBERING), 0.99), steps)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("if np.mean(next_state.torso_height) > 1:\n        return x, {}", "np.where"),
        ("x = x[x > 0.7]", "np.where"),
        ("x = x * np.unique(x)[0]", "not on the list|np.where"),
        ("next_state.torso_height[:] = 0", "writes into next_state.torso_height"),
        ("action[:, 0] = 1", "writes into action"),
        ("y = next_state.torso_height[:, None]; y += 1", "writes into next_state.torso_height"),
        ("x = np.polyfit(x, x, 1)[0] * x", "line 4 of the program .* np.polyfit has no form"),
        ("x = x[:3]", "shape"),
        ("x = x / float(x[0])", "np.where"),
    ],
)
def test_what_a_device_cannot_do_is_refused_with_the_reason(body: str, reason: str) -> None:
    source = f"""
def compute_reward(state, action, next_state):
    x = next_state.torso_height * 2
    {body}
    return x, {{}}
"""
    with pytest.raises(TraceRefusal, match=reason):
        trace_program(source, make_card(), 0.99)


def test_a_program_that_single_precision_changes_is_refused() -> None:
    source = """
def compute_reward(state, action, next_state):
    x = (1e8 + next_state.torso_height) - 1e8
    return x, {}
"""
    traced = trace_program(source, make_card(), 0.99)
    with pytest.raises(TraceRefusal, match="in single precision the reward is"):
        check_parity(traced, CompiledReward(load_functions(source), 0.99), make_steps())


@pytest.mark.parametrize(
    "write",
    [
        "np.add(x, 1.0, x)",
        "np.multiply(x, 2.0, out=(x,))",
        "x.ravel()[:] = 0.0",
        "x.T[0] = 0.0",
        "x.swapaxes(0, 1)[0] += 1.0",
        "x[:, 0][:] = 5.0",
        "for row in x.T: row *= 0.0",
        "np.squeeze(x)[:, 1] = 0.0",
    ],
)
def test_whatever_road_a_program_takes_to_an_input_it_is_not_written_to(write: str) -> None:
    source = f"""
def compute_reward(state, action, next_state):
    x = next_state.observation
    {write}
    return x[:, 0] * 1.0, {{}}
"""
    with pytest.raises(TraceRefusal, match=r"writes into next_state.observation"):
        trace_program(source, make_card(), 0.99)


def test_operations_of_another_form_are_no_program() -> None:
    traced = try_program(REMEMBERING)
    for change in (
        {"terms": ("rise",)},
        {"reward": traced.init},
        {"init": traced.reward},
    ):
        with pytest.raises(DataError):
            ProgramRunner(traced.model_copy(update=change), 8, "cpu")
