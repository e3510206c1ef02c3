"""A run as a notebook holds it: paths that hold from anywhere, and what it shows of itself."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints
from xml.etree import ElementTree

import pytest

import reward_agent
from reward_agent.errors import UsageError
from reward_agent.records.events import Concluded, RunStarted, TrainingProgress, ignore
from reward_agent.records.options import RunOptions
from reward_agent.records.outcomes import Outcome
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunStore
from reward_agent.report.curves import list_curve_rows, render_csv
from reward_agent.run.notebook import choose_listener
from reward_agent.run.result import Film, Run


@pytest.fixture
def run(judged_run: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(judged_run)
    return reward_agent.load_run("last", Path("runs"))


def test_paths_of_a_run_are_absolute_and_there(run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run.winner is not None
    assert run.policy_file is not None
    for path in (run.dir, run.policy_file, run.report_file):
        assert path.is_absolute()
        assert path.exists()
    assert "def compute_reward" in run.reward
    assert run == Run.read(RunStore(run.dir))
    assert (
        str(run)
        == f"<Run {run.id}: finished, {run.winner.score_name} {run.winner.task_score:.3g} s>"
    )


def test_a_run_shows_its_candidates_and_their_curve(run: Run) -> None:
    page = run._repr_html_()
    assert page.count("<svg") == 1
    assert [c.id in page for c in RunStore(run.dir).list_finished()] == [True, True]
    assert str(run.dir) not in page
    style = page.partition("<div")[0]
    assert style.startswith("<style>.reward-agent {")
    assert ":root" not in style


def test_words_of_a_stranger_are_no_markup_in_a_notebook(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / run.id
    shutil.copytree(run.dir, folder)
    record = json.loads((folder / "run.json").read_text())
    record["task"]["description"] = record["designer"] = "<script>alert(1)</script>"
    (folder / "run.json").write_text(json.dumps(record))
    page = reward_agent.load_run(folder)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("what", ["learning", "scores"])
def test_a_chart_is_shown_and_saved_as_a_file_that_stands_by_itself(
    what: Any, run: Run, tmp_path: Path
) -> None:
    chart = run.plot(what)
    assert "<svg" in chart._repr_html_()
    root = ElementTree.parse(chart.save(tmp_path / "chart.svg")).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_the_course_of_a_training_is_a_table_and_a_csv(run: Run) -> None:
    pandas = pytest.importorskip("pandas")
    table = run.dataframe()
    assert list(table.columns[:4]) == ["round", "candidate", "seed", "total_timesteps"]
    assert {"task_score", "success_rate", "generated_return", "reward/upright"} <= set(table)
    assert table["task_score"].notna().sum() > 1
    rows = list_curve_rows(RunStore(run.dir))
    read = list(csv.DictReader(io.StringIO(render_csv(rows))))
    assert len(read) == len(table)
    assert list(read[0]) == list(table)
    assert pandas.isna(table["generated_return"]).sum() == sum(
        not row["generated_return"] for row in read
    )


def test_without_pandas_it_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError) as caught:
        run.dataframe()
    assert caught.value.remedy == "pip install 'reward-agent[notebook]'"


def test_a_film_is_part_of_the_page(tmp_path: Path) -> None:
    for name, tag in (("a.webp", "<img"), ("a.mp4", "<video")):
        (tmp_path / name).write_bytes(b"film")
        page = Film(tmp_path / name)._repr_html_()
        assert page.startswith(tag)
        assert str(tmp_path) not in page


def test_options_are_the_settings_of_a_run() -> None:
    settings = get_type_hints(RunSettings)
    assert get_type_hints(RunOptions) == {name: settings[name] for name in RunSettings.model_fields}


def test_progress_is_shown_in_a_notebook_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert choose_listener(None) is ignore
    pages: list[str] = []
    handle = SimpleNamespace(update=pages.append)
    shell = SimpleNamespace(kernel=object())
    show = SimpleNamespace(HTML=str, display=lambda page, display_id: pages.append(page) or handle)
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=show)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", show)
    listen = choose_listener(None)
    listen(RunStarted("run", "hopper", "hop <b>", "m", "offline"))
    listen(TrainingProgress("ab", 0, 500, 1000, {"total_timesteps": 250.0}))
    listen(Concluded(0, "ab", Outcome(kind="trained"), 2.5))
    assert "hop &lt;b&gt;" in pages[0]
    assert "250 of 1,000 env steps" in pages[-1]
    assert "best search score 2.5 m" in pages[-1]
    own = [].append
    assert choose_listener(own) is own
    shell.kernel = None  # a terminal's
    assert choose_listener(None) is ignore
