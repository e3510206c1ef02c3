"""What a prompt cache would serve, by the rules of its provider."""

from __future__ import annotations

import pytest

from benchmarks.caches import measure_share, serve_anthropic, serve_openai

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
