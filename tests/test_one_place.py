"""A new member of a seam is one new file: it is installed as a stranger's package and really used."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import sysconfig
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from support import runs
from typer.testing import CliRunner

import reward_agent
from reward_agent.cli.app import app
from reward_agent.cli.display import RunDisplay
from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.definitions.paths import find_prompts_dir
from reward_agent.designers.preview import PREVIEWS, Preview, Subject
from reward_agent.designers.prompts import list_prompts, render
from reward_agent.errors import UnknownNameError
from reward_agent.learning.policy import load_policy
from reward_agent.llm.chat import ChatMessage, ChatRequest
from reward_agent.llm.replies import read_replies
from reward_agent.records.events import Event
from reward_agent.records.store import RunStore
from reward_agent.run.active import ActiveRun
from reward_agent.run.single import check_env
from reward_agent.trackers.follow import TrackedRun
from reward_agent.web.live import EventHub

REPLY = runs.PROGRAM % 0.2
SMALL = {
    "candidates": 1, "iterations": 1, "steps": 2048, "winner_seeds": 0, "eval_episodes": 2,
    "racing": "none", "video": False, "environ": {},
}  # fmt: skip


def write_module(site: Path, group: str, name: str, source: str, entry: str) -> None:
    """Write a package of one module, with one entry point, as an installer leaves it."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}:{entry}\n")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that installs a package of one module, with one entry point."""

    def install_module(group: str, name: str, source: str, entry: str) -> None:
        write_module(tmp_path / "site", group, name, source, entry)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install_module


PARROT = f"""
from reward_agent.llm.chat import ALL_AGENTS, Completion
from reward_agent.llm.provider import Provider

class Parrot:
    provider, name, agents, max_concurrency = "parrot", "parrot-1", frozenset({{"designer"}}), 1

    def complete(self, request):
        return Completion(
            reply={REPLY!r}, stop_reason="stop", model=self.name, provider=self.provider
        )

PROVIDER = Provider("parrot", "parrot:make_model", "a parrot", is_free=True, is_patient=True)

def make_model(options):
    return Parrot()
"""


def test_a_provider_is_one_file(install, tmp_path: Path) -> None:
    install("reward_agent.providers", "parrot", PARROT, "PROVIDER")
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider="parrot", max_usd=1.0, runs_dir=tmp_path, **SMALL
    )
    assert run.designer == "parrot: parrot-1"
    assert run.usage.n_calls == 1
    assert run.winner is not None
    estimate = reward_agent.estimate_design(
        "inverted_pendulum", "balance", provider="parrot", environ={}
    )
    assert "parrot costs nothing" in estimate.notes


CARPENTER = """
from reward_agent.designers.roles import MetricProposal, Opinion, Proposal
from reward_agent.llm.provider import Provider
from reward_agent.records.outcomes import Outcome
from reward_agent.types import Critique, RewardProgram

PROGRAM = '''
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin={margin})
    return upright, {{"upright": upright}}
'''

class Carpenter:
    name, max_concurrency, sees_whole_card = "two planks", 2, False

    def propose(self, brief):
        margin = 2 * brief.best.plan["margin"] if brief.best else 0.1
        program = RewardProgram(PROGRAM.format(margin=margin))
        return Proposal(program, reply=f"Sawn at {margin}.", plan={"margin": margin})

    def repair(self, brief, examination, number=0):
        return examination.proposal

    def revise(self, brief, examination, critique):
        return examination.proposal

    def propose_metric(self, card, description, previous=None, findings=()):
        return MetricProposal(None, Outcome(kind="no_metric", detail="no ruler at hand"))

    def review(self, brief, examination):
        return Opinion(Critique(verdict="accept", summary="it holds"))

PROVIDER = Provider(
    "carpenter", "carpenter:make_designer", "wood", makes="designer",
    agents=frozenset({"designer", "critic"}), is_free=True,
)

def make_designer(options):
    return Carpenter()
