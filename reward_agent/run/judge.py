"""Judge: policies are scored by the task's metric, in children that hold no reward program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError
from reward_agent.evaluation.trajectories import Trajectories, join_trajectories
from reward_agent.executors import JobRequest
from reward_agent.files import read_capped
from reward_agent.learning.policy import MAX_POLICY_BYTES
from reward_agent.records.jobs import (
    CHECKPOINT_FILE,
    METRIC_FILE,
    TRAJECTORIES_FILE,
    EvaluateJob,
    EvaluateResult,
    ScoreJob,
    ScoreResult,
)
from reward_agent.run.film import N_FILMED, film
from reward_agent.run.search import Judge, Search, copy_into
from reward_agent.run.train import Entrant, check_policy
from reward_agent.types import (
    Evaluation,
    RewardProgram,
    Snapshot,
    TrainingResult,
    rank_value,
)

# Stored episodes that a new program is tried on; more would only repeat what they show.
MAX_STORED_EPISODES = 32
# Seeds of evaluations: far from the seeds of trainings, and apart from each other.
EVALUATION_SEED = 1_000_000
RUNG_SEED = 2_000_000


@dataclass(frozen=True)
class StoredEpisodes:
    """Recorded episodes of earlier candidates with their trusted scores."""

    trajectories: Trajectories | None = None
    task_scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What to evaluate, where, and how carefully."""

    job_dir: Path
    seed: int
    n_episodes: int
    n_curve_episodes: int = 4
    n_filmed: int = 0
    caption: str = ""


def judge_policies(
    judge: Judge, training_dir: Path, snapshots: Sequence[Snapshot], judgement: Judgement
) -> EvaluateResult:
    """Evaluate the snapshots of one training.

    Args:
        judge: the environment, the metric and where jobs run.
        training_dir: folder of the training job, where the snapshots lie.
        snapshots: policies, oldest first.
        judgement: where and how carefully.

    Raises:
        DataError: a snapshot is not a policy for this environment.
        JobError: the evaluation itself failed.
    """
    if judge.metric.source is not None and not judge.metric.is_trusted:
        return _judge_by_generated_metric(judge, training_dir, snapshots, judgement)
    return _evaluate(judge, training_dir, snapshots, judgement)


def _evaluate(
    judge: Judge, training_dir: Path, snapshots: Sequence[Snapshot], judgement: Judgement
) -> EvaluateResult:
    """Run the evaluation child; a trusted metric goes with it."""
    files = {
        item.file: read_capped(training_dir / item.file, MAX_POLICY_BYTES) for item in snapshots
    }
    has_metric = judge.metric.is_trusted
    if has_metric:
        assert judge.metric.source is not None
        files[METRIC_FILE] = judge.metric.source.encode()
    copy_into(judgement.job_dir, files)
    for item in snapshots:
        check_policy(judgement.job_dir / item.file, judge.card)
    job = EvaluateJob(
        card=judge.card,
        snapshots=tuple(snapshots),
        seed=judgement.seed,
        n_episodes=judgement.n_episodes,
        n_curve_episodes=judgement.n_curve_episodes,
        has_metric=has_metric,
        n_filmed=judgement.n_filmed,
        caption=judgement.caption,
    )
    request = JobRequest(job, judgement.job_dir, judge.limits)
    [job_exit] = judge.executor.map([request])
    if not isinstance(job_exit.result, EvaluateResult):
        raise DataError(
            f"the evaluation in {judgement.job_dir} ended without a result: {job_exit.outcome}",
            "raise --training-timeout-s or --memory-mib",
        )
    # Those that were not chosen lie where they were trained.
    for name in set(files) - {METRIC_FILE, job_exit.result.best_file}:
        (judgement.job_dir / name).unlink(missing_ok=True)
    return job_exit.result


def _judge_by_generated_metric(
    judge: Judge, training_dir: Path, snapshots: Sequence[Snapshot], judgement: Judgement
) -> EvaluateResult:
    """Record episodes without a metric, then score the records in a child of their own.

    That takes two children a policy, so every other one of the course is left out.
    """
    curve = []
    snapshots = snapshots[-1::-2][::-1]
    for snapshot in snapshots:
        folder = judgement.job_dir / f"point_{snapshot.total_timesteps}"
        point = Judgement(folder, judgement.seed, judgement.n_curve_episodes)
        curve.append(_record_and_score(judge, training_dir, snapshot, point).best)
        for name in (TRAJECTORIES_FILE, snapshot.file):
            (folder / name).unlink(missing_ok=True)
    best_index = max(range(len(curve)), key=lambda i: rank_value(curve[i].task_score))
    final = _record_and_score(judge, training_dir, snapshots[best_index], judgement)
    return final.model_copy(update={"curve": tuple(curve)})


