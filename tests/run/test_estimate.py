from __future__ import annotations

import os

import pytest

from reward_agent.errors import UsageError
from reward_agent.llm.provider import find_provider
from reward_agent.run.estimate import estimate_design

KEY = {"ANTHROPIC_API_KEY": "x"}


def estimate(tmp_path, task="hop_forward", environ=KEY, **options):
    return estimate_design("hopper", task, runs_dir=tmp_path, environ=environ, **options)


def test_every_number_is_a_range_and_nothing_is_written(tmp_path):
    result = estimate(tmp_path)
    sizes = [result.calls, result.input_tokens, result.output_tokens, result.usd]
    for size in [*sizes, result.env_steps, result.wall_s]:
        assert 0 < size.likely < size.high
    assert result.model == find_provider("anthropic").default_model
    assert list(tmp_path.iterdir()) == []


def test_more_programs_cost_more(tmp_path):
    small, large = (estimate(tmp_path, candidates=n) for n in (3, 6))
    assert large.calls.likely == pytest.approx(2 * small.calls.likely)
    assert large.usd.likely > 1.9 * small.usd.likely
    assert large.env_steps.likely > small.env_steps.likely


def test_agents_that_are_left_out_are_not_paid(tmp_path):
    alone = estimate(tmp_path, critic=False, analyzer=False, max_repairs=0, candidates=2)
    assert alone.calls.likely == alone.calls.high == 2 * 4


def test_dear_model_costs_more(tmp_path):
    cheap, dear = (
        estimate(tmp_path, model=name) for name in ("claude-sonnet-5-5", "claude-opus-5-5")
    )
    assert dear.usd.likely > 1.5 * cheap.usd.likely
    assert dear.calls == cheap.calls


def test_each_role_is_priced_at_its_own_model(tmp_path):
    alike, cheap, unknown = (
        estimate(tmp_path, model="claude-opus-5-5", critic_model=name)
        for name in (None, "claude-sonnet-5-5", "provider=openai-compatible model=mine")
    )
    assert cheap.usd.likely < alike.usd.likely
    assert cheap.calls == alike.calls
    assert any("calls of the critic go to claude-sonnet-5-5" in note for note in cheap.notes)
    assert unknown.usd is None
    assert any("go to mine: no price is known" in note for note in unknown.notes)


def test_unknown_price_is_said(tmp_path):
    result = estimate(tmp_path, provider="openai-compatible", model="mine")
    assert result.usd is None
    assert result.input_tokens.likely > 0
    assert any("no price is known for 'mine'" in note for note in result.notes)


def test_offline_costs_nothing(tmp_path):
    result = estimate(tmp_path, environ={})
    assert result.provider == "offline"
    assert result.calls.high == 0
    assert result.usd.high == 0
    assert result.env_steps.likely > 0


def test_sentence_without_a_metric_needs_one_more_call(tmp_path):
    known, free = estimate(tmp_path), estimate(tmp_path, "hop on the spot")
    assert free.calls.likely > known.calls.likely
    assert any("has no metric" in note for note in free.notes)


def test_what_a_sentence_costs_before_a_training_is_counted(tmp_path):
    climb, none = (
        estimate(tmp_path, "hop on the spot", adversary_steps=n, iterations=2, max_repairs=1)
        for n in (50_000, 0)
    )
    assert climb.env_steps.likely - none.env_steps.likely == 100_000
    assert climb.env_steps.high - none.env_steps.high == 200_000
    assert any("100,000 to 200,000 steps are trained on it alone" in note for note in climb.notes)
    ranked, no_critic = (
        estimate(tmp_path, "hop_forward", adversary_steps=50_000, iterations=2, max_repairs=1),
        estimate(tmp_path, "hop on the spot", critic=False, iterations=2, max_repairs=1),
    )
    assert ranked.env_steps == none.env_steps
    # A proposal and its second reading, each perhaps again; and one after each round.
    told = none.calls.high - ranked.calls.high
    assert told == 2 + (2 + 2) * 2
    assert no_critic.calls.high < none.calls.high
    watched = [
        estimate(tmp_path, "hop on the spot", adversary_steps=n, judge="film").calls.likely
        for n in (50_000, 0)
    ]
    assert watched[0] - watched[1] == 2


def test_gymnasiums_own_reward_is_counted_where_it_is_a_tenth_of_the_run_or_less(tmp_path):
    def count(**options):
        found = estimate(tmp_path, "hop_forward", environ={}, **options)
        told = any("Gymnasium's own reward" in note for note in found.notes)
        return found.env_steps.likely, told

    (standard, is_in), (without, is_out) = count(), count(own_reward=False)
    assert (standard - without, is_in, is_out) == (1_000_000, True, False)
    (quick, is_in), (asked, is_asked) = (
        count(preset="quick"), count(preset="quick", own_reward=True)
    )  # fmt: skip
    assert (asked - quick, is_in, is_asked) == (200_000, False, True)


def test_on_a_device_every_seed_that_races_is_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    size = {"candidates": 4, "iterations": 2, "steps": 1000, "winner_seeds": 2, "racing": "none"}

    def count(**options):
        found = estimate(tmp_path, own_reward=False, **{**size, **options})
        return found.env_steps.likely, any("each with 3 seeds" in note for note in found.notes)

    # On the cores the two best are trained with fresh seeds; on a device all are from the start.
    assert count() == count(device="auto") == ((8 + 2 * 2) * 1000, False)
    assert count(device="warp-cpu") == count(device="gpu") == (8 * 3 * 1000, True)
    assert count(device="gpu", algo="sb3:SAC") == count()
    raced, _ = count(device="gpu", racing="halving")
    assert 0.5 * 8 * 3 * 1000 < raced < 8 * 3 * 1000


def test_environment_and_task_are_needed():
    with pytest.raises(UsageError, match="needs --env and --task"):
        estimate_design("hopper", None)


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "folder", "missing", ""])
@pytest.mark.parametrize("provider", ["replay", "scripted", "given", "local"])
def test_what_a_provider_is_given_is_looked_at_as_when_it_is_run(tmp_path, provider, place):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    spec = f"{provider}:{place and tmp_path / place}"
    with pytest.raises(UsageError) as refused:
        estimate(tmp_path, environ={}, provider=spec)
    assert "\n" not in refused.value.message


def test_a_provider_that_is_given_what_it_needs_is_estimated(tmp_path):
    (tmp_path / "replies.md").write_text("a reply")
    (tmp_path / "link.md").symlink_to(tmp_path / "replies.md")
    for spec in (f"scripted:{tmp_path / 'link.md'}", f"given:{tmp_path / 'replies.md'}", "manual"):
        assert estimate(tmp_path, environ={}, provider=spec).usd.high == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.md", "replies.md"]
