"""The limits of a sweep hold for all of its runs together."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reward_agent.bench import sweep as sweep_module
from reward_agent.bench.plan import Choices
from reward_agent.bench.purse import Purse
from reward_agent.bench.suite import make_suite
from reward_agent.bench.sweep import find_sweep, run_sweep
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import load_task
from reward_agent.errors import BudgetError, Interrupted
from reward_agent.llm.budget import Budget, SpendingLimits
from reward_agent.llm.calls import CalledChatModel
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, ChatRequest, Completion
from reward_agent.llm.replies import REPLIES_FILE, Replies
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.store import Confirmation, RunRecord, RunStore, Winner, make_run_dir
from reward_agent.types import Evaluation, Usage

USD = 0.01  # of a call
SCORED = Confirmation(
    candidate="a", seed=100, outcome=TRAINED,
    evaluation=Evaluation(
        total_timesteps=1, seed=100, n_episodes=1, task_score=1.0, success_rate=1.0,
        episode_length=10,
    ),
)  # fmt: skip
WINNER = Winner(
    candidate="a", iteration=0, seed=100, task_score=1.0, is_confirmed=True, policy_file="p"
)  # fmt: skip


class Model:
    provider, agents, max_concurrency = "anthropic", ALL_AGENTS, 1
    name = "claude-sonnet-5-5"

    def complete(self, request: ChatRequest) -> Completion:
        usage = Usage(n_calls=1, input_tokens=3_000, output_tokens=400, usd=USD)
        return Completion(
            reply="x", stop_reason="stop", model=self.name, provider=self.provider, usage=usage
        )


def spend(runs_dir: Path, n_calls: int, **facts: Any) -> RunStore:
    """Make a run that has called a model so often."""
    store = RunStore(make_run_dir(runs_dir, "hopper", "hop_forward"))
    store.write_run(
        RunRecord(
            id=store.dir.name, created="2026-11-23T00:00:00Z", card=load_env("hopper"),
            task=load_task("hopper", "hop_forward"), metric_origin="task", config_sources={},
            designer="anthropic", sandbox_level="full", versions={},
            confirmations=(SCORED,), winner=WINNER, **({"status": "finished", "config": {}} | facts),
        )
    )  # fmt: skip
    model = CalledChatModel(Model(), budget=Budget(replies=Replies(store.dir / REPLIES_FILE)))
    for number in range(n_calls):
        turns = (ChatMessage("user", f"Hop {number}."),)
        model.complete(ChatRequest("designer", "designer/first", turns, 64))
    return store


def test_side_by_side_runs_share_what_is_left(tmp_path: Path) -> None:
    spend(tmp_path / "a" / "runs", 20)
    folders = [tmp_path / name for name in "abc"]
    purse = Purse(SpendingLimits(usd=1.0, calls=30), 2, folders)
    with purse.share(folders[0]) as first, purse.share(folders[1]) as second:
        assert (first.usd, first.calls) == (pytest.approx(0.4), 5)
        assert (second.usd, second.calls) == (pytest.approx(0.4), 5)
        spend(tmp_path / "b" / "runs", 2)
    with purse.share(folders[2]) as third:
        assert (third.usd, third.calls) == (pytest.approx((1 - 22 * USD) / 2), 4)


def test_what_is_spent_lets_no_further_run_begin(tmp_path: Path) -> None:
    spend(tmp_path / "a" / "runs", 3)
    for limits in (SpendingLimits(calls=3), SpendingLimits(usd=3 * USD)):
        with (
            pytest.raises(BudgetError, match="the sweep has spent its --max-"),
            ExitStack() as stack,
        ):
            stack.enter_context(Purse(limits, 1, [tmp_path / "a"]).share(tmp_path / "b"))


def test_without_a_limit_nothing_is_bounded_or_read(tmp_path: Path) -> None:
    with Purse(SpendingLimits()).share(tmp_path) as share:
        assert share == SpendingLimits()


# --- over a sweep -----------------------------------------------------------------------------------

KEY = {"OPENAI_API_KEY": "sk-test-0123456789"}
SUITE = make_suite(
    {"name": "paid", "tasks": ["inverted_pendulum/balance"], "methods": ["zero_shot", "sparse"],
     "seeds": 2, "budget": 2048, "winner_seeds": 1}
)  # fmt: skip


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings of the runs that were begun; each calls a model as often as it may, at most 5
    times, and one that may not says so."""
    settings: list[dict[str, Any]] = []

    def design(env: str, task: str, *, runs_dir: Path, **given: Any) -> RunRecord:
        settings.append(given)
        is_free = given["provider"].startswith("given")
        most = given.get("max_calls") or 9
        is_cut = not is_free and most < 5
        limit = f"--max-calls {most} is reached: {most} calls were made" if is_cut else ""
        n_calls = 0 if is_free else min(most, 5)
        return spend(runs_dir, n_calls, limit=limit, config=given).read_run()

    monkeypatch.setattr(sweep_module, "design", design)
    return settings


def run(folder: Path, **options: Any) -> None:
    run_sweep(SUITE, Choices("openai", "gpt-6.2-sol", KEY), folder, **options)


def test_a_sweep_that_pays_asks_once_about_all_of_it(tmp_path: Path, begun: list[Any]) -> None:
    asked: list[Any] = []
    with pytest.raises(Interrupted, match="before the first call"):
        run(tmp_path, agree=lambda expected: bool(asked.append(expected)))
    assert not begun
    [expected] = asked
    assert expected.calls.likely > 2
    run(tmp_path, agree=lambda expected: True)
    assert len(begun) == 4
    run(tmp_path, agree=lambda expected: False)  # all are over: there is nothing to pay


def test_a_limit_is_that_of_all_jobs_and_a_run_that_it_cuts_is_no_result(
    tmp_path: Path, begun: list[Any]
) -> None:
    def refuse(expected: Any) -> bool:
        raise AssertionError(expected)

    with pytest.raises(BudgetError, match="the sweep has spent its --max-calls 7") as caught:
        run(tmp_path, limits=SpendingLimits(calls=7), agree=refuse)
    assert "the same command with a higher limit" in caught.value.remedy
    assert [given.get("max_calls") for given in begun] == [7, None, 2]
    assert len(find_sweep(str(tmp_path)).read_results()) == 2
