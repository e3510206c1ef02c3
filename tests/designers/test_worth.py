"""Whom to ask, and what became of what was foreseen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reward_agent.designers.prompts import make_program_request, make_review_request
from reward_agent.designers.roles import Proposal
from reward_agent.designers.worth import explain_no_analysis, explain_no_review, follow_risks
from reward_agent.records.outcomes import Outcome
from reward_agent.types import Critique, RewardProgram, Risk

RISKS = (
    Risk(kind="flooding", evidence="speed pays 960 an episode", remedy="scale it"),
    Risk(kind="dead term", evidence="land opens late", remedy="widen it"),
)


def change(entry, **changes):
    return replace(entry, candidate=entry.candidate.model_copy(update=changes))


def score(entry, task_score, success_rate):
    update = {"task_score": task_score, "success_rate": success_rate}
    return change(entry, evaluation=entry.candidate.evaluation.model_copy(update=update))


@pytest.fixture
def bounded(task):
    return task.model_copy(update={"is_bounded": True})


def test_a_done_task_needs_neither_review_nor_analysis(brief, best, bounded):
    done = replace(brief, task=bounded, best=score(best, 1.5, 1.0))
    assert explain_no_review(done)
    assert explain_no_analysis(done, score(best, 1.5, 1.0))
    assert not explain_no_analysis(done, best)


def test_what_is_not_done_in_every_episode_or_has_no_end_is_asked_about(brief, best, bounded, task):
    assert not explain_no_review(replace(brief, task=bounded, best=score(best, 1.6, 0.9)))
    assert not explain_no_review(replace(brief, task=task, best=score(best, 9.0, 1.0)))
    assert not explain_no_analysis(replace(brief, task=task), score(best, 9.0, 1.0))


def test_a_training_stopped_at_its_beginning_is_not_analysed(brief, best):
    brief, outcome = replace(brief, steps=4000), Outcome(kind="stopped", at_steps=1000)
    stopped = change(best, outcome=outcome, total_timesteps=1000)
    assert explain_no_analysis(brief, stopped) == "stopped after 1,000 of 4,000 steps"
    assert not explain_no_analysis(brief, change(stopped, total_timesteps=2000))
    assert not explain_no_analysis(brief, best)


def test_what_became_of_a_risk(best):
    critique = Critique(verdict="accept", summary="fine", risks=RISKS)
    analysis = best.analysis.model_copy(update={"failure_mode": "Flooding: speed pays most"})
    failed = replace(best, critique=critique, analysis=analysis)
    assert [item.became for item in follow_risks(failed)] == ["came true", "not seen"]
    done = score(failed, 2.0, 1.0)
    assert [item.became for item in follow_risks(done)] == ["success all the same"] * 2


def test_the_designer_is_told_what_became_of_the_risks(brief, best, history):
    critique = Critique(verdict="accept", summary="fine", risks=RISKS[:1])
    warned = replace(history[1], critique=critique)
    told = make_program_request(replace(brief, best=best, history=(warned, best)))
    assert "Warned of before its training: flooding → not seen." in told.messages[-1].content


def test_the_critic_reads_the_parent_and_the_reasons(brief, best, examine, source):
    brief = replace(brief, best=best, idea=replace(brief.idea, parent=best.candidate.id))
    program = RewardProgram(source.replace("0.0, 2.0", "0.0, 4.0"))
    reply = f"It stops at 2 m/s, so I double that.\n\n```python\n{program.source}```\n"
    request = make_review_request(brief, examine(Proposal(program, reply=reply)))
    told = request.messages[-1].content
    assert "> It stops at 2 m/s, so I double that." in told
    assert "What it departs from: aaaa1111" in told
    assert "speed 0.812" in told
    assert "-    speed = np.clip(next_state.cart_velocity, 0.0, 2.0)" in told
    assert told.count("def compute_reward") == 1
