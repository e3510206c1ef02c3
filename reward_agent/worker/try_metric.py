"""The trial of a metric on recorded behaviours and on made episodes: ``TryMetricJob``."""

from __future__ import annotations

from pathlib import Path

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.evaluation.made import MetricSearch
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.job import TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import TryMetricJob, TryMetricResult
from reward_agent.worker import score


def run(job: TryMetricJob, job_dir: Path) -> TryMetricResult:
    """Score what was recorded, then look for what the metric calls a success.

    Raises:
        DataError: the metric or the trajectories in the folder are not those of the job.
    """
    scored = score.run(job, job_dir)
    if scored.evaluation is None:
        return TryMetricResult(outcome=scored.outcome)
    source = (job_dir / METRIC_FILE).read_text(encoding="utf-8")
    metric = score.compile_job(job, source)
    start = Trajectories.load(job_dir / TRAJECTORIES_FILE).episode(0)
    made = MetricSearch(job.card, source, metric, start, job.sentence, job.target_score).run()
    return TryMetricResult(outcome=scored.outcome, evaluation=scored.evaluation, made=made)
