from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.designers.offline import OfflineDesigner
from reward_agent.designers.roles import Proposal
from reward_agent.designers.team import make_team
from reward_agent.records.settings import RunSettings
from reward_agent.types import RewardProgram


def test_provider_is_found_by_its_name_and_plays_the_designer_only(tmp_path: Path) -> None:
    team = make_team(RunSettings(provider="offline"), tmp_path, {}, threading.Event())
    assert isinstance(team.designer, OfflineDesigner)
    assert (team.critic, team.analyzer) == (None, None)
    assert team.description == "offline: keyword goals, seeded search"


def test_it_says_that_there_is_no_language_model(brief, propose) -> None:
    proposal = propose(brief("hopper", "hop_forward"))
    assert proposal.reply.startswith("No language model:")
    assert proposal.completions == ()


def test_same_brief_gets_the_same_program(brief, propose) -> None:
    assert propose(brief("ant", "wave_leg", seed=3)) == propose(brief("ant", "wave_leg", seed=3))


def test_sentence_without_a_known_word_is_refused_with_what_is_known(brief, propose) -> None:
    proposal = propose(brief("hopper", "paint the fence"))
    assert proposal.program is None
    assert proposal.is_final
    assert "paint the fence" in str(proposal.outcome)
    assert "English keywords (walk, jump," in str(proposal.outcome)


def test_goal_that_the_card_cannot_measure_is_refused(brief, propose) -> None:
    outcome = str(propose(brief("reacher", "do a flip")).outcome)
    assert "reacher has no field to measure flip" in outcome


def test_next_round_departs_from_the_parent_and_says_why(brief, propose, entry) -> None:
    first = propose(brief("hopper", "hop_forward"))
    parent = entry(first, {"alive": (0.4, 0.4, 0.4, 0.9), "travel": (0.0, 0.1, 0.2, 0.1)})
    known = {"history": (parent,), "best": parent, "iteration": 1}
    proposals = [
        propose(
            brief(
                "hopper", "hop_forward", "rebalance", parent=parent.candidate.id, index=k, **known
            )
        )
        for k in range(3)
    ]
    reason = f"from candidate {parent.candidate.id} (task score 2)"
    assert all(reason in proposal.reply for proposal in proposals)
    assert "`alive` made 90% of the return" in proposals[0].reply
    assert len({proposal.program for proposal in proposals} | {first.program}) == 4


@pytest.mark.parametrize("plan", [None, {"steps": ["of another designer"]}])
def test_parent_of_another_designer_is_not_departed_from(brief, propose, entry, plan) -> None:
    source = (
        "def compute_reward(state, action, next_state):\n    return next_state.x_position, {}\n"
    )
    parent = entry(Proposal(RewardProgram(source), plan=plan), {})
    proposal = propose(
        brief("hopper", "hop_forward", "rebalance", parent=parent.candidate.id, history=(parent,))
    )
    assert "from scratch" in proposal.reply


def test_program_that_was_tried_is_not_proposed_again(brief, propose, entry) -> None:
    first = brief("hopper", "hop_forward")
    proposal = propose(first)
    again = dataclasses.replace(first, history=(entry(proposal, {}),))
    assert propose(again).program != proposal.program


def test_repair_falls_back_to_the_smallest_program(brief, propose, examine) -> None:
    first = brief("hopper", "hop_forward", "safe-first")
    proposal = propose(first)
    repaired = OfflineDesigner().repair(first, examine(proposal))
    assert repaired.program is not None
    assert len(repaired.program.source) < len(proposal.program.source)


def test_metric_that_could_not_be_used_is_followed_by_no_other() -> None:
    card = load_env("hopper")
    proposal = OfflineDesigner().propose_metric(card, "go forward quickly")
    again = OfflineDesigner().propose_metric(card, "go forward quickly", proposal, ())
    assert again.source is None
    assert "knows no other metric" in again.outcome.detail
