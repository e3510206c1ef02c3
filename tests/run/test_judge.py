"""A model that sees watches the films of a run: over the real SDKs, beside the metric."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import reward_agent
from reward_agent.designers.history import list_judgements
from reward_agent.llm.replies import read_calls, read_replies
from reward_agent.records.events import Event, Judged, Warned
from reward_agent.records.judgement import FRAMES_FILE, make_code
from reward_agent.records.store import RunStore, load_run
from reward_agent.testing import FakeLLMServer, ReceivedRequest, Say, Step

PROGRAM = """```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    return upright, {"upright": upright}
```"""
ANALYSIS = json.dumps(
    {"failure_mode": "drift", "evidence": ["x"], "next_change": "y", "keep": True}
)
KEY = "sk-test-4f7b2c9e1a"
VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
WATCHING = "You watch a film"
SMALL: dict[str, Any] = {
    "candidates": 1, "iterations": 1, "steps": 2048, "winner_seeds": 0, "eval_episodes": 2,
    "critic": False, "video": False, "racing": "none", "early_stop": False,
}  # fmt: skip


class Model:
    """Writes the program, explains it, and judges as it is told.

    Args:
        runs_dir: where the run lies, of whose candidate the sheet's code is.
        answers: what the judge says of each criterion; of all others, that it cannot see.
        blind: what is answered to a picture instead.
        codes: what it reads in the corner at first; then what stands there.
    """

    def __init__(
        self,
        runs_dir: Path,
        answers: Mapping[int, str] = {},
        blind: Step | None = None,
        codes: tuple[str, ...] = (),
    ) -> None:
        self.seen: list[bytes] = []
        self.told: list[str] = []
        self._runs_dir, self._answers, self._blind = runs_dir, answers, blind
        self._codes = list(codes)

    def __call__(self, request: ReceivedRequest) -> Step:
        if WATCHING in request.text:
            self.seen += request.pictures
            return self._blind or Say(self._judge(request), input_tokens=3000, output_tokens=90)
        if "You explain" in request.text:
            self.told.append(request.text)
            return Say(ANALYSIS)
        return Say(PROGRAM)

    def _judge(self, request: ReceivedRequest) -> str:
        [folder] = self._runs_dir.glob("*/iterations/0/candidates/*")
        code = self._codes.pop(0) if self._codes else make_code(f"{folder.name} 0")
        n_criteria = request.text.count("\\n2. ") and request.text.rsplit("Is it met?", 1)[1]
        numbers = [n for n in range(1, 13) if f"\\n{n}. " in str(n_criteria)]
        answers = [
            {
                "number": n,
                "answer": self._answers.get(n, "cannot see"),
                "frame": n + 1 if n in self._answers else None,
                "reason": f"the pole, as criterion {n} asks ``` \u202e",
            }
            for n in numbers
        ]
        return json.dumps({"code": code, "seen": "a pole falls over", "answers": answers})


def design(
    folder: Path, server: FakeLLMServer, provider: str = "openai", **options: Any
) -> tuple[RunStore, list[Event]]:
    events: list[Event] = []
    url = server.anthropic_url if provider == "anthropic" else server.openai_url
    run = reward_agent.design(
        "inverted_pendulum",
        options.pop("task", "balance"),
        provider=provider,
        base_url=url,
        environ={VARIABLES[provider]: KEY},
        runs_dir=folder / "runs",
        listen=events.append,
        **{"judge": "film"} | SMALL | options,
    )
    return load_run(run.id, folder / "runs"), events


def list_warnings(events: list[Event]) -> list[str]:
    return [
        event.reason for event in events if isinstance(event, Warned) and "judge" in event.reason
    ]


@pytest.mark.parametrize("provider", sorted(VARIABLES))
def test_the_film_goes_to_the_judge_as_a_picture_and_its_answers_stand_beside_the_metric(
    provider: str, tmp_path: Path
) -> None:
    model = Model(tmp_path / "runs", {1: "yes", 2: "yes", 3: "yes"})
    with FakeLLMServer(model) as server:
        store, events = design(tmp_path, server, provider)
    [judgement] = list_judgements(store)
    [sheet] = model.seen
    folder = store.evaluation_dir(0, judgement.candidate, 0)
    assert sheet == (folder / FRAMES_FILE).read_bytes()
    with Image.open(io.BytesIO(sheet)) as picture:
        assert picture.size == (1280, 936)
    assert len(sheet) < 300_000
    assert judgement.criteria[1:] == ("it never does",)
    assert [item.answer for item in judgement.answers] == ["yes", "yes"]
    assert (judgement.times[0], len(judgement.times)) == (0.0, 16)
    # The policy is trained for a second: the metric counts no success.
    assert judgement.success is False
    assert "sees the task done" in judgement.conflict
    [judged] = [event for event in events if isinstance(event, Judged)]
    assert judged.conflict == judgement.conflict
    # The Analyzer is told, behind a fence that the judge's words cannot close.
    [told] = model.told
    assert "````text" in told
    assert "DISAGREEMENT" in told
    assert "\u202e" not in told
    # Its price is in the candidate's and in the run's; the picture is in no database.
    [candidate] = store.read_iteration(0).candidates
    assert candidate.usage.input_tokens >= 3000
    assert [call.agent for call in read_calls(store.dir)] == ["designer", "judge", "analyzer"]
    [reply] = [item for item in read_replies(store.dir) if item.agent == "judge"]
    assert f"sha256 {hashlib.sha256(sheet).hexdigest()[:16]}" in reply.prompt
    assert (store.dir / "replies.sqlite").stat().st_size < 100_000
    written = [path for path in store.dir.rglob("*") if path.is_file()]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
