"""What cheap policies earn: the table, and when it is a warning."""

from __future__ import annotations

from typing import Any

import pytest

from reward_agent.rewards.pay import (
    Most,
    Tried,
    describe_agreement,
    describe_states,
    find_goal_pay,
    judge_pay,
    render_pay,
)
from reward_agent.types import BehaviourPay, ProbeReport, RankedEpisodes

SHA = "0" * 64


def make_row(name: str, pay: float, length: float = 1000, **known: Any) -> BehaviourPay:
    known = {"n_episodes": 2, "n_ended": 0 if length == 1000 else 2, "terms": {"goal": pay}} | known
    return BehaviourPay(name=name, pay=pay, length=length, **known)


def judge(*rows: BehaviourPay, most: float = 10.0, target: float | None = None) -> dict[str, str]:
    return {f.rule: f.message for f in judge_pay(Tried(rows, Most(most, most), target))}


def test_a_reward_that_only_costs_makes_falling_the_best_deal() -> None:
    rows = (make_row("start pose held", -2000), make_row("falling at once", -80, 50))
    found = judge(*rows)
    assert list(found) == ["probe/falling-pays"]
    assert "'falling at once' earns -80 in 50 steps, 'start pose held' -2000" in found.popitem()[1]


def test_a_lunge_that_ends_early_is_no_warning() -> None:
    rows = (make_row("start pose held", -1), make_row("every actuator at its lower end", 5, 7))
    assert judge(*rows) == {}


def test_an_early_end_that_beats_a_known_policy_is_a_warning() -> None:
    rows = (
        make_row("start pose held", 1),
        make_row("falling at once", 50, 7, task_score=0.0, success_rate=0.0),
        make_row("policy", 20, is_policy=True, task_score=0.9, success_rate=0.5),
    )
    assert list(judge(*rows)) == ["probe/falling-pays"]


def test_standing_that_is_paid_like_the_best_step_is_a_warning_with_its_numbers() -> None:
    standing = make_row("start pose held", 970, terms={"clearance": 970, "speed": 0}, task_score=0)
    found = judge(standing, most=1.2, target=3.0)
    assert list(found) == ["probe/pays-standing"]
    assert "earns 0.97 a step, 81% of the most" in found["probe/pays-standing"]
    assert "clearance 0.97" in found["probe/pays-standing"]
    assert judge(standing, most=4.0, target=3.0) == {}


@pytest.mark.parametrize("known", [{"task_score": 0.6}, {"task_score": 0.2, "success_rate": 1.0}])
def test_where_the_metric_pays_standing_a_program_may(known: dict[str, float]) -> None:
    standing = make_row("start pose held", 970, **known)
    assert judge(standing, most=1.0, target=1.0) == {}


def test_without_a_metric_standing_is_a_hint() -> None:
    [finding] = judge_pay(Tried((make_row("start pose held", 970),), Most(1.0, 1.0)))
    assert finding.severity == "hint"


def test_what_earns_as_much_as_a_far_better_policy_is_a_warning() -> None:
    policy = make_row("policy", 500, is_policy=True, task_score=0.8)
    limp = make_row("limp", 480, task_score=0.0)
    found = judge(limp, policy, target=1.0)
    assert list(found) == ["probe/pays-cheap"]
    assert "'limp' earns 480" in found["probe/pays-cheap"]
    assert judge(make_row("limp", 300, task_score=0.0), policy, target=1.0) == {}
    assert judge(make_row("limp", 480, task_score=0.7), policy, target=1.0) == {}


def test_a_scripted_behaviour_of_no_worth_is_no_attempt_to_compare_with() -> None:
    rows = (make_row("limp", 10, task_score=0.02), make_row("random actions", 9, task_score=0.05))
    assert judge(*rows, target=1.0) == {}


def make_report(*rows: BehaviourPay, **changes: Any) -> ProbeReport:
    return ProbeReport(program_sha256=SHA, behaviours=rows, **changes)


def test_the_table_is_sorted_by_pay_and_tells_the_place_of_the_best_attempt() -> None:
    report = make_report(
        make_row("start pose held", 5, task_score=0.0),
        make_row("knee at its lower end", 1, task_score=0.0),
        make_row("knee at its upper end", 2, task_score=0.0),
        make_row("limp", 900, task_score=0.1),
        make_row("best policy of round 1 (abc)", 300, is_policy=True, task_score=0.8),
        left_out=("falling at once: nothing here can be tipped over",),
    )
    lines = render_pay(report).splitlines()
    assert [line.split("  ")[0] for line in lines[1:5]] == [
        "limp", "best policy of round 1 (abc)", "start pose held", "knee at its upper end",
    ]  # fmt: skip
    assert lines[5] == (
        "The best known attempt by task score, best policy of round 1 (abc) (0.8), is paid 2nd of 4."
    )
    assert lines[6] == "Not tried: falling at once: nothing here can be tipped over."


def test_nothing_recorded_has_no_table() -> None:
    assert render_pay(make_report()) == ""


def test_a_bonus_that_only_the_one_fall_lacks_does_not_follow_the_score() -> None:
    scores = {
        "random actions": -1.5,
        "start pose held": 0.0,
        "limp": 0.1,
        "one arm": 0.3,
        "all": 0.2,
    }
    rows = [
        make_row(name, 0, task_score=x, terms={"speed": 6 * x, "alive": 130 if x < -1 else 1000})
        for name, x in scores.items()
    ]
    assert find_goal_pay(Tried(rows, Most(0, 0), 50.0)) == {"speed": pytest.approx(6)}


def test_an_agreement_says_over_what_it_is() -> None:
    ranked = RankedEpisodes(n_episodes=16, n_policies=2, lowest=0.1, highest=0.9)
    report = make_report(rank_agreement=0.61, ranked=ranked)
    assert describe_agreement(report) == (
        "0.61 over 16 episodes of 2 policies, task scores 0.1 … 0.9"
    )
    alike = ranked.model_copy(update={"lowest": 0.899})
    told = describe_agreement(make_report(rank_agreement=0.61, ranked=alike))
    assert told.endswith("0.899 … 0.9, which hardly differ")
    assert describe_agreement(make_report()) == ""


def test_states_that_never_came_up_are_named() -> None:
    report = make_report(
        make_row("start pose held", 5, task_score=0.0),
        make_row("limp", 5, task_score=0.2),
        left_out=("falling at once: nothing here can be tipped over",),
    )
    assert describe_states(report) == (
        "random steps from the start, start pose held, limp; never: a success (best task score "
        "there 0.2), falling at once"
    )
