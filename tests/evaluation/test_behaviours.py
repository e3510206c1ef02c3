"""What a robot does without a policy: recorded by name, the same for one seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scene import write_scene

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import apply_task, load_task
from reward_agent.evaluation.behaviours import MOST_EXTREME, Behaviours, record_behaviours
from reward_agent.records.job import ALL_BEHAVIOURS, Behaviour


def record(env: str, *behaviours: Behaviour, seed: int = 0) -> Behaviours:
    return record_behaviours(load_env(env), behaviours or ALL_BEHAVIOURS, 2, seed)


def measure_length(recorded: Behaviours, name: str) -> float:
    lengths = recorded.trajectories.lengths
    return float(
        np.mean([n for n, told in zip(lengths, recorded.names, strict=True) if told == name])
    )


def test_a_robot_of_motors_holds_its_start_pose_and_falls_when_limp() -> None:
    recorded = record("hopper", "start pose held", "limp", "falling at once")
    assert recorded.names == tuple(np.repeat(["start pose held", "limp", "falling at once"], 2))
    assert recorded.left_out == ()
    assert measure_length(recorded, "start pose held") == 1000
    held = recorded.trajectories.episode(0)
    assert np.ptp(held.torso_height) < 0.05
    assert np.abs(held.action[100:]).mean() < 0.05
    assert measure_length(recorded, "falling at once") < measure_length(recorded, "limp") < 300


def test_what_is_to_fall_starts_tipped_and_within_what_ends_an_episode() -> None:
    recorded = record("ant", "falling at once")
    assert (recorded.trajectories.lengths > 1).all()
    up = [recorded.trajectories.episode(i).torso_up[0] for i in range(2)]
    assert max(np.atleast_1d(value)[-1] for value in up) < 0.9


def test_each_actuator_is_at_each_end_once() -> None:
    recorded = record("inverted_pendulum", "actuators at their ends")
    assert recorded.names == ("cart_force at its lower end", "cart_force at its upper end")
    assert (
        recorded.trajectories.episode(0).action[0] == load_env("inverted_pendulum").action_range[0]
    )


def test_of_many_actuators_some_are_taken_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_agent.evaluation.behaviours.MOST_EXTREME", 3)
    recorded = record("walker2d", "actuators at their ends")
    assert len(recorded.names) == 2 * (3 + 1)
    assert recorded.names[0] == "right_thigh_torque at its lower end"
    assert recorded.names[-1] == "every actuator at its upper end"
    assert recorded.left_out == ("ends of 3 of the 6 actuators one by one: too many",)
    assert load_env("humanoid").n_actions <= MOST_EXTREME


def test_what_cannot_be_done_is_left_out_and_said() -> None:
    recorded = record("reacher")
    assert "falling at once" not in recorded.names
    assert recorded.left_out == ("falling at once: nothing here can be tipped over",)


def test_the_same_seed_records_the_same() -> None:
    one, same, other = (record("inverted_pendulum", seed=seed).trajectories for seed in (3, 3, 4))
    assert np.array_equal(one.action, same.action)
    assert np.array_equal(one.fields["observation"], same.fields["observation"])
    assert not np.array_equal(one.action, other.action)


def test_servos_hold_home_and_let_go_when_limp(tmp_path: Path) -> None:
    card = write_scene(
        tmp_path, 'action_mapping = "around_home"', "[home]\njoints = { shoulder = -0.8 }"
    ).model_copy(update={"max_episode_steps": 100})
    recorded = record_behaviours(card, ("start pose held", "limp"), 1, 0)
    held, limp = (recorded.trajectories.episode(i) for i in range(2))
    moved = [np.ptp(episode.observation[:, 1:3], axis=0).max() for episode in (held, limp)]
    assert moved[0] < 0.1 < 0.5 < moved[1]
    assert not held.action.any()
    assert not limp.action.any()


def test_a_driven_mocap_body_does_not_go_limp(tmp_path: Path) -> None:
    mocap = '[[mocap_actions]]\nbody = "hand"\naxes = "z"\nstep = 0.1'
    card = write_scene(tmp_path, "", mocap).model_copy(
        update={"max_episode_steps": 5, "actions": ("a", "b", "c", "lift")}
    )
    recorded = record_behaviours(card, ALL_BEHAVIOURS, 1, 0)
    assert "limp" not in recorded.names
    assert "limp: MuJoCo cannot let go of the actuators of this robot" in recorded.left_out
    assert "lift at its upper end" in recorded.names


@pytest.mark.metaworld
def test_envpool_holds_still_and_says_what_it_cannot() -> None:
    pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
    base = load_env("metaworld")
    card = apply_task(base, load_task(base, "button_press"))
    card = card.model_copy(update={"max_episode_steps": 20})
    recorded = record_behaviours(card, ALL_BEHAVIOURS, 2, 0)
    assert [reason.split(":")[0] for reason in recorded.left_out] == ["falling at once", "limp"]
    assert len(recorded.names) == 2 + 2 + 2 * 5


def test_behaviours_begin_in_states_that_are_given() -> None:
    card = load_env("inverted_pendulum")
    states = {"qpos": np.array([[0.3, 0.05], [-0.4, 0.0]]), "qvel": np.zeros((2, 2))}
    recorded = record_behaviours(card, ["start pose held", "random actions"], 2, 0, states)
    episodes = [recorded.trajectories.episode(i) for i in range(4)]
    assert [round(float(e.cart_position[0]), 3) for e in episodes] == [0.3, -0.4, 0.3, -0.4]
