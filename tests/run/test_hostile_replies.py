"""Replies that break parsers end their candidate, as they come, on resume and on replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.runs import SMALL

import reward_agent
from reward_agent.records.store import load_run

HEAD = "def compute_reward(state, action, next_state):\n"
GOOD = f"```python\n{HEAD}    upright = 1.0 - np.abs(next_state.pole_angle)\n    return upright, {{'upright': upright}}\n```"
REPLIES = [
    f"```python\n{HEAD}    a = b\n    b = a\n    for x in a:\n        for i in range(x):\n            pass\n    return a, {{}}\n```",
    f"```python\nx = {'(' * 50_000}1{')' * 50_000}\n{HEAD}    return x, {{}}\n```",
    f"```python\n{HEAD}    return {'-' * 50_000}1, {{}}\n```",
    f"```python\n{HEAD}    return state{'.a' * 30_000}, {{}}\n```",
    f"```python\n\0{HEAD}    return 1\u202e, {{}}\n```",
    f"```python\n{HEAD}    return {'9' * 100_000}, {{}}\n```",
    f"```python\n{HEAD}    return 1e999 ** 1e999 ** 1e999, {{}}\n```" + "x" * 10**6,
    "{" * 200_000,
]


def list_outcomes(runs: Path, run: str) -> list[str]:
    store = load_run(run, runs)
    return [
        str(candidate.outcome)
        for index in store.list_iterations()
        for candidate in store.read_iteration(index).candidates
    ]


@pytest.mark.parametrize("start", [0, 4])
def test_each_is_the_end_of_its_candidate_alone(start: int, tmp_path: Path) -> None:
    said = [*REPLIES[start : start + 4], GOOD]
    script = tmp_path / "replies.jsonl"
    script.write_text("\n".join(json.dumps({"reply": text}) for text in said), "utf-8")
    runs = tmp_path / "runs"
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}", environ={}, runs_dir=runs,
        candidates=len(said), critic=False, analyzer=False, max_repairs=0, **SMALL,
    )  # fmt: skip
    outcomes = list_outcomes(runs, run.id)
    assert outcomes[-1] == "trained"
    assert all(text.startswith(("rejected", "no program")) for text in outcomes[:-1]), outcomes
    assert max(map(len, outcomes)) < 2100
    # What was stored is read again: by a run that goes on, and by one that repeats it.
    (load_run(run.id, runs).dir / "iterations" / "0" / "iteration.json").unlink()
    again = reward_agent.resume_run(
        run.id, runs_dir=runs, environ={}, provider=f"scripted:{script}"
    )
    assert list_outcomes(runs, again.id) == outcomes
    replayed = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"replay:{run.id}", environ={}, runs_dir=runs,
        candidates=len(said), critic=False, analyzer=False, max_repairs=0, **SMALL,
    )  # fmt: skip
    assert list_outcomes(runs, replayed.id) == outcomes
