"""Cards and tasks of a stranger: what no card says is refused in one line, with file, key and find."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.counting import at_most

from reward_agent.definitions.card import EnvCard, list_envs, load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.definitions.sources import find_leaves, parse_source
from reward_agent.definitions.tables import find_odd_character, make_plain
from reward_agent.definitions.task import (
    TaskSpec,
    list_tasks,
    load_task,
    make_task,
    read_reference_reward,
    read_task_metric,
)
from reward_agent.errors import DataError, RewardAgentError, UsageError

CARD = """\
title = "A puck"
description = "It slides."
notes = ["It is round."]
control_dt = 0.02
max_episode_steps = 100
actions = ["push"]
action_doc = "Along the track."
observation = ["qpos", "qvel"]
observation_size = 2
[model]
file = "puck.xml"
frame_skip = 5
floor = "floor"
[reset]
qpos_uniform = 0.1
keyframe = "start"
[learner]
n_envs = 8
[budget]
quick = 1000
[state.puck]
x = { source = "qpos[0]", unit = "m", range = [-1.0, 1.0], doc = "along the track" }
"""
TASK = """\
name = "slide"
description = "Slide on."
criterion = "At least 1 m."
unit = "m"
"""
ODD = {
    "\\u001B[31m": "U+001B", "\\u202E": "RIGHT-TO-LEFT OVERRIDE", "\\u2066": "LEFT-TO-RIGHT ISOLATE",
    "\\u200B": "ZERO WIDTH SPACE", "\\uFEFF": "ZERO WIDTH NO-BREAK SPACE", "\\u0007": "U+0007",
    "\\u2028": "LINE SEPARATOR", "\\u0085": "U+0085", "\\u009B": "U+009B", "\\u007F": "U+007F",
    "\\r": "U+000D", "\\f": "U+000C", "\\U000E0041": "TAG LATIN CAPITAL LETTER A",
    "\\u3164": "HANGUL FILLER", "\\u00AD": "SOFT HYPHEN",
}  # fmt: skip
# Where a person's words stand, and where only one line of them may.
WORDS = {
    '"A puck"': "title", '"It slides."': "description", '"It is round."': "notes.0",
    '"push"': "actions.0", '"Along the track."': "action_doc", '"puck.xml"': "model.file",
    '"floor"': "model.floor", '"start"': "reset.keyframe", 'unit = "m"': "state.puck.x.unit",
    '"along the track"': "state.puck.x.doc", '"qpos[0]"': "state.puck.x.source",
    '"qpos", "qvel"': "observation.1",
}  # fmt: skip
PROSE = {'"It slides."', '"Along the track."'}


def write_card(folder: Path, text: str) -> Path:
    env = folder / "puck"
    env.mkdir(exist_ok=True)
    (env / "env.toml").write_text(text, encoding="utf-8", newline="")
    return env


def refuse(folder: Path, text: str) -> str:
    """Load a card that is refused; return the line that says why."""
    with pytest.raises(RewardAgentError) as caught:
        load_env(write_card(folder, text))
    assert isinstance(caught.value, DataError)
    message = caught.value.message
    assert "env.toml" in message
    assert not find_odd_character(message)
    assert len(message) < 2000
    return message


def put(text: str, place: str, odd: str) -> str:
    assert text.count(place) == 1
    return text.replace(place, f'{place[:-1]}{odd}"')


def test_the_plain_card_is_read(tmp_path: Path) -> None:
    assert load_env(write_card(tmp_path, CARD)).title == "A puck"


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", WORDS)
def test_an_odd_character_is_named_with_its_key(tmp_path: Path, place: str, odd: str) -> None:
    message = refuse(tmp_path, put(CARD, place, odd))
    assert WORDS[place] in message
    assert ODD[odd] in message


@pytest.mark.parametrize("place", sorted(set(WORDS) - PROSE))
def test_only_a_description_has_several_lines(tmp_path: Path, place: str) -> None:
    assert f"{WORDS[place]}: holds U+000A" in refuse(tmp_path, put(CARD, place, "\\nimport os"))


def test_a_description_may_have_several_lines(tmp_path: Path) -> None:
    text = put(put(CARD, '"It slides."', "\\n\\tFar. 跳 é 🤖"), '"Along the track."', "\\nBack.")
    assert load_env(write_card(tmp_path, text)).description.endswith("\n\tFar. 跳 é 🤖")


@pytest.mark.parametrize("place", sorted(set(WORDS) - PROSE))
def test_words_have_a_length(tmp_path: Path, place: str) -> None:
    message = refuse(tmp_path, put(CARD, place, "x" * 3900))
    if place not in ('"It slides."', '"Along the track."'):
        assert "characters, at most" in message or "source" in message


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("observation_size = 2", "observation_size = 1_000_000_000", "observation_size"),
        ("observation_size = 2", f"observation_size = {'9' * 3000}", "observation_size"),
        ("observation_size = 2", f"observation_size = 1{'0' * 3000}.5", "observation_size"),
        ("n_envs = 8", "n_envs = 10_000_000", "n_envs"),
        ("n_envs = 8", "n_envs = 0", "n_envs"),
        ("n_envs = 8", "n_envs = -3", "n_envs"),
        ("n_envs = 8", "n_steps = 1_000_000_000", "n_steps"),
        ("n_envs = 8", "net_arch = [1_000_000_000]", "net_arch"),
        ("n_envs = 8", f"net_arch = {[8] * 100}", "net_arch"),
        ("n_envs = 8", "gamma = nan", "learner"),
        ("n_envs = 8", "gamma = 1.5", "gamma"),
        ("n_envs = 8", "learning_rate = inf", "learner"),
        ("n_envs = 8", 'algo = "sb3:SAC"\nn_envs = 10_000_000', "n_envs"),
        (
            "n_envs = 8",
            'algo = "sb3:SAC"\npolicy_kwargs = { net_arch = { pi = [1_000_000_000] } }',
            "policy_kwargs",
        ),
        ("n_envs = 8", 'algo = "sb3:SAC"\nent_coef = "\\u001b]0;x\\u0007"', "learner"),
        ("n_envs = 8", f'algo = "{"x" * 200}"', "learner.algo"),
        ("max_episode_steps = 100", "max_episode_steps = 1_000_000_000_000", "max_episode_steps"),
        ("control_dt = 0.02", "control_dt = nan", "control_dt"),
        ("control_dt = 0.02", "control_dt = inf", "control_dt"),
        ("control_dt = 0.02", "control_dt = -0.02", "control_dt"),
        ("frame_skip = 5", "frame_skip = 1_000_000_000", "frame_skip"),
        ("frame_skip = 5", "frame_skip = 5\ncamera = 1_000_000_000_000", "camera"),
        ("frame_skip = 5", "frame_skip = 5\noptions = { x = nan }", "options"),
        ("frame_skip = 5", 'frame_skip = 5\noptions = { "a\\u202Eb" = 1 }', "options"),
        ("qpos_uniform = 0.1", "qpos_uniform = inf", "qpos_uniform"),
        ("quick = 1000", "quick = 1_000_000_000_000", "budget.quick"),
        ("quick = 1000", "quick = 0", "budget.quick"),
        ("range = [-1.0, 1.0]", "range = [-inf, inf]", "state.puck.x.range"),
        ("range = [-1.0, 1.0]", "range = [nan, 1.0]", "state.puck.x.range"),
        ("range = [-1.0, 1.0]", "range = [1.0, 1.0]", "state.puck.x.range"),
        ("range = [-1.0, 1.0]", "range = [-1.0, 1.0], size = 1_000_000_000", "state.puck.x.size"),
        ('"qpos[0]"', '"clip(qpos[0], -1e999, 1)"', "1e999"),
        ('"qpos[0]"', f'"qpos[{"9" * 900}]"', "source"),
        ('"qpos[0]"', f'"{"cos(" * 190}qpos[0]{")" * 190}"', "nested"),
        ("[model]", 'gymnasium_id = "Hopper-v5\\"; x"\n[model]', "gymnasium_id"),
        ("[model]", 'gymnasium_id = "../x:y-v0"\n[model]', "gymnasium_id"),
        ("[model]", 'gymnasium_id = "Hopper-v5\\n"\n[model]', "gymnasium_id"),
        ("[model]", "gymnasium_kwargs = { x = inf }\n[model]", "gymnasium_kwargs"),
        ('file = "puck.xml"', 'gymnasium = "../../../etc/passwd"', "model.gymnasium"),
        ('actions = ["push"]', f"actions = {['a'] * 600}", "actions"),
        ("[state.puck]", "[state.puck]\n\"a\\u202Eb\" = 1", "state"),
        ("[budget]", "[budg\u202eet]", "env.toml"),
    ],
    ids=lambda text: str(text)[:40],
)  # fmt: skip
def test_a_number_or_a_name_that_nobody_means_is_refused(
    tmp_path: Path, before: str, after: str, key: str
) -> None:
    assert CARD.count(before) == 1
    assert key in refuse(tmp_path, CARD.replace(before, after))


@pytest.mark.parametrize(
    "text",
    [
        "#" * 100_000_000,
        f"a = {'[' * 100_000}",
        f"a = {'[' * 2000}{']' * 2000}",
        f"a = {'{b=' * 1500}1{'}' * 1500}",
        f"{'a.' * 100_000}a = 1",
        f"{'a.' * 1900}a = 1",
        f"[learner]\n{'a.' * 1900}a = 1",
        f"[{'a.' * 1900}a]",
        "\n".join(f"[a{i}]" for i in range(30_000)),
        f"a = {'9' * 5000}",
        'a = "\x1b[31m"',
        "a = '''\udcff",
        "\x00",
        "",
    ],
    ids=lambda text: f"{text[:12]!r}-{len(text)}",
)
def test_toml_that_is_no_card_ends_in_one_line_and_soon(tmp_path: Path, text: str) -> None:
    env = tmp_path / "puck"
    env.mkdir()
    (env / "env.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with at_most(5_000_000), pytest.raises(DataError, match=r"env\.toml") as caught:
        load_env(env)
    assert len(str(caught.value)) < 3000
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('"Slide on."', '"Slide\\u001b[2J on."', "description: holds U+001B"),
        ('"At least 1 m."', '"At least \\u202E1 m."', "criterion: holds U+202E"),
        ('"m"', '"m\\nm"', "unit: holds U+000A"),
        ('unit = "m"', 'unit = "m"\nmax_episode_steps = 1_000_000_000_000', "max_episode_steps"),
        ('unit = "m"', 'unit = "m"\ntarget_score = nan', "target_score"),
        (
            'unit = "m"',
            'unit = "m"\n[metric]\nof = "a"\nconstants = { A = inf }',
            "metric.constants",
        ),
        (
            'unit = "m"',
            f'unit = "m"\n[metric]\nof = "a"\nconstants = {{ A = {"9" * 3000} }}',
            "metric",
        ),
        ('unit = "m"', 'unit = "m"\n[metric]\nof = "../../a"', "metric.of"),
        ('unit = "m"', 'unit = "m"\n[learner]\nn_envs = 10_000_000', "n_envs"),
    ],
)
def test_a_task_is_held_to_the_same(tmp_path: Path, before: str, after: str, key: str) -> None:
    env = write_card(tmp_path, CARD)
    folder = env / "tasks" / "slide"
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(TASK)
    assert load_task(load_env(env), "slide").unit == "m"
    (folder / "task.toml").write_text(TASK.replace(before, after))
    with pytest.raises(DataError, match=r"task\.toml") as caught:
        load_task(load_env(env), "slide")
    assert key in caught.value.message
    assert not find_odd_character(caught.value.message)


@pytest.mark.parametrize(
    "sentence", ["hop\x1b[2J far", "hop \u202efar", "hop \udcff far", "a " * 20_000]
)
def test_a_sentence_that_is_no_plain_text_is_a_users_error(sentence: str) -> None:
    with pytest.raises(UsageError, match=r"the task, description: (holds|it has|.*unicode)"):
        make_task("hopper", sentence)


def test_the_words_of_a_models_metric_are_made_plain() -> None:
    words = ("far\u202e and\nwide", "m\x1b\n" * 200, None)
    task = make_task("hopper", "hop far").describe_metric(*words, is_bounded=False)
    assert (task.criterion, task.unit) == ("far and\nwide", "m" * 100)
    assert TaskSpec.model_validate_json(task.model_dump_json()) == task


def test_what_a_runs_record_says_is_held_to_the_same() -> None:
    data = json.loads(load_env("hopper").model_dump_json())
    for change in (
        {"title": "a\x1bb"}, {"notes": ["\u202e"]}, {"observation_size": 10**9},
        {"gymnasium_id": 'x"""\nimport os-v0'}, {"learner": {"algo": "ppo", "x": float("inf")}},
        {"learner": {"algo": "ppo", "x": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}}},
        {"learner": {"algo": "ppo", "x": [0] * 1000}}, {"control_dt": float("nan")},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            EnvCard.model_validate({**data, **change})


