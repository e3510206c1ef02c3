"""The checker separates hostile from legitimate programs."""

import pytest
from support.counting import at_most
from support.rewards import make_card, read_cases, read_corpus

from reward_agent.rewards.checks import (
    MAX_FINDINGS,
    QUALITY_RULES,
    RULES,
    check_metric,
    check_program,
)
from reward_agent.types import RewardProgram

OWN_LEGITIMATE = read_cases("legitimate.txt")
OWN_HOSTILE = read_cases("hostile.txt")
CORPUS_LEGITIMATE = read_corpus("legitimate")
CORPUS_HOSTILE = read_corpus("hostile")
MUST_REFUSE = [case for case in CORPUS_HOSTILE if case["expected"] == "reject"]


def check(source, card=None):
    return check_program(RewardProgram(source), card or make_card())


def names(cases):
    return [case["id"] for case in cases]


@pytest.mark.parametrize("case", OWN_LEGITIMATE, ids=lambda case: case.name)
def test_what_models_write_is_accepted_in_few_steps(case):
    with at_most(200_000):
        report = check(case.source)
    assert report.is_accepted, report.findings


@pytest.mark.parametrize("case", OWN_HOSTILE, ids=lambda case: case.name)
def test_hostile_program_is_refused_by_its_rule(case):
    report = check(case.source)
    assert not report.is_accepted
    found = {item.rule for item in report.findings if item.severity == "error"}
    assert found & {*case.rule.split()}


@pytest.mark.parametrize("case", CORPUS_LEGITIMATE, ids=names(CORPUS_LEGITIMATE))
def test_legitimate_program_of_the_corpus_is_accepted(case):
    report = check(case["source"])
    assert report.is_accepted, report.findings


@pytest.mark.parametrize("case", MUST_REFUSE, ids=names(MUST_REFUSE))
def test_hostile_program_of_the_corpus_is_refused(case):
    report = check(case["source"])
    assert not report.is_accepted
    assert all(item.message and item.remedy for item in report.findings)


@pytest.mark.parametrize(
    "lines",
    [
        ["a = b", "b = a", "for x in a: pass", "for i in range(a): pass"],
        ["a = a + 1", "y = np.zeros(a)", "z = 2 ** a", "w = [1] * a"],
        ["a = f'{b}'", "b = f'{a}'", "y = str(a)"],
        [*(f"x{i} = x{i + 1} + 1" for i in range(700)), "for i in range(x0): pass"],
    ],
)
def test_names_that_are_bound_to_each_other_end_every_look_up(lines):
    body = "".join(f"    {line}\n" for line in lines)
    head = "def compute_reward(state, action, next_state):\n"
    report = check(f"{head}{body}    return next_state.torso_height, {{}}\n")
    assert "check/gave-up" not in [item.rule for item in report.findings]


def test_every_rule_that_refuses_has_a_case():
    """Each function in RULES is what finds at least one of our own hostile programs."""
    from reward_agent.rewards.rules.context import METRIC as METRIC_DIALECT
    from reward_agent.rewards.rules.context import REWARD, make_context
    from reward_agent.rewards.source import parse_source

    unused = set(RULES)
    for case in OWN_HOSTILE:
        source = parse_source(case.source).source
        if source is not None:
            context = make_context(source, make_card(), REWARD)
            unused -= {rule for rule in unused if any(rule(context))}
    composed = parse_source('score = travel("no_such_field", 1)').source
    context = make_context(composed, make_card(), METRIC_DIALECT)
    unused -= {rule for rule in unused if any(rule(context))}
    assert not unused, [rule.__name__ for rule in unused]


def test_rules_have_names_of_their_own():
    every = [rule.__name__ for rule in (*RULES, *QUALITY_RULES)]
    assert len(every) == len(set(every))


PROGRAM = """
def compute_reward(state, action, next_state):
    speed = next_state.forward_velocity
    {line}
    return speed * 1.0, {{"speed": speed}}
"""


def findings(line):
    return check(PROGRAM.format(line=line)).findings


@pytest.mark.parametrize(
    ("line", "rule", "start", "remedy"),
    [
        ("x = next_state.torso_hight", "attributes/field", "next_state.torso_hight",
         "next_state.torso_height"),
        ("x = np.sqaure(speed)", "attributes/module", "np.sqaure", "np.square"),
        ("x = math.sqrtt(2)", "attributes/module", "math.sqrtt", "math.sqrt"),
        ("x = speed.meen()", "attributes/unknown", "speed.meen", ".mean"),
        ("x = torso_height", "names/unknown", "torso_height", "next_state.torso_height"),
        ("x = spede", "names/unknown", "spede", "speed"),
        ("x = tolerence(speed)", "names/unknown", "tolerence", "tolerance"),
        ("x = getattr(state, 'a')", "names/builtin", "getattr", "state.NAME"),
        ("x = np.trapz(speed)", "attributes/module", "np.trapz", "np.trapezoid"),
        ("import os", "names/import", "os", "delete"),
        ("import numpy as xp", "names/import", "numpy", "import numpy as np"),
        ("x = np.zeros(3, dtyp=float)", "calls/keyword", "dtyp=", "dtype"),
        ("while True: pass", "syntax/not-allowed", "while", "for i in range"),
        ("speed *= 2", "purity/writes-input", "speed", "`speed = speed * 2`"),
    ],
)  # fmt: skip
def test_finding_names_the_offence_its_place_and_the_way_out(line, rule, start, remedy):
    found = [item for item in findings(line) if item.rule == rule]
    assert found, findings(line)
    assert found[0].message.startswith(start)
    assert remedy in found[0].remedy
    assert found[0].line == 4
    assert found[0].column is not None
    assert found[0].column >= 5


