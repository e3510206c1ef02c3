"""How many episodes an evaluation takes beside what is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.run import evaluate
from reward_agent.run.evaluate import evaluate_rung, evaluate_training, find_hold
from reward_agent.run.train import Entrant
from reward_agent.types import Evaluation, RewardProgram, Snapshot


def make_run(steps: int, max_episode_steps: int, eval_episodes: int = 16) -> Any:
    return SimpleNamespace(
        settings=SimpleNamespace(
            steps=steps, eval_episodes=eval_episodes, seed=0, video=False, video_quality="normal"
        ),
        card=SimpleNamespace(max_episode_steps=max_episode_steps),
        team=SimpleNamespace(judge=None),
    )


def make_result(n_snapshots: int) -> Any:
    snapshots = tuple(
        Snapshot(total_timesteps=10 * (i + 1), file=f"p{i}.safetensors") for i in range(n_snapshots)
    )
    return SimpleNamespace(seed=0, snapshots=snapshots, total_timesteps=0, terms=())


@dataclass
class Evaluated:
    """What stands in for a result: which snapshots were tried, and the curve."""

    snapshots: Any
    curve: tuple[Evaluation, ...] = ()
    best: None = None
    video_file: None = None

    def model_copy(self, update: dict[str, Any]) -> Evaluated:
        return replace(self, **update)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """How many snapshots were tried, and the plan."""
    seen: list[tuple[int, Any]] = []

    def note(run: Any, folder: Any, snapshots: Any, plan: Any) -> Any:
        seen.append((len(snapshots), plan))
        return Evaluated(snapshots)

    monkeypatch.setattr(evaluate, "evaluate_policies", note)
    return seen


def evaluate_at(steps: int, score: float | None, width: float = 0.0) -> Evaluation:
    return Evaluation(
        total_timesteps=steps,
        seed=0,
        n_episodes=4,
        task_score=score,
        task_score_interval=None if score is None else (score - width, score + width),
        episode_length=5.0,
    )


@pytest.mark.parametrize(("is_fresh", "n_episodes"), [(False, 4), (True, 16)])
def test_scores_between_slices_take_few_episodes_unless_the_training_may_end(
    plans: list[Any], tmp_path: Any, is_fresh: bool, n_episodes: int
) -> None:
    entrant = Entrant("a", tmp_path, tmp_path, RewardProgram(""), 0)
    snapshot = Snapshot(total_timesteps=5, file="p.safetensors")
    evaluate_rung(make_run(200_000, 1000), entrant, snapshot)
    evaluate_rung(make_run(200_000, 1000), entrant, snapshot, is_fresh=is_fresh)
    (_, first), (_, plan) = plans
    assert plan.n_episodes == n_episodes
    assert (plan.seed != first.seed) == is_fresh


@pytest.mark.parametrize(
    ("steps", "max_episode_steps", "n_snapshots", "n_tried"),
    [
        (1_000_000, 1000, 16, 16),
        (200_000, 1000, 16, 5),
        (30_000, 500, 16, 4),
        (30_000, 500, 3, 3),
        (1, 500, 1, 1),
    ],
)
def test_the_choice_of_a_policy_takes_a_tenth_of_what_is_trained(
    plans: list[Any],
    tmp_path: Any,
    steps: int,
    max_episode_steps: int,
    n_snapshots: int,
    n_tried: int,
) -> None:
    result = make_result(n_snapshots)
    evaluated: Any = evaluate_training(
        make_run(steps, max_episode_steps), tmp_path, tmp_path, result, ""
    )
    assert len(evaluated.snapshots) == n_tried
    assert evaluated.snapshots[-1] == result.snapshots[-1], "the last policy is always tried"
    assert list(evaluated.snapshots) == sorted(
        set(evaluated.snapshots), key=lambda s: s.total_timesteps
    )


@pytest.mark.parametrize(
    ("course", "tried"),
    [
        # The best, who is not set apart from it, what lies beside it, and the last.
        ([(20, 1.0), (40, 5.0), (60, 4.9)], [30, 40, 50, 60, 80]),
        ([(20, 1.0), (40, 5.0), (60, 4.0)], [30, 40, 50, 80]),
        # At a ceiling the latest.
        ([(20, 1.0), (40, 1.0), (60, 1.0), (80, 1.0)], [60, 70, 80]),
        ([(20, 2.0), (80, 4.0)], [70, 80]),
    ],
)
def test_what_was_scored_on_the_way_is_not_scored_again(
    plans: list[Any], tmp_path: Any, course: list[tuple[int, float]], tried: list[int]
) -> None:
    known = [evaluate_at(steps, score, 0.1) for steps, score in course]
    run = make_run(200_000, 1000)
    evaluated: Any = evaluate_training(run, tmp_path, tmp_path, make_result(8), "", known)
    assert [item.total_timesteps for item in evaluated.snapshots] == tried
    assert [item.total_timesteps for item in evaluated.curve] == [steps for steps, _ in course]


def test_a_hold_is_from_where_all_but_a_tenth_are_there() -> None:
    def find(*scores: float, best: float = 1.0, target: float | None = None) -> int | None:
        curve = tuple(evaluate_at(10 * (i + 1), score) for i, score in enumerate(scores))
        evaluated = EvaluateResult(
            curve=curve, best=evaluate_at(10, best), best_file="p.safetensors"
        )
        return find_hold(evaluated, target)

    assert find(0.4, 1.0, 1.0, 1.0) == 20
    assert find(1.0, 0.4, 1.0, 1.0) == 30
    assert find(0.4, 1.0, 0.7, *[1.0] * 8) == 20
    assert find(1.0, 0.4) is None
    assert find(0.4, 0.96, 0.97, target=0.95) == 20
