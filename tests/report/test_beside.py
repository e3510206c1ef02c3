"""What stands beside the film: the robot untrained, and films of the other episodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.reports import make_evaluation, make_webp

from reward_agent.definitions.card import load_env
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.definitions.task import load_task
from reward_agent.records.disk import write_record
from reward_agent.records.job import BEHAVIOURS_DIR, JOB_FILE, RESULT_FILE, SCORE_DIR
from reward_agent.records.scoring_jobs import EvaluateResult, RecordResult, ScoreJob, ScoreResult
from reward_agent.records.store import HandedPolicy, RunStore
from reward_agent.report.beside import find_first, read_units
from reward_agent.report.page import render_report
from reward_agent.report.view import load_run_view
from reward_agent.types import EpisodeScore, RewardProgram, WorkOutcome

DONE = ("limp", "limp", "random actions", "random actions", "hip_torque at its upper end")


def write_behaviours(run_dir: Path, scores: tuple[float, ...]) -> None:
    store = RunStore(run_dir)
    folder = run_dir / BEHAVIOURS_DIR
    episodes = tuple(
        EpisodeScore(task_score=score, success=score > 2, length=9, end="truncated")
        for score in scores
    )
    evaluation = make_evaluation(0, 0.5).model_copy(update={"episodes": episodes})
    digest = RewardProgram((run_dir / "metric.py").read_text()).sha256
    write_record(folder / RESULT_FILE, RecordResult(behaviours=DONE, lengths=(9,) * len(DONE)))
    job = ScoreJob(card=store.read_run().card, metric_sha256=digest)
    write_record(folder / SCORE_DIR / JOB_FILE, job)
    scored = ScoreResult(outcome=WorkOutcome(kind="finished"), evaluation=evaluation)
    write_record(folder / SCORE_DIR / RESULT_FILE, scored)


def test_the_best_that_the_robot_does_untrained_stands_beside_the_result(run_dir: Path) -> None:
    assert load_run_view(run_dir).untrained is None
    write_behaviours(run_dir, (0.0, 0.1, 0.5, 2.5, 9.0))
    view = load_run_view(run_dir)
    assert view.untrained is not None
    assert (view.untrained.behaviour, view.untrained.n_done) == ("random actions", 1)
    page = render_report(view)
    assert "against 1.5 m untrained and 4.4 m after the first round." in page
    assert "1 of 2 tries succeed" in page
    assert "The robot untrained has no film" in page


def test_a_result_of_the_first_round_is_not_held_against_itself(run_dir: Path) -> None:
    store = RunStore(run_dir)
    record, first = store.read_run(), find_first(store.list_finished())
    assert first is not None
    assert first.evaluation is not None
    assert record.winner is not None
    policy = HandedPolicy(candidate=first.id, iteration=0, seed=0, evaluation=first.evaluation)
    winner = record.winner.model_copy(update={"policy": policy})
    store.write_run(record.model_copy(update={"winner": winner}))
    page = render_report(load_run_view(run_dir))
    assert "4.4 m on average, as after the first round." in page
    assert "best of round 1" not in page


def test_what_gymnasiums_own_reward_makes_stands_beside_the_result(run_dir: Path) -> None:
    store = RunStore(run_dir)
    record = store.read_run()
    hopper = load_env("hopper")
    task = load_task(hopper, "hop_forward")
    record = record.model_copy(update={"card": hopper, "task": task})
    store.write_run(record)
    assert task.own_reward is not None
    page = render_report(load_run_view(run_dir))
    assert "measured before: 200,000 env steps" in page
    assert "reward-agent train --env hopper --task hop_forward --steps 200000 --seed 100" in page
    unmeasured = task.model_copy(update={"own_reward": None})
    store.write_run(record.model_copy(update={"task": unmeasured}))
    assert "Hopper-v5 (--own-reward trains it)" in render_report(load_run_view(run_dir))
    best = make_evaluation(9, 2.25)
    own = EvaluateResult(curve=(best,), best=best, best_file="p.safetensors")
    write_record(store.own_reward_dir / "evaluation" / RESULT_FILE, own)
    for folder in (store.own_reward_dir / "evaluation", store.untrained_dir):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "video.webp").write_bytes(make_webp())
    view = load_run_view(run_dir)
    assert [film.key for film in view.films] == ["median", "untrained", "own"]
    page = render_report(view)
    assert "Hopper-v5, trained once with a fresh seed" in page
    assert "2.25 m with Gymnasium&#39;s own reward." in page


def test_scores_of_another_metric_are_not_shown(run_dir: Path) -> None:
    write_behaviours(run_dir, (0.0, 0.1, 0.5, 2.5, 9.0))
    (run_dir / "metric.py").write_text("def score(episode):\n    return Score(2.0, True, {})\n")
    assert load_run_view(run_dir).untrained is None


def test_the_best_and_the_worst_try_can_be_watched(run_dir: Path) -> None:
    view = load_run_view(run_dir)
    assert [film.key for film in view.films] == ["median"]
    assert 'type="radio"' not in render_report(view)
    store = RunStore(run_dir)
    first = next(c for c in store.read_iteration(0).candidates if c.task_score == 4.4)
    of_first = store.evaluation_dir(0, first.id, 0) / "video.webp"
    of_first.parent.mkdir(parents=True)
    [video] = run_dir.glob("iterations/1/**/video.webp")
    for path in (video.with_name("video_worst.webp"), of_first):
        path.write_bytes(make_webp())
    video.with_name("video_best.webp").write_bytes(b"no film")
    view = load_run_view(run_dir)
    assert [film.key for film in view.films] == ["median", "worst", "first"]
    assert render_report(view).count('type="radio"') == 3


@pytest.mark.parametrize(
    ("task", "units"),
    [
        ("hopper/tasks/hop_forward", {"distance": "m", "mean_speed": "m/s", "fell": "of tries"}),
        ("ant/tasks/wave_leg", {"largest_foot_height": "m", "held": "s"}),
    ],
)
def test_parts_have_the_units_that_their_metric_names(task: str, units: dict[str, str]) -> None:
    found = read_units((find_envs_dir() / task / "metric.py").read_text("utf-8"))
    assert units.items() <= found.items()
    assert "hops" not in found
    assert "swings" not in found
