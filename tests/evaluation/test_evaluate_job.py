"""The evaluation as the parent runs it: a child process in the sandbox."""

import os

import numpy as np
import pytest
from PIL import Image
from support.toy import write_policy

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.errors import DataError, JobError
from reward_agent.evaluation.metrics import compile_metric
from reward_agent.evaluation.scoring import summarise_scores
from reward_agent.evaluation.trajectories import DECIDED, Trajectories
from reward_agent.film.formats import has_mp4
from reward_agent.records.film_jobs import FilmJob
from reward_agent.records.job import Limits
from reward_agent.records.scoring_jobs import EvaluateJob, ScoreJob
from reward_agent.rewards import checks
from reward_agent.sandbox.runner import run_job
from reward_agent.simulation.backends import Graphics, find_graphics
from reward_agent.types import CheckReport, EpisodeScore, RewardProgram, Snapshot
from reward_agent.worker import evaluate, film, score

METRIC = """
def score(episode):
    duration = episode.n_steps * episode.control_dt
    return Score(duration, duration > 10, {"duration": duration})
"""


@pytest.fixture(scope="module")
def hopper():
    return load_env("hopper").model_copy(update={"max_episode_steps": 100})


@pytest.fixture(autouse=True)
def _graphics_as_it_was(monkeypatch):
    """``prepare`` chooses for its process; here it is the process of the tests."""
    monkeypatch.setenv("MUJOCO_GL", "")


@pytest.fixture
def job(hopper, tmp_path):
    """Three snapshots: one that stands for a while, two that throw themselves over at once."""
    actions = {1000: 1.0, 2000: 0.0, 3000: -1.0}
    for steps, action in actions.items():
        write_policy(tmp_path / f"policy_{steps}.safetensors", hopper, action)
    (tmp_path / "metric.py").write_text(METRIC)
    return EvaluateJob(
        card=hopper,
        snapshots=tuple(
            Snapshot(total_timesteps=steps, file=f"policy_{steps}.safetensors") for steps in actions
        ),
        seed=100,
        n_episodes=5,
        n_curve_episodes=2,
    )


def test_only_what_is_reported_is_run_beyond_where_the_score_is_decided(job, tmp_path):
    source = """
def score(episode):
    best = float(episode.torso_height.max())
    return Score(min(best, 1.26), best > 1.26, {"best": best})

def is_decided(state):
    return state.torso_height > 1.26
"""
    (tmp_path / "metric.py").write_text(source)
    result = evaluate.run(job, tmp_path)
    assert result.best.parts["best"] > 0
    for evaluation in result.curve:
        assert not evaluation.parts
        for episode in evaluation.episodes:
            assert (episode.end == DECIDED) == episode.success
    (tmp_path / "metric.py").write_text(source.replace("is_decided", "is_something_else"))
    whole = evaluate.run(job, tmp_path)
    assert [e.task_score for e in whole.curve] == pytest.approx(
        [e.task_score for e in result.curve]
    )
    lengths = zip(whole.curve, result.curve, strict=True)
    assert any(long.episode_length > short.episode_length for long, short in lengths)
    assert whole.best == result.best


def test_best_snapshot_is_reported_on_seeds_it_was_not_chosen_by(job, tmp_path):
    result = evaluate.run(job, tmp_path)
    assert result.best_file == "policy_2000.safetensors"
    assert [e.total_timesteps for e in result.curve] == [1000, 2000, 3000]
    assert [e.n_episodes for e in result.curve] == [2, 2, 2]
    assert result.best.n_episodes == 5
    curve_seeds = {e.seed + i for e in result.curve for i in range(e.n_episodes)}
    assert len(curve_seeds) == 6
    assert not curve_seeds & {result.best.seed + i for i in range(5)}
    recorded = Trajectories.load(tmp_path / "trajectories.npz")
    assert recorded.lengths.tolist() == [e.length for e in result.best.episodes]
    assert (result.video_file, result.video_note) == (None, "")


def test_a_card_that_randomises_is_scored_both_ways(job, tmp_path):
    height = (
        "def score(episode):\n    return Score(float(episode.torso_height.mean()), False, {})\n"
    )
    (tmp_path / "metric.py").write_text(height)
    plain = evaluate.run(job, tmp_path)
    randomise = {"mass": (0.3, 0.9), "gain": (0.5, 0.9)}
    card = EnvCard.model_validate({**job.card.model_dump(), "randomise": randomise})
    both = evaluate.run(job.model_copy(update={"card": card}), tmp_path)
    assert plain.randomised is None
    assert both.best == plain.best, "choice and score are with the model's own physics"
    assert both.curve == plain.curve
    assert both.randomised is not None
    assert both.randomised.n_episodes == 5
    assert both.randomised.task_score != both.best.task_score
    quick = job.model_copy(update={"card": card, "is_kept": False})
    assert evaluate.run(quick, tmp_path).randomised is None


def make_evaluation(index, scores):
    episodes = [
        EpisodeScore(task_score=v, success=False, length=9, end="truncated") for v in scores
    ]
    return summarise_scores(episodes, 1000 * index, 0)


