"""A search that departs from a person's program keeps their terms and names, and says so."""

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.designers.offline import given
from reward_agent.designers.offline.given import calls_for_weights, reweight
from reward_agent.designers.roles import Proposal
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.pay import STANDING
from reward_agent.rewards.terms import compare_terms
from reward_agent.summary.diagnostics import Diagnosis
from reward_agent.types import BehaviourPay, RewardProgram

THEIRS = """
import numpy as np

W_LEAN = 2.0


def lean_of(state):
    return np.abs(state.torso_pitch)


def compute_reward(state, action, next_state):
    \"\"\"Straight, and some speed.\"\"\"
    terms = {
        "straight": 1.0 - W_LEAN * lean_of(next_state),
        "alive": 0.1 * np.ones(len(action)),
    }
    return sum(terms.values()), terms
"""
AT_ONCE = """
def compute_reward(state, action, next_state):
    straight = 1.0 - np.abs(next_state.torso_pitch)
    return straight + 0.1, {"straight": straight, "alive": 0.1}
"""
SHARES = {"straight": (0.0, 0.5, 1.0, 0.5), "alive": (0.1, 0.1, 0.1, 0.5)}


@pytest.fixture
def depart(brief, entry, propose):
    """Return what is proposed from a person's program with such terms."""

    def run(source, shares, index=0):
        theirs = entry(Proposal(RewardProgram(source)), shares)
        candidate = theirs.candidate.model_copy(update={"origin": "mine.py"})
        theirs = replace(theirs, candidate=candidate)
        made = brief("hopper", "hop_forward", parent=candidate.id, history=(theirs,), index=index)
        return propose(replace(made, iteration=1)), theirs

    return run


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("source", [THEIRS, AT_ONCE], ids=["terms", "returned"])
def test_first_departure_keeps_their_terms_and_adds_the_tasks(depart, source, index):
    proposal, _ = depart(source, SHARES, 2 * index)
    assert "of mine.py as they are" in proposal.reply
    text = proposal.program.source
    report = check_program(proposal.program, load_env("hopper"))
    assert report.is_accepted, (report.findings, text)
    fates = {fate.name: fate.fate for fate in compare_terms(source, text)}
    assert [fates[name] for name in ("straight", "alive")] == ["kept", "kept"]
    assert fates["travel"] == "new"


def test_one_number_is_not_made_larger_or_smaller_as_a_whole(brief, entry):
    one = "def compute_reward(state, action, next_state):\n    r = next_state.forward_velocity\n"
    made = {}
    for source in (one + "    return r, {'reward': r}\n", THEIRS):
        theirs = entry(Proposal(RewardProgram(source)), {})
        theirs = replace(
            theirs,
            probe=SimpleNamespace(is_additive=True, behaviours=()),
            training=None,
            summary=None,
            plan=None,
        )
        parent = theirs.candidate.id
        asked = brief("hopper", "hop_forward", parent=parent, history=(theirs,), index=1)
        made[source] = reweight(asked, random.Random(0))
    assert [change is not None for change in made.values()] == [False, True]


def test_term_of_theirs_that_drowns_the_rest_weighs_less_and_the_number_is_said(
    depart, brief, entry, propose
):
    first, theirs = depart(THEIRS, SHARES)
    shares = {
        "straight": (0, 5.0, 9.0, 0.8),
        "alive": (0.1, 0.1, 0.1, 0.1),
        "travel": (0, 1, 2, 0.1),
    }
    child = entry(first, shares)
    child = replace(
        child, candidate=child.candidate.model_copy(update={"parent": theirs.candidate.id})
    )
    made = brief("hopper", "hop_forward", parent=child.candidate.id, history=(theirs, child))
    proposal = propose(replace(made, iteration=2))
    assert "the person's `straight` made 80% of the return: its weight times 0.4" in proposal.reply
    fates = {str(fate) for fate in compare_terms(THEIRS, proposal.program.source)}
    assert "kept" in fates
    assert any(fate.startswith("weight changed") or "→ 0.4" in fate for fate in fates)
    assert check_program(proposal.program, load_env("hopper")).is_accepted


