"""What both sides of a comparison are given: an environment, a task, its metric and its reward."""

from __future__ import annotations

from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import (
    apply_task,
    read_reference_reward,
    read_task_metric,
    resolve_task,
)

# The task whose reference reward is Gymnasium's own.
TASKS = {
    "hopper": "hop_forward",
    "walker2d": "run_forward",
    "half_cheetah": "run_forward",
    "ant": "run_forward",
}


@dataclass(frozen=True)
class Setting:
    """An environment under a task.

    Args:
        card: with the task's changes.
        source: text of the reference reward, which is Gymnasium's own.
        metric: source of the task's metric.
    """

    card: EnvCard
    source: str
    metric: str


def load_setting(env: str) -> Setting:
    """Load the setting of an environment's task in ``TASKS``."""
    plain = load_env(env)
    task = resolve_task(plain, TASKS[env])
    card = apply_task(plain, task)
    source = read_reference_reward(card, task)
    metric = read_task_metric(card, task)
    assert source is not None
    assert metric is not None
    return Setting(card, source, metric)
