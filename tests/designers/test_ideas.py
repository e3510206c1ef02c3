from __future__ import annotations

from dataclasses import replace

import pytest

from reward_agent.designers import ideas
from reward_agent.designers.ideas import choose_ideas, load_ideas
from reward_agent.errors import DataError
from reward_agent.summary.summary import TrajectorySummary
from reward_agent.types import RewardProgram


@pytest.mark.parametrize("n_candidates", [1, 3, 6, 8])
def test_first_round_asks_for_different_ideas(n_candidates):
    chosen = choose_ideas(0, n_candidates)
    assert len({idea.text for idea in chosen}) == n_candidates
    assert all(idea.parent is None for idea in chosen)


@pytest.mark.parametrize("n_candidates", [16, 32])
def test_more_candidates_than_ideas_ask_with_a_twist(n_candidates):
    chosen = choose_ideas(0, n_candidates)
    assert len({idea.text for idea in chosen}) == n_candidates
    assert len({idea.name for idea in chosen}) == len(load_ideas().fresh)


def test_later_round_of_many_candidates_asks_for_something_else_each_time(best, history):
    chosen = choose_ideas(1, 16, best=best, history=history)
    assert len({(idea.text, idea.parent) for idea in chosen}) == 16


def test_fresh_ideas_that_were_not_tried_come_first(make_entry):
    program = RewardProgram("x")
    names = list(load_ideas().fresh)
    tried = [make_entry(f"id{number}", 0, float(number), program=program) for number in range(6)]
    for entry, name in zip(tried, names, strict=False):
        changed = entry.candidate.model_copy(update={"idea": name})
        object.__setattr__(entry, "candidate", changed)
    chosen = choose_ideas(1, 6, best=tried[-1], history=tried)
    assert [idea.name for idea in chosen if idea.parent is None] == names[6:8]


def test_later_rounds_depart_from_the_best_most(best, history):
    chosen = choose_ideas(2, 6, best=best, history=history)
    assert [idea.parent for idea in chosen] == [
        "aaaa1111",
        "aaaa1111",
        None,
        "cccc3333",
        "aaaa1111",
        None,
    ]
    assert len({idea.text for idea in chosen}) == 6


def test_how_it_is_learned_is_asked_for_where_it_may_be_chosen(best, history):
    def list_names(has_choices):
        rounds = (
            choose_ideas(n, 3, best=best, history=history, has_choices=has_choices)
            for n in range(1, 8)
        )
        return {idea.name for ideas in rounds for idea in ideas}

    assert list_names(True) - list_names(False) == {"learn-otherwise"}


@pytest.mark.parametrize(
    ("lack", "names"),
    [("never seen", {"learn-otherwise"}), ("unsteady", {"learn-otherwise"}), ("not kept", set())],
)
def test_what_exploration_met_says_whether_to_learn_otherwise(best, lack, names):
    best = replace(best, summary=TrajectorySummary.model_construct(lack=lack, terms=()))
    for iteration in range(1, 12):
        chosen = choose_ideas(iteration, 3, best=best, has_choices=True)
        assert {idea.name for idea in chosen} & {"learn-otherwise"} == names


def test_rounds_differ_and_so_do_seeds(best, history):
    rounds = [
        tuple(idea.name for idea in choose_ideas(n, 3, best=best, history=history))
        for n in (1, 2, 3)
    ]
    assert len(set(rounds)) == 3
    assert choose_ideas(0, 3, seed=1) != choose_ideas(0, 3, seed=0)
    assert choose_ideas(0, 3, seed=1) == choose_ideas(0, 3, seed=1)


def test_nothing_is_departed_from_without_a_score_and_a_program(history):
    unscored = [entry for entry in history if entry.candidate.task_score is None]
    assert all(idea.parent is None for idea in choose_ideas(1, 4, history=unscored))


def test_negative_score_of_the_best_is_ranked_right(make_entry):
    program = RewardProgram("x")
    entries = [
        make_entry(name, 0, score, program=program)
        for name, score in (("low", -3.0), ("high", -1.0), ("mid", -2.0))
    ]
    chosen = choose_ideas(1, 5, best=entries[1], history=entries)
    assert {idea.parent for idea in chosen} == {"high", "mid", None}


def test_table_that_is_not_valid_is_named(tmp_path, monkeypatch):
    (tmp_path / "designer").mkdir()
    (tmp_path / "designer" / "ideas.toml").write_text("[fresh]\na = 1\n")
    monkeypatch.setattr(ideas, "find_prompts_dir", lambda: tmp_path)
    load_ideas.cache_clear()
    with pytest.raises(DataError, match=r"ideas\.toml is not a table of ideas"):
        load_ideas()
    load_ideas.cache_clear()


def test_a_program_that_does_the_task_is_not_mended(best, task):
    done = best.candidate.evaluation.model_copy(update={"task_score": 2.0, "success_rate": 1.0})
    best = replace(best, candidate=best.candidate.model_copy(update={"evaluation": done}))
    bounded = task.model_copy(update={"is_bounded": True})
    asked = {idea.name for n in range(6) for idea in choose_ideas(n, 4, best=best, task=bounded)}
    assert "sooner-and-steadier" in asked
    assert not asked & {"fix-named-failure", "gate-what-floods", "add-missing-signal"}
    unbounded = choose_ideas(1, 4, best=best, task=task)
    assert "fix-named-failure" in {idea.name for idea in unbounded}


def test_where_no_change_is_asked_for_no_failure_is_named(best):
    silent = best.analysis.model_copy(update={"next_change": "None is needed for the score."})
    chosen = choose_ideas(1, 1, best=replace(best, analysis=silent))
    assert [idea.name for idea in chosen] == ["sooner-and-steadier"]
