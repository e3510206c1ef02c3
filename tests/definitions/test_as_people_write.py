"""Cards as people write them: names of any case and script, files of Windows, one word for a task."""

from pathlib import Path

import pytest

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import load_task, make_task, resolve_task
from reward_agent.errors import DataError, UnknownNameError

CARD = """
title = "Puck"
description = "A puck."
control_dt = 0.02
max_episode_steps = 100
actions = ["Push-X"]
observation = ["qpos"]
observation_size = 1
termination = [{ field = "FL_contact", max = 0.5 }]

[model]
file = 'models\\puck.xml'
frame_skip = 2

[state.feet]
FL_contact = { source = "qpos[0]", unit = "0/1", range = [0.0, 1.0], doc = "of the front left foot" }
"Höhe" = { source = "qpos[0]", unit = "m", range = [0.0, 1.0], doc = "height" }
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "env.toml").write_bytes(text.encode())
    return folder


def test_names_of_fields_become_identifiers_wherever_they_stand(tmp_path: Path) -> None:
    card = load_env(write(tmp_path / "puck", CARD))
    assert [field.name for field in card.state] == ["fl_contact", "hohe"]
    assert card.termination[0].field == "fl_contact"
    assert EnvCard.model_validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("FL_contact", "fl_contact"),
        ("robot0:hand mount", "robot0_hand_mount"),
        ("θ_1", "theta_1"),
        ("2nd leg", "field_2nd_leg"),
        ("高さ", "field_9ad8sa"),
    ],
)
def test_a_name_of_any_script_becomes_an_identifier(tmp_path: Path, given: str, name: str) -> None:
    text = CARD.replace("FL_contact", "fl").replace('"Höhe"', f'"{given}"')
    card = load_env(write(tmp_path / "puck", text))
    assert card.state[1].name == name


def test_two_spellings_of_one_name_are_refused(tmp_path: Path) -> None:
    text = CARD.replace('"Höhe"', "fl_Contact")
    with pytest.raises(DataError, match="'fl_contact' is named twice"):
        load_env(write(tmp_path / "puck", text))


def test_a_mark_of_the_encoding_two_line_ends_and_a_windows_path_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + CARD.replace("\n", "\r\n")
    card = load_env(write(tmp_path / "puck", text))
    assert card.model.file == "models/puck.xml"


@pytest.mark.parametrize("file", ["../puck.xml", "/tmp/puck.xml", "C:\\\\..\\\\..\\\\puck.xml"])
def test_a_model_elsewhere_is_said_to_be_out_of_the_sandboxs_reach(
    tmp_path: Path, file: str
) -> None:
    text = CARD.replace("'models\\puck.xml'", f'"{file}"')
    with pytest.raises(DataError, match=r"not in the folder of the card.*sandbox") as caught:
        load_env(write(tmp_path / "puck", text))
    assert "copy it to" in caught.value.remedy


def test_one_word_is_a_sentence_unless_it_looks_like_the_name_of_a_task(tmp_path: Path) -> None:
    card = load_env(write(tmp_path / "puck", CARD))
    assert resolve_task(card, "jump").description == "jump"
    assert resolve_task(card, "jump") == make_task("puck", "jump")
    assert resolve_task("hopper", "prance").name == "prance"
    assert resolve_task("hopper", "task7").description == "task7"
    for text in ("bakflip", "back_flp"):
        with pytest.raises(UnknownNameError) as caught:
            resolve_task("hopper", text)
        assert "if this is a sentence" in caught.value.remedy


def test_a_name_that_is_no_identifier_is_answered_with_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "puck", CARD)
    task = folder / "tasks" / "Go-Forward"
    task.mkdir(parents=True)
    (task / "task.toml").write_text('name = "Go-Forward"\ndescription = "Go forward."\n')
    with pytest.raises(DataError, match="'Go-Forward' is written 'go_forward' here"):
        load_task(load_env(folder), "Go-Forward")
