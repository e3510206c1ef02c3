"""Trackers are fed from the run's directory, each thing once, and never cost the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reward_agent
from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.records.events import Concluded, Event, RunStarted, Warned
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import RunStore
from reward_agent.trackers import follow
from reward_agent.trackers.follow import RunLog, TrackedRun
from reward_agent.trackers.registry import TRACKERS

REPLY = """--- reply ---
```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    return upright, {"upright": upright}
```
"""


class FakeTracker:
    """Remembers what it was told; fails where it is asked to."""

    def __init__(self) -> None:
        self.scalars: list[tuple[str, dict[str, float], int]] = []
        self.texts: dict[str, str] = {}
        self.videos: dict[str, Path] = {}
        self.n_closed = 0
        self.fails = False

    def log_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        if self.fails:
            raise ConnectionError("the server is away")
        self.scalars.append((group, dict(scalars), step))

    def log_text(self, name: str, text: str) -> None:
        self.texts[name] = text

    def log_video(self, name: str, path: Path) -> None:
        self.videos[name] = path

    def close(self) -> None:
        self.n_closed += 1


def design(folder: Path, listen: Any) -> RunStore:
    (folder / "replies.md").write_text(REPLY)
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{folder / 'replies.md'}", environ={},
        runs_dir=folder / "runs", listen=listen, steps=4096, iterations=1, candidates=1,
        winner_seeds=0, eval_episodes=2, critic=False, analyzer=False, video=False,
        early_stop=False,
    )  # fmt: skip
    return RunStore(folder / "runs" / run.id)


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> tuple[RunStore, FakeTracker, list[Event]]:
    """A real run, followed while it ran."""
    folder = tmp_path_factory.mktemp("tracked")
    tracker, events = FakeTracker(), []
    tracked = TrackedRun((), lambda name: RunStore(folder / "runs" / name))
    tracked._openers["fake"] = lambda run_id, folder, config: tracker
    store = design(folder, tracked.listen_with(events.append))
    tracked.close()
    return store, tracker, events


def test_a_run_tells_terms_scores_programs_and_its_winner(followed) -> None:
    store, tracker, events = followed
    winner = store.read_run().winner
    group = f"{winner.candidate}/seed_0"
    rows = [(values, step) for name, values, step in tracker.scalars if name == group]
    training = [step for values, step in rows if "reward/upright" in values]
    assert training[-1] == 4096
    assert training == sorted(set(training))
    assert any("task/task_score" in values for values, _ in rows)
    assert "train/generated_return" in rows[0][0]
    assert "compute_reward" in tracker.texts[f"{winner.candidate}/reward.py"]
    last = tracker.scalars[-1]
    assert last[0] == "run"
    assert last[1]["winner/task_score"] == winner.task_score
    assert tracker.n_closed == 1
    assert not [event for event in events if isinstance(event, Warned)]


def test_a_resumed_run_is_told_only_what_is_new(followed, tmp_path: Path) -> None:
    store, _, _ = followed
    first, again, later = FakeTracker(), FakeTracker(), FakeTracker()
    RunLog(store, tmp_path, first).update()
    RunLog(store, tmp_path, again).update()
    assert first.scalars
    assert again.scalars == []
    assert again.texts == {}
    session = store.dir / "feedback" / "session.jsonl"
    session.parent.mkdir()
    session.write_text('{"kind": "remarked", "text": "it leans"}\n')
    RunLog(store, tmp_path, later).update()
    assert later.texts == {"feedback/0": '{"kind": "remarked", "text": "it leans"}'}


def test_a_tracker_that_fails_costs_its_log_and_not_the_run(followed) -> None:
    store, _, _ = followed
    tracker, warnings = FakeTracker(), []
    tracked = TrackedRun((), lambda name: store)
    tracked._openers["fake"] = lambda run_id, folder, config: tracker
    listen = tracked.listen_with(warnings.append)
    (store.dir / "tracking" / "fake" / "told.json").unlink()
    tracker.fails = True
    listen(RunStarted(store.dir.name, "inverted_pendulum", "balance", "s", "scripted"))
    listen(Concluded(0, "a", TRAINED, 1.0))
    listen(Concluded(0, "a", TRAINED, 1.0))
    reasons = [event.reason for event in warnings if isinstance(event, Warned)]
    assert reasons == ["the tracker fake is left out: ConnectionError: the server is away"]


def test_rows_that_a_child_spoilt_are_left_out(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    path = store.training_dir(0, "a", 0) / "progress.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        "total_timesteps,generated_return,reward/<b>,reward/good\n"
        "100,nan,1,2\n"
        "words,1,1,1\n"
        "200,inf,1,3,9,9\n"
        "300,1,1,4"
    )
    tracker = FakeTracker()
    log = RunLog(store, tmp_path / "log", tracker)
    log._tell_progress(path)
    assert tracker.scalars == [
        ("a/seed_0", {"reward/good": 2.0}, 100), ("a/seed_0", {"reward/good": 3.0}, 200),
    ]  # fmt: skip
    log._tell_progress(path.with_name("missing.csv"))
    assert len(tracker.scalars) == 2


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(replace(row, package="not_there_at_all") for row in TRACKERS.own)
    monkeypatch.setattr(follow, "TRACKERS", replace(TRACKERS, own=rows))
    with pytest.raises(UsageError, match="not_there_at_all") as caught:
        TrackedRun(["wandb"], RunStore)
    assert caught.value.remedy == "pip install 'reward-agent[wandb]'"
    with pytest.raises(UnknownNameError, match="did you mean 'tensorboard'"):
        TrackedRun(["tensorbord"], RunStore)
