"""What the Designer is told of earlier programs, and runs without screens."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import runs
from support.runs import read_prompt

import reward_agent
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import load_run

PROGRAM = runs.PROGRAM % 0.2


@pytest.mark.parametrize("kind", ["rounds", "terms", "score"])
def test_the_second_prompt_says_as_much_as_is_recalled(tmp_path: Path, kind: str) -> None:
    script = tmp_path / "replies.md"
    script.write_text(f"--- reply ---\n{PROGRAM}\n" * 2)
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}", runs_dir=tmp_path,
        environ={}, candidates=1, iterations=2, winner_seeds=0, steps=2048, eval_episodes=2,
        critic=False, analyzer=False, video=False, recall=kind, screens=kind == "rounds",
    )  # fmt: skip
    store = load_run(run.id, tmp_path)
    [first], [second] = (store.read_iteration(index).candidates for index in (0, 1))
    assert first.outcome == TRAINED
    prompt = read_prompt(store, 1, 0)
    told = {
        "program": "upright = tolerance(" in prompt,
        "terms": "Reward terms, of the policy without noise in these episodes" in prompt,
        "behaviour": "Fields, all episodes" in prompt,
        "history": "What was tried" in prompt,
    }
    known = {"rounds": 4, "terms": 2, "score": 1}[kind]
    assert list(told.values()) == [True] * known + [False] * (4 - known), told
    # Without screens the same program is trained once more.
    is_refused = str(second.outcome).startswith("rejected: the same program")
    assert is_refused == (kind == "rounds"), second.outcome
    assert second.id != first.id
