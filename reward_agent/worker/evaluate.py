"""Fresh episodes of trained policies under the trusted metric: ``EvaluateJob`` → its result.

No generated code is loaded here: a policy is weights, and ``metric.py`` is a person's. A generated
metric scores what is recorded here later, in a process of its own (``worker.score``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import (
    Decision,
    MetricFunction,
    compile_metric,
    find_metric_fields,
    load_decision,
)
from reward_agent.evaluation.rollout import Actor, KeptSimulations, Rollout, roll_out
from reward_agent.evaluation.scoring import (
    drop_parts,
    list_contenders,
    pool_evaluations,
    score_trajectories,
)
from reward_agent.film.footage import make_footages, save_footages
from reward_agent.learning.policy import load_policy
from reward_agent.records.job import FOOTAGE_FILE, TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import EvaluateJob, EvaluateResult
from reward_agent.summary.events import keep_events
from reward_agent.types import Evaluation

# The policy is chosen on some seeds and reported on others, this far away.
_FINALISTS_SEED_OFFSET = 250_000
_REPORT_SEED_OFFSET = 500_000
# A few episodes of each of ten policies often rank the luckiest first. So the first few are tried
# again, with twice as many episodes, unless their intervals are apart.
_N_FINALISTS = 3


def run(job: EvaluateJob, job_dir: Path) -> EvaluateResult:
    """Score every snapshot, then the best of them again on fresh seeds.

    Raises:
        DataError: a policy or the metric cannot be used.
    """
    if not job.snapshots:
        raise DataError("the job has no snapshot to evaluate", "train the policy first")
    metric = compile_metric(job_dir / METRIC_FILE) if job.has_metric else None
    is_decided = load_decision(job_dir / METRIC_FILE) if job.has_metric else None
    policies = [load_policy(job_dir / snapshot.file) for snapshot in job.snapshots]
    needed = _find_needed_fields(job, job_dir)
    curve: tuple[Evaluation, ...] = ()
    chosen = 0
    if len(policies) > 1:
        jury = _Jury(job, policies, metric, is_decided, KeptSimulations(job.card, needed))
        curve = jury.score(range(len(policies)), job.n_curve_episodes, job.seed)
        chosen = jury.choose(curve)
    seed = job.seed + _REPORT_SEED_OFFSET
    kept = None if job.is_kept else KeptSimulations(job.card, needed)
    [rollout] = roll_out(job.card, [policies[chosen]], job.n_episodes, seed, kept)
    timesteps = job.snapshots[chosen].total_timesteps
    best = score_trajectories(rollout.trajectories, metric, timesteps, seed)
    digest = _keep(rollout, best, job, job_dir) if job.is_kept else None
    if job.n_filmed:
        footages = make_footages(job.card, rollout, best, job.caption, job.n_filmed)
        save_footages(footages, job_dir / FOOTAGE_FILE)
    return EvaluateResult(
        curve=curve or (best,),
        best=best,
        randomised=_score_randomised(job, policies[chosen], metric, needed, best),
        best_file=job.snapshots[chosen].file,
        trajectories_sha256=digest,
    )


def _score_randomised(
    job: EvaluateJob,
    policy: Actor,
    metric: MetricFunction | None,
    needed: frozenset[str] | None,
    best: Evaluation,
) -> Evaluation | None:
    """Score the same starts again with physics that differ.

    None where the card changes none, where the episodes are only to choose a policy, and where
    nothing scores them here.
    """
    if job.card.randomise is None or metric is None or not job.is_kept:
        return None
    kept = KeptSimulations(job.card, needed, is_randomised=True)
    [rollout] = roll_out(job.card, [policy], job.n_episodes, best.seed, kept)
    return score_trajectories(rollout.trajectories, metric, best.total_timesteps, best.seed)


def _find_needed_fields(job: EvaluateJob, job_dir: Path) -> frozenset[str] | None:
    """Return the fields that scores take, and the policy's own; None for all."""
    read: frozenset[str] | None = frozenset()
    if job.has_metric:
        read = find_metric_fields((job_dir / METRIC_FILE).read_text("utf-8"), job.card)
    return None if read is None else read | {"observation"}


def _keep(rollout: Rollout, best: Evaluation, job: EvaluateJob, job_dir: Path) -> str:
    """Write the episodes and the states of their events, and return the digest of the episodes."""
    path = job_dir / TRAJECTORIES_FILE
    rollout.trajectories.save(path)
    keep_events(job_dir, job.card, rollout, best)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class _Jury:
    """Scores snapshots to choose one of them: of an episode it wants the score, not the rest."""

    job: EvaluateJob
    policies: Sequence[Actor]
    metric: MetricFunction | None
    is_decided: Decision | None
    kept: KeptSimulations

    def score(self, indices: Sequence[int], n_episodes: int, seed: int) -> tuple[Evaluation, ...]:
        """Return fresh episodes of some of the policies, side by side."""
        policies = [self.policies[i] for i in indices]
        rollouts = roll_out(self.job.card, policies, n_episodes, seed, self.kept, self.is_decided)
        return tuple(
            self._score_one(rollout, index, seed + position * n_episodes)
            for position, (index, rollout) in enumerate(zip(indices, rollouts, strict=True))
        )

    def choose(self, curve: Sequence[Evaluation]) -> int:
        """Return the index of the best policy; without a metric, of the last."""
        if self.metric is None:
            return len(self.policies) - 1
        finalists = list_contenders(curve)[:_N_FINALISTS]
        if len(finalists) == 1:
            return finalists[0]
        n_episodes, seed = 2 * self.job.n_curve_episodes, self.job.seed + _FINALISTS_SEED_OFFSET
        pooled = [
            pool_evaluations(curve[index], second)
            for index, second in zip(
                finalists, self.score(finalists, n_episodes, seed), strict=True
            )
        ]
        return finalists[list_contenders(pooled)[0]]

    def _score_one(self, rollout: Rollout, index: int, seed: int) -> Evaluation:
        timesteps = self.job.snapshots[index].total_timesteps
        evaluation = score_trajectories(rollout.trajectories, self.metric, timesteps, seed)
        # What else the metric says is of the whole episode, which was not run.
        return drop_parts(evaluation) if self.is_decided else evaluation
