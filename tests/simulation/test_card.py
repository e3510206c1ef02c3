"""Cards are read from TOML, or refused with their file and key."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from reward_agent.definitions.card import (
    EnvCard,
    FieldRange,
    ModelSource,
    find_env_dir,
    list_envs,
    load_env,
)
from reward_agent.errors import DataError, UnknownNameError
from reward_agent.simulation.mujoco_model import find_model_path

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
        ('range = [-5.0, 5.0], doc = "along x', 'range = [5.0, 5.0], doc = "along x', "is empty"),
        ("control_dt = 0.02", "control_dt = -1", "control_dt"),
        ("control_dt = 0.02", "", "control_dt"),
        ("control_dt = 0.02", "control_dt = 0.02\nspeed = 1", "speed"),
        (
            "[reset]",
            "[reset]\nqpos_unifrom = 1",
            "reset.qpos_unifrom: .* did you mean 'qpos_uniform'",
        ),
        ("[state.puck]", "[state]\nspin = 3\n[state.puck]", r"state\.spin\.source"),
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


def test_a_folder_of_environments_of_ones_own_is_read(
    slider_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWARD_AGENT_ENVS_DIR", str(slider_dir.parent))
    assert list_envs() == ["slider"]
    card = load_env("slider")
    assert card.name == "slider"
    assert find_env_dir(card) == slider_dir


@pytest.mark.parametrize("given", [".", "slider", "env.toml", "./"])
def test_a_folder_is_found_from_where_the_user_stands(
    given: str, slider_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(slider_dir.parent if given == "slider" else slider_dir)
    assert load_env(given).folder == str(slider_dir)


def test_a_known_name_is_not_taken_for_a_folder_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hopper").mkdir()
    assert load_env("hopper").name == "hopper"
    with pytest.raises(DataError, match=r"env.toml does not exist"):
        load_env("./hopper")


def test_a_card_without_a_name_is_named_after_its_folder(slider_dir: Path) -> None:
    path = slider_dir / "env.toml"
    text = re.sub(r"^name = .*\n", "", path.read_text(), flags=re.MULTILINE)
    for name, expected in {"My-Robot 2": "my_robot_2", "3legs": "env_3legs"}.items():
        folder = slider_dir.parent / name
        shutil.copytree(slider_dir, folder)
        (folder / "env.toml").write_text(text)
        assert load_env(folder).name == expected


def test_fields_need_no_group(slider_dir: Path) -> None:
    path = slider_dir / "env.toml"
    path.write_text(path.read_text().replace("[state.puck]", "[state]"))
    fields = load_env(slider_dir).state
    assert [field.name for field in fields] == [
        "height", "x_position", "floor_contact", "velocity",
    ]  # fmt: skip
    assert {field.group for field in fields} == {""}


def test_no_name_is_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError):
        load_env("")


def test_envpools_short_form_and_what_older_runs_recorded_name_its_back_end() -> None:
    nothing = {"gymnasium": None, "file": None, "frame_skip": 5}
    recorded = nothing | {
        "envpool": "MetaWorld/Reach-v3", "envpool_options": {"partially_observable": False},
        "envpool_camera": 2, "envpool_camera_is_upside_down": True,
    }  # fmt: skip
    model = ModelSource.model_validate(recorded)
    assert (model.backend, model.id, model.camera) == ("envpool", "MetaWorld/Reach-v3", 2)
    assert model == load_env("metaworld").model
    other = nothing | {"gymnasium": "hopper.xml", "envpool": None, "envpool_camera": -1}
    assert ModelSource.model_validate(other).backend == "mujoco"


def test_a_name_that_only_another_back_end_knows_is_told() -> None:
    card = load_env("hopper").model_copy(
        update={"model": ModelSource(id="Hopper-v5", frame_skip=4)}
    )
    with pytest.raises(DataError, match="'Hopper-v5', MuJoCo simulates an MJCF"):
        find_model_path(card)
