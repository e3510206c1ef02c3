"""A person with a chat window designs: prompts as files, stopped in the middle and taken up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import reward_agent

COMMAND = [sys.executable, "-m", "reward_agent", "design"]
TASK = ["--env=inverted_pendulum", "--task=balance", "--provider=manual", "--model=a chat"]
SMALL = ["--candidates=1", "--iterations=1", "--steps=2048", "--winner-seeds=0", "--no-video"]
PROGRAM = """Here it is:

```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    return upright, {"upright": upright}
```
"""
ANALYSIS = {"failure_mode": "none", "evidence": ["it stands"], "next_change": "none", "keep": True}
CRITIQUE = {"verdict": "accept", "summary": "sound", "risks": []}


def wait_for_prompt(runs: Path, kind: str) -> Path:
    for _ in range(600):
        found = sorted(runs.glob(f"*/manual/*-{kind}-*.prompt.md"))
        if found:
            return found[0]
        time.sleep(0.1)
    pytest.fail(f"no prompt of {kind} came up")


def answer(prompt: Path, text: str) -> None:
    (prompt.parent / prompt.name.replace(".prompt.", ".reply.")).write_text(text)


def test_a_person_designs_is_interrupted_and_goes_on(tmp_path: Path) -> None:
    where = [f"--runs-dir={tmp_path}"]
    first = subprocess.Popen(
        [*COMMAND, *TASK, *SMALL, *where], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    answer(wait_for_prompt(tmp_path, "designer-first"), PROGRAM)
    wait_for_prompt(tmp_path, "critic-review")
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=30)
    assert first.returncode == 130
    assert b"waiting for" in told
    assert b"--resume" in told

    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(
            reward_agent.resume_run, "last", runs_dir=tmp_path, environ={}, provider="manual",
            model="a chat",
        )  # fmt: skip
        answer(wait_for_prompt(tmp_path, "critic-review"), json.dumps(CRITIQUE))
        answer(wait_for_prompt(tmp_path, "analyzer-analyse"), json.dumps(ANALYSIS))
        run = again.result(60)
    assert run.designer == "manual: a chat"
    assert run.winner is not None
    assert run.usage.n_calls == 3
    # Nothing was asked for a second time.
    assert len(list(tmp_path.glob("*/manual/*.prompt.md"))) == 3
