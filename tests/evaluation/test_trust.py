"""What a table of behaviours says against a metric, and what it must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reward_agent.evaluation.trust import (
    Asked,
    choose_target,
    find_scale,
    judge_table,
    render_table,
)
from reward_agent.records.trial import MetricTrial, RowKind, TrialRow

RUN = Asked("Run forward as far as you can", "m forward; success from 10 m on", "m", 0.05)
FLIP = Asked("Do a back flip", "share of a flip, 0 to 1", "share of a flip, 0 to 1", 0.05)
STAND = Asked("Stand still for 5 s", "s held; success: 5 s without a break", "s", 0.05)
BRIEF = Asked("Hold still for 2 s", "s held; success: 2 s without a break", "s", 0.05)
HOPS = Asked("Hop three times", "hops, at most 3", "hops", 0.05)
LIE = Asked("Lie down flat on the belly", "share of the time, 0 to 1", "share, 0 to 1", 0.05)


def row(kind: RowKind, score: float, success: float = 0.0, **parts: float) -> TrialRow:
    return TrialRow(
        behaviour=f"a {kind} one", kind=kind, task_score=score, success_rate=success, parts=parts
    )


def find_rules(asked: Asked, *rows: TrialRow) -> list[str]:
    return [finding.rule for finding in judge_table(rows, asked)]


DONE = row("made", 12.0, 1.0)


@pytest.mark.parametrize(
    ("asked", "rows", "rule"),
    [
        (FLIP, [row("idle", 0.3), row("made", 1.0, 1.0)], "metric/pays-idle"),
        (FLIP, [row("falling", 0.4), row("made", 1.0, 1.0)], "metric/pays-falling"),
        (FLIP, [row("random", 0.5), row("made", 1.0, 1.0)], "metric/pays-random"),
        (FLIP, [row("idle", 0.0, 1.0), row("made", 1.0, 1.0)], "metric/succeeds-idle"),
        (RUN, [row("falling", 3.0), DONE], "metric/pays-falling"),
        (RUN, [row("random", 0.0, 1.0), DONE], "metric/succeeds-random"),
        (STAND, [row("falling", 2.0), row("made", 6.0, 1.0)], "metric/pays-falling"),
        (RUN, [row("extreme", 0.0), row("idle", 0.0)], "metric/constant"),
        (RUN, [row("idle", 0.0), row("beyond", 5.0, 1.0)], "metric/unreachable"),
        (
            RUN,
            [row("idle", 0.0), DONE, row("right way", -9.0), row("wrong way", 9.0)],
            "metric/wrong-way",
        ),
        (
            STAND,
            [row("made", 6.0, 1.0), row("falling", 0.0), row("instant", 0.1, 1.0)],
            "metric/instant",
        ),
        (STAND, [row("idle", 9.0), row("made", 1.0, 1.0)], "metric/order"),
        (BRIEF, [row("falling", 0.7), row("made", 2.0, 1.0)], "metric/pays-falling"),
        (
            HOPS,
            [row("idle", 0.0), row("made", 3.0, 1.0), row("instant", 3.0, 1.0)],
            "metric/flicker",
        ),
    ],
)
def test_each_fault_is_found_with_the_row_that_shows_it(
    asked: Asked, rows: list[TrialRow], rule: str
) -> None:
    findings = judge_table(rows, asked)
    assert [f.rule for f in findings if f.severity == "error"] == [rule]
    assert any(row.behaviour in findings[0].message for row in rows)


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (RUN, [row("idle", 0.1), row("random", 1.0), row("falling", 0.8), DONE]),
        (FLIP, [row("idle", 0.0), row("random", 0.05), row("made", 1.0, 1.0)]),
        (STAND, [row("idle", 8.0, 1.0), row("random", 0.2), row("falling", 0.0)]),
        # A fall takes its time.
        (BRIEF, [row("falling", 0.42), row("idle", 0.3), row("made", 2.0, 1.0)]),
        (LIE, [row("idle", 0.9, 1.0), row("falling", 0.9, 1.0), row("random", 0.0)]),
        # Of one that runs far and falls the score is more than of a short success.
        (RUN, [row("idle", 0.0), row("extreme", 30.0), DONE]),
        (RUN, [row("idle", 0.0), row("adversary", 9.0), DONE]),
    ],
)
def test_what_a_sentence_asks_for_is_no_fault(asked: Asked, rows: list[TrialRow]) -> None:
    assert [f.message for f in judge_table(rows, asked) if f.severity != "hint"] == []


@pytest.mark.parametrize(
    ("sentence", "allowed"),
    [
        ("Stand still for 5 s", {"idle"}),
        ("Hold the start pose, and do not move.", {"idle"}),
        ("Stand upright on the foot and keep still, without falling.", {"idle"}),
        ("Keep the pole upright on the cart.", {"idle"}),
        ("Lie down flat, belly down, and stay there quietly.", {"idle", "falling"}),
        ("Collapse onto the floor", {"idle", "falling"}),
        ("Shake like a wet dog", {"random"}),
        ("Stand on one leg for 5 s", set()),
        ("Walk forward, then stand still", set()),
        ("Crouch and hold it", set()),
        ("Hop forward without falling", set()),
        ("Do a handstand: balance on the front foot with the back foot held up, keep still", set()),
        ("Limp forward on three legs", set()),
    ],
)
def test_the_words_decide_which_idle_behaviour_may_be_asked_for(
    sentence: str, allowed: set[str]
) -> None:
    asked = Asked(sentence, "", "", 0.05)
    kinds: tuple[RowKind, ...] = ("idle", "falling", "random")
    assert {kind for kind in kinds if asked.allows(kind)} == allowed


def test_of_a_sentence_in_another_script_the_criterion_decides() -> None:
    asked = Asked("原地站五秒", "stand still where it is, 5 s", "s", 0.05)
    assert asked.allows("idle")
    assert not Asked("向前跑", "runs forward, m", "m", 0.05).allows("idle")


@pytest.mark.parametrize(
    ("unit", "criterion", "target", "scale"),
    [
        ("share, 0 to 1", "", None, 1.0),
        ("%", "", None, 100.0),
        ("m", "success from 10 m on, within 5 s", None, 10.0),
        ("s", "success: 8 s without a break", None, 8.0),
        ("s", "success: 5 s without a break", None, 7.0),
        ("points", "", None, 7.0),
        ("m", "success from 10 m on", 3.0, 3.0),
    ],
)
def test_the_scale_is_what_the_metric_says_or_what_a_success_scores(
    unit: str, criterion: str, target: float | None, scale: float
) -> None:
    asked = Asked("Go", criterion, unit, 0.05, target)
    rows = [row("idle", 1.0), row("made", 7.0, 1.0), row("extreme", 30.0)]
    assert find_scale(rows, asked) == scale


@pytest.mark.parametrize(
    ("asked", "stated", "made", "target"),
    [
        (FLIP, 0.95, 1.0, 0.95),
        (FLIP, None, 1.0, 0.95),
        (FLIP, 95.0, 1.0, 0.95),  # nothing scores so much
        (STAND, None, 19.0, 4.75),
        (RUN, None, 12.0, None),  # more is better
        (RUN, 10.0, 12.0, 10.0),
        (RUN, 50.0, 12.0, None),
        (RUN, 50.0, None, 50.0),  # nobody knows
    ],
)
def test_what_counts_as_done_is_what_a_made_success_reaches(
    asked: Asked, stated: float | None, made: float | None, target: float | None
) -> None:
    rows = [row("idle", 0.0), *([row("made", made, 1.0)] if made else [])]
    asked = replace(asked, target_score=stated)
    assert choose_target(rows, asked) == target
    is_missed = stated is not None and target != stated
    assert ("metric/target" in find_rules(asked, *rows)) == is_missed


def test_a_policy_that_climbs_the_metric_without_a_success_is_told_with_its_parts() -> None:
    climbed = row("adversary", 0.6, 0.0, stillness=0.98, final_hold_s=0.14)
    stuck = climbed.model_copy(update={"is_flat": True})
    assert judge_table([row("made", 1.0, 1.0), climbed], FLIP) == ()
    [finding] = judge_table([row("made", 1.0, 1.0), stuck], FLIP)
    assert (finding.rule, finding.severity) == ("metric/empty-climb", "error")
    assert "final_hold_s 0.14" in finding.message


def test_a_number_that_the_criterion_lacks_is_told() -> None:
    asked = Asked("Run at 1.2 m/s", "m forward; success from 10 m on", "m", 0.05)
    [finding] = judge_table([row("idle", 0.0), DONE], asked)
    assert (finding.rule, finding.severity) == ("metric/dropped", "warning")
    assert "'1.2 m/s'" in finding.message


def test_a_trial_has_passed_unless_there_is_an_error() -> None:
    findings = judge_table([row("idle", 0.3), row("made", 1.0, 1.0)], FLIP)
    assert not MetricTrial(rows=(), scale=1.0, findings=findings).has_passed
    assert MetricTrial(rows=(), scale=1.0).has_passed


def test_a_table_keeps_its_columns_whatever_a_part_is_called() -> None:
    [_, _, line] = render_table([row("idle", 0.25, **{"a|b": 1.0})]).split("\n")
    assert line == "| a idle one | 0.25 | 0% | a/b 1 |"


def test_a_score_beyond_what_its_own_words_call_the_most_goes_back() -> None:
    asked = replace(RUN, criterion="metres forward, at most 10 m; success from 10 m on")
    [finding] = judge_table([row("extreme", 14.0), row("idle", 0.1), DONE], asked)
    assert (finding.rule, finding.severity) == ("metric/unbounded", "warning")
    assert "10 at most" in finding.message
    assert find_rules(asked, row("extreme", 9.0), row("idle", 0.1), DONE) == []


def test_a_full_score_that_is_no_success_goes_back_where_nothing_is_one() -> None:
    found = judge_table([row("idle", 0.0), row("falling", 0.1), row("made", 5.0)], STAND)
    assert [(item.rule, item.severity) for item in found] == [
        ("metric/never", "warning"),
        ("metric/no-success", "hint"),
    ]
    assert "scores 5" in found[1].message


def test_episodes_that_are_shorter_than_what_is_asked_for_are_said_to_be() -> None:
    made = row("made", 2.0).model_copy(update={"length_s": 2.0})
    [finding] = judge_table([row("idle", 0.0), made], STAND)
    assert finding.rule == "metric/short-episodes"
    assert "5 s, and an episode lasts 2 s" in finding.message
    assert "more than 100" in finding.remedy