def test_luckiest_snapshot_of_the_curve_is_found_out_by_more_episodes(job, tmp_path, monkeypatch):
    policies, tried = ["lucky", "steady", "poor"], []

    def score_again(jury, indices, n_episodes, seed):
        tried.append((list(indices), n_episodes, seed))
        later = {0: [0.0, 0.0], 1: [5.0, 5.0], 2: [1.0, 1.0]}
        return tuple(make_evaluation(index, later[index]) for index in indices)

    monkeypatch.setattr(evaluate._Jury, "score", score_again)
    scores = [8.0, 4.0], [6.0, 4.0], [1.0, 1.0]
    curve = [make_evaluation(i, some) for i, some in enumerate(scores)]
    metric = compile_metric(METRIC)
    assert evaluate._Jury(job, policies, metric, None, None).choose(curve) == 1
    [(indices, n_episodes, seed)] = tried
    assert (indices, n_episodes) == ([0, 1], 4), "the poor one is set apart already"
    assert seed not in range(job.seed, job.seed + 1000)
    assert evaluate._Jury(job, policies, None, None, None).choose(curve) == 2


def test_single_snapshot_is_evaluated_once(job, tmp_path):
    result = evaluate.run(job.model_copy(update={"snapshots": job.snapshots[:1]}), tmp_path)
    assert result.curve == (result.best,)
    assert result.best.n_episodes == 5


def test_without_a_metric_the_last_snapshot_is_recorded(job, tmp_path):
    result = evaluate.run(job.model_copy(update={"has_metric": False}), tmp_path)
    assert result.best_file == "policy_3000.safetensors"
    assert result.best.task_score is None


def test_job_without_snapshots_is_our_mistake(job, tmp_path):
    with pytest.raises(DataError, match="no snapshot"):
        evaluate.run(job.model_copy(update={"snapshots": ()}), tmp_path)


def test_without_a_renderer_the_film_says_why(job, tmp_path, monkeypatch):
    note = "egl: none; install libegl1"
    monkeypatch.setattr(film, "find_graphics", lambda row: Graphics(None, note))
    monkeypatch.setenv("MUJOCO_GL", "disable")
    filming = FilmJob(card=job.card)
    film.prepare(filming)
    result = film.run(filming, tmp_path)
    assert (result.video_file, result.video_note) == (None, note)


def test_a_renderer_that_is_known_is_not_tried(job, monkeypatch):
    monkeypatch.setattr(film, "find_graphics", lambda row: pytest.fail("tried again"))
    monkeypatch.setattr(film, "Studio", lambda *given: None)
    monkeypatch.setenv("MUJOCO_GL", "disable")
    film.prepare(FilmJob(card=job.card, renderer="egl"))
    assert film._rendering.renderer == os.environ["MUJOCO_GL"] == "egl"


def test_sandboxed_child_films_the_median_episode(job, tmp_path):
    if find_graphics().backend is None:
        pytest.skip("no OpenGL without a display on this machine")
    judging = job.model_copy(update={"n_filmed": 1, "caption": "hopper"})
    evaluated = run_job(judging, tmp_path, limits=Limits(wall_s=120), mode="default").result
    done = run_job(FilmJob(card=job.card), tmp_path, limits=Limits(wall_s=120), mode="default")
    result = done.result
    assert str(done.outcome) == "ok"
    assert result.video_note == ""
    assert result.renderer in ("egl", "osmesa", "cgl", "glfw")
    assert (tmp_path / "video.mp4").is_file() == has_mp4() == (result.mp4_file is not None)
    with Image.open(tmp_path / "video.webp") as video:
        assert video.is_animated
        # 25 pictures a second of a step of 8 ms: every fifth state; half of them beside an mp4.
        every = 10 if has_mp4() else 5
        assert video.n_frames == evaluated.best.episodes[0].length // every + 1
        frames = []
        for index in (0, video.n_frames - 1):
            video.seek(index)
            frames.append(np.asarray(video.convert("L"), dtype=float))
    assert (tmp_path / "video.webp").stat().st_size < 2**20
    # There is a robot against a background, and it has moved.
    assert frames[0][40:].std() > 5
    assert np.abs(frames[0] - frames[1])[40:].mean() > 1
    with Image.open(tmp_path / "strip.webp") as strip:
        assert strip.width > 4 * strip.height


def test_metric_that_fails_is_told_with_file_and_line(job, tmp_path):
    (tmp_path / "metric.py").write_text("def score(episode):\n    return 1 / 0\n")
    with pytest.raises(JobError, match=r"metric\.py line 2: ZeroDivisionError"):
        run_job(job, tmp_path, limits=Limits(wall_s=60), mode="default")


def score_job(source, hopper):
    return ScoreJob(
        card=hopper, metric_sha256=RewardProgram(source).sha256, total_timesteps=3000, seed=4
    )


