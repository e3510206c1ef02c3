"""From the name of an environment to its card: fields, tasks, and what is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.task import list_tasks
from reward_agent.drafts.env_draft import run
from reward_agent.drafts.env_source import is_env_id
from reward_agent.drafts.folder import init_env
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode, compile_metric
from reward_agent.records.draft import DraftOptions
from reward_agent.records.drafting_jobs import DraftJob, DraftResult
from reward_agent.worker.check_env import check_card

OWN = '''
"""An environment of a person's own."""

import gymnasium
import numpy as np
from gymnasium import spaces

from own_parts import LENGTH


class Push(gymnasium.Env):
    """A block on a line.

    Observation:
        0: position of the block (m)
        1: velocity of the block (m)

    `info` has the keys "success" and "wind".
    """

    metadata = {"render_fps": 10}

    def __init__(self):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.v, self.n = self.np_random.uniform(-1, 1), 0.0, 0
        return np.array([self.x, self.v]), {}

    def step(self, action):
        self.n += 1
        self.v += float(action[0]) * 0.3
        self.x += self.v * 0.1
        done = self.n == LENGTH
        info = {"success": abs(self.x) < 0.1, "n_touched": int(self.n % 3 == 0), "why": "words"}
        info["a 'b'/c"], info["hits"] = self.x, [1.0] * (self.n % 3)
        if done:
            info["final"] = 1.5
        return np.array([self.x, self.v]), -abs(self.x), done, False, info


def make_push():
    return Push()