def test_all_findings_come_at_once_and_ten_at_most():
    several = findings("x = open('a'); y = eval('b'); z = np.load('c')")
    assert {item.message.split()[0] for item in several} == {"open", "eval", "np.load"}
    many = findings("; ".join(f"x{i} = unknown_{i}" for i in range(40)))
    assert len(many) == MAX_FINDINGS


def test_errors_come_before_remarks_in_the_order_of_the_text():
    found = findings("x = np.load('a'); y = open('b')")
    assert [item.severity for item in found] == ["error"] * len(found)
    assert [item.column for item in found] == sorted(item.column for item in found)


def test_suppression_comments_have_no_effect():
    assert not check(
        PROGRAM.format(line="x = open('a')  # noqa  # nosec  # type: ignore")
    ).is_accepted


def test_a_field_is_known_by_the_card_alone():
    other = make_card(state=())
    assert check(PROGRAM.format(line="pass")).is_accepted
    assert not check(PROGRAM.format(line="pass"), other).is_accepted


def test_a_field_named_like_an_array_attribute_is_read_from_the_state_only():
    assert check(PROGRAM.format(line="x = next_state.data * speed")).is_accepted
    assert not check(PROGRAM.format(line="x = action.data")).is_accepted


def test_control_character_in_a_string_is_refused():
    assert findings('x = "\x1b[2J"')[0].rule == "text/character"


def test_identical_findings_are_told_once():
    found = findings("x = nothing; y = nothing")
    assert [item.message for item in found].count("nothing is not defined") == 1


METRIC = '''
from reward_agent.types import Score

import numpy as np


def score(episode):
    """Distance in metres, and whether it never fell."""
    distance = float(episode.com_position[-1, 0] - episode.com_position[0, 0])
    inside = [height > 0.5 for height in episode.torso_height]
    longest = 0
    run = 0
    for step in range(episode.n_steps):
        run = run + 1 if inside[step] else 0
        longest = max(longest, run)
    seconds = longest * episode.control_dt
    parts = {"distance": distance, "upright": seconds, "effort": float(np.mean(episode.action ** 2))}
    return Score(task_score=distance, success=bool(distance > 3.0 and not episode.terminated), parts=parts)
'''


def test_metric_over_episodes_is_accepted():
    report = check_metric(METRIC, make_card())
    assert report.is_accepted, report.findings


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("def score(episode)", "def score(state)", "entry/parameters"),
        ("def score(episode)", "def judge(episode)", "entry/missing"),
        ("episode.torso_height", "episode.torso_hight", "attributes/field"),
        ("episode.control_dt", "episode.__class__", "attributes/private"),
        ("import numpy as np", "import os", "names/import"),
        ("float(np.mean", "float(open", "names/builtin"),
    ],
)
def test_metric_is_held_to_the_same_language(old, new, rule):
    report = check_metric(METRIC.replace(old, new), make_card())
    assert rule in [item.rule for item in report.findings if item.severity == "error"]


def test_metric_may_look_fields_up_by_name_and_not_write_them():
    looked_up = METRIC.replace("episode.torso_height]", 'episode.fields["torso_height"]]')
    assert check_metric(looked_up, make_card()).is_accepted
    written = METRIC.replace(
        "    longest = 0\n", '    episode.fields["torso_height"] = 1\n    longest = 0\n'
    )
    rules = [item.rule for item in check_metric(written, make_card()).findings]
    assert "purity/writes-input" in rules


@pytest.mark.parametrize(
    "source",
    [
        'score = keep_height("torso_height", at=1.2)\n',
        'STANDING = keep_height("torso_height", at=1.2)\nscore = both(STANDING, STANDING)\n',
        'def score(episode):\n    verdict = keep_height("torso_height", at=1.2)(episode)\n'
        "    return Score(verdict.task_score, verdict.success, verdict.parts)\n",
        "def score(episode):\n    lift = episode.torso_height[-1]\n    return Score(lift, lift > 1)\n",
    ],
)
def test_metric_may_be_composed_of_those_of_the_library(source):
    report = check_metric(source, make_card())
    assert report.is_accepted, report.findings


@pytest.mark.parametrize(
    ("source", "rule", "message"),
    [
        (
            'score = keep_height("torso_hight", at=1.2)',
            "calls/field",
            '"torso_hight" is not a field',
        ),
        ('score = stand_on(["left_toes"])', "calls/field", '"left_toes" is not a field'),
        ('score = keep_height("torso_height", at=1.2)(3)', "entry/not-a-function", "score"),
        ("score = abs(3)", "entry/not-a-function", "score is not defined with def"),
        ("score = travle(1)", "names/unknown", "travle is not defined"),
        ("travel = abs\nscore = travel(3)", "entry/not-a-function", "score"),
        (
            "def compute_reward(state, action, next_state):\n    x = travel('up')\n",
            "entry/missing",
            "",
        ),
    ],
)
def test_composed_metric_is_held_to_the_card_and_the_library(source, rule, message):
    findings = [f for f in check_metric(source + "\n", make_card()).findings if f.rule == rule]
    assert findings
    assert message in findings[0].message


def test_rewards_have_no_metrics():
    source = 'METRIC = travel("forward_velocity", 1.0)\n' + OWN_LEGITIMATE[0].source
    report = check_program(RewardProgram(source), make_card())
    assert "travel is not defined" in [finding.message for finding in report.errors]


def test_a_reward_is_no_metric():
    assert not check_metric(OWN_LEGITIMATE[0].source, make_card()).is_accepted
