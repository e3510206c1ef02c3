from __future__ import annotations

import pytest

from reward_agent.designers.brief import DesignBrief, select_history
from reward_agent.designers.model import LanguageModel
from reward_agent.errors import ContextTooLongError, UnreachableError
from reward_agent.llm.chat import Completion
from reward_agent.types import Critique, Finding, RewardProgram, Usage

ACCEPT = '{"verdict": "accept", "summary": "fine"}'
ANALYSIS = '{"failure_mode": "flooding", "evidence": ["a"], "next_change": "b", "keep": true}'


def completion(reply: str = "", stop_reason: str = "stop", detail: str = "") -> Completion:
    return Completion.model_validate(
        {
            "reply": reply,
            "stop_reason": stop_reason,
            "stop_detail": detail,
            "model": "fake-1",
            "provider": "fake",
            "usage": Usage(n_calls=1, output_tokens=9),
        }
    )


def test_good_reply_becomes_a_program_with_its_completion(play, brief, source):
    model = play(f"I pay speed.\n```python\n{source}```")
    proposal = LanguageModel(model).propose(brief)
    assert proposal.program == RewardProgram(source)
    assert proposal.outcome is None
    [completion_] = proposal.completions
    assert completion_.reply == proposal.reply
    [request] = model.requests
    assert "Slide forward." in request.prompt
    assert proposal.reply.startswith("I pay speed.")


def test_request_names_the_place_of_the_call(play, brief, source):
    model = play(f"```python\n{source}```")
    LanguageModel(model).propose(brief)
    [request] = model.requests
    assert (request.agent, request.template) == ("designer", "designer/first")
    assert (request.iteration, request.sample_index) == (brief.iteration, brief.index)


def test_reply_without_a_program_is_an_outcome_that_can_be_repaired(play, brief):
    proposal = LanguageModel(play("I would pay speed.")).propose(brief)
    assert proposal.program is None
    assert str(proposal.outcome).startswith("no program: the reply holds no code")
    assert not proposal.is_final
    assert len(proposal.completions) == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (completion("", "refusal", "frontier_llm"), "no program: the model refused (frontier_llm)"),
        (
            completion("", "content_filter"),
            "no program: the provider's content filter stopped the reply",
        ),
    ],
)
def test_refusal_is_a_final_outcome_that_keeps_its_cost(answer, outcome, play, brief):
    proposal = LanguageModel(play(answer)).propose(brief)
    assert str(proposal.outcome) == outcome
    assert proposal.is_final
    assert proposal.completions[0].usage.output_tokens == 9


def test_empty_reply_is_an_outcome(play, brief):
    proposal = LanguageModel(play("  ")).propose(brief)
    assert str(proposal.outcome) == "no program: the model answered with nothing"
    assert not proposal.is_final


def test_cut_reply_is_asked_for_once_more_with_more_room(play, brief, source):
    model = play(completion("```python\ndef comp", "length"), f"```python\n{source}```")
    proposal = LanguageModel(model).propose(brief)
    first, second = model.requests
    assert second.max_output_tokens == 2 * first.max_output_tokens
    assert proposal.program == RewardProgram(source)
    assert len(proposal.completions) == 2


def test_reply_that_is_cut_twice_is_an_outcome(play, brief):
    cut = completion("```python\ndef comp", "length")
    proposal = LanguageModel(play(cut, cut)).propose(brief)
    assert "cut at the output limit, after 9 tokens" in str(proposal.outcome)
    assert len(proposal.completions) == 2


def test_unreachable_provider_is_an_exception(play, brief):
    with pytest.raises(UnreachableError):
        LanguageModel(play(UnreachableError("down"))).propose(brief)


def test_script_that_ended_is_a_final_outcome(script, brief, source):
    designer = LanguageModel(script(f"```python\n{source}```"))
    assert designer.propose(brief).program is not None
    proposal = designer.propose(brief)
    assert str(proposal.outcome).startswith("no program: the script script has ended")
    assert proposal.is_final