"""


def test_a_designer_is_one_file(install, tmp_path: Path) -> None:
    install("reward_agent.providers", "carpenter", CARPENTER, "PROVIDER")
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider="carpenter", runs_dir=tmp_path,
        **SMALL | {"iterations": 2},
    )  # fmt: skip
    assert run.designer == "carpenter: two planks"
    assert run.usage.n_calls == 0
    assert run.winner is not None
    store = RunStore(tmp_path / run.id)
    first, second = (
        store.candidate_dir(index, store.read_iteration(index).candidates[0].id)
        for index in range(2)
    )
    assert "margin=0.2" in (second / "reward.py").read_text(), "its own data came back to it"
    assert (second / "reply.md").read_text() == "Sawn at 0.2."
    assert "it holds" in (first / "critique.json").read_text()


def test_a_prompt_is_one_file_and_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(find_prompts_dir(), tmp_path / "prompts")
    (folder / "critic" / "second.md.j2").write_text("Is {{ idea.name }} sound?\n")
    monkeypatch.setenv("REWARD_AGENT_PROMPTS_DIR", str(folder))

    def make_request(subject: Subject) -> ChatRequest:
        prompt = render("critic/second", idea=subject.make_brief().idea)
        return ChatRequest("critic", "critic/second", (ChatMessage("user", prompt),))

    monkeypatch.setitem(PREVIEWS, "critic/second", Preview("a second opinion", make_request))
    shown = CliRunner().invoke(app, ["prompts", "show", "critic/second", "--env", "hopper"])
    assert "Is product-of-goals sound?" in shown.stdout
    assert "a second opinion" in CliRunner().invoke(app, ["prompts", "list"]).stdout
    assert "critic/second" in list_prompts()


NEXT_DOOR = """
from pathlib import Path
from reward_agent.executors import node

class Nodes:
    def __init__(self, options):
        self.n_slots = 1

    def work(self, order, on_progress, cancel):
        Path(__file__).with_name("worked").touch()
        return node.work(order, on_progress, cancel)

    def close(self):
        pass
"""


def test_an_executor_is_one_file(install, tmp_path: Path) -> None:
    install("reward_agent.executors", "next_door", NEXT_DOOR, "Nodes")
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider="offline", executor="next_door",
        runs_dir=tmp_path / "runs", **SMALL,
    )  # fmt: skip
    assert run.winner is not None
    assert (tmp_path / "site" / "worked").exists()


DIARY = """
import json

class Diary:
    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "diary.jsonl"

    def _write(self, *words):
        with self._path.open("a") as file:
            file.write(json.dumps(words) + chr(10))

    def log_scalars(self, group, scalars, step):
        self._write("scalars", group, step)

    def log_text(self, name, text):
        self._write("text", name)

    def log_video(self, name, path):
        self._write("video", name)

    def close(self):
        self._write("closed")

def open_diary(run_id, folder, config):
    return Diary(folder)
"""


def test_a_tracker_is_one_file(install, tmp_path: Path) -> None:
    install("reward_agent.trackers", "diary", DIARY, "open_diary")
    tracked = TrackedRun(["diary"], lambda name: RunStore(tmp_path / "runs" / name))
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider="offline", runs_dir=tmp_path / "runs",
        listen=tracked.listen_with(lambda event: None), **SMALL,
    )  # fmt: skip
    tracked.close()
    told = (tmp_path / "runs" / run.id / "tracking" / "diary" / "diary.jsonl").read_text()
    assert '["scalars", ' in told
    assert told.endswith('["closed"]\n')


SWING = """
import numpy as np

from reward_agent.simulation.backends import Backend
from reward_agent.simulation.simulation import Simulation, list_ids, make_constant

class Swing(Simulation):
    def __init__(self, card, n_sims, seed, fields=None):
        self._rngs = [np.random.default_rng(seed + i) for i in range(n_sims)]
        self._values = {name: np.zeros(n_sims) for name in ("angle", "rate")}
        super().__init__(card, n_sims, fields)

    qpos = property(lambda self: self._values["angle"][:, None].copy())

    def compile_leaf(self, source):
        return make_constant(self._values[source.name])

    def begin(self, ids):
        for i in ids:
            self._values["angle"][i], self._values["rate"][i] = self._rngs[i].normal(0.0, 0.1, 2)

    def advance(self, action, ids):
        chosen, angle, rate = list_ids(ids, self.n_sims), self._values["angle"], self._values["rate"]
        gravity = self.card.model.options["gravity"]
        pull = gravity * np.sin(angle) + 20 * action[:, 0].clip(-1, 1)
        rate[chosen] += self.card.control_dt * pull[chosen]
        angle[chosen] += self.card.control_dt * rate[chosen]