'''


def draft(tmp_path: Path, name: str) -> DraftResult:
    """Draft an environment in this process."""
    empty = {
        "name": "env", "title": "env", "description": "env", "folder": str(tmp_path),
        "model": {"backend": "gymnasium", "id": name}, "control_dt": 1.0, "max_episode_steps": 1,
        "actions": ["none"], "state": [], "observation": ["observation"], "observation_size": 1,
    }  # fmt: skip
    card = EnvCard.model_validate(empty)
    options = DraftOptions(name="env", source=name)
    (tmp_path / "job").mkdir()
    return run(DraftJob(card=card, options=options), tmp_path / "job")


def load(result: DraftResult, folder: Path) -> EnvCard:
    """Write a draft's files, and read its card."""
    assert result.draft is not None, result.refusal
    for path, text in result.draft.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return load_env(folder)


def test_a_cart_with_choices(tmp_path: Path) -> None:
    card = load(draft(tmp_path, "CartPole-v1"), tmp_path)
    assert card.choices == (("push_cart_to_the_left", "push_cart_to_the_right"),)
    assert (card.control_dt, card.max_episode_steps) == (0.02, 500)
    units = {field.name: field.unit for field in card.state}
    assert units["pole_angle"] == "rad"
    assert units["pole_angular_velocity"] == "rad/s"
    assert card.field("own_reward").people_only
    assert list_tasks(card) == ["balance", "own_return"]
    assert not [f for f in check_card(card).findings if f.severity == "error"]


def test_joints_of_mujoco_are_checked_and_the_second_table_is_not_taken(tmp_path: Path) -> None:
    result = draft(tmp_path, "Reacher-v5")
    card = load(result, tmp_path)
    assert any("a second table, of 4 rows" in text for text in result.said)
    assert card.field("target_x").unit == "m"
    assert card.find_role("target_distance") is not None
    assert "reach" in list_tasks(card)


def test_the_root_of_a_robot_plays_its_roles(tmp_path: Path) -> None:
    card = load(draft(tmp_path, "Hopper-v5"), tmp_path)
    roles = {field.role: field.source for field in card.state if field.role}
    assert roles["height"] == "observation[0]"
    assert roles["forward_velocity"] == "observation[5]"
    assert roles["pitch"] == "observation[1]"  # its hinge turns about y: positive tips forward
    assert "go_forward" in list_tasks(card)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CartPole-v77", "there is no CartPole-v77"),
        ("CartPol-v1", "did you mean 'CartPole-v1'"),
        ("myoFingerReachFixed-v0", "comes with myosuite, which is not installed"),
        ("nowhere:Env-v0", "No module named 'nowhere'"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    result = draft(tmp_path, name)
    assert words in result.refusal
    assert result.remedy


def test_a_function_of_ones_own_is_copied_made_sealed_and_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_push.py").write_text(OWN)
    (tmp_path / "own_parts.py").write_text("LENGTH = 50\n")
    (tmp_path / "other.py").write_text("")
    monkeypatch.chdir(tmp_path)
    env = init_env("own_push.py:make_push", Path("push"), tell=lambda _: None)
    card = load_env(env.folder)
    assert card.model.id == "own_push:make_push"
    assert sorted(p.name for p in env.folder.glob("*.py")) == ["own_parts.py", "own_push.py"]
    said = "\n".join(env.said)
    assert "the docstring says m, but it is the rate of entry 0" in said
    assert "promises info keys that never came in" in said
    assert "wind" in said
    assert "info/final is there in the last step of an episode alone" in said
    assert "no number in info: why, hits (its size varies)" in said
    assert {field.source for field in card.state} >= {"'info/a ''b''/c'"}
    assert card.field("success").unit == "0/1"
    assert card.field("success").people_only
    assert env.tasks == ("own_success", "own_return")
    assert "nothing says how long an episode lasts" in said  # it ends by itself
    metric = compile_metric(env.folder / "tasks/own_success/metric.py")
    fields = {"success": [0.0, 0.0, 1.0], "own_reward": [0.0, -1.0, -0.5]}
    score = metric(Episode(fields, np.zeros((2, 1)), 0.1))
    assert score.success
    assert score.parts["own_return"] == -1.5


def test_a_length_at_which_all_episodes_are_cut_off_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off = OWN.replace("done, False, info", "False, done, info")
    (tmp_path / "cut_push.py").write_text(
        cut_off.replace("from own_parts import LENGTH", "LENGTH = 70")
    )
    folder = tmp_path / "a folder"
    folder.mkdir()
    (tmp_path / "cut_push.py").rename(folder / "cut_push.py")
    monkeypatch.chdir(folder)
    env = init_env("cut_push.py:make_push", Path("push"), tell=lambda _: None)
    assert load_env(env.folder).max_episode_steps == 70


def test_a_step_that_never_returns_ends_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = "LENGTH = 50\nimport time"
    (tmp_path / "slow_push.py").write_text(
        OWN.replace("from own_parts import LENGTH", hangs).replace(
            "self.n += 1", "self.n += 1\n        time.sleep(3600 * (self.n > 20))"
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DraftJob, "wall_s", 5.0)
    with pytest.raises(DataError, match=r"slow_push\.py:make_push: no draft within 5 s") as caught:
        init_env("slow_push.py:make_push", Path("push"), tell=lambda _: None)
    assert "each reset and step of an environment returns" in caught.value.remedy


def test_an_environment_that_ships_is_named(tmp_path: Path) -> None:
    said = list[str]()
    with pytest.raises(DataError, match="Crafter"):
        init_env("Crafter-v1", tmp_path / "crafter", tell=said.append)
    assert said[0].endswith("4 tasks ships with this program: --env crafter")


def test_what_is_no_number_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nan_push.py").write_text(
        OWN.replace("np.array([self.x, self.v]), -abs", "np.array([self.x, np.nan]), -abs")
    )
    (tmp_path / "own_parts.py").write_text("LENGTH = 50\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = draft(tmp_path, "nan_push:make_push")
    assert result.draft is not None
    assert any("entry 1" in text and "no finite number" in text for text in result.draft.warnings)


def test_an_old_gym_is_told_what_wraps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "class Old:\n    observation_space = 1\n\n    def step(self, action): ...\n"
    (tmp_path / "old.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"makes a old\.Old, no gymnasium\.Env") as caught:
        init_env("old.py:Old", tell=lambda _: None)
    assert "GymV26Environment-v0" in caught.value.remedy


def test_several_agents_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "class Many:\n    possible_agents = ['a', 'b']\n\n\ndef make():\n    return Many()\n"
    (tmp_path / "many.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="has several agents"):
        init_env("many.py:make", tell=lambda _: None)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("CartPole-v1", True), ("ALE/Pong-v5", True), ("pkg.sub:Env-v0", True), ("CartPole", True),
        ("robot.xml", False), ("a/b/c", False), ("../robot", False), ("envs.json", False),
    ],
)  # fmt: skip
def test_an_id_is_no_path(text: str, is_one: bool) -> None:
    assert is_env_id(text) == is_one
