"""A task may take another task's metric with other constants in it."""

import difflib
import shutil

import pytest

from reward_agent.definitions.card import find_env_dir
from reward_agent.definitions.task import load_task, read_task_metric, replace_constants
from reward_agent.errors import DataError

SOURCE = """\"\"\"Métres.\"\"\"

SIGN = 1.0  # the direction
È, LIMIT = 2, -30 / 360
LEVEL = -(30 / 360); SPEED = 2  # two on a line
TWICE = 1
TWICE = 2


def score(episode):
    SIGN = 5
    return SIGN
"""


@pytest.fixture
def make_variant(tmp_path):
    """Return a function that gives a copy of hopper a task with this [metric] table."""
    own = tmp_path / "hopper"
    shutil.copytree(find_env_dir("hopper"), own)
    folder = own / "tasks" / "variant"
    folder.mkdir()

    def make(table):
        text = 'name = "variant"\ndescription = "Do it."\n[metric]\n' + table
        (folder / "task.toml").write_text(text)
        return own, load_task(str(own), "variant")

    make.folder = folder
    return make


def test_only_the_named_values_change():
    changed = replace_constants(SOURCE, {"SIGN": -1.0, "SPEED": 3, "LEVEL": 0.25}, "it")
    pairs = zip(SOURCE.splitlines(), changed.splitlines(), strict=True)
    assert [new for old, new in pairs if old != new] == [
        "SIGN = -1.0  # the direction",
        "LEVEL = 0.25; SPEED = 3  # two on a line",
    ]


@pytest.mark.parametrize("name", ["SIGM", "LIMIT", "TWICE", "score", "episode"])
def test_what_is_no_constant_of_the_module_is_refused(name):
    with pytest.raises(DataError, match=f"it has no constant '{name}'") as caught:
        replace_constants(SOURCE, {name: 1}, "it")
    assert "SIGN, LEVEL, SPEED" in caught.value.remedy
    assert ("did you mean 'SIGN'" in caught.value.message) == (name == "SIGM")


@pytest.mark.parametrize(
    ("env", "other", "task"),
    [
        ("hopper", "front_flip", "back_flip"),
        ("half_cheetah", "run_forward", "run_backward"),
        ("walker2d", "run_forward", "run_backward"),
    ],
)
def test_the_other_direction_is_the_same_metric_but_for_its_sign(env, other, task):
    texts = [read_task_metric(env, load_task(env, name)).splitlines() for name in (other, task)]
    changed = [line for line in difflib.ndiff(*texts) if line[0] in "+-"]
    assert len(changed) == 2
    assert changed[0].startswith("- DIRECTION = 1.0  #")
    assert changed[1].startswith("+ DIRECTION = -1.0  #")


def test_a_metric_of_another_environment_is_named_with_it(make_variant):
    own, task = make_variant('of = "walker2d/run_forward"\nconstants = { MIN_DISTANCE = 2 }')
    assert "MIN_DISTANCE = 2  # m\n" in read_task_metric(str(own), task)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('of = "front_flop"', "unknown hopper task 'front_flop'; did you mean 'front_flip'"),
        ('of = "walker3d/run_forward"', "unknown environment 'walker3d'"),
        ('of = "back_flip"', "task 'back_flip' has no metric.py of its own"),
        ('of = "front_flip"\nconstants = { DIRECTON = 1 }', "did you mean 'DIRECTION'"),
    ],
)
def test_a_metric_that_is_not_there_is_a_clear_error(table, message, make_variant):
    own, task = make_variant(table)
    with pytest.raises(DataError, match=message) as caught:
        read_task_metric(str(own), task)
    assert str(make_variant.folder / "task.toml") in caught.value.message
    assert caught.value.remedy


def test_a_task_has_one_metric(make_variant):
    own, task = make_variant('of = "front_flip"')
    (make_variant.folder / "metric.py").write_text("def score(episode): ...\n")
    with pytest.raises(DataError, match="and names that of 'front_flip'"):
        read_task_metric(str(own), task)