def _record_and_score(
    judge: Judge, training_dir: Path, snapshot: Snapshot, judgement: Judgement
) -> EvaluateResult:
    recorded = _evaluate(judge, training_dir, [snapshot], judgement)
    evaluation = score_recorded(judge, judgement.job_dir, recorded.best)
    return recorded.model_copy(update={"best": evaluation, "curve": (evaluation,)})


def score_recorded(judge: Judge, recorded_dir: Path, recorded: Evaluation) -> Evaluation:
    """Score recorded episodes by the generated metric; without a score if it fails."""
    assert judge.metric.source is not None
    job_dir = recorded_dir / "score"
    files = {METRIC_FILE: judge.metric.source.encode()}
    recording = recorded_dir / TRAJECTORIES_FILE
    if recording.is_file():  # else it was scored, and is not kept
        files[TRAJECTORIES_FILE] = recording.read_bytes()
    copy_into(job_dir, files)
    job = ScoreJob(
        card=judge.card,
        metric_sha256=RewardProgram(judge.metric.source).sha256,
        total_timesteps=recorded.total_timesteps,
        seed=recorded.seed,
    )
    [job_exit] = judge.executor.map([JobRequest(job, job_dir, judge.limits)])
    (job_dir / TRAJECTORIES_FILE).unlink(missing_ok=True)
    if isinstance(job_exit.result, ScoreResult) and job_exit.result.evaluation is not None:
        return job_exit.result.evaluation
    return recorded


def judge_rung(search: Search, entrant: Entrant, snapshot: Snapshot) -> Evaluation:
    """Score the policy that a training had when it paused, on a few fresh episodes."""
    steps, seed = snapshot.total_timesteps, entrant.seed
    judgement = Judgement(
        entrant.candidate_dir / "evaluation" / f"rung_{steps}_seed_{seed}",
        seed=RUNG_SEED + search.config.seed,
        n_episodes=max(4, search.config.eval_episodes // 2),
    )
    judged = judge_policies(search.judge, entrant.training_dir, [snapshot], judgement)
    # Only the score is asked for; episodes of each slice would be the most that a run leaves.
    for name in (TRAJECTORIES_FILE, snapshot.file):
        (judgement.job_dir / name).unlink(missing_ok=True)
    return judged.best


def judge_training(
    search: Search,
    job_dir: Path,
    training_dir: Path,
    result: TrainingResult,
    caption: str,
    *,
    is_filmed: bool = True,
) -> EvaluateResult:
    """Score a training that has ended: its course, and its best policy on fresh episodes.

    A whole training is filmed as well, in the background, unless ``is_filmed`` says otherwise.
    """
    judgement = Judgement(
        job_dir,
        seed=EVALUATION_SEED + search.config.seed + result.seed,
        n_episodes=search.config.eval_episodes,
        caption="\n".join(filter(None, (caption, describe_terms(result)))),
        n_filmed=N_FILMED[search.config.video_quality],
    )
    judged = judge_policies(search.judge, training_dir, result.snapshots, judgement)
    is_whole = result.total_timesteps >= search.config.steps
    if is_whole:
        (training_dir / CHECKPOINT_FILE).unlink(missing_ok=True)  # it does not go on
    if search.config.video and is_filmed and is_whole and judged.video_file is None:
        search.background.add(lambda: film_training(search, job_dir, judged))
    return judged


def film_training(search: Search, job_dir: Path, judged: EvaluateResult) -> EvaluateResult:
    """Film the best policy of a training that was judged."""
    return film(search.judge, job_dir, judged, search.config.video_quality)


def describe_terms(result: TrainingResult) -> str:
    """Say in a line what the reward paid at the end of a training, the weightiest terms first."""
    shares = {
        curve.name: curve.points[-1].share_of_return for curve in result.terms if curve.points
    }
    ranked = sorted(shares, key=lambda name: -shares[name])[:3]
    return "pay: " + ", ".join(f"{name} {shares[name]:.0%}" for name in ranked) if ranked else ""


def collect_episodes(folders: Sequence[tuple[Path, Evaluation]]) -> StoredEpisodes:
    """Gather recorded episodes and their scores, the newest candidates first.

    Args:
        folders: evaluation folders with the evaluation that describes their trajectories.
    """
    parts: list[Trajectories] = []
    scores: list[float] = []
    for folder, evaluation in reversed(folders):
        path = folder / TRAJECTORIES_FILE
        known = [episode.task_score for episode in evaluation.episodes]
        if not path.is_file() or None in known or len(scores) + len(known) > MAX_STORED_EPISODES:
            continue
        parts.append(Trajectories.load(path))
        scores.extend(score for score in known if score is not None)
    if not parts:
        return StoredEpisodes()
    return StoredEpisodes(join_trajectories(parts), tuple(scores))
