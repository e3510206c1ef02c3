"""The same judge for both sides: fresh episodes of a policy under the task's metric."""

from __future__ import annotations

from collections.abc import Sequence

from reward_agent.bench.setting import Setting
from reward_agent.evaluation.metrics import compile_metric
from reward_agent.evaluation.rollout import Policy, roll_out
from reward_agent.evaluation.scoring import score_trajectories

N_EPISODES = 8
# Far from the seeds that trainings begin with.
_SEED = 77_000_000
# Rolled out side by side, every field of every step is kept: more would fill the memory.
_N_AT_ONCE = 16


def score_policies(setting: Setting, policies: Sequence[Policy]) -> list[float | None]:
    """Return the mean task score of each policy, all on the same first states."""
    metric = compile_metric(setting.metric_path)
    scores: list[float | None] = []
    for start in range(0, len(policies), _N_AT_ONCE):
        chunk = policies[start : start + _N_AT_ONCE]
        for rollout in roll_out(setting.card, chunk, N_EPISODES, _SEED):
            scores.append(score_trajectories(rollout.trajectories, metric, 0, _SEED).task_score)
    return scores
