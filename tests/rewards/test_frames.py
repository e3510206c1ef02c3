"""Findings are shown under their line, and show no control characters."""

from support.rewards import make_card

from reward_agent.rewards.checks import check_program, render_findings
from reward_agent.types import Finding, RewardProgram


def test_finding_stands_under_its_line():
    source = (
        "def compute_reward(state, action, next_state):\n"
        "    up = next_state.torso_hight\n"
        "    return up * 1.0, {}\n"
    )
    report = check_program(RewardProgram(source), make_card())
    assert render_findings(source, report.findings) == (
        "error attributes/field: next_state.torso_hight is not a field of test\n"
        "  1 | def compute_reward(state, action, next_state):\n"
        "  2 |     up = next_state.torso_hight\n"
        "    |          ^\n"
        "  remedy: did you mean next_state.torso_height?"
    )


def finding(**changes):
    given = {"rule": "a/b", "severity": "error", "message": "x is odd", "remedy": "", "line": 1}
    return Finding(**{**given, **changes})


def test_column_counts_letters_and_tabs_are_widened():
    shown = render_findings("\tσ = µ", [finding(column=6)])
    assert shown.splitlines()[1:] == ["  1 |     σ = µ", "    |         ^"]


def test_finding_without_a_place_or_beyond_the_text_has_no_frame():
    for line in (None, 0, 99):
        shown = render_findings("x", [finding(line=line, column=1, remedy="do this")])
        assert shown == "error a/b: x is odd\n  remedy: do this"


def test_control_characters_and_long_lines_are_not_shown():
    shown = render_findings(
        "x = '\x1b[2J' + '" + "y" * 500, [finding(message="\x1b]0;a\x07 b", column=400)]
    )
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert max(len(line) for line in shown.splitlines()) < 140


def test_no_findings_give_no_text():
    assert render_findings("x", []) == ""