class Painter:
    most_frames_per_s = 10

    def __init__(self, card, width, height):
        self._size = height, width

    def draw(self, shown, steps):
        height, width = self._size
        frames = [np.zeros((height, width, 3), np.uint8) for _ in steps]
        for frame, step in zip(frames, steps):
            frame[:, int(width * (0.5 + shown.pose[int(step), 0] / 4))] = 255
        return frames

    def close(self):
        pass

BACKEND = Backend("swing", "swing:Swing", label="Swing", artist="swing:Painter", trial="pass")
"""
CARD = """
title = "Swing"
description = "A pole on a hinge."
control_dt = 0.02
max_episode_steps = 40
actions = ["torque"]
observation = ["angle", "rate"]
observation_size = 2
termination = [{ field = "angle", min = -1.0, max = 1.0 }]

[model]
backend = "swing"
id = "pole"
options = { gravity = 9.81 }
frame_skip = 1

[state.pole]
angle = { source = "angle", unit = "rad", range = [-4.0, 4.0], doc = "0 is upright" }
height = { source = "cos(angle)", unit = "m", range = [0.0, 1.0], doc = "of its tip" }
"""
METRIC = """
def score(episode):
    return Score(episode.n_steps, episode.n_steps == 40, {})
"""


@pytest.fixture
def install_really(monkeypatch: pytest.MonkeyPatch):
    """Where the sandboxed child finds it, too: it sees the installed packages and no others."""
    site = Path(sysconfig.get_path("purelib"))
    if not os.access(site, os.W_OK):
        pytest.skip(f"{site} cannot be written")
    made: list[Path] = []

    def install_module(group: str, name: str, source: str, entry: str) -> None:
        made.extend((site / f"{name}.py", site / f"{name}-1.0.dist-info"))
        write_module(site, group, name, source, entry)
        importlib.invalidate_caches()

    yield install_module
    for path in made:
        path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
        sys.modules.pop(path.stem, None)


@pytest.fixture
def swing_dir(tmp_path: Path) -> Path:
    task_dir = tmp_path / "swing" / "tasks" / "stay_up"
    task_dir.mkdir(parents=True)
    (tmp_path / "swing" / "env.toml").write_text(CARD)
    (task_dir / "metric.py").write_text(METRIC)
    (task_dir / "task.toml").write_text('name = "stay_up"\ndescription = "Keep the pole up."\n')
    return tmp_path / "swing"


def test_a_simulation_back_end_is_one_file(install_really, swing_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown back end 'swing'"):
        check_env(str(swing_dir))
    install_really("reward_agent.backends", "swing", SWING, "BACKEND")
    assert check_env(str(swing_dir)).findings == ()
    (tmp_path / "reply.md").write_text("--- reply ---\n" + REPLY.replace("pole_angle", "angle"))
    run = reward_agent.design(
        str(swing_dir), "stay_up", provider=f"scripted:{tmp_path / 'reply.md'}",
        runs_dir=tmp_path / "runs", critic=False, analyzer=False, **SMALL | {"video": True},
    )  # fmt: skip
    assert run.winner is not None
    assert run.winner.task_score > 10
    assert run.versions["swing"] == "1.0"
    films = list((tmp_path / "runs" / run.id).rglob("video.webp"))
    assert films
    for film in films:
        with Image.open(film) as pictures:
            assert pictures.n_frames > 1


CLIMBER = """
import numpy as np
from reward_agent.definitions.learner import LearnerKind
from reward_agent.learning.policy import Layer, NumpyPolicy, PolicyHeader