def test_ours_are_plain() -> None:
    for env in list_envs():
        card = load_env(env)
        assert EnvCard.model_validate_json(card.model_dump_json()) == card
        for task in list_tasks(card):
            load_task(card, task)


@given(st.text())
@example("a\u200db")
def test_what_is_left_of_any_text_is_plain(text: str) -> None:
    assert not find_odd_character(make_plain(text, 50))
    found = find_odd_character(text, "\n\t")
    is_odd = any(unicodedata.category(c)[0] == "C" and c not in "\n\t" for c in text)
    assert bool(found) or not is_odd


VALUES = st.recursive(
    st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=4))
def test_settings_of_a_learner_are_plain_or_refused(said: dict[str, Any]) -> None:
    said.pop("algo", None)
    try:
        kept = LearnerSettings.model_validate({"algo": "ppo", **said})
    except ValidationError:
        return
    text = json.dumps(kept.given, ensure_ascii=False, allow_nan=False)
    assert not find_odd_character(text)


@given(st.text(alphabet="aqpos:.,()[]' -019e+_xclip\u202e\n", max_size=200))
def test_any_source_is_parsed_or_refused(text: str) -> None:
    message, leaves = "", 1
    try:
        leaves = len(list(find_leaves(parse_source(text))))
    except DataError as error:
        message = error.message
    assert leaves
    assert not set(message) & {"\n", "\u202e"}


