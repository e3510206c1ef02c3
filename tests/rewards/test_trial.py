"""The dry run finds what no static rule can see."""

import numpy as np
import pytest
from support.rewards import make_card, make_state, read_corpus

from reward_agent.definitions.card import load_env
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.program import CompiledReward, load_functions
from reward_agent.rewards.trial import Trial, make_extremes, sweep_fields
from reward_agent.simulation.state import State, Transition
from reward_agent.types import RewardProgram
from reward_agent.worker.known_pay import list_going_on

CARD = make_card()
RNG = np.random.default_rng(0)
STEPS = [
    Transition(
        make_state(64, seed),
        RNG.uniform(-1, 1, (64, 6)),
        make_state(64, seed + 1),
        np.arange(64) == seed,
    )
    for seed in range(8)
]
HEAD = "def compute_reward(state, action, next_state):\n"


def run_trial(source, read_fields=()):
    trial = Trial(lambda: CompiledReward(load_functions(source), 0.99), STEPS, read_fields)
    trial.run()
    if not trial.has_errors:
        trial.try_extremes(make_extremes(CARD, STEPS[0]))
    return trial


def found(body):
    trial = run_trial(HEAD + "    h = next_state.torso_height\n    " + body)
    return {item.rule: item for item in trial.findings}


# Sets keep their order.
HARMLESS = {"nondet_set_order"}
CONTAINED = [
    case
    for case in read_corpus("hostile")
    if case["expected"] == "contain"
    and not case.get("never_exec_unbounded")
    and case["id"] not in HARMLESS
    and check_program(RewardProgram(case["source"]), CARD).is_accepted
]


@pytest.mark.parametrize("case", CONTAINED, ids=[case["id"] for case in CONTAINED])
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_the_rules_let_through_is_found_by_running_it(case):
    severities = [item.severity for item in run_trial(case["source"]).findings]
    assert "error" in severities or "warning" in severities


def test_honest_program_has_no_findings_and_is_measured():
    trial = run_trial(
        HEAD + "    up = np.clip(next_state.torso_height, 0.0, 1.0)\n"
        "    effort = -0.1 * np.sum(action ** 2, axis=-1)\n"
        "    return up + effort, {'up': up, 'effort': effort}\n"
    )
    assert trial.findings == []
    assert [term.name for term in trial.terms] == ["up", "effort"]
    assert trial.terms[0].minimum >= 0.5
    assert trial.terms[1].mean == pytest.approx(-0.1 * 6 / 3, rel=0.1)
    assert trial.is_additive is True
    assert trial.call_us is not None
    assert trial.call_us > 0


def test_value_that_is_not_finite_is_named_with_the_fields_that_made_it():
    trial = run_trial(
        HEAD + "    x = np.log(next_state.torso_height - 0.55)\n    return x, {'log': x}\n",
        read_fields=("torso_height",),
    )
    finding = trial.findings[0]
    assert finding.rule == "probe/not-finite"
    assert finding.severity == "error"
    assert finding.message.startswith("term 'log' is nan in")
    assert "torso_height=0.5" in finding.message


@pytest.mark.parametrize(
    ("body", "rule", "severity"),
    [
        ("return h + np.arange(len(h)), {}", "probe/row-order", "error"),
        ("return h - h[0], {}", "probe/row-order", "error"),
        ("return np.cumsum(h), {}", "probe/row-order", "error"),
        ("return h - h.mean(), {}", "probe/batch-statistic", "warning"),
        ("return h / np.linalg.norm(h), {}", "probe/batch-statistic", "warning"),
        ("return h * 0.0 + 3.0, {}", "probe/constant-reward", "warning"),
        ("return h * 1.0, {'far': h * (h > 50)}", "probe/dead-term", "warning"),
        ("return h * 1.0, {'alive': 1.0}", "probe/constant-term", "hint"),
        ("return h * 1.0, {'a': 1e4 * h, 'b': h}", "probe/dominant-term", "warning"),
        (
            "return 1.0 / (h - next_state.data + state.torso_pitch * 0.0), {}",
            "probe/extreme",
            "warning",
        ),
        ("return h * 1.0, {('a' if len(h) > 9 else 'b'): h}", "probe/term-names-change", "error"),
    ],
)
def test_trial_finds(body, rule, severity):
    findings = found(body)
    assert findings[rule].severity == severity
    assert findings[rule].remedy


