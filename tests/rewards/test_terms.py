"""The terms of a program as they are written, and what becomes of them in another."""

from __future__ import annotations

from reward_agent.rewards.terms import compare_terms, read_terms, scale_terms

PROGRAM = """
WEIGHT = 0.5

def compute_reward(state, action, next_state):
    forward = WEIGHT * next_state.forward_velocity
    cost = np.sum(np.square(action), axis=-1)
    terms = {"forward": forward, "alive": 2.0 * np.ones_like(forward)}
    terms["effort-cost"] = -cost / 10
    return sum(terms.values()), terms
"""


def test_weights_are_read_through_names_and_signs() -> None:
    weights = {term.name: term.weight for term in read_terms(PROGRAM)}
    assert weights == {"forward": 0.5, "alive": 2.0, "effort_cost": -1.0}


def test_a_weight_is_read_from_a_table_of_them() -> None:
    source = PROGRAM.replace("WEIGHT = 0.5", 'WEIGHTS = {"forward": -3.0}')
    source = source.replace("WEIGHT *", 'WEIGHTS["forward"] *')
    [forward, *_] = read_terms(source)
    assert (forward.weight, forward.body) == (-3.0, "next_state.forward_velocity")


def test_what_a_choice_pays_is_its_weight_and_the_length_of_a_step_is_none() -> None:
    source = PROGRAM.replace("2.0 * np.ones_like(forward)", "np.where(forward > 0, 0.0, 5.0)")
    source = source.replace("WEIGHT * next_state.forward_velocity", "0.1 * (next_state.x / 0.008)")
    weights = {term.name: term.weight for term in read_terms(source)}
    assert weights == {"forward": 0.1, "alive": 5.0, "effort_cost": -1.0}


def test_each_term_is_kept_reweighted_rewritten_dropped_or_new() -> None:
    after = """
def compute_reward(state, action, next_state):
    forward = np.clip(next_state.forward_velocity, 0.0, 3.0)
    up = next_state.torso_up
    terms = {"forward": 0.5 * forward, "alive": 0.4 * np.ones_like(0.5 * next_state.forward_velocity),
             "up": 3 * up}
    return sum(terms.values()), terms
"""
    told = {fate.name: str(fate) for fate in compare_terms(PROGRAM, after)}
    assert told == {
        "forward": "rewritten", "alive": "weight 2 → 0.4", "effort_cost": "dropped", "up": "new",
    }  # fmt: skip
    assert {fate.fate for fate in compare_terms(PROGRAM, PROGRAM)} == {"kept"}


def test_a_text_that_names_no_terms_has_none() -> None:
    assert read_terms("def compute_reward(state, action, next_state):\n    return state.x") == ()
    assert read_terms("no python (") == ()


def test_weights_change_in_the_text_and_the_rest_stays() -> None:
    simple = PROGRAM.replace('    terms["effort-cost"] = -cost / 10\n', "")
    changed = scale_terms(simple, {"forward": 3.0, "alive": 0.2})
    assert changed is not None
    assert '"forward": 3 * (forward),' in changed
    assert '"alive": 0.4 * np.ones_like(forward),' in changed
    assert "WEIGHT = 0.5\n" in changed
    dropped = scale_terms(simple, {"alive": 0})
    assert dropped is not None
    assert [term.name for term in read_terms(dropped)] == ["forward"]
    assert scale_terms(PROGRAM, {"alive": 0.2}) is None
    assert scale_terms(simple, {"other": 2.0}) is None
