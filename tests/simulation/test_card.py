"""Cards are read from TOML, refused with their file and key, and shown to people and models."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from reward_agent.errors import DataError, UnknownNameError
from reward_agent.simulation.card import (
    EnvCard,
    FieldRange,
    find_env_dir,
    list_envs,
    load_env,
    render_card,
    render_card_as_prompt,
)

ENVS = list_envs()


def test_the_environments_of_the_field_are_there() -> None:
    assert set(ENVS) >= {
        "ant", "half_cheetah", "hopper", "humanoid", "inverted_pendulum", "reacher", "walker2d",
    }  # fmt: skip


@pytest.mark.parametrize("name", ENVS)
def test_a_card_survives_json(name: str) -> None:
    card = load_env(name)
    assert EnvCard.model_validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize("name", ENVS)
def test_a_card_found_by_name_or_by_path_is_the_same(name: str) -> None:
    by_path = load_env(find_env_dir(name))
    assert by_path.model_copy(update={"folder": None}) == load_env(name)
    assert find_env_dir(by_path) == find_env_dir(name)


def test_an_open_bound_survives_json() -> None:
    bounds = FieldRange(field="torso_height", min=0.7)
    assert FieldRange.model_validate_json(bounds.model_dump_json()) == bounds


@pytest.mark.parametrize(("low", "high"), [(None, None), (1.0, 1.0), (2.0, 1.0)])
def test_a_range_that_nothing_can_leave_or_keep_is_refused(
    low: float | None, high: float | None
) -> None:
    with pytest.raises(ValueError, match="min"):
        FieldRange(field="x", min=low, max=high)


@pytest.mark.parametrize("name", ENVS)
def test_the_prompt_is_python_that_declares_every_field(name: str) -> None:
    card = load_env(name)
    tree = ast.parse(render_card_as_prompt(card))
    (state,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    declared = [node.target.id for node in state.body if isinstance(node, ast.AnnAssign)]  # type: ignore[union-attr]
    assert declared == [field.name for field in card.state]


@pytest.mark.parametrize("name", ENVS)
@pytest.mark.parametrize("render", [render_card, render_card_as_prompt])
def test_both_views_tell_actions_times_and_every_meaning(name: str, render: object) -> None:
    card = load_env(name)
    text = render(card)  # type: ignore[operator]
    for word in (*card.actions, f"{card.control_dt:g}", str(card.max_episode_steps)):
        assert word in text
    for field in card.state:
        assert field.doc in text


def test_termination_is_told_in_words() -> None:
    text = render_card_as_prompt(load_env("walker2d"))
    assert "ends early unless 0.8 < torso_height < 2, -1 < torso_pitch < 1" in text
    assert "never ends early" in render_card_as_prompt(load_env("half_cheetah"))


def test_observation_is_a_field_of_every_card() -> None:
    card = load_env("hopper")
    assert card.field("observation").size == card.observation_size
    assert card.n_actions == 3


def test_an_unknown_field_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'torso_height'"):
        load_env("hopper").field("torso_hight")


def test_an_unknown_environment_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'hopper'"):
        load_env("hoper")


def test_a_missing_path_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/env\.toml does not exist"):
        load_env(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("control_dt = 0.02", "control_dt = ", "not TOML"),
        ("control_dt = 0.02", "control_dt = -1", "control_dt"),
        ("control_dt = 0.02", "", "control_dt"),
        ("control_dt = 0.02", "control_dt = 0.02\nspeed = 1", "speed"),
        ('doc = "along x"', 'docs = "along x"', r"state\.puck\.x_position"),
        ('unit = "m/s"', 'unit = ""', r"state\.puck\.velocity\.unit"),
        ("size = 3", "size = 0", r"state\.puck\.velocity\.size"),
        ('field = "height"', 'field = "hight"', "did you mean 'height'"),
        ("joint:run.qpos", "joint:run qpos", "joint:run qpos"),
        ('file = "slider.xml"', "", "gymnasium"),
        ("velocity =", "observation =", "observation"),
    ],
)
def test_a_bad_card_is_refused_with_its_file_and_key(
    slider_dir: Path, before: str, after: str, expected: str
) -> None:
    path = slider_dir / "env.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(DataError, match=expected) as caught:
        load_env(slider_dir)
    assert str(path) in str(caught.value)


def test_a_folder_of_environments_of_ones_own_is_read(slider_dir: Path) -> None:
    assert list_envs(slider_dir.parent) == ["slider"]
    card = load_env("slider", slider_dir.parent)
    assert card.name == "slider"
    assert find_env_dir(card) == slider_dir
