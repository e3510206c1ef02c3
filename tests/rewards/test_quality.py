"""What a reviewer would raise is said, and does not refuse a program."""

import pytest
from support.rewards import make_card

from reward_agent.rewards.checks import check_program
from reward_agent.types import RewardProgram

TEMPLATE = """
{before}
def compute_reward(state, action, next_state):
    speed = next_state.forward_velocity
    {line}
    return {reward}, {{"speed": speed}}
"""


def rules(line="pass", reward="speed * 1.0", before=""):
    source = TEMPLATE.format(line=line, reward=reward, before=before)
    report = check_program(RewardProgram(source), make_card())
    assert report.is_accepted, report.findings
    return [item.rule for item in report.findings]


def test_plain_program_has_no_remarks():
    assert rules() == []


def test_term_that_is_computed_and_not_used_is_a_warning():
    assert "quality/unused" in rules("effort = np.sum(action ** 2, axis=-1)")
    assert "quality/unused" not in rules("_effort = np.sum(action ** 2, axis=-1)")
    assert "quality/unused" not in rules("height, _ = next_state.observation[:, :2].T")


def test_reward_that_ignores_the_next_state_is_a_warning():
    assert "quality/ignores-next-state" in _rules_of(
        "def compute_reward(state, action, next_state):\n"
        "    return -np.sum(action ** 2, axis=-1), {}\n"
    )


def _rules_of(source):
    return [item.rule for item in check_program(RewardProgram(source), make_card()).findings]


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
    ],
)
def test_exponent_must_suit_the_range_of_its_field(exponent, is_odd):
    found = rules(reward=f"speed * np.exp({exponent})")
    assert ("quality/exponent" in found) == is_odd


def test_exponent_is_followed_through_names():
    found = rules("gap = np.abs(next_state.torso_pitch - 0.3)", reward="np.exp(-900 * gap)")
    assert "quality/exponent" in found


def test_numbers_without_a_name_are_a_hint():
    assert "quality/magic-number" in rules(reward="1.7 * speed + 0.37 * speed - 9.3 + 2.2 * speed")
    assert "quality/magic-number" not in rules(reward="1.7 * speed + 0.5 * speed")
    assert "quality/magic-number" not in rules("weight = 1.7", reward="weight * speed")


def test_loop_over_the_simulations_is_a_warning():
    assert "quality/slow-loop" in rules(
        "x = [float(speed[i]) for i in range(action.shape[0])]; _ = x"
    )
    assert "quality/slow-loop" in rules("n = len(action); x = [speed[i] for i in range(n)]; _ = x")
    assert "quality/slow-loop" in rules(
        "x = [0 for i in range(len(next_state.observation))]; _ = x"
    )
    assert "quality/slow-loop" not in rules("x = [speed * i for i in range(3)]; _ = x")


def test_potential_that_is_called_too_is_counted_twice():
    potential = "def potential(state):\n    return state.torso_height\n"
    assert "quality/potential" not in rules(before=potential)
    assert "quality/potential" in rules("_ = potential(next_state)", before=potential)


def test_potential_of_another_signature_that_nobody_calls_is_a_warning():
    helper = "def potential(s):\n    return s.torso_height\n"
    assert "quality/potential" in rules(before=helper)
    assert "quality/potential" not in rules("_ = potential(next_state)", before=helper)


def test_handler_of_every_error_is_a_hint():
    line = "try:\n        x = 1 / 2\n    except Exception:\n        x = 0\n    _ = x"
    assert "quality/broad-except" in rules(line)


def test_writing_into_own_arrays_is_accepted_and_said_not_to_be_portable():
    assert "quality/not-portable" in rules("x = np.zeros(len(action)); x[speed > 0] = 1.0")
    assert "quality/not-portable" not in rules("x = {}; x['a'] = 1.0")
