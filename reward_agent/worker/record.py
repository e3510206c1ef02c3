"""Record: what the robot can do without a policy, to try a metric or a reward on."""

from __future__ import annotations

from pathlib import Path

from reward_agent.evaluation.behaviours import record_behaviours
from reward_agent.records.jobs import TRAJECTORIES_FILE, RecordJob, RecordResult


def run(job: RecordJob, job_dir: Path) -> RecordResult:
    """Record the behaviours and write ``trajectories.npz``."""
    recorded = record_behaviours(job.card, job.behaviours, job.n_episodes, job.seed)
    recorded.trajectories.save(job_dir / TRAJECTORIES_FILE)
    return RecordResult(
        behaviours=recorded.names,
        lengths=tuple(recorded.trajectories.lengths.tolist()),
        left_out=recorded.left_out,
        links=dict(recorded.links),
    )
