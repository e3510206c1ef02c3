"""The same road with a language model behind the wire: real SDKs, all three agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import reward_agent
from reward_agent.errors import RejectedKeyError
from reward_agent.store import find_run, list_runs
from reward_agent.testing import FakeLLMServer, HttpFault, Say

PROGRAM = """```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    effort = np.sum(np.square(action), axis=-1)
    terms = {"upright": upright, "effort": -0.001 * effort}
    return sum(terms.values()), terms
```"""
REVISED = PROGRAM.replace("0.001", "0.0005")
RISK = {"kind": "flooding", "line": 3, "evidence": "effort is small", "remedy": "lower it"}
CRITIQUE = json.dumps({"verdict": "revise", "summary": "effort fights balance", "risks": [RISK]})
ANALYSIS = json.dumps(
    {
        "failure_mode": "drift",
        "evidence": ["cart_position reaches 1.0"],
        "next_change": "pay for the middle of the rail",
        "keep": True,
    }
)
KEY = "sk-test-4f7b2c9e1a"


def design(folder: Path, provider: str, server: FakeLLMServer, **options: Any) -> Any:
    is_anthropic = provider == "anthropic"
    variable = "ANTHROPIC_API_KEY" if is_anthropic else "OPENAI_API_KEY"
    return reward_agent.design(
        "inverted_pendulum",
        "balance",
        provider=provider,
        base_url=server.anthropic_url if is_anthropic else server.openai_url,
        environ={variable: KEY},
        runs_dir=folder / "runs",
        candidates=1,
        iterations=1,
        steps=4096,
        winner_seeds=0,
        eval_episodes=2,
        video=False,
        **options,
    )


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_model_designs_reviews_and_analyses(provider: str, tmp_path: Path) -> None:
    steps = [Say(PROGRAM), Say(CRITIQUE), Say(REVISED), HttpFault(529), Say(ANALYSIS)]
    with FakeLLMServer(steps) as server:
        run = design(tmp_path, provider, server)
        assert server.n_requests == len(steps)
    store = find_run(run.id, tmp_path / "runs")
    [candidate] = store.read_iteration(0).candidates
    folder = store.candidate_dir(0, candidate.id)
    assert candidate.is_revised
    assert candidate.usage.n_calls == 4
    assert "0.0005" in (folder / "reward.py").read_text()
    assert json.loads((folder / "analysis.json").read_text())["failure_mode"] == "drift"
    assert run.designer.startswith(f"{provider}: ")
    assert run.usage.output_tokens == 40
    written = [path for path in store.dir.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_a_rejected_key_stops_the_run_and_resuming_pays_for_nothing_twice(tmp_path: Path) -> None:
    with FakeLLMServer([Say(PROGRAM), HttpFault(401)]) as server:
        with pytest.raises(RejectedKeyError):
            design(tmp_path, "openai", server)
        assert server.n_requests == 2
    [store] = list_runs(tmp_path / "runs")
    assert store.read_run().status == "failed"
    with FakeLLMServer([Say(CRITIQUE), Say(REVISED), Say(ANALYSIS)]) as server:
        environ = {"OPENAI_API_KEY": KEY}
        run = reward_agent.resume_run(
            "last", runs_dir=tmp_path / "runs", environ=environ, base_url=server.openai_url
        )
        assert server.n_requests == 3
    assert run.winner is not None
