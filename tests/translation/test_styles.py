"""Other styles than the thirty: what is taken pays what plain Python pays with the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.people import WHOLE, make_ground
from translation.styles import REFUSED, TAKEN

from reward_agent.rewards.program import CompiledReward, load_functions
from reward_agent.translation.parity import pay_ours
from reward_agent.translation.translate import translate_file


def pay_in_python(text: str, call: str, steps: Any) -> list[float]:
    """Run a file as it is, on consecutive steps of one simulation."""
    names: dict[str, Any] = {"__name__": "math"}
    exec(text, names)
    objects: list[Any] = []

    def kept(make: Callable[[], Any]) -> Any:
        if not objects:
            objects.append(make())
        return objects[0]

    paid = []
    for step in steps:
        after = step.next_state.fields
        given = {
            "obs": step.state.observation[0],
            "action": step.action[0],
            "next_obs": step.next_state.observation[0],
            "done": bool(step.terminated[0]),
            "info": {"x_position": after["x_position"][0]} if "x_position" in after else {},
            "kept": kept,
        }
        paid.append(float(eval(call, names, given)))
    return paid


@pytest.mark.parametrize("name", TAKEN)
def test_a_style_is_taken_and_pays_the_same(name: str) -> None:
    env, call, text = TAKEN[name]
    ground = make_ground(env)
    result = translate_file(text.encode(), replace(ground, runs_python=True))
    assert result.program is not None, [f"{f.message}; {f.remedy}" for f in result.findings]
    assert result.original == "the file", result.notes
    assert max(row.difference for row in result.parity) < 1e-6
    if call:
        stretch = ground.stretches[WHOLE]
        ours = pay_ours(CompiledReward(load_functions(result.program), 0.99), stretch)
        steps = [*stretch.steps, *stretch.later]
        assert ours.tolist() == pytest.approx(pay_in_python(text, call, steps), abs=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_a_style_is_refused_with_what_to_write(name: str) -> None:
    env, words, text = REFUSED[name]
    result = translate_file(text.encode(), make_ground(env))
    assert result.program is None
    told = " ".join(f"{item.message} {item.remedy}" for item in result.findings)
    assert [word for word in words if word not in told] == []


TABLE = """\
import numpy as np
from isaaclab.envs import mdp

def forward(env):
    return env.data.root_lin_vel_b[:, 0]

TERMS = {
    "forward": {"func": forward, "weight": 1.0},
    "height": {
        "func": mdp.base_height_l2, "weight": -1.0},
}
"""
CONFIGURED = """\
from isaaclab.managers import RewardTermCfg as RewTerm
import isaaclab.envs.mdp as mdp

class RewardsCfg:
    alive = RewTerm(func=mdp.is_alive, weight=0.5)
    air = RewTerm(
        func=mdp.feet_air_time, weight=0.5, params={"threshold": 0.5}
    )

    def __post_init__(self):
        self.alive.weight = 1.0
"""


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [(TABLE, 9, "target_height"), (CONFIGURED, 6, "def feet_air_time(env)")],
)
def test_a_term_of_a_table_is_told_of_at_its_own_line(text: str, line: int, word: str) -> None:
    [finding] = translate_file(text.encode(), make_ground("ant")).findings
    assert (finding.line, word in finding.remedy) == (line, True)


def test_milestones_are_remembered_for_each_simulation() -> None:
    result = translate_file(TAKEN["milestones"][2].encode(), make_ground("hopper"))
    assert result.program is not None
    step = make_ground("hopper").stretches[0].steps[0]
    assert np.all(pay_far(result.program, step) == [10.0, 0.0, 20.0, 0.0])


def pay_far(program: str, step: Any) -> list[float]:
    from reward_agent.simulation.state import State

    reward = CompiledReward(load_functions(program), 0.99)
    reward.begin(step.state)
    paid = []
    for position in (0.7, 0.8, 2.5, 2.6):
        after = State({**step.next_state.fields, "x_position": np.array([position])})
        paid += reward.step(step.state, step.action, after, step.terminated).reward.tolist()
    return paid
