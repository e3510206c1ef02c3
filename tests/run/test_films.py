"""Films are made beside the trainings: the run's end has them, its course does not wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import runs
from support.reports import write_run
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.definitions.card import load_env
from reward_agent.errors import JobError
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.executors import JobRequest
from reward_agent.film.footage import load_footages
from reward_agent.records.disk import read_record
from reward_agent.records.film_jobs import FilmJob, FilmResult
from reward_agent.records.job import (
    CHECKPOINT_FILE,
    FOOTAGE_FILE,
    RESULT_FILE,
    TRAJECTORIES_FILE,
    VIDEO_FILE,
)
from reward_agent.records.outcomes import FINISHED, TIMEOUT
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import RunRecord, RunStore, load_run
from reward_agent.run import evaluate
from reward_agent.run.active import NO_METRIC, Lab
from reward_agent.run.drawing import film_extremes
from reward_agent.threads import Background
from reward_agent.types import Evaluation

PROGRAM = runs.PROGRAM % 0.2


def design(folder: Path, **options: Any) -> tuple[RunRecord, RunStore]:
    options = {"candidates": 1, "eval_episodes": 2, "critic": False, "analyzer": False} | options
    runs.design(folder, "balance", PROGRAM, **options)
    store = load_run("last", folder / "runs")
    return store.read_run(), store


def test_what_is_kept_to_be_drawn_is_an_episode_that_was_judged(tmp_path: Path) -> None:
    run, store = design(tmp_path)
    assert run.winner is not None
    folder = store.evaluation_dir(0, run.winner.candidate, run.config["seed"])
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    footage, *_ = load_footages(folder / FOOTAGE_FILE)
    assert footage.name == "median"
    lengths = Trajectories.load(folder / TRAJECTORIES_FILE).lengths
    assert len(footage.pose) - 1 in lengths
    assert footage.verdict.removeprefix("episode score ").split(",")[0] in {
        f"{episode.task_score:.3g}" for episode in evaluated.best.episodes
    }


def test_the_run_ends_with_its_film(tmp_path: Path) -> None:
    run, store = design(tmp_path, video=True, video_quality="low")
    assert run.winner is not None
    folder = store.evaluation_dir(0, run.winner.candidate, run.config["seed"])
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    assert not (folder / "film").exists()
    assert (folder / FOOTAGE_FILE).stat().st_size < 100_000, "a judge may want frames of it"
    assert not list(store.dir.rglob(CHECKPOINT_FILE)), "whole trainings do not go on"
    if evaluated.video_note:  # this machine cannot render
        assert run.winner.video_file is None
    else:
        assert run.winner.video_file is not None
        assert (store.dir / run.winner.video_file).stat().st_size > 1_000
        assert evaluated.strip_file is not None
        assert "data:image/webp" in (store.dir / "report.html").read_text()
    assert "rendering" not in run.slot_seconds or run.slot_seconds["rendering"] < run.wall_s


class Hanging:
    """An executor whose job does not end in time."""

    def map(self, requests: list[JobRequest], on_progress: object = None) -> list[Any]:
        [request] = requests
        assert request.limits.wall_s == FilmJob.wall_s
        return [SimpleNamespace(result=None, outcome=TIMEOUT)]


def test_a_film_that_does_not_end_costs_itself_alone(tmp_path: Path) -> None:
    best = Evaluation(total_timesteps=1, seed=0, n_episodes=1, task_score=None, episode_length=1.0)
    evaluated = EvaluateResult(curve=(best,), best=best, best_file="policy_1.safetensors")
    (tmp_path / FOOTAGE_FILE).write_bytes(b"drawn by nobody")
    lab = Lab(load_env("hopper"), NO_METRIC, RunSettings(), Hanging())
    filmed = evaluate.film(lab, tmp_path, evaluated)
    assert filmed.video_note == "the film job ended without a result: timeout"
    assert filmed.best == evaluated.best
    assert read_record(tmp_path / RESULT_FILE, EvaluateResult) == filmed
    assert not (tmp_path / "film").exists()


def test_without_footage_there_is_a_note(tmp_path: Path) -> None:
    best = Evaluation(total_timesteps=1, seed=0, n_episodes=1, task_score=None, episode_length=1.0)
    evaluated = EvaluateResult(curve=(best,), best=best, best_file="policy_1.safetensors")
    lab = Lab(load_env("hopper"), NO_METRIC, RunSettings(), Hanging())
    assert FOOTAGE_FILE in evaluate.film(lab, tmp_path, evaluated).video_note


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


class Drawing:
    """An executor whose child draws what it is asked for, and notes it."""

    def __init__(self) -> None:
        self.jobs: list[FilmJob] = []

    def map(self, requests: list[JobRequest], on_progress: object = None) -> list[Any]:
        [request] = requests
        assert isinstance(request.job, FilmJob)
        self.jobs.append(request.job)
        request.job_dir.mkdir(exist_ok=True)
        (request.job_dir / VIDEO_FILE).write_bytes(request.job.episodes[0].encode())
        found = FilmResult(video_file=VIDEO_FILE)
        return [SimpleNamespace(result=found, outcome=FINISHED)]


def test_the_best_and_the_worst_episode_are_filmed_once(tmp_path: Path) -> None:
    (tmp_path / FOOTAGE_FILE).write_bytes(b"drawn by nobody")
    drawing = Drawing()
    lab = Lab(load_env("hopper"), NO_METRIC, RunSettings(), drawing)
    for _ in range(2):
        film_extremes(lab, tmp_path)
    assert [job.episodes for job in drawing.jobs] == [("best",), ("worst",)]
    assert (tmp_path / "video_best.webp").read_bytes() == b"best"
    assert (tmp_path / "video_worst.webp").read_bytes() == b"worst"
    assert not (tmp_path / VIDEO_FILE).exists()


@pytest.mark.parametrize(
    ("arguments", "style", "file"),
    [
        (["--whole"], {"is_whole": True, "size": "360p"}, "RUN_median.webp"),
        (["--size", "1080p"], {"is_whole": False, "size": "1080p"}, "RUN_median.webp"),
        (["--episode", "worst", "-o", "shown/mine"], {"slow": 1.0}, "shown/mine.webp"),
        (["-o", "mine.of.it"], {}, "mine.of.it.webp"),
        (["-o", "mine.webp"], {}, "mine.webp"),
        (["-o", "mine.gif"], {"formats": ("gif",)}, "mine.gif"),
    ],
)
def test_a_film_is_drawn_as_it_was_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    style: dict[str, object],
    file: str,
) -> None:
    run_dir = write_run(tmp_path / "RUN")
    (run_dir / FOOTAGE_FILE).write_bytes(b"drawn by nobody")
    drawing = Drawing()

    @contextmanager
    def open_lab(card: Any, _: object) -> Iterator[Lab]:
        yield Lab(card, NO_METRIC, RunSettings(), drawing)

    monkeypatch.setattr("reward_agent.run.film.open_lab", open_lab)
    monkeypatch.setattr("reward_agent.run.film.has_mp4", lambda: False)
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["film", "RUN", *arguments])
    assert told.exit_code == 0, told.output
    [job] = drawing.jobs
    assert style.items() <= job.style.model_dump().items()
    assert (tmp_path / file).read_bytes() == job.episodes[0].encode()
