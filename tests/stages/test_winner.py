"""The winner, chosen among scores of any sign."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reward_agent.agents.brief import HistoryEntry
from reward_agent.jobs import RESULT_FILE, EvaluateResult
from reward_agent.stages.winner import choose_winner
from reward_agent.store import Confirmation, RunStore, write_record
from reward_agent.types import Candidate, Evaluation

SEARCH_SEED = 0


def evaluate(task_score: float | None) -> Evaluation:
    return Evaluation(
        total_timesteps=10, seed=1, n_episodes=1, task_score=task_score, episode_length=5.0
    )


def make_search(folder: Path) -> Any:
    return SimpleNamespace(store=RunStore(folder), config=SimpleNamespace(seed=SEARCH_SEED))


def add_evaluation(folder: Path, name: str, seed: int, evaluation: Evaluation) -> None:
    path = RunStore(folder).evaluation_dir(0, name, seed) / RESULT_FILE
    write_record(
        path, EvaluateResult(curve=(evaluation,), best=evaluation, best_file="p.safetensors")
    )


def add_candidate(folder: Path, name: str, task_score: float | None) -> HistoryEntry:
    evaluation = evaluate(task_score)
    add_evaluation(folder, name, SEARCH_SEED, evaluation)
    candidate = Candidate(
        id=name, iteration=0, index=0, idea="x", outcome="trained",
        task_score=task_score, evaluation=evaluation,
    )  # fmt: skip
    return HistoryEntry(candidate)


def confirm(folder: Path, name: str, seed: int, task_score: float | None) -> Confirmation:
    evaluation = evaluate(task_score)
    add_evaluation(folder, name, seed, evaluation)
    return Confirmation(candidate=name, seed=seed, evaluation=evaluation, outcome="trained")


def test_of_negative_scores_the_highest_wins_and_gives_the_policy(tmp_path: Path) -> None:
    trained = [
        add_candidate(tmp_path, name, score)
        for name, score in {"a": -9.0, "b": -4.0, "c": None}.items()
    ]
    confirmations = [
        confirm(tmp_path, "a", 100, -8.0),
        confirm(tmp_path, "b", 100, -5.0),
        confirm(tmp_path, "b", 101, -3.0),
        Confirmation(candidate="a", seed=101, evaluation=None, outcome="failed: training: timeout"),
    ]
    winner = choose_winner(make_search(tmp_path), trained, confirmations)
    assert winner is not None
    assert (winner.candidate, winner.task_score, winner.is_confirmed) == ("b", -4.0, True)
    assert winner.task_scores == (-5.0, -3.0)
    assert winner.seed == 101
    assert winner.policy_file == "iterations/0/candidates/b/evaluation/seed_101/p.safetensors"


def test_without_fresh_scores_the_search_decides_and_says_so(tmp_path: Path) -> None:
    trained = [add_candidate(tmp_path, "a", -9.0), add_candidate(tmp_path, "b", -4.0)]
    winner = choose_winner(make_search(tmp_path), trained, [confirm(tmp_path, "a", 100, None)])
    assert winner is not None
    assert (winner.candidate, winner.task_score, winner.is_confirmed) == ("b", -4.0, False)


def test_nothing_scored_has_no_winner(tmp_path: Path) -> None:
    trained = [add_candidate(tmp_path, "a", None)]
    assert choose_winner(make_search(tmp_path), trained, []) is None
