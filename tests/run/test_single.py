"""One step alone, done again with something else under the same name."""

from __future__ import annotations

from pathlib import Path

from support.toy import write_policy

from reward_agent.definitions.card import load_env
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