LEARNER = LearnerKind(
    "climber", "climber:Climber", "keeps what earned more", title="hill climbing",
    defaults={"n_envs": 8, "n_steps": 32, "gamma": 0.9, "width": 0.3, "normalize_reward": False},
)

class Climber:
    def __init__(self, env, settings, total_timesteps, seed):
        self.num_timesteps, self.seconds = 0, {"policy": 0.0}
        self._env, self._settings = env, settings
        self._generator = np.random.default_rng(seed)
        self._best = np.zeros((env.card.n_actions, env.card.observation_size), np.float32)
        self._best_pay = np.array(-np.inf)
        self._observation = env.reset()

    def learn(self):
        spread = self._settings.get("width")
        tried = self._best + spread * self._generator.standard_normal(self._best.shape, np.float32)
        for _ in range(self._settings.get("n_steps")):
            low, high = self._env.card.action_range
            action = np.clip(self._observation @ tried.T, low, high)
            self._observation, done, ended = self._env.advance(action)
        pay = self._env.pay()
        self.num_timesteps += pay.size
        if pay.mean() > self._best_pay:
            self._best[:], self._best_pay = tried, np.array(pay.mean())

    def read_state(self):
        return {"best": self._best, "pay": self._best_pay, "num_timesteps": self.num_timesteps}

    def restore(self, state):
        self._best[:], self._best_pay = state["best"], state["pay"]
        self.num_timesteps = int(state["num_timesteps"])

    def make_policy(self):
        header = PolicyHeader.for_card(
            self._env.card, total_timesteps=self.num_timesteps, net_arch=(), activation="tanh"
        )
        n_actions, size = self._best.shape
        ones, zeros = np.ones(size, np.float32), np.zeros(size, np.float32)
        layer = Layer(self._best.copy(), np.zeros(n_actions, np.float32))
        return NumpyPolicy(header, (layer,), zeros, ones, np.zeros(n_actions, np.float32))

    def adopt(self, policy):
        self._best[:] = policy.layers[0].weight
"""


def test_a_learner_is_one_file(install_really, tmp_path: Path) -> None:
    (tmp_path / "reply.md").write_text("--- reply ---\n" + REPLY)
    options = {
        "provider": f"scripted:{tmp_path / 'reply.md'}", "runs_dir": tmp_path / "runs",
        "critic": False, "analyzer": False, "algo": "climber", **SMALL, "racing": "halving",
    }  # fmt: skip
    with pytest.raises(UnknownNameError, match="unknown learner 'climber'"):
        reward_agent.design("inverted_pendulum", "balance", **options)
    install_really("reward_agent.learners", "climber", CLIMBER, "LEARNER")
    run = reward_agent.design("inverted_pendulum", "balance", **options)
    assert run.winner is not None
    assert run.winner.task_score > 0.3  # s
    header = load_policy(tmp_path / "runs" / run.id / run.winner.policy_file).header
    assert (header.algo, header.net_arch) == ("climber", ())
    [reply] = read_replies(tmp_path / "runs" / run.id)
    assert "with hill climbing in a physics simulation" in reply.prompt
    assert "the discount is 0.9," in reply.prompt
    card = load_env("inverted_pendulum").choose_learner("climber")
    card.learner.merge(LearnerSettings(algo="climber", width=0.1)).check()
    with pytest.raises(UnknownNameError, match="'widht'; did you mean 'width'"):
        card.learner.merge(LearnerSettings(algo="climber", widht=0.1)).check()


def test_an_event_is_one_dataclass(tmp_path: Path) -> None:
    class CoffeeMade(Event, kind="coffee_made"):
        n_cups: int

    hub, tracker = EventHub(), TrackedRun(["tensorboard"], RunStore)
    listeners = (RunDisplay().listen, hub.listen, tracker.listen_with(hub.listen))

    def tell_all(event: Event) -> None:
        for listen in listeners:
            listen(event)

    run = SimpleNamespace(store=RunStore(tmp_path), listen=tell_all, _lock=threading.Lock())
    ActiveRun.notify(run, CoffeeMade(3))
    line = json.loads((tmp_path / "events.jsonl").read_text())
    assert (line["kind"], line["n_cups"]) == ("coffee_made", 3)
