"""An exported reward pays on Gymnasium's own environments what it paid in the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard, MocapAction, list_envs, load_env
from reward_agent.definitions.paths import find_envs_dir
from reward_agent.definitions.start import Draw, HomePose
from reward_agent.definitions.task import apply_task, list_tasks, load_task
from reward_agent.errors import DataError
from reward_agent.export.compose import (
    compose_reward,
    describe_control,
    find_hindrance,
    write_expression,
)
from reward_agent.rewards.language import MAX_TERMS
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.mujoco_batch import BatchSimulation

CARDS = [card for card in map(load_env, list_envs()) if card.gymnasium_id]
REFERENCES = [
    path
    for card in CARDS
    for path in sorted(find_envs_dir().glob(f"{card.name}/tasks/*/reference_reward.py"))
]
MEMORY = """\
BEST = {"limit": 50.0}

def init_memory(state):
    return {"best": state.x_position.copy(), "steps": np.zeros(state.x_position.shape[0])}

def compute_reward(state, action, next_state, memory):
    best = np.maximum(memory["best"], np.minimum(next_state.x_position, BEST["limit"]))
    steps = memory["steps"] + 1
    terms = {"new ground": best - memory["best"], "hurry": -1e-3 * steps}
    return terms["new ground"] + terms["hurry"], terms, {"best": best, "steps": steps}
"""
POTENTIAL = """\
from __future__ import annotations
import numpy as np

# Names that the exported file has for itself, and a builtin: they must not get in each other's way.
State = 2.0
FIELDS = "fields"

def concat(values, max=1.0):
    return max * values

def min(value):
    return np.minimum(value, State)

def wrap_angle(angle):
    return angle * 0.5

def compute_reward(state, action, next_state):
    turn = angle_difference(next_state.torso_pitch, 0.3) + wrap_angle(next_state.torso_pitch)
    speed = concat(tolerance(next_state.forward_velocity, (1.0, 2.0), 1.0), max=3.0)
    return min(turn) + speed, {"turn": min(turn), "speed": speed, "constant": 1}

def potential(state):
    return 5.0 * state.torso_height + concat(state.com_velocity[:, 0])
