"""Reading a task, and what it changes on the card."""

import shutil

import pytest

from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.definitions.task import (
    TaskSpec,
    apply_task,
    find_namesake,
    find_task_dir,
    list_tasks,
    load_task,
    make_task,
    read_metric,
    read_task_metric,
    resolve_task,
)
from reward_agent.errors import DataError, UnknownNameError, UsageError

GOOD = """
name = "hop"
description = "Hop about on one leg."
criterion = "More than 3 hops. Success: all of them."
unit = "hops"
"""


@pytest.fixture
def write_task(tmp_path):
    """Write a hopper task into a folder of environments of its own and load it."""

    def write(text, name="hop"):
        folder = tmp_path / "hopper"
        if not folder.exists():
            folder.mkdir()
            card = load_env("hopper")
            folder.joinpath("env.toml").write_text(_render_card_file(card), encoding="utf-8")
        task_dir = folder / "tasks" / name
        task_dir.mkdir(parents=True)
        task_dir.joinpath("task.toml").write_text(text, encoding="utf-8")
        return load_task(load_env(folder), name)

    return write


def _render_card_file(card):
    return find_env_dir(card).joinpath("env.toml").read_text(encoding="utf-8")


def test_task_without_overrides_leaves_the_card_as_it_is(write_task):
    card = load_env("hopper")
    assert apply_task(card, write_task(GOOD)) == card


def test_flip_ends_at_a_fall_instead_of_a_tilt():
    card = apply_task(load_env("hopper"), load_task("hopper", "back_flip"))
    ends = {bounds.field for bounds in card.termination}
    assert ends == {"leg_floor_contact", "thigh_floor_contact", "torso_floor_contact"}
    assert card.max_episode_steps == 400


def test_empty_termination_lifts_the_cards(write_task):
    assert apply_task(load_env("hopper"), write_task(GOOD + "termination = []\n")).termination == ()


def test_termination_of_the_task_replaces_the_cards(write_task):
    task = write_task(GOOD + '[[termination]]\nfield = "torso_height"\nmin = 0.3\n')
    (bounds,) = apply_task(load_env("hopper"), task).termination
    assert (bounds.field, bounds.min) == ("torso_height", 0.3)


def test_termination_on_a_field_that_the_card_has_not_names_the_closest(write_task):
    task = write_task(GOOD + '[[termination]]\nfield = "torso_heigth"\nmin = 0.3\n')
    with pytest.raises(UnknownNameError, match="torso_height"):
        apply_task(load_env("hopper"), task)


def test_ppo_and_budget_of_the_task_win(write_task):
    task = write_task(GOOD + "[ppo]\ngamma = 0.95\n[budget]\nquick = 5000\n")
    card = load_env("hopper")
    changed = apply_task(card, task)
    assert changed.learner.given == {**card.learner.given, "gamma": 0.95}
    assert changed.budget.quick == 5000


def test_unknown_ppo_setting_names_the_closest_and_the_file(write_task):
    with pytest.raises(DataError, match=r"task\.toml.*learning_rat'.*'learning_rate'"):
        write_task(GOOD + "[ppo]\nlearning_rat = 0.1\n")


def test_ppo_setting_of_the_wrong_type_is_refused(write_task):
    with pytest.raises(DataError, match="ppo"):
        write_task(GOOD + '[ppo]\nn_steps = "many"\n')


def test_unknown_key_is_named_with_its_file(write_task):
    with pytest.raises(DataError, match=r"task\.toml, traget_score: .*did you mean 'target_score'"):
        write_task(GOOD + "traget_score = 1.0\n")


def test_broken_toml_is_named_with_its_file(write_task):
    with pytest.raises(DataError, match=r"task\.toml is not TOML"):
        write_task("name = \n")


def test_name_that_differs_from_the_folder_is_refused(write_task):
    with pytest.raises(DataError, match=r"'hop'.*'skip'"):
        write_task(GOOD, name="skip")


def test_unknown_task_names_the_closest_and_lists_all():
    with pytest.raises(UnknownNameError, match="back_flip") as caught:
        load_task("hopper", "backflip")
    assert "hop_forward" in caught.value.remedy


def test_environment_without_tasks_has_none(tmp_path):
    folder = tmp_path / "hopper"
    folder.mkdir()
    folder.joinpath("env.toml").write_text(_render_card_file(load_env("hopper")), encoding="utf-8")
    assert list_tasks(load_env(folder)) == []