def test_history_is_shortened_until_it_fits(play, card, task, idea, best, history, source):
    too_long = ContextTooLongError("too long")
    model = play(too_long, too_long, f"```python\n{source}```")
    brief = DesignBrief(card, task, idea, 2, 0, best, history)
    proposal = LanguageModel(model).propose(brief)
    texts = [request.messages[-1].content for request in model.requests]
    assert ["bbbb2222" in text for text in texts] == [True, False, False]
    assert ["dddd4444" in text for text in texts] == [True, True, False]
    assert all("best program so far: aaaa1111" in text for text in texts)
    assert proposal.program is not None


def test_repair_is_shortened_too(play, card, task, idea, best, history, source, examine):
    model = play("prose", ContextTooLongError("too long"), f"```python\n{source}```")
    brief = DesignBrief(card, task, idea, 2, 0, best, history)
    designer = LanguageModel(model)
    assert designer.repair(brief, examine(designer.propose(brief))).program is not None
    shortened = model.requests[-1].messages
    assert "bbbb2222" not in shortened[1].content
    assert shortened[2].content == "prose"


def test_context_that_cannot_be_shortened_is_an_exception(play, brief):
    with pytest.raises(ContextTooLongError):
        LanguageModel(play(ContextTooLongError("too long"))).propose(brief)


def test_repair_that_does_not_fit_ends_the_candidate_and_not_the_run(play, brief, examine):
    too_long = ContextTooLongError("the prompt does not fit")
    designer = LanguageModel(play("prose", too_long))
    proposal = designer.repair(brief, examine(designer.propose(brief)))
    assert str(proposal.outcome) == "no program: the prompt does not fit"
    assert proposal.is_final


def test_more_room_than_the_context_holds_leaves_the_cut_reply(play, brief):
    cut = completion("def comp", "length")
    proposal = LanguageModel(play(cut, ContextTooLongError("too long"))).propose(brief)
    assert "cut at the output limit" in str(proposal.outcome)
    assert len(proposal.completions) == 1


def test_repair_goes_on_with_the_conversation(play, brief, source, examine):
    model = play(
        f"```python\n{source.replace('cart_velocity', 'cart_speed')}```", f"```python\n{source}```"
    )
    designer = LanguageModel(model)
    proposal = designer.propose(brief)
    finding = Finding(rule="r", severity="error", message="no field 'cart_speed'", line=3)
    repaired = designer.repair(brief, examine(proposal, finding))
    before, after = (request.messages for request in model.requests)
    assert after[: len(before)] == before
    assert [turn.role for turn in after] == ["system", "user", "assistant", "user"]
    assert "no field 'cart_speed'" in after[-1].content
    assert "here: `speed = np.clip(next_state.cart_speed" in after[-1].content
    assert repaired.program == RewardProgram(source)


def test_repair_of_an_empty_reply_sends_no_empty_turn(play, brief, source, examine):
    model = play("", f"```python\n{source}```")
    designer = LanguageModel(model)
    designer.repair(brief, examine(designer.propose(brief)))
    assert [turn.role for turn in model.requests[1].messages] == ["system", "user", "user"]


def test_revision_carries_the_critique(play, brief, source, examine):
    model = play(f"```python\n{source}```", f"```python\n{source}# bounded\n```")
    designer = LanguageModel(model)
    critique = Critique(verdict="revise", summary="It floods.")
    revised = designer.revise(brief, examine(designer.propose(brief)), critique)
    assert "It floods." in model.requests[1].messages[-1].content
    assert revised.program == RewardProgram(f"{source}# bounded\n")


METRIC = '```json\n{"meaning": "speed", "unit": "m/s", "criterion": "1 m/s"}\n```\n```python\ndef score(episode):\n    return Score(1.0, True, {})\n```'