@pytest.mark.parametrize(
    ("exponent", "is_odd"),
    [
        ("-np.abs(next_state.torso_pitch)", False),
        ("-((next_state.torso_pitch - 0.3) / 0.5) ** 2", False),
        ("-2.0 * np.square(next_state.torso_height - 1.2)", False),
        ("-500.0 * np.abs(next_state.torso_pitch - 0.3)", True),
        ("-1e6 * (next_state.torso_pitch - 0.31) ** 2", True),
        ("5.0 * next_state.forward_velocity", True),
        ("0.5 * next_state.forward_velocity", False),
        ("-next_state.torso_pitch / 0.0001 - 40000", True),
        ("-900 * gap(next_state)", True),
    ],
)
def test_exponent_must_suit_the_range_of_its_field(exponent, is_odd):
    trial = run_trial(
        "def gap(s):\n    return np.abs(s.torso_pitch - 0.3)\n\n\n"
        + HEAD
        + f"    near = np.exp({exponent})\n    return next_state.torso_height + near, {{'near': near}}\n"
    )
    rules = {item.rule for item in trial.findings}
    assert (
        bool(rules & {"probe/flat-term", "probe/dead-term", "probe/extreme", "probe/size"})
        == is_odd
    )


def test_a_term_that_is_zero_over_half_of_the_range_is_not_flat():
    assert "probe/flat-term" not in found("return h * 1.0, {'x': h + (next_state.data > 0)}")


def test_failure_with_one_batch_size_alone_is_found():
    findings = found("return (h * 1.0 if len(h) != 7 else h[:6]), {}")
    assert "batch of 7" in findings["probe/shape"].message


def test_state_kept_outside_of_the_memory_is_found():
    """The checker refuses it; here is what the dry run says of a program that got past."""
    calls = []

    class Forgetful(CompiledReward):
        def step(self, state, action, next_state, terminated):
            calls.append(1)
            paid = super().step(state, action, next_state, terminated)
            return type(paid)(paid.reward + len(calls), paid.terms)

    source = HEAD + "    return next_state.torso_height * 1.0, {}\n"
    trial = Trial(lambda: Forgetful(load_functions(source), 0.99), STEPS)
    trial.run()
    assert "probe/not-deterministic" in [item.rule for item in trial.findings]


def test_loop_over_simulations_is_told_to_be_slow():
    findings = found(
        "n = len(h)\n    r = np.zeros(n)\n    for i in range(n):\n"
        "        for j in range(40):\n            r[i] = r[i] + 0.01 * j * h[i]\n    return r, {}"
    )
    assert findings["probe/slow"].severity == "warning"


def test_terms_that_do_not_add_up_are_no_fault():
    trial = run_trial(
        HEAD + "    h = next_state.torso_height\n    return h * h, {'h': h, 'i': 2 * h}\n"
    )
    assert trial.is_additive is False
    assert not trial.has_errors


def test_memory_runs_through_episodes_that_restart():
    trial = run_trial(
        "def init_memory(state):\n    return {'n': np.zeros(state.torso_height.shape[0])}\n\n\n"
        "def compute_reward(state, action, next_state, memory):\n"
        "    n = memory['n'] + 1.0\n    return n, {'n': n}, {'n': n}\n"
    )
    assert not trial.has_errors
    assert trial.terms[0].maximum == len(STEPS)
    # Simulation 0 restarted after the first step, and so on: not all count to the end.
    assert trial.terms[0].mean < (len(STEPS) + 1) / 2


def test_the_way_gone_in_a_step_is_swept_at_any_speed_that_the_card_knows():
    card = load_env("hopper")
    still = State({"x_position": np.zeros(1), "torso_height": np.ones(1)})
    start = Transition(still, np.zeros((1, card.n_actions)), still, np.zeros(1, dtype=bool))
    step = sweep_fields(card, start, ["x_position", "torso_height"])
    gone = (step.next_state.x_position - step.state.x_position) / card.control_dt
    assert (gone.min(), gone.max()) == pytest.approx((-5.0, 5.0))
    assert np.all(step.next_state.torso_height == step.state.torso_height)


def test_what_the_card_ends_is_not_kept_up():
    card = load_env("hopper")
    heights = State({"torso_height": np.array([0.2, 1.0]), "torso_pitch": np.array([0.0, 0.0])})
    step = Transition(heights, np.zeros((2, card.n_actions)), heights, np.zeros(2, dtype=bool))
    assert list(list_going_on(card, step)) == [False, True]
