from __future__ import annotations

import re
from dataclasses import replace

import pytest

from reward_agent.designers.brief import Feedback, HistoryEntry, Remark
from reward_agent.designers.ideas import choose_answers
from reward_agent.designers.offline.moves import WISHES, read_wishes
from reward_agent.designers.offline.plan import read_plan
from reward_agent.designers.roles import Proposal
from reward_agent.rewards.checks import check_program
from reward_agent.types import RewardProgram

SHARES = {"travel": (0.0, 0.3, 1.0, 0.5), "alive": (0.4, 0.4, 0.4, 0.5)}


@pytest.mark.parametrize(
    ("said", "wishes"),
    [
        ("It rolls on its back, keep the feet under you", ("upright", "feet")),
        ("Don't fall", ("steady",)),
        ("it falls over after a second", ("steady",)),
        ("it does not fall any more, but it is too slow", ("faster",)),
        ("faster please", ("faster",)),
        ("too fast, slow down", ("slower",)),
        ("Jump higher", ("higher",)),
        ("it drifts to the left; go straight", ("straight",)),
        ("stand straight up", ()),
        ("the leg trembles", ("calm",)),
        ("I like blue", ()),
    ],
)
def test_words_become_wishes(said: str, wishes: tuple[str, ...]) -> None:
    assert read_wishes(said) == wishes


@pytest.fixture
def answer(brief, propose, entry):
    """Return what is proposed after a remark on an offline program for a task."""

    def make(said: str, index: int = 0, task: str = "hop_forward", env: str = "hopper", **changes):
        first = brief(env, task, "weighted-sum")
        parent = entry(changes.get("watched") or propose(first), SHARES)
        idea = choose_answers(2, parent.candidate.id)[index]
        remarks = Feedback((Remark(parent.candidate.id, said),))
        asked = replace(
            first,
            idea=idea,
            index=index,
            iteration=1,
            best=parent,
            history=(parent,),
            feedback=remarks,
        )
        return parent, asked.card, propose(asked)

    return make


def read_weights(known: Proposal | HistoryEntry) -> dict[str, float]:
    plan = read_plan(known.plan)
    assert plan is not None
    return {term.signal: term.weight for term in plan.terms}


SAID = {
    "upright": "keep upright", "steady": "do not fall", "feet": "only the feet may touch the floor",
    "faster": "faster", "slower": "slower", "higher": "higher", "straight": "go straight",
    "calm": "it shakes",
}  # fmt: skip


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    ("env", "task"),
    [
        ("hopper", "hop_forward"),
        ("hopper", "back_flip"),
        ("ant", "run_forward"),
        ("reacher", "reach"),
    ],
)
def test_every_answer_is_a_program_that_the_rules_accept(answer, wish, index, env, task) -> None:
    parent, card, proposal = answer(SAID[wish], index, task, env)
    assert proposal.program != parent.program
    findings = check_program(proposal.program, card).findings
    assert [finding for finding in findings if finding.severity != "hint"] == []


def test_an_answer_changes_what_was_asked_for(answer) -> None:
    parent, _, proposal = answer("It rolls on its back, keep the feet under you", 0)
    assert "read from the remark: upright, feet" in proposal.reply
    before, after = read_weights(parent), read_weights(proposal)
    assert after["upright"] > before["upright"]
    assert "* upright" in re.search(r'"travel": (.*),', proposal.program.source)[1]
    _, _, by_pay = answer("keep upright", 1)
    assert "* upright" not in re.search(r'"travel": (.*),', by_pay.program.source)[1]


def test_faster_raises_the_goal_and_slower_caps_the_speed(answer) -> None:
    parent, _, faster = answer("faster")
    assert read_weights(faster)["travel"] > read_weights(parent)["travel"]
    _, _, slower = answer("slower")
    assert "paced" in read_weights(slower)
    assert "travel" not in read_weights(slower)


def test_a_flip_is_not_asked_to_stay_upright(answer) -> None:
    _, _, proposal = answer("keep upright", 0, "back_flip")
    assert "upright" not in read_weights(proposal)
    assert "has no field for that" in proposal.reply


def test_unknown_words_are_said_to_be_unknown(answer) -> None:
    parent, _, proposal = answer("I like blue")
    assert "no word of the remark is known" in proposal.reply
    assert proposal.program != parent.program


def test_a_program_of_another_hand_is_not_pretended_to_be_known(answer) -> None:
    foreign = (
        "def compute_reward(state, action, next_state):\n"
        "    speed = next_state.forward_velocity\n"
        '    return speed, {"speed": speed}\n'
    )
    _, _, proposal = answer("keep upright", 0, watched=Proposal(RewardProgram(foreign)))
    assert "from scratch" in proposal.reply
    assert "upright" in read_weights(proposal)


@pytest.mark.parametrize("wish", WISHES)
def test_two_candidates_of_a_round_answer_in_different_ways(answer, wish) -> None:
    """In a card without a field for the wish, both are random variations."""
    programs = {answer(SAID[wish], index)[2].program for index in (0, 1)}
    assert len(programs) == 2
