"""What holds of a meaning goes into the draft with its test; what is refused does not."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import mujoco
import pytest
from support.robots import DOG, DOG_MEANING

from reward_agent.definitions.meaning import Meaning, TriedMeaning
from reward_agent.drafts.card import write_draft
from reward_agent.drafts.try_meaning import try_meaning
from reward_agent.records.draft import Draft, DraftOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dog")
    (folder / "dog.xml").write_text(DOG)
    return folder


def draft(folder: Path, **changes: Any) -> Draft:
    model = mujoco.MjModel.from_xml_string(DOG)
    meaning = Meaning.model_validate(copy.deepcopy(DOG_MEANING) | changes)
    tried = TriedMeaning(claimed=meaning, verdicts=try_meaning(model, meaning))
    options = DraftOptions(name="dog", source="dog.xml", meaning=tried)
    return write_draft(model, "dog.xml", options, folder)


@pytest.fixture(scope="module")
def told(folder: Path) -> Draft:
    return draft(folder)


def find_line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_parts_and_axes_stand_in_the_card_with_the_test_that_they_passed(told):
    text = told.files["env.toml"]
    roles = tomllib.loads(text)["roles"]
    assert roles["forward"] == "+x"
    assert roles["feet"] == DOG_MEANING["feet"]
    assert (roles["tool"], roles["target"]) == ("site:mouth", "site:bowl")
    assert (roles["object"], roles["fixture"]) == ("body:ball", "joint:gate_hinge")
    assert "# tested: 1.00 at the start, -1.00 turned over" in find_line(text, "up = ")
    assert "# tested: each of 4; the first: when the lowered" in find_line(text, "feet = ")
    assert "# tested: its own joint lifts it by 1.00 m" in find_line(text, "object = ")
    assert not any(guess.startswith(("forward", "feet", "the tool")) for guess in told.guesses)


def test_words_and_limbs_are_those_of_the_form(told):
    text = told.files["env.toml"]
    card = tomllib.loads(text)
    assert card["description"].startswith(DOG_MEANING["description"])
    assert any("fl_hip moves fl backward" in note for note in card["notes"])
    limbs = [field.get("limb") for group in card["state"].values() for field in group.values()]
    assert {"front_left_foot", "rear_right_foot"} <= set(limbs)


def test_what_is_measured_is_a_field_with_its_unit(told):
    fields = tomllib.loads(told.files["env.toml"])["state"]["measured"]
    assert fields["gait"]["source"] == "tendon:gait.length"
    assert fields["gait"]["unit"] == "rad"
    assert fields["speed"]["size"] == 3
    # The distance of tool and object is one that a draft measures in any case.
    assert not any("ball" in name for name in fields)


def test_tasks_that_were_asked_for_come_first_with_their_numbers(told):
    names = [path.split("/")[1] for path in told.files if path.endswith("metric.py")]
    assert names[0] == "go_forward"
    assert "speed=0.5" in told.files["tasks/go_forward/metric.py"]
    task = tomllib.loads(told.files["tasks/go_forward/task.toml"])
    assert task["description"] == "Walk forward at 0.5 m/s."
    assert "near 0.5 m/s" in task["criterion"]
    stance = told.files["tasks/stand_on/metric.py"]
    assert stance.index("rear_left_foot") < stance.index("off=") < stance.index("front_left_foot")


def test_what_is_refused_is_not_in_the_card(folder):
    limbs = [{"place": "geom:fl", "limb": "front_right_foot"}]
    measures = [{"source": "tendon:gait", "quantity": "other", "unit": "m", "doc": "A step."}]
    text = draft(folder, up="+y", limbs=limbs, measures=measures).files["env.toml"]
    assert tomllib.loads(text)["roles"]["up"] == "+z"
    assert "A step." not in text
    assert "tendon:gait" not in text


def test_the_same_meaning_makes_the_same_bytes(folder, told):
    assert draft(folder).files == told.files
