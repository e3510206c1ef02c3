"""MetaWorld's 50 tasks: each has its simulation and its words, and is judged by MetaWorld's test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reward_agent.bench.suite import load_suite
from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import apply_task, list_tasks, load_task, read_task_metric
from reward_agent.designers.offline.words import Scene, read_goals
from reward_agent.evaluation.metrics import Episode, compile_metric, load_decision
from reward_agent.simulation.state import State

CARD = load_env("metaworld")
TASKS = list_tasks(CARD)
ARM = Scene(has_object=True)
SPECS = {name: load_task(CARD, name) for name in TASKS}


def make_episode(success: list[float], reward: list[float]) -> Episode:
    fields = {"success": np.array([0.0, *success]), "own_reward": np.array([0.0, *reward])}
    return Episode(fields, np.zeros((len(success), 4)), CARD.control_dt)


@pytest.fixture
def score():
    return compile_metric(read_task_metric(CARD, SPECS["button_press"]))


def test_there_are_fifty_tasks_in_words_of_their_own() -> None:
    assert len(TASKS) == 50
    assert len({spec.simulation for spec in SPECS.values()}) == 50
    assert len({spec.description for spec in SPECS.values()}) == 50
    for name, spec in SPECS.items():
        camel = "".join(word.capitalize() for word in name.split("_"))
        assert spec.simulation == f"MetaWorld/{camel}-v3"


def test_suites_are_all_tasks_and_parts_of_them() -> None:
    everything = {f"metaworld/{name}" for name in TASKS}
    assert set(load_suite("metaworld").tasks) == everything
    for part, n_tasks in {"metaworld_t2r": 11, "metaworld_mt10": 10}.items():
        tasks = set(load_suite(part).tasks)
        assert len(tasks) == n_tasks
        assert tasks < everything


def test_every_sentence_tells_the_offline_designer_what_to_do() -> None:
    kinds = {name: [g.kind for g in read_goals(s.description, ARM)] for name, s in SPECS.items()}
    reaching = {"reach", "reach_wall"}
    assert {name for name in TASKS if kinds[name] == ["reach"]} == reaching
    assert {name for name in TASKS if kinds[name] == ["handle"]} == set(TASKS) - reaching


def test_nothing_that_follows_changes_the_score_where_it_is_decided(score) -> None:
    is_decided = load_decision(read_task_metric(CARD, SPECS["button_press"]))
    assert is_decided is not None
    rng = np.random.default_rng(0)
    for _ in range(50):
        success = (rng.random(20) < 0.1).astype(float)
        reward = rng.uniform(0, 10, 20)
        decided = is_decided(State({"success": success}))
        n_steps = int(decided.argmax()) + 1 if decided.any() else 20
        whole = score(make_episode(list(success), list(reward)))
        cut = score(make_episode(list(success[:n_steps]), list(reward[:n_steps])))
        assert (cut.task_score, cut.success) == (whole.task_score, whole.success)


def test_success_at_any_step_counts(score) -> None:
    verdict = score(make_episode([0, 1, 0, 0], [2.0, 10.0, 3.0, 1.0]))
    assert verdict.success
    assert verdict.task_score == 1.0
    assert verdict.parts["success_time"] == pytest.approx(2 * CARD.control_dt)
    assert verdict.parts["success_share"] == 0.25
    assert verdict.parts["success_at_end"] == 0.0


def test_without_success_the_best_moment_counts_and_never_as_much(score) -> None:
    verdict = score(make_episode([0, 0], [5.0, 2.0]))
    assert not verdict.success
    assert verdict.task_score == pytest.approx(0.45)
    assert score(make_episode([0, 0], [11.0, 2.0])).task_score == pytest.approx(0.9)
    assert verdict.parts["mean_reward"] == pytest.approx(3.5)


@pytest.mark.metaworld
@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_simulated_and_not_done_by_doing_nothing(name: str, score) -> None:
    pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
    from reward_agent.evaluation.rollout import roll_out

    class Still:
        repeat = 1

        def act(self, observation):
            return np.zeros((len(observation), 4))

    card = apply_task(CARD, SPECS[name]).model_copy(update={"max_episode_steps": 40})
    [rollout] = roll_out(card, [Still()], 2, seed=0)
    for index in range(rollout.trajectories.n_episodes):
        episode = rollout.trajectories.episode(index)
        verdict = score(episode)
        assert not verdict.success
        assert 0.0 <= verdict.task_score < 0.9
        assert episode.n_steps == 40
        start = {field.name: getattr(episode, field.name)[0] for field in card.state}
        for field in card.state:
            low, high = field.range
            assert (start[field.name] >= low - 0.01).all(), field.name
            assert (start[field.name] <= high + 0.01).all(), field.name


@pytest.mark.metaworld
def test_card_check_finds_nothing_wrong() -> None:
    pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
    from reward_agent.worker.check_env import check_card

    assert check_card(CARD).findings == ()


@pytest.mark.metaworld
def test_a_training_and_its_score_run_in_the_sandbox(tmp_path: Path) -> None:
    pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
    from typer.testing import CliRunner

    from reward_agent.cli.app import app

    words = ["train", "--env", "metaworld", "--task", "drawer_close", "--steps", "4000"]
    words += [
        "--eval-episodes",
        "2",
        "--no-video",
        "--sandbox",
        "default",
        "-o",
        str(tmp_path / "out"),
    ]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    assert "task score" in answer.output
