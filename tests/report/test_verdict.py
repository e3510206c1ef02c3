from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reward_agent.records.disk import write_record
from reward_agent.records.store import Robustness, RunStore
from reward_agent.report.page import render_report
from reward_agent.report.verdict import check_pay
from reward_agent.report.view import RunView, load_run_view
from reward_agent.summary.course import CoursePoint
from reward_agent.summary.diagnostics import Diagnosis
from reward_agent.summary.summary import TrajectorySummary


def give_summary(
    run_dir: Path, number: int, course: list[tuple[float | None, float | None]]
) -> RunView:
    """Give a candidate a summary with these returns and scores over training."""
    view = load_run_view(run_dir)
    item = view.candidates[number]
    candidate = item.entry.candidate
    assert candidate.evaluation is not None
    points = tuple(
        CoursePoint(total_timesteps=1000 * (k + 1), generated_return=paid, task_score=score)
        for k, (paid, score) in enumerate(course)
    )
    hacking = Diagnosis(name="reward hacking", meaning="m", evidence="e", advice="a")
    summary = TrajectorySummary(
        env="hopper", task="hop", unit="m", control_dt=0.008, max_episode_steps=1000,
        best=candidate.evaluation, total_timesteps=3000, course=points, diagnoses=(hacking,),
    )  # fmt: skip
    folder = RunStore(run_dir).candidate_dir(candidate.iteration, candidate.id)
    write_record(folder / "summary.json", summary)
    return load_run_view(run_dir)


def test_a_return_that_rises_while_the_score_falls_shows_as_opposed(run_dir: Path) -> None:
    view = give_summary(
        run_dir, 1, [(None, 9.0), (10.0, 3.0), (20.0, 2.5), (30.0, 2.0), (40.0, 1.5), (80.0, 1.0)]
    )
    check = check_pay(view.candidates[1])
    assert check is not None
    assert check.generated_return == (10.0, 80.0)
    assert check.task_score == (3.0, 1.0)
    assert check.agreement == pytest.approx(-1.0)
    assert "reward hacking" in check.failure_modes
    page = render_report(view)
    row = page.split('id="hacking"')[1].split("</table>")[0]
    assert "10 → 80" in row
    assert "3 → 1" in row
    assert 'class="pill failed">reward hacking' in row


def test_without_two_points_there_is_nothing_to_compare(run_dir: Path) -> None:
    view = give_summary(run_dir, 1, [(10.0, 3.0), (None, 2.0)])
    assert check_pay(view.candidates[1]) is None
    assert check_pay(view.candidates[2]) is None
    assert 'id="hacking"' not in render_report(view)


def test_the_page_says_why_the_top_of_the_search_did_not_win(run_dir: Path) -> None:
    store = RunStore(run_dir)
    run = store.read_run()
    assert "In the search" not in render_report(load_run_view(run_dir))
    second = next(c for c in store.read_iteration(0).candidates if c.task_score == 4.4)
    assert run.winner is not None
    winner = run.winner.model_copy(update={"candidate": second.id, "iteration": 0})
    store.write_run(run.model_copy(update={"winner": winner}))
    page = render_report(load_run_view(run_dir))
    assert f"In the search {run.winner.candidate} scored more, 6.2 m" in page
    assert "trained again it reached only 5.9." in page


def test_the_winners_policy_is_told_with_both_physics(run_dir: Path) -> None:
    view = load_run_view(run_dir)
    assert "own physics" not in render_report(view)
    own = view.candidates[0].entry.candidate.evaluation
    assert view.run.winner is not None
    assert own is not None
    changed = own.model_copy(update={"task_score": 1.25, "task_score_interval": (1.0, 1.5)})
    winner = view.run.winner.model_copy(
        update={"robustness": Robustness(own=own, randomised=changed)}
    )
    run = view.run.model_copy(update={"winner": winner})
    page = render_report(replace(view, run=run))
    assert "1.25 [1, 1.5] m with physics changed as [randomise] says" in page
