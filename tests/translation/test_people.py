"""Thirty rewards as people brought them: each is taken and pays what it must, or says what to write."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.people import make_ground

from reward_agent.definitions.card import load_env
from reward_agent.rewards.program import CompiledReward, load_functions
from reward_agent.simulation.state import State
from reward_agent.translation.translate import translate_file

FOLDER = Path(__file__).parent / "people"
PEOPLE = [json.loads(line) for line in (FOLDER / "index.jsonl").read_text().splitlines()]


def read_state(env: str, steps: list[Any], key: str) -> State:
    size = load_env(env).observation_size
    fields = {name: [step[key][name] for step in steps] for name in steps[0][key]}
    arrays = {name: np.array(values, float) for name, values in fields.items()}
    arrays["observation"] = np.pad(
        arrays["observation"], [(0, 0), (0, size - arrays["observation"].shape[1])]
    )
    return State(arrays)


def pay(program: str, env: str, steps: list[Any]) -> list[float]:
    reward = CompiledReward(load_functions(program), 0.99)
    groups = [steps] if steps and steps[0]["batch"] and len(steps) > 1 else [[s] for s in steps]
    paid: list[float] = []
    for number, group in enumerate(groups):
        before, after = (read_state(env, group, key) for key in ("state", "next_state"))
        if number == 0 or group[0]["reset"]:
            reward.begin(before)
        ended = np.array([step["terminated"] for step in group])
        action = np.array([step["action"] for step in group], float)
        paid += reward.step(before, action, after, ended).reward.tolist()
    return paid


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person["file"])
def test_a_persons_reward_is_taken_or_told_what_to_write(person: dict[str, Any]) -> None:
    data = (FOLDER / f"{person['file']}.txt").read_bytes()
    ground = replace(make_ground(person["env"]), runs_python=True)
    result = translate_file(data, ground)
    told = " ".join(f"line {item.line} {item.message} {item.remedy}" for item in result.findings)
    if person["taken"]:
        assert result.program is not None, told
        # In a batch of one, what mixes the simulations pays something else.
        steps = [s for s in person["steps"] if not s["batch"]] or person["steps"][:3]
        expected = [step["reward"] for step in steps]
        assert pay(result.program, person["env"], steps) == pytest.approx(expected, abs=1e-5)
        assert all(row.difference < 1e-6 for row in result.parity)
    else:
        assert result.program is None
        assert [word for word in person["names"] if word not in told] == []


def test_what_mixes_the_simulations_is_warned_of_at_each_line() -> None:
    data = (FOLDER / "cheetah_wrong_axis.py.txt").read_bytes()
    findings = translate_file(data, make_ground("half_cheetah")).findings
    assert {9, 10} <= {item.line for item in findings if "axis=-1" in item.remedy}
