"""What a reviewer would raise is said, and does not refuse a program."""

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


def test_numbers_without_a_name_are_a_hint():
    assert "quality/magic-number" in rules(reward="1.7 * speed + 0.37 * speed - 9.3 + 2.2 * speed")
    assert "quality/magic-number" not in rules(reward="1.7 * speed + 0.5 * speed")
    assert "quality/magic-number" not in rules("weight = 1.7", reward="weight * speed")


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
