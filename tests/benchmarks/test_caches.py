"""What a prompt cache would serve, by the rules of its provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.caches import BAR, SERVERS, measure_share, serve_anthropic, serve_openai
from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.preview import Subject, load_subject, preview_prompt
from reward_agent.llm.chat import ChatRequest
from reward_agent.llm.provider import PROVIDERS, ProviderOptions
from reward_agent.types import RewardProgram

PROGRAM = """def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=%s)
    middle = tolerance(next_state.cart_position, bounds=(-0.1, 0.1), margin=0.8)
    terms = {"upright": upright, "middle": 0.3 * upright * middle}
    return sum(terms.values()), terms
"""

CUT = {"type": "ephemeral"}


def tell_openai(*texts: str) -> dict:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


def tell_anthropic(system: str, *blocks: tuple[str, bool]) -> dict:
    content = [
        {"type": "text", "text": text} | ({"cache_control": CUT} if is_cut else {})
        for text, is_cut in blocks
    ]
    head = {"type": "text", "text": system, "cache_control": CUT}
    return {"system": [head], "messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(("n_common", "n_cached"), [(8000, 1920), (4900, 1152), (4000, 0), (0, 0)])
def test_openai_serves_whole_steps_from_1024_tokens_on(n_common, n_cached):
    bodies = [tell_openai("a" * n_common + "b" * 4000), tell_openai("a" * n_common + "c" * 4000)]
    first, second = serve_openai(bodies)
    assert first.n_cached == 0
    assert second.n_cached == n_cached


def test_anthropic_serves_what_was_marked_alone():
    system, shared = "s" * 5000, "h" * 6000
    one, other = (tell_anthropic(system, (shared, True), (own, False)) for own in "xy")
    elsewhere = tell_anthropic(system, ("another", False))
    short = tell_anthropic("s" * 100, ("h", True))
    first, second, third, fourth, fifth = serve_anthropic([one, other, elsewhere, short, short])
    assert (first.n_cached, fourth.n_cached, fifth.n_cached) == (0, 0, 0)
    assert second.n_cached == pytest.approx((5000 + 6000) / 4, abs=10)
    assert third.n_cached == pytest.approx(5000 / 4, abs=5)
    assert 0.3 < measure_share([first, second]) < 0.5


# --- a run of 6 x 4, its prompts as they are sent, without its trainings -------------------------


def make_entry(subject: Subject, iteration: int, index: int) -> HistoryEntry:
    """Return a candidate with a program of its own and a summary of a usual length."""
    n = 10 * iteration + index
    program = RewardProgram(PROGRAM % (0.2 + 0.01 * n))
    example = replace(subject, reference=program.source).entry
    candidate = example.candidate.model_copy(
        update={
            "id": f"program{n}", "iteration": iteration, "index": index, "task_score": 1.0 + n,
            "evaluation": example.candidate.evaluation.model_copy(update={"task_score": 1.0 + n}),
        }
    )  # fmt: skip
    rows = "\n".join(f"step {step}: pole_angle {n + step / 100:.3f} rad" for step in range(230))
    return replace(example, candidate=candidate, program=program, summary_text=rows)


def make_requests() -> Iterator[ChatRequest]:
    subject = load_subject("inverted_pendulum", "balance")
    entries: tuple[HistoryEntry, ...] = ()
    for iteration in range(4):
        template = "designer/next" if entries else "designer/first"
        for index in range(6):
            yield preview_prompt(template, replace(subject, entries=entries, index=index))
        new = tuple(make_entry(subject, iteration, index) for index in range(6))
        for entry in new:
            yield preview_prompt("critic/review", replace(subject, entries=(*entries, entry)))
        for entry in new:
            yield preview_prompt("analyzer/analyse", replace(subject, entries=(*entries, entry)))
        entries += new


@pytest.mark.parametrize("provider", SERVERS)
def test_most_of_the_input_of_a_usual_run_is_served_from_the_cache(provider):
    plain = PROVIDERS.load(provider)(
        ProviderOptions(environ={f"{provider.upper()}_API_KEY": "sk-test-0123456789"})
    )
    bodies = [plain._make_body(request) for request in make_requests()]
    assert len(bodies) == 72
    assert measure_share(SERVERS[provider](bodies)) >= BAR
