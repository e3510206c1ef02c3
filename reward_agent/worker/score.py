"""A metric over recorded episodes: ``ScoreJob`` → ``ScoreResult``."""

from __future__ import annotations

from pathlib import Path

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import MetricFunction, compile_generated_metric, compile_metric
from reward_agent.evaluation.scoring import score_trajectories
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.job import TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import RelabelJob, ScoreJob, ScoreResult
from reward_agent.types import FINISHED, RewardProgram, name_failure


def run(job: ScoreJob, job_dir: Path) -> ScoreResult:
    """Score the recorded episodes; a metric that fails is an outcome, never an exception.

    Raises:
        DataError: the metric or the trajectories in the folder are not those of the job.
    """
    source = read_metric(job, job_dir)
    trajectories = Trajectories.load(job_dir / TRAJECTORIES_FILE)
    try:
        metric = compile_job(job, source)
        evaluation = score_trajectories(trajectories, metric, job.total_timesteps, job.seed)
    except DataError as error:
        return ScoreResult(outcome=name_failure(error.message))
    # A person's metric may also end the process.
    except SystemExit as error:
        return ScoreResult(outcome=name_failure(f"{type(error).__name__}: {error}"))
    return ScoreResult(outcome=FINISHED, evaluation=evaluation)


def read_metric(job: ScoreJob | RelabelJob, job_dir: Path) -> str:
    """Return the text of a job's metric.

    Raises:
        DataError: it is not the job's.
    """
    source = (job_dir / METRIC_FILE).read_text(encoding="utf-8")
    if RewardProgram(source).sha256 != job.metric_sha256:
        raise DataError(f"{job_dir / METRIC_FILE} is not the metric of the job", "run it again")
    return source


def compile_job(job: ScoreJob | RelabelJob, source: str) -> MetricFunction:
    """Return a job's metric; one that no person wrote is held to the rules.

    Raises:
        DataError: it cannot be compiled.
    """
    return compile_metric(source) if job.is_trusted else compile_generated_metric(source, job.card)
