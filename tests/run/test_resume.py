"""A run is stopped at an awkward moment and taken up again."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import runs

import reward_agent
from reward_agent.definitions.card import find_env_dir
from reward_agent.errors import Interrupted, RewardAgentError, UsageError
from reward_agent.records.events import Drafted, Event
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import RunRecord, RunStore, load_run
from reward_agent.run import active as results
from reward_agent.run import metric as metric_stage
from reward_agent.run import winner as winner_stage

GOOD = runs.PROGRAM % 0.2
SETTINGS: dict[str, Any] = {
    "steps": 1024,
    "iterations": 1,
    "candidates": 2,
    "winner_seeds": 1,
    "eval_episodes": 1,
    "video": False,
    "racing": "none",
    "early_stop": False,
}


def write_script(folder: Path, *replies: str) -> str:
    path = folder / "replies.md"
    path.write_text("".join(f"--- reply ---\n{reply}\n" for reply in replies))
    return f"scripted:{path}"


def design(folder: Path, task: str = "balance", **options: Any) -> RunRecord:
    script = write_script(folder, GOOD, GOOD.replace("0.2)", "0.3)"))
    options = {"provider": script, "runs_dir": folder / "runs", "environ": {}, **options}
    return reward_agent.design("inverted_pendulum", task, **{**SETTINGS, **options})


def resume(folder: Path, **options: Any) -> RunRecord:
    """Take up the run with what its directory does not decide: who answers."""
    options = {"provider": f"scripted:{folder / 'replies.md'}", "environ": {}, **options}
    return reward_agent.resume_run("last", runs_dir=folder / "runs", **options)


def open_run(folder: Path) -> RunStore:
    return load_run("last", folder / "runs")


def list_trainings(folder: Path) -> dict[str, int]:
    found = (folder / "runs").glob("*/iterations/*/candidates/*/training/*/exit.json")
    return {str(path.parent): path.stat().st_mtime_ns for path in found}


def fail_at_call(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, number: int) -> None:
    """Press Ctrl-C at the n-th call of a function."""
    real: Callable[..., Any] = getattr(place, name)
    calls: list[str] = []

    def count(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(place, name, count)


@pytest.mark.parametrize(
    ("place", "name", "number"),
    [
        (metric_stage, "_adopt", 1),
        pytest.param(RunStore, "adopt_draft", 2, marks=pytest.mark.slow),
        (RunStore, "write_iteration", 1),
        pytest.param(results, "write_report", 1, marks=pytest.mark.slow),
        (winner_stage, "confirm", 1),
        pytest.param(winner_stage, "choose_winner", 1, marks=pytest.mark.slow),
        (results, "write_report", 2),
    ],
)
def test_stopped_anywhere_it_ends_as_if_it_had_not_been(
    place: Any, name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_at_call(patch, place, name, number)
        with pytest.raises(Interrupted, match="was stopped") as caught:
            design(tmp_path)
    assert f"--resume {open_run(tmp_path).dir}" in caught.value.remedy
    assert open_run(tmp_path).read_run().status == "interrupted"
    before = list_trainings(tmp_path)
    run = resume(tmp_path)
    assert before.items() <= list_trainings(tmp_path).items(), "a finished training was repeated"
    assert len(list_trainings(tmp_path)) == 4
    assert (run.status, run.metric_origin) == ("finished", "task")
    assert run.winner is not None
    assert run.winner.is_confirmed
    [iteration] = [open_run(tmp_path).read_iteration(0)]
    assert [candidate.outcome for candidate in iteration.candidates] == [TRAINED] * 2
    assert (open_run(tmp_path).dir / "report.html").is_file()


def test_results_are_written_once_a_round_and_once_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    for place, name in ((results, "write_report"), (results, "write_text")):
        real = getattr(place, name)

        def count(*arguments: Any, real: Any = real, name: str = name) -> Any:
            written.append(name)
            return real(*arguments)

        monkeypatch.setattr(place, name, count)
    run = design(tmp_path)
    assert run.status == "finished"
    assert (written.count("write_report"), written.count("write_text")) == (2, 2)
    resume(tmp_path)
    assert written.count("write_report") == 3, "no round was run again"


def test_a_full_disk_ends_the_run_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunStore.append_event

    def fill(self: RunStore, event: Event) -> None:
        if isinstance(event, Drafted):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "append_event", fill)
        with pytest.raises(RewardAgentError, match="No space left") as caught:
            design(tmp_path)
    assert "free disk space" in caught.value.remedy
    assert "--resume" in caught.value.remedy
    assert open_run(tmp_path).read_run().status == "failed"


@pytest.fixture
def finished_run(tmp_path: Path) -> RunStore:
    """Give the directory of a run that ended, without its trainings."""
    design(tmp_path, candidates=1, winner_seeds=0)
    return open_run(tmp_path)


def test_what_may_change_on_resuming_and_what_may_not(
    finished_run: RunStore, tmp_path: Path
) -> None:
    for wrong, message in {
        "steps": "steps cannot change",
        "eval_episodes": "eval_episodes = -1",
        "itertions": "itertions",
    }.items():
        with pytest.raises(UsageError, match=message):
            resume(tmp_path, **{wrong: -1})
    mine = tmp_path / "mine.py"
    mine.write_text("def score(episode): ...")
    with pytest.raises(UsageError, match="has its metric"):
        resume(tmp_path, metric=mine)
    assert resume(tmp_path, steps=SETTINGS["steps"], target_score=3.0).config["target_score"] == 3.0
    run = resume(tmp_path, provider="offline")
    assert run.designer.startswith("scripted: ")
    assert "; then offline: " in run.designer


def test_the_provider_that_was_chosen_by_a_key_is_kept(tmp_path: Path) -> None:
    run = design(tmp_path, provider=None, candidates=1, winner_seeds=0)
    assert run.config["provider"] == "offline"
    # A key that is set meanwhile does not change who designs.
    again = reward_agent.resume_run(
        "last", runs_dir=tmp_path / "runs", environ={"OPENAI_API_KEY": "sk-canary"}
    )
    assert again.designer == run.designer


def test_a_metric_that_fails_costs_no_training_and_is_corrected_on_resuming(
    tmp_path: Path,
) -> None:
    metric = tmp_path / "metric.py"
    metric.write_text("def score(episode):\n    return Score(episode.cart_positon[0], True, {})\n")
    with pytest.raises(UsageError, match="cart_position") as caught:
        design(tmp_path, "stay in the middle", metric=metric, candidates=1, winner_seeds=0)
    assert "correct it and give it again with --metric" in caught.value.remedy
    assert "--resume" in caught.value.remedy
    assert not list_trainings(tmp_path)
    metric.write_text(
        "def score(episode):\n    return Score(-abs(episode.cart_position[-1]), True, {})\n"
    )
    run = resume(tmp_path, metric=metric)
    assert run.metric_origin == "file"
    assert run.winner is not None
    assert json.loads((open_run(tmp_path).dir / "run.json").read_text())["status"] == "finished"


def test_a_run_whose_output_nobody_reads_is_interrupted(tmp_path: Path) -> None:
    script = write_script(tmp_path, GOOD)
    command = (
        f"{sys.executable} -m reward_agent design --env inverted_pendulum --task balance "
        f"--provider {script} --steps 1024 --candidates 1 --no-video 2>&1 | head -n 1"
    )
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert open_run(tmp_path).read_run().status == "interrupted"


@pytest.mark.parametrize(
    "body",
    [
        "return Score(episode.cart_positon[0], True, {})",
        "return Score(float('nan'), False, {})",
        "return episode.n_steps",
        "return Score(np.zeros(2), False, {})",
        "return Score(1 / len(episode.action[:0]), False, {})",
    ],
)
def test_a_task_of_ones_own_whose_metric_fails_costs_no_training(tmp_path: Path, body: str) -> None:
    folder = tmp_path / "pole"
    shutil.copytree(find_env_dir("inverted_pendulum"), folder)
    metric = folder / "tasks" / "balance" / "metric.py"
    metric.write_text(f"def score(episode):\n    {body}\n")
    with pytest.raises(
        UsageError, match="the metric failed on an episode without a policy"
    ) as caught:
        reward_agent.design(
            str(folder), "balance", runs_dir=tmp_path / "runs", environ={}, **SETTINGS
        )
    assert str(metric) in caught.value.remedy
    assert not list_trainings(tmp_path)