def test_metric_comes_with_its_meaning(play, card):
    proposal = LanguageModel(play(METRIC)).propose_metric(card, "Slide.")
    assert proposal.outcome is None
    assert (proposal.words.meaning, proposal.words.unit, proposal.words.criterion) == (
        "speed",
        "m/s",
        "1 m/s",
    )
    assert proposal.source is not None
    assert proposal.source.startswith("def score")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("no idea", "the reply holds no JSON object"),
        (
            METRIC.replace("def score", "def judge"),
            "the reply holds code, but no function score",
        ),
        (METRIC.replace('"unit": "m/s", ', ""), "unit: Field required"),
        (completion("", "refusal"), "the model refused"),
    ],
)
def test_metric_that_is_not_complete_is_an_outcome(reply, says, play, card):
    proposal = LanguageModel(play(reply)).propose_metric(card, "Slide.")
    assert proposal.source is None
    assert says in proposal.outcome.detail
    assert len(proposal.completions) == 1


def test_critique_is_read(play, brief, source, examine):
    review = LanguageModel(play(ACCEPT)).review(brief, examine(RewardProgram(source)))
    assert review.record is not None
    assert review.record.verdict == "accept"


def test_critic_is_shown_line_numbers(play, brief, source, examine):
    model = play(ACCEPT)
    LanguageModel(model).review(brief, examine(RewardProgram(source * 3)))
    assert "\n 1  def compute_reward" in model.requests[0].messages[-1].content


def test_invalid_json_is_repaired_once_with_the_error(play, brief, source, examine):
    model = play('{"verdict": "perhaps", "summary": "x"}', ACCEPT)
    review = LanguageModel(model).review(brief, examine(RewardProgram(source)))
    assert review.record is not None
    assert len(review.completions) == 2
    repair = model.requests[1].messages[-1].content
    assert "verdict: Input should be 'accept' or 'revise'" in repair
    assert "verdict, summary, risks" in repair


@pytest.mark.parametrize(
    ("steps", "reason", "n_completions"),
    [
        (
            ["prose", "prose"],
            "the reply holds no JSON object (Critique was asked for)",
            2,
        ),
        ([completion("", "refusal", "cyber")], "the model refused (cyber)", 1),
        (["prose", completion("", "refusal")], "the model refused", 2),
        ([ContextTooLongError("it does not fit")], "it does not fit", 0),
        (["prose", ContextTooLongError("it does not fit")], "it does not fit", 1),
    ],
)
def test_missing_critique_has_a_reason(steps, reason, n_completions, play, brief, source, examine):
    review = LanguageModel(play(*steps)).review(brief, examine(RewardProgram(source)))
    assert review.record is None
    assert review.reason == reason
    assert len(review.completions) == n_completions


def test_analysis_is_read(play, brief, best):
    model = play(ANALYSIS)
    diagnosis = LanguageModel(model).analyse(brief, best)
    assert diagnosis.record is not None
    assert diagnosis.record.failure_mode == "flooding"


def test_missing_analysis_has_a_reason(play, brief, best):
    diagnosis = LanguageModel(play("", "")).analyse(brief, best)
    assert diagnosis.record is None
    assert diagnosis.reason == "the model answered with nothing"


def test_history_holds_the_last_four_rounds(make_entry):
    entries = [
        make_entry(f"c{round_}{n}", round_, None) for round_ in (0, 2, 3, 4, 7) for n in range(2)
    ]
    kept = select_history(entries)
    assert sorted({entry.candidate.iteration for entry in kept}) == [2, 3, 4, 7]
    assert len(kept) == 8


def test_second_repair_is_asked_for_in_other_words(play, brief, source, examine):
    """A model that repeats its mistake is not answered from the cache, nor asked the same again."""
    model = play(f"```python\n{source}```", f"```python\n{source}```")
    for number in (0, 1):
        LanguageModel(model).repair(brief, examine(RewardProgram(source)), number)
    first, second = (request.messages for request in model.requests)
    assert first != second
    assert "This is repair 2 of this candidate" in second[-1].content
