"""One step alone: done again with something else under the same name, or cut off by a limit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.toy import write_policy

from reward_agent.definitions.card import load_env
from reward_agent.errors import JobError
from reward_agent.records.outcomes import TIMEOUT
from reward_agent.records.settings import RunSettings
from reward_agent.run.active import NO_METRIC, Lab
from reward_agent.run.behaviours import record_behaviours
from reward_agent.run.single import evaluate

METRIC = """
def score(episode):
    return Score({value}, False, {{}})
"""


def test_a_policy_is_scored_by_the_metric_and_the_weights_that_are_given(tmp_path: Path) -> None:
    policy, metric = tmp_path / "policy.safetensors", tmp_path / "own.py"
    card = load_env("inverted_pendulum")

    def score(value: str, action: float) -> float | None:
        metric.write_text(METRIC.format(value=value))
        write_policy(policy, card, action)
        given = {"metric": metric, "video": False, "eval_episodes": 2}
        return evaluate(policy, card.name, "balance", **given).best.task_score

    ends = "float(episode.cart_position[-1])"
    assert score("1.0", 1.0) == 1.0
    assert score("2.0", 1.0) == 2.0
    right, left = score(ends, 1.0), score(ends, -1.0)
    assert right is not None
    assert left is not None
    assert left < right


def test_an_evaluation_that_a_limit_ended_names_the_limit_and_is_nobodys_failure(
    tmp_path: Path,
) -> None:
    policy, metric = tmp_path / "policy.safetensors", tmp_path / "own.py"
    metric.write_text("import time\n" + METRIC.format(value="time.sleep(600)"))
    write_policy(policy, load_env("inverted_pendulum"), 1.0)
    given = {"metric": metric, "video": False, "eval_episodes": 2, "training_timeout_s": 5}
    with pytest.raises(JobError, match="the evaluate job ended without a result: timeout") as info:
        evaluate(policy, "inverted_pendulum", "balance", **given)
    assert "--training-timeout-s" in info.value.remedy


class Hanging:
    """An executor whose jobs do not end in time."""

    def map(self, requests: list[Any], on_progress: object = None) -> list[Any]:
        return [SimpleNamespace(result=None, outcome=TIMEOUT) for _ in requests]


def test_a_recording_that_fails_is_said_as_what_it_is(tmp_path: Path) -> None:
    lab: Any = Lab(load_env("hopper"), NO_METRIC, RunSettings(), Hanging())
    with pytest.raises(JobError, match="the record job ended without a result: timeout"):
        record_behaviours(lab, tmp_path)