def test_program_that_takes_a_helpers_name_is_left_alone(depart):
    source = THEIRS.replace("lean_of", "tolerance")
    proposal, _ = depart(source, SHARES)
    assert "from scratch" in proposal.reply


STEADY = """
def compute_reward(state, action, next_state):
    terms = {
        "straight": 1.0 - np.abs(next_state.torso_pitch),
        "forward": 0.1 * next_state.forward_velocity,
    }
    return sum(terms.values()), terms
"""


def rate(name, score):
    """Return what standing, or a fall that comes so far, is paid."""
    length = 1000.0 if name == STANDING else 50.0
    terms = {"straight": length, "forward": 12.5 * score}
    return BehaviourPay(
        name=name, n_episodes=2, n_ended=0, length=length, pay=sum(terms.values()), terms=terms,
        task_score=score,
    )  # fmt: skip


@pytest.fixture
def of_steady(brief, entry):
    """Return what departs from a program that pays standing, with a score, more than the way."""

    def make(score):
        rows = [rate(STANDING, score), *(rate(f"falls {n}", 0.1 * n) for n in range(1, 4))]
        theirs = entry(Proposal(RewardProgram(STEADY)), {})
        candidate = theirs.candidate.model_copy(update={"origin": "mine.py"})
        probe = SimpleNamespace(is_additive=True, behaviours=rows)
        theirs = replace(theirs, candidate=candidate, probe=probe)
        made = brief("hopper", "hop_forward", parent=candidate.id, history=(theirs,), index=1)
        return replace(made, iteration=1)

    return make


def test_term_that_follows_the_task_is_raised_until_the_task_earns_what_standing_does(
    of_steady, propose
):
    # 1000 an episode in the start pose; 12.5 a metre, and the target is 3 m.
    proposal = propose(of_steady(0.0))
    assert "earns 1e+03, and `forward`, which follows the task score, 37.5" in proposal.reply
    assert '"forward": 2.7 * next_state.forward_velocity' in proposal.program.source


def test_term_that_follows_the_task_is_raised_to_what_motion_costs(of_steady, propose):
    asked = of_steady(0.0)
    [standing, *rows] = asked.history[0].probe.behaviours
    terms = {"straight": -50.0, "forward": 2.5}
    moved = rows[1].model_copy(update={"name": "random actions", "terms": terms, "pay": -47.5})
    probe = SimpleNamespace(is_additive=True, behaviours=[standing, moved, rows[0], rows[2]])
    proposal = propose(replace(asked, history=(replace(asked.history[0], probe=probe),)))
    assert "random actions earn 2e+03 an episode less than the start pose" in proposal.reply
    assert '"forward": 5.3 * next_state.forward_velocity' in proposal.program.source


def test_term_of_the_wrong_sign_is_turned_before_others_are_added(of_steady, propose, monkeypatch):
    fault = Diagnosis(
        name="wrong sign", meaning="m", evidence="forward pays back", advice="a", terms=("forward",)
    )
    monkeypatch.setattr(given, "find_faults", lambda evidence: (fault,))
    asked = of_steady(3.0)  # nothing is to be raised
    theirs = replace(asked.history[0], summary=SimpleNamespace(terms=(), diagnoses=()))
    theirs.probe.best_step = theirs.probe.best_kept_up = 1.0
    proposal = propose(replace(asked, history=(theirs,)))
    assert "wrong sign: forward pays back: its weight times -1" in proposal.reply
    assert '"forward": -0.1 * next_state.forward_velocity' in proposal.program.source


def test_no_term_is_raised_where_standing_is_the_task(of_steady):
    assert not calls_for_weights(of_steady(3.0))
