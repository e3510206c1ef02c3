"""Programs that differ in words only are the same; a change that pays differently is not."""

from __future__ import annotations

import pytest

from reward_agent.rewards.duplicates import list_ingredients, normalize_program

PLAIN = '''
def compute_reward(state, action, next_state):
    """Pay for speed while upright."""
    upright = tolerance(next_state.torso_pitch, bounds=(-0.2, 0.2), margin=0.6)
    speed = np.clip(next_state.forward_velocity, 0.0, 3.0)
    terms = {"speed": upright * speed, "effort": -0.001 * np.sum(np.square(action), axis=-1)}
    return sum(terms.values()), terms
'''
RENAMED = """
# Another comment.
import numpy as np

MOST = 3  # m/s
PRICE: float = 1e-3


def compute_reward(before, control, after):
    bound = 0.1 + 0.1
    straight = tolerance(after.torso_pitch, bounds=(-bound, bound), margin=0.6)

    pace = np.clip(after.forward_velocity, 0, MOST)
    parts = {"pace": straight * pace, "cost": -PRICE * np.sum(np.square(control), axis=-1)}
    return sum(parts.values()), parts
"""


def test_names_comments_and_spelling_of_constants_do_not_count() -> None:
    assert normalize_program(PLAIN) == normalize_program(RENAMED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3.0", "3.5"),
        ("forward_velocity", "vertical_velocity"),
        ("upright * speed", "upright + speed"),
        ("np.clip", "np.maximum"),
        ("axis=-1", "axis=0"),
        ("-0.001", "0.001"),
        ("next_state.torso_pitch", "state.torso_pitch"),
        ("bounds=(-0.2, 0.2)", "bounds=(-0.2, 0.3)"),
    ],
)
def test_what_pays_differently_counts(old: str, new: str) -> None:
    assert normalize_program(PLAIN) != normalize_program(PLAIN.replace(old, new))


HELPERS = """
def first(a, b):
    return a - b

def compute_reward(state, action, next_state):
    x = first({call})
    return x, {{"x": x}}
"""


def test_keywords_of_own_helpers_follow_their_parameters() -> None:
    one = HELPERS.format(call="a=next_state.x_position, b=state.x_position")
    other = one.replace("(a, b)", "(p, q)").replace("a - b", "p - q")
    other = other.replace("a=next", "p=next").replace("b=state", "q=state").replace("first", "gain")
    swapped = HELPERS.format(call="b=next_state.x_position, a=state.x_position")
    assert normalize_program(one) == normalize_program(other)
    assert normalize_program(one) != normalize_program(swapped)


def test_names_of_memories_agree_across_functions() -> None:
    program = """
def init_memory(state):
    return {"turned": np.zeros_like(state.x_position), "best": np.zeros_like(state.x_position)}

def compute_reward(state, action, next_state, memory):
    turned = memory["turned"] + 1.0
    return turned, {"t": turned}, {"turned": turned, "best": memory["best"]}
"""
    renamed = program.replace('"turned"', '"count"')
    crossed = program.replace('memory["turned"]', 'memory["best"]')
    assert normalize_program(program) == normalize_program(renamed)
    assert normalize_program(program) != normalize_program(crossed)


def test_a_name_that_is_bound_twice_is_no_constant() -> None:
    program = """
def compute_reward(state, action, next_state):
    w = 1.0
    x = w * next_state.x_position
    w = 2.0
    return w * x, {"x": w * x}
"""
    assert normalize_program(program) != normalize_program(program.replace("w = 1.0", "w = 2.0"))
    assert normalize_program(program) != normalize_program(program.replace("w = 2.0", "w = 1.0"))


def test_sigmoids_are_no_names() -> None:
    program = PLAIN.replace("margin=0.6", 'margin=0.6, sigmoid="linear"')
    assert normalize_program(program) != normalize_program(program.replace("linear", "cosine"))


def test_what_does_not_parse_is_no_program() -> None:
    assert normalize_program("def compute_reward(") is None
    assert normalize_program("(" * 5_000) is None
    assert normalize_program("x = 9.0 ** 9.0 ** 9.0 ** 9.0") is not None


def test_ingredients_are_fields_and_numbers() -> None:
    attributes, numbers = list_ingredients(PLAIN)
    assert {"torso_pitch", "forward_velocity"} <= set(attributes)
    assert {-0.001, 0.2, 0.6, 3.0} <= set(numbers)
