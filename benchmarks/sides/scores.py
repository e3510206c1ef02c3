"""The same judge for both sides: fresh episodes of a policy under the task's metric."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.setting import Setting
from reward_agent.evaluation.metrics import compile_metric
from reward_agent.evaluation.rollout import Actor, roll_out
from reward_agent.evaluation.scoring import score_trajectories
from reward_agent.types import Evaluation

N_EPISODES = 8
# Far from the seeds that trainings begin with.
_SEED = 77_000_000
# Rolled out side by side, every field of every step is kept: more would fill the memory.
_N_AT_ONCE = 16


def score_policies(setting: Setting, policies: Sequence[Actor]) -> list[float | None]:
    """Return the mean task score of each policy."""
    return [evaluation.task_score for evaluation in evaluate_policies(setting, policies)]


def evaluate_policies(
    setting: Setting, policies: Sequence[Actor], seed: int = 0
) -> list[Evaluation]:
    """Return what fresh episodes say of each policy.

    Args:
        setting: what the policies were trained in.
        policies: in any order.
        seed: of the episodes.
    """
    metric = compile_metric(setting.metric)
    evaluations = []
    for start in range(0, len(policies), _N_AT_ONCE):
        chunk, first = policies[start : start + _N_AT_ONCE], _SEED + 10_000 * seed + 1000 * start
        for rollout in roll_out(setting.card, chunk, N_EPISODES, first):
            evaluations.append(score_trajectories(rollout.trajectories, metric, 0, first))
    return evaluations
