from __future__ import annotations

import pytest

from reward_agent.definitions.card import list_envs
from reward_agent.designers.brief import DesignBrief
from reward_agent.designers.ideas import choose_ideas
from reward_agent.designers.model import LanguageModel
from reward_agent.designers.preview import PREVIEWS, Subject, load_subject, preview_prompt
from reward_agent.designers.prompts import list_prompts
from reward_agent.designers.reply import parse_code
from reward_agent.errors import UnknownNameError
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.choices import describe_choices
from reward_agent.types import RewardProgram


@pytest.mark.parametrize("name", PREVIEWS)
@pytest.mark.parametrize("env", list_envs())
def test_every_prompt_can_be_shown_for_every_environment(env, name):
    request = preview_prompt(name, load_subject(env))
    assert request.template.partition("_repair")[0] in name
    assert "{{" not in request.prompt
    assert "{%" not in request.prompt
    assert "None" not in request.messages[-1].content.split("```")[0]
    # No prompt is near the size of a small context, nor of a page that nobody reads.
    assert 1_500 < len(request.prompt) < 40_000


def test_every_template_that_is_sent_can_be_shown():
    sent = {name for name in list_prompts() if not name.endswith("/system")}
    assert sent == set(PREVIEWS)


def test_what_is_shown_is_what_is_sent(play, card, task, source):
    model = play(f"```python\n{source}```")
    subject = Subject(card, task, index=2)
    idea = choose_ideas(0, 6)[2]
    brief = DesignBrief(card, task, idea, 0, 2, choices=describe_choices(card))
    LanguageModel(model).propose(brief)
    assert preview_prompt("designer/first", subject).messages == model.requests[0].messages


def test_prompts_of_a_run_speak_of_its_programs(card, task, best, history):
    subject = Subject(card, task, None, history)
    following = preview_prompt("designer/next", subject).messages[-1].content
    assert "best program so far: aaaa1111" in following
    assert "This is round 3" in following
    assert "Candidate aaaa1111" in preview_prompt("analyzer/analyse", subject).messages[-1].content
    assert "cart_velocity" in preview_prompt("critic/review", subject).messages[-1].content


def test_repair_shows_real_findings():
    repair = preview_prompt("designer/repair", load_subject("hopper", "back_flip"))
    assert "did you mean" in repair.messages[-1].content
    assert [turn.role for turn in repair.messages] == ["system", "user", "assistant", "user"]


def test_unknown_prompt_is_named_with_the_closest():
    with pytest.raises(UnknownNameError, match="did you mean 'critic/review'"):
        preview_prompt("critic/reviw", load_subject("hopper"))


@pytest.mark.parametrize("env", list_envs())
def test_examples_in_the_system_prompt_are_in_our_language_as_sent(env):
    """The few-shot programs as a model reads them, not as the template holds them."""
    subject = load_subject(env)
    system = preview_prompt("designer/first", subject).messages[0].content
    blocks = [part.partition("```")[0] for part in system.split("```python\n")[1:]]
    programs = [block for block in blocks if "def compute_reward(" in block]
    assert len(programs) == 2
    hopper = load_subject("hopper").card
    for program in programs:
        parsed = parse_code(f"```python\n{program}```", "compute_reward")
        assert parsed.source is not None
        report = check_program(RewardProgram(parsed.source), hopper)
        assert report.is_accepted, report.findings
        assert not [item for item in report.findings if item.severity == "warning"]
