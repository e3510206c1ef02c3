"""The best of a run so far, and what the Designer is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import find_best, read_entry, recall, write_plan
from reward_agent.designers.offline.plan import read_plan
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.settings import Recall
from reward_agent.records.store import Candidate, RunStore
from reward_agent.types import RewardProgram, rank_value


def make_entry(name: str, task_score: float | None) -> HistoryEntry:
    candidate = Candidate(
        id=name, iteration=0, index=0, idea="x", outcome=TRAINED, task_score=task_score
    )
    return HistoryEntry(candidate=candidate, program=None)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([-3.0, -1.0, -2.0], 1),
        ([None, -5.0, None], 1),
        ([-1.0, 0.0, None], 1),
        ([2.0, 2.0], 0),
        ([0.0, -0.0, -1.0], 0),
    ],
)
def test_the_best_has_the_highest_score_and_comes_first(
    scores: list[float | None], best: int
) -> None:
    found = find_best([make_entry(str(i), score) for i, score in enumerate(scores)])
    assert found is not None
    assert found.candidate.id == str(best)


def test_nothing_scored_has_no_best() -> None:
    assert find_best([]) is None
    assert find_best([make_entry("a", None)]) is None


def test_what_has_no_score_ranks_below_every_score() -> None:
    assert sorted([0.0, None, -1e12, 3.0], key=rank_value) == [None, -1e12, 0.0, 3.0]


def make_round(iteration: int, *scores: float | None) -> list[HistoryEntry]:
    return [
        replace(entry, candidate=entry.candidate.model_copy(update={"iteration": iteration}))
        for entry in (make_entry(f"{iteration}-{i}", score) for i, score in enumerate(scores))
    ]


def test_recall_of_rounds_is_the_best_of_all_and_everything_of_late() -> None:
    entries = make_round(0, 9.0, 1.0) + make_round(1, 2.0, 3.0)
    best, history = recall(entries, "rounds")
    assert best is not None
    assert best.candidate.id == "0-0"
    assert len(history) == 4


@pytest.mark.parametrize("kind", ["terms", "score"])
def test_recall_of_one_is_the_last_rounds_best(kind: Recall) -> None:
    assert recall([], kind) == (None, ())
    entries = make_round(0, 9.0, 1.0) + make_round(1, 2.0, 3.0)
    best, history = recall(entries, kind)
    assert best is not None
    assert (best.candidate.id, history) == ("1-1", ())
    best, _ = recall(entries + make_round(2, None), kind)
    assert best is not None
    assert best.candidate.id == "0-0", "a round in which all failed has no best"


PROGRAM = RewardProgram(
    "def compute_reward(state, action, next_state):\n    speed = next_state.x_velocity\n"
    '    return 0.4 * speed, {"speed": 0.4 * speed}\n'
)
PLAN = {"terms": [{"signal": "travel", "weight": 0.4}]}


def read_back(folder: Path, source: str) -> HistoryEntry:
    store, candidate = RunStore(folder), make_entry("a", 1.0).candidate
    place = store.candidate_dir(0, "a")
    place.mkdir(parents=True, exist_ok=True)
    (place / "reward.py").write_text(source)
    return read_entry(store, candidate)


def test_plan_is_read_back_with_its_program(tmp_path: Path) -> None:
    place = RunStore(tmp_path).candidate_dir(0, "a")
    write_plan(place, PROGRAM, PLAN)
    assert read_back(tmp_path, PROGRAM.source).plan == PLAN
    changed = PROGRAM.source.replace("0.4", "0.1")
    entry = read_back(tmp_path, changed)
    assert entry.plan is None, "a person changed the program that it is about"
    assert entry.program == RewardProgram(changed)


def test_plan_in_a_program_of_an_earlier_version_is_read_and_not_shown(tmp_path: Path) -> None:
    digest = RewardProgram(PROGRAM.source.strip()).id
    recipe = f"\n\n# recipe of {digest}: {json.dumps(PLAN)}\n"
    entry = read_back(tmp_path, PROGRAM.source + recipe)
    assert entry.program == PROGRAM
    assert entry.plan == PLAN
    assert read_plan(entry.plan) is not None
    changed = read_back(tmp_path, PROGRAM.source.replace("0.4", "0.1") + recipe)
    assert changed.plan is None, "a person changed the text above it"
    assert "recipe" not in changed.program.source
