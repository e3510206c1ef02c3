"""EnvPool's environments behind the same face as MuJoCo's batch: values, episodes, messages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.card_text import render_card, render_card_as_prompt
from reward_agent.definitions.task import apply_task, load_task, make_task, read_reference_reward
from reward_agent.errors import DataError, UsageError
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.backends import make_simulation, prepare_simulation
from reward_agent.types import RewardProgram

N_SIMS, SEED = 3, 3


@pytest.fixture
def card() -> EnvCard:
    base = load_env("metaworld")
    return apply_task(base, load_task(base, "button_press"))


@pytest.fixture
def envpool() -> Any:
    return pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")


@pytest.fixture
def theirs(envpool: Any) -> Any:
    """EnvPool's own vector of the same environment, which ends episodes after 500 steps itself."""
    return envpool.make_gymnasium(
        "MetaWorld/ButtonPress-v3", num_envs=N_SIMS, seed=SEED, partially_observable=False
    )


def make_ours(card: EnvCard, seed: int = SEED, fields: list[str] | None = None) -> Any:
    pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
    simulation = make_simulation(card, N_SIMS, seed, fields)
    simulation.reset()
    return simulation


@pytest.mark.metaworld
def test_values_are_those_that_envpool_returns(card: EnvCard, theirs: Any) -> None:
    ours, rng = make_ours(card), np.random.default_rng(0)
    expected, _ = theirs.reset()
    assert np.array_equal(ours.observation, expected)
    assert np.array_equal(ours.read_state().own_reward, np.zeros(N_SIMS))
    for _ in range(60):
        action = rng.uniform(-1.5, 1.5, (N_SIMS, 4))  # beyond the range: both clip
        expected, reward, _, _, info = theirs.step(np.clip(action, -1, 1).astype(np.float32))
        ours.step(action)
        state = ours.read_state()
        assert np.array_equal(state.observation, expected)
        assert np.array_equal(state.own_reward, reward)
        assert np.array_equal(state.success, info["success"])
        assert np.array_equal(state.goal_position, expected[:, 36:39])
        between = np.linalg.norm(expected[:, 4:7] - expected[:, 36:39], axis=1)
        assert state.object_to_goal_distance == pytest.approx(between)


@pytest.mark.metaworld
def test_no_step_is_lost_between_episodes(card: EnvCard, theirs: Any) -> None:
    """EnvPool spends a step on its own reset: it ignores the action, and its reward is none."""
    still = np.zeros((N_SIMS, 4), dtype=np.float32)
    theirs.reset()
    last = [theirs.step(still) for _ in range(500)][-1]
    assert last[3].all()
    begun, _, _, _, info = theirs.step(still)
    assert (info["elapsed_step"] == 0).all()  # the step that was spent
    after = theirs.step(still)

    source = read_reference_reward("metaworld", load_task("metaworld", "button_press"))
    assert source is not None
    simulation = make_simulation(card, N_SIMS, SEED, ["own_reward"])
    env = RewardVecEnv(card, simulation, compile_program(source, card, 0.99))
    env.reset()
    paid, ends = [], []
    for _ in range(501):
        observation, done, ended = env.advance(still)
        paid.append(env.pay()[0])
        ends.append(done.all())
        if ended:
            assert np.allclose(observation, begun, atol=1e-6)
            assert np.allclose(ended.observation[0], last[0][0], atol=1e-6)
            assert ended.is_time_out.all()
    assert [i for i, ended in enumerate(ends) if ended] == [499]
    assert np.allclose(paid[499], last[1], atol=1e-6)
    assert np.allclose(paid[500], after[1], atol=1e-6)


@pytest.mark.metaworld
def test_known_values_of_button_press(card: EnvCard) -> None:
    """As read from EnvPool 1.2.5 once: a new version that differs is to be noticed."""
    ours = make_ours(card, fields=["own_reward", "object_position", "end_effector_position"])
    first = ours.read_state()
    assert first.object_position[0] == pytest.approx([-0.08585502, 0.69899745, 0.115], abs=1e-6)
    assert first.end_effector_position[0] == pytest.approx(
        [0.0045285, 0.4003077, 0.1956865], abs=1e-6
    )
    ours.step(np.zeros((N_SIMS, 4)))
    assert ours.read_state().own_reward[:2] == pytest.approx([0.271659, 0.283528], abs=1e-5)


@pytest.mark.metaworld
def test_some_simulations_are_stepped_and_reset_alone(card: EnvCard) -> None:
    ours = make_ours(card)
    before = ours.observation
    ours.step(np.ones((N_SIMS, 4)), np.array([0, 2]))
    after = ours.observation
    assert np.array_equal(after[1], before[1])
    assert (np.abs(after[[0, 2]] - before[[0, 2]]).max(axis=1) > 1e-4).all()
    ours.reset(np.array([False, False, True]))
    again = ours.observation
    assert np.array_equal(again[:2], after[:2])
    assert not np.array_equal(again[2], after[2])
    assert ours.read_state().own_reward[2] == 0.0


@pytest.mark.metaworld
def test_a_simulation_depends_on_its_own_seed_alone(card: EnvCard) -> None:
    first, shifted = make_ours(card), make_ours(card, SEED + 1)
    assert np.array_equal(first.observation[1:], shifted.observation[:-1])
    assert not np.array_equal(first.observation[0], first.observation[1])


@pytest.mark.metaworld
def test_actions_move_the_hand_as_the_card_says(card: EnvCard) -> None:
    simulation = make_simulation(card, 4, 0)
    simulation.reset()
    before = simulation.read_state()
    for _ in range(20):
        simulation.step(np.eye(4))
    after = simulation.read_state()
    moved = (after.end_effector_position - before.end_effector_position)[:3]
    assert (np.diag(moved) > 0.1).all()
    assert (np.abs(moved - np.diag(np.diag(moved))) < 0.02).all()
    assert after.gripper_opening[3] < 0.5 < after.gripper_opening[0]


