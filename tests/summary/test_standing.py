"""What is measured on a robot itself, for those who design."""

import mujoco
import numpy as np
import pytest

from reward_agent.definitions.card import list_envs, load_env
from reward_agent.evaluation.behaviours import record_behaviours
from reward_agent.simulation.mujoco_model import measure_links
from reward_agent.summary.standing import describe_standing

LEG = """
<mujoco><worldbody><body name="hip"><joint type="hinge" axis="0 1 0"/><geom size=".1"/>
<body name="shin" pos="0 0 -.4"><joint type="hinge" axis="0 1 0"/>
<geom type="capsule" fromto="0 0 0 0 0 -.3" size=".02"/></body></body></worldbody></mujoco>
"""


def test_links_reach_from_joint_to_joint_and_to_the_end():
    assert measure_links(mujoco.MjModel.from_xml_string(LEG)) == pytest.approx(
        {"hip": 0.4, "shin": 0.3}
    )


def test_where_it_starts_and_where_holding_that_leads_is_told(toy_card, make_episode):
    sinking = make_episode(100, torso_height=np.linspace(1.0, 0.5, 101).clip(0.6))
    told = describe_standing(toy_card, sinking, {"shin": 0.3})
    assert "torso_height 1 → 0.6" in told
    assert "shin 0.3" in told
    assert "forward_velocity" not in told
    fallen = make_episode(100, True, torso_height=np.linspace(1.0, 0.5, 101))
    assert "→" not in describe_standing(toy_card, fallen, {})


def test_a_shipped_robot_is_measured():
    card = load_env("hopper").model_copy(update={"termination": (), "max_episode_steps": 50})
    held = record_behaviours(card, ["start pose held"], 1, 0)
    told = describe_standing(card, held.trajectories.episode(0), held.links)
    assert "torso_height 1.25" in told
    assert "foot_x_position" in told
    assert "leg 0.5" in told
    assert "com_position (0.02" in told


@pytest.mark.parametrize("env", list_envs())
def test_every_end_of_a_limb_says_where_it_is_and_how_it_is_tipped(env):
    card = load_env(env)
    for limb in {
        f.plays[1] for role in ("foot_height", "hand_position") for f in card.list_roles(role)
    }:
        names = [f.name for f in card.state if f.plays[1] == limb or f.name.startswith(limb)]
        for ends in (("_position",), ("_height", "_position"), ("_pitch", "_up")):
            assert any(name.endswith(ends) for name in names), (limb, ends)


@pytest.mark.parametrize("env", ["half_cheetah", "humanoid"])
def test_a_head_says_where_it_is_along_the_track(env):
    names = [field.name for field in load_env(env).state]
    assert {"head_x_position", "head_position"} & set(names)


def test_starts_that_differ_by_chance_are_told_by_their_mean_and_spread(toy_card, make_episode):
    held, other = (make_episode(100, torso_height=np.full(101, h)) for h in (1.0, 1.2))
    told = describe_standing(toy_card, held, {}, [other])
    assert "(mean of 2, ± their standard deviation)" in told
    assert "torso_height 1.1 ± 0.1" in told