@pytest.mark.parametrize(
    "content", [b"#" * 10**8, b"x = " + b"(" * 10**5, b"-" * 10**5 + b"1", b"\xff"]
)
def test_a_metric_or_a_reward_that_is_none_is_refused_in_one_line(
    tmp_path: Path, content: bytes
) -> None:
    env = write_card(tmp_path, CARD)
    folder = env / "tasks" / "slide"
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(TASK)
    (folder / "metric.py").write_bytes(content)
    (folder / "reference_reward.py").write_bytes(b"#" * 10**8)
    card = load_env(env)
    for read in (read_task_metric, read_reference_reward):
        with pytest.raises(RewardAgentError) as caught:
            read(card, load_task(card, "slide"))
        assert "\n" not in caught.value.message


def test_a_link_from_a_task_to_a_persons_own_file_is_not_followed(tmp_path: Path) -> None:
    env = write_card(tmp_path, CARD)
    folder = env / "tasks" / "slide"
    folder.mkdir(parents=True)
    own = tmp_path / "own"
    own.mkdir()
    (own / "task.toml").write_text(TASK)
    (own / "metric.py").write_text("def score(episode):\n    pass\n")
    (folder / "task.toml").symlink_to(own / "task.toml")
    card = load_env(env)
    with pytest.raises(DataError, match="leads out of"):
        load_task(card, "slide")
    (folder / "task.toml").unlink()
    (folder / "task.toml").write_text(TASK)
    task = load_task(card, "slide")
    (folder / "metric.py").symlink_to(own / "metric.py")
    (folder / "reference_reward.py").symlink_to(own / "metric.py")
    for read in (read_task_metric, read_reference_reward):
        with pytest.raises(DataError, match="leads out of"):
            read(card, task)
    (tmp_path / "linked").symlink_to(env)
    (folder / "metric.py").unlink()
    (folder / "metric.py").write_text("def score(episode):\n    pass\n")
    assert read_task_metric(load_env(tmp_path / "linked"), task), "the folder itself may be a link"
