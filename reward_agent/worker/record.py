"""Record: what the robot can do without a policy, to try a metric or a reward on."""

from __future__ import annotations

from pathlib import Path

from reward_agent.evaluation.arrays import read_arrays
from reward_agent.evaluation.behaviours import record_behaviours
from reward_agent.film.footage import make_behaviour_footage, save_footages
from reward_agent.records.job import FOOTAGE_FILE, STARTS_FILE, TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import RecordJob, RecordResult


def run(job: RecordJob, job_dir: Path) -> RecordResult:
    """Record the behaviours and write ``trajectories.npz``."""
    begin = read_arrays(job_dir / STARTS_FILE) if job.begins_elsewhere else None
    recorded = record_behaviours(job.card, job.behaviours, job.n_episodes, job.seed, begin)
    recorded.trajectories.save(job_dir / TRAJECTORIES_FILE)
    # One of each, and no ends of actuators, which are many. What has no pose is not drawn.
    shown = dict(zip(recorded.names[::-1], recorded.poses[::-1], strict=True))
    footages = [
        make_behaviour_footage(name, shown[name])
        for name in job.behaviours
        if name in shown and shown[name].size
    ]
    if footages:
        save_footages(footages, job_dir / FOOTAGE_FILE)
    return RecordResult(
        behaviours=recorded.names,
        lengths=tuple(recorded.trajectories.lengths.tolist()),
        left_out=recorded.left_out,
        links=dict(recorded.links),
        keyframes=recorded.keyframes,
    )
