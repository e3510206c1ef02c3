"""Tests of recorded runs that ship with the program: they open, show and can be repeated."""

import pytest
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.errors import UnknownNameError
from reward_agent.export.shipped import find_shipped, list_shipped, read_shipped_winner
from reward_agent.export.unpack import open_bundle
from reward_agent.llm.replies import read_replies
from reward_agent.report.page import write_report


@pytest.mark.parametrize("name", list_shipped())
def test_a_recorded_run_opens_with_its_replies_and_its_report(name, tmp_path):
    store = open_bundle(find_shipped(name), tmp_path)
    run = store.read_run()
    assert run.status == "finished"
    assert run.winner is not None
    assert len(read_replies(store.dir)) >= 6
    page = write_report(store.dir).read_text()
    assert run.task.description[:20] in page


def test_they_are_opened_by_name(tmp_path):
    result = CliRunner().invoke(app, ["runs", "open", "lie_down", "--runs-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "ant_lie-down" in result.output
    with pytest.raises(UnknownNameError, match="unknown recorded run 'lie_dwn'"):
        find_shipped("lie_dwn")


def test_a_task_without_a_recorded_run_has_no_recorded_winner():
    assert read_shipped_winner("hopper", "stand") is None
