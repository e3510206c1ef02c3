from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.designers.brief import MetricBrief, RepairBrief
from reward_agent.designers.designer import Designer
from reward_agent.designers.offline import OfflineChatModel
from reward_agent.designers.reply import parse_code
from reward_agent.errors import RefusalError
from reward_agent.llm.chat import ChatMessage, ChatRequest
from reward_agent.llm.registry import make_chat_model
from reward_agent.rewards.checks import check_metric


def test_provider_is_found_by_its_name_and_plays_the_designer_only() -> None:
    model = make_chat_model("offline")
    assert model.provider == "offline"
    assert model.agents == {"designer"}


def test_reply_says_that_there_is_no_language_model(brief, reply) -> None:
    assert reply(brief("hopper", "hop_forward")).startswith("No language model:")


def test_same_brief_gets_the_same_reply(brief, reply) -> None:
    assert reply(brief("ant", "wave_leg", seed=3)) == reply(brief("ant", "wave_leg", seed=3))


def test_designer_reads_the_reply_like_a_models(brief) -> None:
    proposal = Designer(OfflineChatModel()).propose(brief("hopper", "hop_forward"))
    assert proposal.program is not None
    assert proposal.exchanges[0].completion.usage.n_calls == 0


def test_sentence_without_a_known_word_is_refused_with_what_is_known(brief) -> None:
    proposal = Designer(OfflineChatModel()).propose(brief("hopper", "paint the fence"))
    assert proposal.program is None
    assert proposal.is_final
    assert "paint the fence" in proposal.outcome
    assert "travel" in proposal.outcome


def test_goal_that_the_card_cannot_measure_is_refused(brief, reply) -> None:
    with pytest.raises(RefusalError, match="reacher has no field to measure flip"):
        reply(brief("reacher", "do a flip"))


def test_next_round_departs_from_the_parent_and_says_why(brief, reply, entry) -> None:
    first = brief("hopper", "hop_forward")
    source = parse_code(reply(first), "compute_reward").source
    parent = entry(source, {"alive": (0.4, 0.4, 0.4, 0.9), "travel": (0.0, 0.1, 0.2, 0.1)})
    known = {"history": (parent,), "best": parent, "iteration": 1}
    texts = [
        reply(
            brief(
                "hopper", "hop_forward", "rebalance", parent=parent.candidate.id, index=k, **known
            )
        )
        for k in range(3)
    ]
    assert all(f"from candidate {parent.candidate.id} (task score 2)" in text for text in texts)
    assert "`alive` made 90% of the return" in texts[0]
    programs = {parse_code(text, "compute_reward").source for text in texts}
    assert len(programs | {source}) == 4


def test_parent_of_another_designer_is_not_departed_from(brief, reply, entry) -> None:
    source = (
        "def compute_reward(state, action, next_state):\n    return next_state.x_position, {}\n"
    )
    parent = entry(source, {})
    text = reply(
        brief("hopper", "hop_forward", "rebalance", parent=parent.candidate.id, history=(parent,))
    )
    assert "from scratch" in text


def test_program_that_was_tried_is_not_proposed_again(brief, reply, entry) -> None:
    first = brief("hopper", "hop_forward")
    source = parse_code(reply(first), "compute_reward").source
    again = dataclasses.replace(first, history=(entry(source, {}),))
    assert parse_code(reply(again), "compute_reward").source != source


def test_repair_falls_back_to_the_smallest_program(brief, reply) -> None:
    first = brief("hopper", "hop_forward", "safe-first")
    proposal = Designer(OfflineChatModel()).propose(first)
    repaired = Designer(OfflineChatModel()).repair(RepairBrief(first, proposal, ()))
    assert repaired.program is not None
    assert len(repaired.program.source) < len(proposal.program.source)


@pytest.mark.parametrize(
    ("env", "sentence", "task"),
    [
        ("hopper", "go forward quickly", "hop_forward"),
        ("walker2d", "walk backwards", "run_backward"),
        ("ant", "lie on the floor", "lie_down"),
        ("reacher", "touch the target", "reach"),
    ],
)
def test_sentence_gets_the_metric_of_the_nearest_task(env: str, sentence: str, task: str) -> None:
    card = load_env(env)
    proposal = Designer(OfflineChatModel()).propose_metric(MetricBrief(card, sentence))
    assert proposal.source is not None, proposal.outcome
    assert f"'{task}'" in proposal.meaning
    assert proposal.criterion
    assert check_metric(proposal.source, card).is_accepted


def test_sentence_far_from_every_task_gets_no_metric_but_a_list() -> None:
    brief = MetricBrief(load_env("ant"), "spin around like a top")
    proposal = Designer(OfflineChatModel()).propose_metric(brief)
    assert proposal.source is None
    assert "run_forward" in proposal.outcome
    assert "wave_leg" in proposal.outcome


def test_metric_beyond_the_language_is_named_and_not_copied(tmp_path: Path) -> None:
    own = tmp_path / "hopper"
    shutil.copytree(find_env_dir("hopper"), own)
    metric = own / "tasks/front_flip/metric.py"
    metric.write_text(metric.read_text() + "\n\ndef wait():\n    while True:\n        pass\n")
    brief = MetricBrief(load_env(own), "jump backwards through a flip")
    with pytest.raises(RefusalError, match="the nearest task of hopper is 'back_flip'") as caught:
        OfflineChatModel().complete(
            ChatRequest("designer", "designer/metric", (ChatMessage("user", "…"),), inputs=brief)
        )
    assert "--task back_flip" in caught.value.message