@pytest.fixture
def recorded_dir(job, tmp_path):
    evaluate.run(job.model_copy(update={"snapshots": job.snapshots[:1]}), tmp_path)
    return tmp_path


def test_generated_metric_scores_recorded_episodes(hopper, recorded_dir):
    result = score.run(score_job(METRIC, hopper), recorded_dir)
    assert str(result.outcome) == "finished"
    assert (result.evaluation.n_episodes, result.evaluation.seed) == (5, 4)
    assert result.evaluation.task_score > 0


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def score(episode):\n    return Score(float('nan'), False)\n", "task_score is nan"),
        ("def score(episode):\n    return 3.0\n", "returned float, expected a Score"),
        ("def score(episode):\n    return 1 / 0\n", "line 2: ZeroDivisionError"),
        ("def score(episode):\n    return episode.torso_hight[0]\n", "line 2: episode.torso_hight"),
        ("def score(episode):\n    raise SystemExit('enough')\n", "line 2: raise SystemExit"),
        ("def score(episode):\n    return score(episode)\n", "line 2: RecursionError"),
        ("def score(episode):\n    for _ in range(10**12):\n        pass\n", "took more than"),
        ("def score(episode):\n    episode.torso_height[0] = 1\n", "itself, or a part of it"),
        ("def score(episode):\n    x = [episode.action][0]\n    x[0] = 1\n", "read-only"),
        ("def score(episode):\n    return open('metric.py')\n", "line 2: open is not part"),
        ("score = 3\n", "score is not defined"),
        ("def score(episode)\n", "line 1: expected ':'"),
    ],
)
def test_generated_metric_that_fails_is_an_outcome(hopper, recorded_dir, source, reason):
    (recorded_dir / "metric.py").write_text(source)
    result = score.run(score_job(source, hopper), recorded_dir)
    assert str(result.outcome).startswith("failed: ")
    assert reason in str(result.outcome)
    assert result.evaluation is None


@pytest.mark.parametrize(
    "text",
    [
        'score = keep_height("torso_height", at=1.25, within=0.1, seconds=0.1)\n',
        'TALL = keep_height("torso_height", at=1.25, within=0.1, seconds=0.1)\n'
        "score = both(TALL, TALL)\n",
        'score = jump("torso_height", height=1.5)\n',
    ],
)
def test_generated_metric_that_is_composed_scores_as_a_persons_does(hopper, recorded_dir, text):
    (recorded_dir / "metric.py").write_text(text)
    generated = score.run(score_job(text, hopper), recorded_dir)
    assert str(generated.outcome) == "finished"
    own = score.run(score_job(text, hopper).model_copy(update={"is_trusted": True}), recorded_dir)
    assert generated.evaluation == own.evaluation


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('score = keep_height("torso_height")\n', "needs a number that is asked for"),
        ('score = keep_height("torso_height", at=1.25, up=abs)\n', "expected string"),
        ('score = travel("observation", 1.0)\n', "takes 'observation' for one number"),
        ('score = keep_height("torso_height", at=1.25, inside=3)\n', "keyword argument 'inside'"),
    ],
)
def test_composed_metric_that_fails_is_an_outcome(hopper, recorded_dir, text, reason):
    (recorded_dir / "metric.py").write_text(text)
    result = score.run(score_job(text, hopper), recorded_dir)
    assert reason in str(result.outcome)
    assert result.evaluation is None


def test_generated_metric_finds_few_builtins_even_past_the_rules(hopper, recorded_dir, monkeypatch):
    source = "def score(episode):\n    return open('metric.py')\n"
    (recorded_dir / "metric.py").write_text(source)
    accepting = CheckReport(program_sha256="0" * 64, findings=())
    monkeypatch.setattr(checks, "check_metric", lambda source, card: accepting)
    result = score.run(score_job(source, hopper), recorded_dir)
    assert str(result.outcome) == "failed: <metric> line 2: NameError: name 'open' is not defined"


def test_a_persons_own_metric_may_use_all_of_python(hopper, recorded_dir):
    source = "import os\n\n\ndef score(episode):\n    return Score(len(os.getcwd()), True)\n"
    (recorded_dir / "metric.py").write_text(source)
    generated = score_job(source, hopper)
    assert str(score.run(generated, recorded_dir).outcome).startswith(
        "failed: <metric> line 1: os "
    )
    own = generated.model_copy(update={"is_trusted": True})
    assert str(score.run(own, recorded_dir).outcome) == "finished"


def test_metric_that_is_not_the_one_of_the_job_is_refused(hopper, recorded_dir):
    with pytest.raises(DataError, match="not the metric of the job"):
        score.run(score_job("other", hopper), recorded_dir)


def test_episodes_that_nobody_keeps_are_scored_the_same(job, tmp_path):
    kept = evaluate.run(job, tmp_path)
    (tmp_path / "trajectories.npz").unlink()
    dropped = evaluate.run(job.model_copy(update={"is_kept": False}), tmp_path)
    assert dropped.best == kept.best
    assert dropped.trajectories_sha256 is None
    assert not (tmp_path / "trajectories.npz").exists()
