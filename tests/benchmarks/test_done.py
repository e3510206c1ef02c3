"""The table of minutes from a sentence to a confirmed winner."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import done
from benchmarks.done import TASKS, DoneRow, render_rows, render_script
from reward_agent.errors import UnknownNameError
from reward_agent.export.shipped import find_shipped
from reward_agent.export.unpack import open_bundle


def make_row(task: str, minutes: float) -> DoneRow:
    return DoneRow(
        task=task,
        minutes=minutes,
        rounds="1 of 3",
        env_steps=1000,
        program="3fa9c1d2: 1 share",
        fresh="1; 100%",
        policy="of 3fa9c1d2",
        note="",
    )


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_three_programs_a_round(name: str, tmp_path: Path) -> None:
    recorded = open_bundle(find_shipped(name), tmp_path)
    script = render_script(recorded)
    assert script.count("--- reply ---") == 3 * recorded.read_run().config["iterations"]


def test_tasks_may_be_measured_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes = {"back_flip": 9.0, "lie_down": 2.0, "wave_leg": 4.0}
    monkeypatch.setattr(done, "measure", lambda name, *_: make_row(name, minutes[name]))
    table = tmp_path / "done.json"
    for name in minutes:
        assert done.main(["--tasks", name, "--json", str(table)]) == 0
    last = capsys.readouterr().out.split("| task |")[-1]
    assert [line.split("|")[1].strip() for line in last.splitlines()[2:5]] == list(minutes)
    assert "median 4.0 minutes of 3 tasks" in last


def test_an_unknown_task_is_refused_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="back_flop"):
        done.main(["--tasks", "back_flop"])


def test_the_table_is_markdown() -> None:
    lines = render_rows([make_row("lie_down", 2.0)]).splitlines()
    assert {line.count("|") for line in lines[:3]} == {9}