@pytest.mark.metaworld
def test_going_to_the_goal_is_the_success_of_reach() -> None:
    base = load_env("metaworld")
    simulation = make_ours(apply_task(base, load_task(base, "reach")))
    for _ in range(120):
        state = simulation.read_state()
        way = 10.0 * (state.goal_position - state.end_effector_position)
        simulation.step(np.concatenate([np.clip(way, -1, 1), np.zeros((N_SIMS, 1))], axis=1))
    state = simulation.read_state()
    assert (state.success == 1.0).all()
    assert (state.own_reward > 9.0).all()
    assert (state.end_effector_to_goal_distance < 0.05).all()
    assert not simulation.find_terminated().any()


@pytest.mark.metaworld
def test_what_envpool_has_not_is_named_with_the_closest(card: EnvCard, envpool: Any) -> None:
    model = card.model.model_copy(update={"id": "MetaWorld/ButonPress-v3"})
    with pytest.raises(DataError, match="did you mean 'MetaWorld/ButtonPress-v3'"):
        make_simulation(card.model_copy(update={"model": model}), 1, 0)
    [field] = [f for f in card.state if f.name == "success"]
    wrong = field.model_copy(update={"source": "succes"})
    state = tuple(wrong if f.name == "success" else f for f in card.state)
    with pytest.raises(
        DataError, match=r"field 'success'.*returns no 'succes'; did you mean 'success'"
    ):
        make_simulation(card.model_copy(update={"state": state}), 1, 0)
    with pytest.raises(DataError, match="gives size 38, the model gives 39"):
        make_simulation(card.model_copy(update={"observation_size": 38}), 1, 0)


@pytest.mark.metaworld
@pytest.mark.parametrize("shape", [(N_SIMS, 3), (4,)])
def test_an_action_of_another_shape_is_refused(card: EnvCard, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="action must have shape"):
        make_ours(card).step(np.zeros(shape))


def test_a_missing_envpool_is_told_with_its_remedy(
    card: EnvCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(UsageError, match="EnvPool cannot be imported") as caught:
        prepare_simulation(card)
    assert "pip install 'reward-agent[metaworld]'" in caught.value.remedy
    with pytest.raises(UsageError, match="EnvPool"):
        make_simulation(card, 1, 0)


def test_commands_tell_it_before_they_start_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reward_agent.run import single
    from reward_agent.run.open import design

    monkeypatch.setattr("reward_agent.plugins.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="EnvPool, which is not installed") as caught:
        single.check_env("metaworld")
    assert "pip install 'reward-agent[metaworld]'" in caught.value.remedy
    with pytest.raises(UsageError, match="EnvPool, which is not installed"):
        design("metaworld", "reach", runs_dir=tmp_path, environ={}, provider="offline")
    assert not list(tmp_path.iterdir())


def test_a_designer_neither_sees_nor_reads_what_is_for_people_only(card: EnvCard) -> None:
    prompt = render_card_as_prompt(card)
    assert "own_reward" not in prompt
    assert "success" not in prompt
    assert "own_reward" in render_card(card)
    source = read_reference_reward("metaworld", load_task("metaworld", "button_press"))
    assert source is not None
    assert check_program(RewardProgram(source), card).is_accepted
    refused = check_program(RewardProgram(source), card.for_designer)
    assert any("own_reward" in item.message for item in refused.findings)


def test_a_task_may_name_its_simulation_only_where_the_card_has_one(card: EnvCard) -> None:
    assert card.model.id == "MetaWorld/ButtonPress-v3"
    task = make_task("hopper", "hop over there").model_copy(update={"simulation": "Reach"})
    with pytest.raises(DataError, match="has no model"):
        apply_task(load_env("hopper"), task)


def test_a_card_has_one_model(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "envs/metaworld/env.toml").read_text()
    (tmp_path / "env.toml").write_text(text.replace("[model]", '[model]\nfile = "arm.xml"'))
    with pytest.raises(DataError, match="give one of gymnasium"):
        load_env(tmp_path)


@pytest.mark.metaworld
def test_parts_of_a_dictionary_and_counts_of_the_info_are_fields(envpool: Any) -> None:
    card = EnvCard.model_validate(
        {
            "name": "go1", "title": "go1", "description": "go1", "control_dt": 0.02,
            "max_episode_steps": 20, "actions": [f"a{i}" for i in range(12)],
            "model": {"backend": "envpool", "id": "Go1JoystickFlatTerrain-v1"},
            "observation": ["observation/state"], "observation_size": 48,
            "state": [
                {"name": "command", "source": "info/command", "size": 3, "unit": "1",
                 "range": [-2, 2], "doc": "what is asked for"},
                {"name": "n_left", "source": "info/steps_until_next_cmd", "unit": "1",
                 "range": [0, 1000], "doc": "a count"},
                {"name": "ended", "source": "info/terminated", "unit": "0/1", "range": [0, 1],
                 "doc": "a flag"},
                {"name": "hidden", "source": "observation/privileged_state[0:3]", "size": 3,
                 "unit": "1", "range": [-9, 9], "doc": "what no policy sees"},
            ],
        }
    )  # fmt: skip
    simulation = make_simulation(card, 2, 0)
    simulation.reset()
    simulation.step(np.zeros((2, 12)))
    fields = simulation.read_state().fields
    assert simulation.observation.shape == (2, 48)
    assert fields["command"].shape == (2, 3)
    assert fields["n_left"].min() > 1
    assert set(fields["ended"].tolist()) <= {0.0, 1.0}
    assert np.abs(fields["hidden"]).max() > 0
