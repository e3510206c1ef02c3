"""Finished runs that a feedback session can be opened on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import reward_agent
from reward_agent.feedback.session import Session, open_session
from reward_agent.llm.replies import read_replies
from reward_agent.records.store import RunStore

PROGRAM = """```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=%s)
    return upright, {"upright": upright}
```"""
WITH_EFFORT = """```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    effort = np.sum(np.square(action), axis=-1)
    terms = {"upright": upright, "effort": -0.001 * effort}
    return sum(terms.values()), terms
```"""
SMALL: dict[str, Any] = {
    "steps": 2048,
    "iterations": 1,
    "winner_seeds": 0,
    "early_stop": False,
    "eval_episodes": 2,
    "racing": "none",
    "video": False,
}
PROPOSAL = """```json
{"meaning": "share of the time near the middle", "unit": "1", "criterion": "within 0.1 m"}
```
```python
def score(episode):
    n_near = float(np.sum(np.abs(episode.cart_position) < 0.1))
    share = n_near / max(1000.0, float(episode.n_steps))
    return Score(share, share > 0.9, {"share": share})
```"""


def write_script(folder: Path, *replies: str, before: str = "") -> str:
    path = folder / "replies.md"
    path.write_text(before + "".join(f"--- reply ---\n{reply}\n" for reply in replies))
    return f"scripted:{path}"


def design(folder: Path, task: str, *replies: str, **options: Any) -> None:
    reward_agent.design(
        "inverted_pendulum",
        task,
        provider=write_script(folder, *replies),
        runs_dir=folder / "runs",
        environ={},
        **(SMALL | options),
    )


def read_prompt(store: RunStore, iteration: int, index: int) -> str:
    """Return the last prompt that the Designer was sent for a candidate."""
    asked = [
        stored.prompt
        for stored in read_replies(store.dir)
        if stored.place.agent == "designer"
        and (stored.place.iteration, stored.place.candidate) == (iteration, index)
    ]
    return asked[-1]


def make_opener(source: Path, tmp_path: Path) -> Callable[..., AbstractContextManager[Session]]:
    runs = tmp_path / "runs"
    shutil.copytree(source / "runs", runs)

    @contextmanager
    def open_copy(*replies: str, **options: Any) -> Iterator[Session]:
        # A script goes on after the replies that the run has used.
        text = (source / "replies.md").read_text()
        provider = write_script(tmp_path, *(replies or (PROGRAM % 0.31,)), before=text)
        chosen = {"provider": provider, "candidates": 1, "environ": {}} | options
        with open_session("last", runs_dir=runs, **chosen) as session:
            yield session

    return open_copy