def test_hopper_has_the_tasks_of_the_founding_papers():
    assert {"hop_forward", "front_flip", "back_flip"} <= set(list_tasks("hopper"))
    assert set(list_tasks("ant")) == {"run_forward", "lie_down", "wave_leg"}


def test_task_round_trips_through_json():
    task = load_task("hopper", "back_flip")
    assert TaskSpec.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("Do a back flip and land on your foot!", "do_a_back_flip_and_land_on_your_foot"),
        ("3 hops, then stop", "task_3_hops_then_stop"),
        ("跳", "task_8df3"),
        ("walk " * 30, "walk_walk_walk_walk_walk_walk_walk_walk"),
    ],
)
def test_any_sentence_becomes_a_task_with_a_name_for_a_folder(sentence, name):
    task = make_task("hopper", sentence)
    assert task.name == name
    assert task.description == sentence.strip()
    assert task.target_score is None


def test_a_folder_of_ones_own_has_its_tasks_metrics_and_references(tmp_path):
    own = tmp_path / "My Envs" / "hopper"
    shutil.copytree(find_env_dir("hopper"), own)
    metric = own / "tasks" / "front_flip" / "metric.py"
    metric.write_text("# mine\n" + metric.read_text("utf-8"), encoding="utf-8")
    card = load_env(str(own))
    task = resolve_task(str(own), "back_flip")
    assert (task.env, task.description) == ("hopper", load_task("hopper", "back_flip").description)
    assert list_tasks(card) == list_tasks(str(own)) == list_tasks("hopper")
    source = read_task_metric(card, task)
    assert source == read_task_metric(str(own), task)
    assert source.startswith("# mine\n")
    assert find_task_dir(card, "front_flip") == metric.parent
    with pytest.raises(UnknownNameError, match="unknown hopper task 'bak_flip'"):
        resolve_task(str(own), "bak_flip")


def test_a_card_of_another_folder_of_environments_keeps_its_folder(tmp_path):
    shutil.copytree(find_env_dir("hopper"), tmp_path / "hopper")
    shutil.rmtree(tmp_path / "hopper" / "tasks" / "back_flip")
    assert "back_flip" not in list_tasks(load_env(tmp_path / "hopper"))


@pytest.mark.parametrize(
    "text",
    ["back flip", "Back flip!", "Stand!", "stand.", "跳", "向前走!", "Встань", "do_a_salto", "🤸"],
)
def test_only_the_very_name_of_a_task_is_that_task(text):
    task = resolve_task("hopper", text)
    assert task.description == text
    assert task.name not in list_tasks("hopper")
    assert read_task_metric("hopper", task) is None
    assert resolve_task("hopper", " back_flip ") == load_task("hopper", "back_flip")


def test_a_sentence_that_says_a_tasks_name_is_known_to_do_so():
    assert find_namesake("hopper", "Back flip!") == "back_flip"
    assert find_namesake("hopper", "Do a back flip") is None


@pytest.mark.parametrize("text", ["bak_flip", "backflip", "Back_Flip", "jumps", "hop-forward"])
def test_a_slip_in_a_tasks_name_is_told_with_the_way_to_mean_a_sentence(text):
    with pytest.raises(UnknownNameError, match="did you mean") as caught:
        resolve_task("hopper", text)
    assert f'"{text}."' in caught.value.remedy
    assert resolve_task("hopper", f"{text}.").description == f"{text}."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def score(episode)\n  return 1", "line 1: expected"),
        (b"", "defines no function score"),
        (b"score(1)", "defines no function score"),
        (bytes(range(128, 160)), "is not Python text"),
        (b"def score(episode):\n    return '\x00'", "is not Python text|null bytes"),
        (None, "not a plain file"),
    ],
)
def test_a_file_that_is_no_metric_is_refused_before_anything_is_trained(content, message, tmp_path):
    path = tmp_path / "metric.py"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_metric(path)


@pytest.mark.parametrize(
    "source",
    ["def score(episode): ...", "from mine import judge as score", "score = lambda episode: 1"],
)
def test_a_metric_may_define_score_in_any_way(source, tmp_path):
    path = tmp_path / "metric.py"
    path.write_text(source)
    assert read_metric(path) == source


def test_a_sentence_is_kept_without_credentials() -> None:
    spec = make_task("hopper", "The key: hop as in http://walter:hunter2@host/film?token=abc123")
    assert spec.description == "The key: hop as in http://host/film"
    assert "hunter2" not in spec.name
