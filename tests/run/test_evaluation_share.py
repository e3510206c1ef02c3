"""How many episodes an evaluation takes beside what is trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reward_agent.run import evaluate
from reward_agent.run.evaluate import evaluate_rung, evaluate_training
from reward_agent.run.train import Entrant
from reward_agent.types import RewardProgram, Snapshot


def make_run(steps: int, max_episode_steps: int, eval_episodes: int = 16) -> Any:
    return SimpleNamespace(
        settings=SimpleNamespace(
            steps=steps, eval_episodes=eval_episodes, seed=0, video=False, video_quality="normal"
        ),
        card=SimpleNamespace(max_episode_steps=max_episode_steps),
    )


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """How many snapshots were tried, and the plan."""
    seen: list[tuple[int, Any]] = []

    def note(run: Any, folder: Any, snapshots: Any, plan: Any) -> Any:
        seen.append((len(snapshots), plan))
        return SimpleNamespace(best=None, snapshots=snapshots, video_file=None)

    monkeypatch.setattr(evaluate, "evaluate_policies", note)
    return seen


@pytest.mark.parametrize(
    ("steps", "max_episode_steps", "n_episodes"),
    [(1_000_000, 1000, 8), (200_000, 1000, 6), (30_000, 500, 4), (10, 500, 4)],
)
def test_scores_between_slices_take_a_quarter_of_what_a_slice_trains(
    plans: list[Any], tmp_path: Any, steps: int, max_episode_steps: int, n_episodes: int
) -> None:
    entrant = Entrant("a", tmp_path, tmp_path, RewardProgram(""), 0)
    evaluate_rung(
        make_run(steps, max_episode_steps),
        entrant,
        Snapshot(total_timesteps=5, file="p.safetensors"),
    )
    [(_, plan)] = plans
    assert plan.n_episodes == n_episodes


@pytest.mark.parametrize(
    ("steps", "max_episode_steps", "n_snapshots", "n_tried"),
    [
        (1_000_000, 1000, 16, 16),
        (200_000, 1000, 16, 12),
        (30_000, 500, 16, 4),
        (30_000, 500, 3, 3),
        (1, 500, 1, 1),
    ],
)
def test_the_choice_of_a_policy_takes_a_quarter_of_what_is_trained(
    plans: list[Any],
    tmp_path: Any,
    steps: int,
    max_episode_steps: int,
    n_snapshots: int,
    n_tried: int,
) -> None:
    snapshots = tuple(
        Snapshot(total_timesteps=10 * (i + 1), file=f"p{i}.safetensors") for i in range(n_snapshots)
    )
    result: Any = SimpleNamespace(seed=0, snapshots=snapshots, total_timesteps=0, terms=())
    run = make_run(steps, max_episode_steps)
    evaluated: Any = evaluate_training(run, tmp_path, tmp_path, result, "")
    assert len(evaluated.snapshots) == n_tried
    assert evaluated.snapshots[-1] == snapshots[-1], "the last policy is always tried"
    assert list(evaluated.snapshots) == sorted(
        set(evaluated.snapshots), key=lambda s: s.total_timesteps
    )
