"""Films are made beside the trainings: the run's end has them, its course does not wait."""

from __future__ import annotations

from pathlib import Path

import pytest

import reward_agent
from reward_agent.errors import JobError
from reward_agent.jobs import RESULT_FILE, EvaluateResult
from reward_agent.stages import judge
from reward_agent.store import RunRecord, RunStore, find_run, read_record
from reward_agent.threads import Background

PROGRAM = """```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.2)
    return upright, {"upright": upright}
```"""


def design(folder: Path) -> tuple[RunRecord, RunStore]:
    script = folder / "replies.md"
    script.write_text(f"--- reply ---\n{PROGRAM}\n")
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}", runs_dir=folder / "runs",
        environ={}, candidates=1, iterations=1, winner_seeds=0, steps=2048, eval_episodes=4,
        critic=False, analyzer=False,
    )  # fmt: skip
    return run, find_run(run.id, folder / "runs")


def test_the_film_shows_the_episodes_that_were_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []
    monkeypatch.setattr(judge.shutil, "rmtree", lambda path, **_: removed.append(path))
    run, store = design(tmp_path)
    assert run.winner is not None
    folder = store.evaluation_dir(0, run.winner.candidate, run.config["seed"])
    judged = read_record(folder / RESULT_FILE, EvaluateResult)
    assert folder / "film" in removed
    assert (folder / "film" / RESULT_FILE).is_file(), judged.video_note
    film = read_record(folder / "film" / RESULT_FILE, EvaluateResult)
    assert film.best.episodes == judged.best.episodes
    if judged.video_note:  # this machine cannot render
        assert run.winner.video_file is None
    else:
        assert run.winner.video_file is not None
        assert (store.dir / run.winner.video_file).stat().st_size > 1_000
        assert judged.strip_file is not None
        assert "data:image/webp" in (store.dir / "report.html").read_text()
    assert "rendering" not in run.slot_seconds or run.slot_seconds["rendering"] < run.wall_s


def test_calls_of_the_background_run_in_order_and_tell_their_failure() -> None:
    background, seen = Background(), []
    background.add(lambda: seen.append(1))
    background.add(lambda: seen.append(2))
    background.finish()
    assert seen == [1, 2]

    def fail() -> None:
        raise JobError("the disk is full", "free some")

    background.add(fail)
    with pytest.raises(JobError, match="full"):
        background.finish()
    background.finish()