"""


def make_field_programs(card: EnvCard) -> list[str]:
    """Return programs with a term for each field of the card; each entry of a field counts."""
    terms = []
    for field in card.fields:
        value = f"next_state.{field.name}"
        if field.size:
            value = f"np.sum({value} * (1.0 + np.arange({field.size})), axis=-1)"
        terms.append(f'        "{field.name}": 1.0 * {value},\n')
    return [
        "def compute_reward(state, action, next_state):\n"
        f"    terms = {{\n{''.join(terms[start : start + MAX_TERMS])}    }}\n"
        "    return sum(terms.values()) + 0.1 * action[:, 0], terms\n"
        for start in range(0, len(terms), MAX_TERMS)
    ]


def compare(card: EnvCard, source: str, module: Any, n_steps: int, seed: int = 7) -> int:
    """Step both with the same actions, compare every reward and term; return the resets."""
    reward = compile_program(source, card, card.learner.gamma)
    simulation = BatchSimulation(card, 1, seed)
    simulation.reset()
    state = simulation.read_state()
    reward.begin(state)
    env, rng, n_resets, length = module.make_env(), np.random.default_rng(1), 0, 0
    env.reset(seed=seed)
    low, high = card.action_range
    for _ in range(n_steps):
        action = (0.5 * rng.uniform(low, high, card.n_actions)).astype(np.float32)
        simulation.step(action[None])
        next_state, terminated = simulation.read_state(), simulation.find_terminated()
        paid = reward.step(state, action[None], next_state, terminated)
        _, value, is_terminated, is_truncated, info = env.step(action)
        assert value == pytest.approx(paid.reward[0], rel=1e-6, abs=1e-6)
        expected = {name: values[0] for name, values in paid.terms.items()}
        assert info["reward_terms"] == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert is_terminated == terminated[0]
        state, length = next_state, length + 1
        assert is_truncated == (length == card.max_episode_steps)
        if is_terminated or is_truncated:
            simulation.reset()
            state, length, n_resets = simulation.read_state(), 0, n_resets + 1
            reward.restart(np.array([0]), state)
            env.reset()
    env.close()
    return n_resets


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_field_is_the_runs_on_gymnasiums_own_environment(card, load_exported) -> None:
    # One that nothing ends is stepped to the end of its episode.
    n_steps = 1001 if card.name == "half_cheetah" else 200
    for source in make_field_programs(card):
        compare(card, source, load_exported(card, source), n_steps=n_steps)


FRAMES = {
    "apart": (None, "distance(body:torso, body:{foot})"),
    "bend": (3, "relative(body:torso, body:{foot})"),
    "angles": (3, "concat(roll(body:{foot}), pitch(body:{foot}, +z, -x), yaw(body:torso))"),
    "own": (3, "local(body:{foot}, -x, +y, angular_velocity:{foot})"),
    "level": (3, "level(body:torso, velocity:geom:{sole})"),
    "half": (3, "add(scale(qvel[:3], 0.5), qpos[:3])"),
    "low": (None, "lowest:geom:{sole}"),
    "touch": (None, "contact(subtree:{thigh}, geom:floor)"),
    "push": (2, "concat(contact_force:{sole}, contact_force:subtree:torso)"),
}
PARTS = {
    "hopper": {"thigh": "thigh", "foot": "foot", "sole": "foot_geom"},
    "half_cheetah": {"thigh": "fthigh", "foot": "ffoot", "sole": "ffoot"},
    "ant": {"thigh": "front_left_leg", "foot": "aux_1", "sole": "left_ankle_geom"},
}


@pytest.mark.parametrize("derived", ["current", "lagged"])
@pytest.mark.parametrize("name", PARTS)
def test_frames_and_contacts_are_the_same_outside(name: str, derived: str, load_exported) -> None:
    card = load_env(name)
    fields = [
        card.state[0].model_copy(
            update={"name": key, "size": size, "source": text.format(**PARTS[name])}
        )
        for key, (size, text) in FRAMES.items()
    ]
    if name == "ant":
        fields[0] = fields[0].model_copy(update={"source": "distance(body:torso, body:#4)"})
    model = card.model.model_copy(update={"derived_fields": derived})
    [source] = make_field_programs(card.model_copy(update={"state": tuple(fields)}))
    card = card.model_copy(update={"state": (*card.state, *fields), "model": model})
    compare(card, source, load_exported(card, source), n_steps=120)


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: "-".join(path.parts[-4:-1:2]))
def test_a_persons_rewards_pay_the_same_outside(path: Path, load_exported) -> None:
    env = path.parts[-4]
    task = load_task(env, path.parts[-2])
    card, has_own = apply_task(load_env(env), task), task.termination is not None
    source = path.read_text()
    n_resets = compare(card, source, load_exported(card, source, has_own), n_steps=200)
    assert n_resets or env not in ("hopper", "walker2d")


@pytest.mark.parametrize("source", [MEMORY, POTENTIAL], ids=["memory", "potential"])
@pytest.mark.parametrize("name", ["hopper", "walker2d"])
def test_memory_and_shaping_pay_the_same_outside(name: str, source: str, load_exported) -> None:
    card = load_env(name)
    assert compare(card, source, load_exported(card, source), n_steps=250) > 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"home": HomePose(joints={"slider": 0.1})}, "[home]"),
        ({"action_mapping": "around_home"}, "around_home"),
        ({"draws": {"speed": Draw(command=(0.0, 1.0))}}, "[draws]"),
        ({"mocap_actions": (MocapAction(body="hand", step=0.1),)}, "[[mocap_actions]]"),
    ],
)
def test_what_gymnasiums_environment_has_not_is_named(
    changes: dict, said: str, load_exported
) -> None:
    card = load_env("inverted_pendulum")
    assert find_hindrance(card) == ""
    card = card.model_copy(update=changes)
    assert said in find_hindrance(card)
    [source] = make_field_programs(load_env("inverted_pendulum"))
    assert not hasattr(load_exported(card, source), "make_env")


def test_how_actions_become_controls_is_told_to_whoever_has_the_policy() -> None:
    card = load_env("inverted_pendulum")
    assert describe_control(card) == {"action_mapping": "direct", "action_range": [-3.0, 3.0]}
    home = HomePose(keyframe=0, joints={"hinge": 0.5})
    update = {"action_mapping": "around_home", "action_scale": (0.5,), "home": home}
    told = describe_control(card.model_copy(update=update))
    assert told["action_scale"] == [0.5]
    assert told["home"] == {"keyframe": 0, "joints": {"hinge": 0.5}, "controls": "pose"}


def test_a_stretched_action_range_is_that_of_the_run(load_exported) -> None:
    changes = {"action_mapping": "rescaled", "action_range": (-2.0, 2.0)}
    card = load_env("inverted_pendulum").model_copy(update=changes)
    [source] = make_field_programs(card)
    module = load_exported(card, source)
    assert compare(card, source, module, n_steps=300) > 3
    assert module.make_env().action_space.high.tolist() == [2.0]


def test_healthy_ranges_of_a_task_replace_the_environments_own() -> None:
    cards = [(env, load_task(env, name)) for env in list_envs() for name in list_tasks(env)]
    assert {(env, task.name) for env, task in cards if task.termination is not None} >= {
        ("hopper", "back_flip"),
        ("ant", "lie_down"),
    }


def test_the_file_needs_nothing_of_this_project_and_only_the_helpers_that_are_used() -> None:
    text = compose_reward(load_env("hopper"), POTENTIAL, {"task": "try"}, False)
    assert "import reward_agent" not in text
    assert "from reward_agent" not in text
    assert "def tolerance(" in text
    assert "def angle_difference(" in text
    assert "quat_" not in text


def test_the_function_alone_needs_numpy_alone(tmp_path: Path) -> None:
    import subprocess
    import sys

    text = compose_reward(load_env("hopper"), MEMORY, {"task": "try"}, False)
    (tmp_path / "reward.py").write_text(text)
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['gymnasium', 'mujoco', 'torch', 'reward_agent'])\n"
        "import numpy as np, reward\n"
        "states = [reward.State({'x_position': np.array([0.0, x])}) for x in (0.0, 1.0)]\n"
        "r = reward.make_reward()\n"
        "r.begin(states[0])\n"
        "paid, terms = r.step(states[0], np.zeros((2, 3)), states[1], np.zeros(2, bool))\n"
        "assert terms['new_ground'].tolist() == [0.0, 1.0], terms\n"
        "r.restart(np.array([1]), states[0])\n"
        "paid, terms = r.step(states[0], np.zeros((2, 3)), states[1], np.zeros(2, bool))\n"
        "assert terms['hurry'].tolist() == [-0.002, -0.001], terms\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("cfrc_ext[1]", "cfrc_ext"),
        ("sensor:touch", "touch"),
        ("joint:rooty.qfrc_damper", "damper"),
        ("draw:speed", "draw:speed is drawn by reward-agent"),
    ],
)
def test_a_field_that_is_not_to_be_had_outside_is_named(source: str, reason: str) -> None:
    card = load_env("hopper")
    strange = card.state[0].model_copy(update={"name": "push", "source": source})
    card = card.model_copy(update={"state": (*card.state, strange)})
    program = (
        "def compute_reward(state, action, next_state):\n    return state.push, {'p': state.push}\n"
    )
    with pytest.raises(DataError, match=rf"field 'push'.*{reason}"):
        compose_reward(card, program, {"task": "try"}, False)
    fine = program.replace("push", "x_position")
    assert "push" not in compose_reward(card, fine, {"task": "try"}, False)


def test_a_name_of_any_script_is_ascii_in_the_file() -> None:
    card = load_env("hopper")
    texts = ["body:'it''s \u043d\u043e\u0433\u0430'.xpos", "contact(geom:'\u043d', geom:#12)"]
    fields = [card.state[0].model_copy(update={"source": text}) for text in texts]
    assert [write_expression(card, field) for field in fields] == [
        's.now.body("it\'s \\u043d\\u043e\\u0433\\u0430").xpos',
        "s.touches(('geom', '\\u043d'), [('geom', 12)])",
    ]


def test_without_a_gymnasium_name_there_is_the_function_and_no_wrapper() -> None:
    card = load_env("hopper").model_copy(update={"gymnasium_id": None})
    text = compose_reward(card, MEMORY, {"task": "try"}, False)
    assert "def make_reward" in text
    assert "Wrapper" not in text.split("from __future__")[1]
