"""A scripted session over a real run of the hopper, without a model: words are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

import reward_agent
from reward_agent.feedback.session import open_session


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_words_change_the_program_and_the_new_policy_is_measured_by_them(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    reward_agent.design(
        "hopper", "hop_forward", provider="offline", candidates=2, iterations=1, steps=100_000,
        winner_seeds=0, video=False, runs_dir=runs, environ={},
    )  # fmt: skip
    with open_session("last", runs_dir=runs, environ={}, candidates=2, video=False) as session:
        before = session.current
        assert before is not None
        session.remark(
            "It falls over before the time is up.", "Keep going, keep the feet under you."
        )
        [ended] = session.work()
        after = session.current
        assert str(ended.outcome) == "finished"
        assert after is not None
        assert after.candidate.parent == before.candidate.id
        assert after.candidate.program_sha256 != before.candidate.program_sha256
        wish = after.wish
        assert wish is not None
        assert [row.measure.name for row in wish.rows] == ["falls"]
        assert wish.rows[0].is_better
        # Who stands falls no more, and hops no more either: the task score says that.
        assert wish.task is not None
        assert wish.verdict == ("mixed" if wish.task.is_worse else "better")
