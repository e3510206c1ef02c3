"""A program that no rule has stopped trains in the real job, and tries to change its own score."""

import json
import socket
import sys
from pathlib import Path
from unittest import mock

import pytest

from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.records.job import Limits
from reward_agent.records.scoring_jobs import EvaluateJob
from reward_agent.records.training_jobs import TrainJob
from reward_agent.sandbox import child
from reward_agent.sandbox.landlock import read_abi
from reward_agent.sandbox.runner import run_job
from reward_agent.types import RewardProgram, Snapshot

RAW_WORKER = Path(__file__).with_name("raw_worker.py")
STEPS = 2048

pytestmark = pytest.mark.skipif(not read_abi(), reason="this machine has no full sandbox")

REWARD = """
import numpy as np

def compute_reward(state, action, next_state):
    return np.ones(len(action)), {"alive": np.ones(len(action))}
"""
ATTACKS = """
import json, os, socket, subprocess
answers = {}

def attempt(name, function):
    try:
        function()
        answers[name] = "succeeded"
    except BaseException as error:
        answers[name] = type(error).__name__

def talk(): socket.create_connection(("127.0.0.1", PORT), 2)
def leave(): subprocess.Popen(["sleep", "60"])

attempt("read the metric", lambda: open(METRIC).read())
attempt("change the metric", lambda: open(METRIC, "w"))
attempt("change the card", lambda: open(CARD, "a"))
attempt("write into another job", lambda: open(OTHER, "w"))
attempt("leave a process", leave)
attempt("leave a fork", os.fork)
attempt("talk", talk)
with open("answers.json", "w") as file:
    json.dump(answers, file)
"""


@pytest.fixture
def world(tmp_path):
    """Return what the program is after: the metric of the run, and the folder of another job."""
    for name in ("metric.py", "other/result.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("untouched")
    return tmp_path


def train_raw(folder, source, **limits):
    """Train a program with no rule in its way, in the job that a run uses."""
    card = load_env("inverted_pendulum")
    learner = LearnerSettings(n_envs=4, n_steps=64, batch_size=64, n_epochs=1)
    job = TrainJob(
        card=card,
        program_sha256=RewardProgram(source).sha256,
        seed=0,
        total_timesteps=STEPS,
        until_timesteps=STEPS,
        learner=learner,
    )
    folder.mkdir()
    (folder / "reward.py").write_text(source)

    def make_command(job_dir):
        return [sys.executable, "-s", "-P", str(RAW_WORKER), str(job_dir)]

    with mock.patch.object(child, "make_child_command", make_command):
        return run_job(job, folder, limits=Limits(**{"wall_s": 60, **limits}))


def name_targets(world, port):
    names = {
        "METRIC": str(world / "metric.py"),
        "OTHER": str(world / "other/result.json"),
        "CARD": str(find_env_dir("inverted_pendulum") / "env.toml"),
        "PORT": port,
    }
    return "".join(f"{name} = {value!r}\n" for name, value in names.items())


def score(training, training_dir, folder):
    """Return the task score of the last policy, judged as a run judges it: without the program."""
    card = load_env("inverted_pendulum")
    last = training.result.snapshots[-1]
    policy = training_dir / last.file
    folder.mkdir()
    (folder / "policy.safetensors").write_bytes(policy.read_bytes())
    metric = find_env_dir(card) / "tasks/balance/metric.py"
    (folder / "metric.py").write_text(metric.read_text())
    snapshot = Snapshot(total_timesteps=last.total_timesteps, file="policy.safetensors")
    job = EvaluateJob(card=card, snapshots=(snapshot,), seed=5, n_episodes=4)
    return run_job(job, folder, limits=Limits(wall_s=60)).result.best.task_score


def test_a_program_without_rules_reaches_neither_metric_nor_card_nor_jobs_nor_the_network(world):
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = name_targets(world, server.getsockname()[1]) + ATTACKS + REWARD
        hostile = train_raw(world / "hostile", source)
    assert str(hostile.result.outcome) == "finished"
    answers = json.loads((world / "hostile/answers.json").read_text())
    assert len(answers) == ATTACKS.count("\nattempt(")
    assert set(answers.values()) == {"PermissionError"}, answers
    assert (world / "metric.py").read_text() == "untouched"
    assert (world / "other/result.json").read_text() == "untouched"
    honest = train_raw(world / "honest", REWARD)
    assert score(hostile, world / "hostile", world / "score") == score(
        honest, world / "honest", world / "score_honest"
    )


@pytest.mark.parametrize(
    ("forged", "complaint"),
    [
        ('{"outcome": {"kind": "finished"}, "seed": 7}', "result"),
        ("[" * 100_000, "result"),
        (
            '{"outcome": {"kind": "finished"}, "seed": 0, "total_timesteps": 10000000000, "wall_s": 1,'
            ' "steps_per_s": 1}',
            "total_timesteps 10000000000",
        ),
        (
            '{"outcome": {"kind": "finished"}, "seed": 0, "total_timesteps": 2, "wall_s": 1, "steps_per_s": 1,'
            ' "snapshots": [{"total_timesteps": 1, "file": "../../metric.py"}]}',
            "snapshots",
        ),
    ],
)
def test_a_forged_result_is_refused_and_named(world, forged, complaint):
    source = f"""
import os
with open("result.json", "w") as file:
    file.write({forged!r})
os._exit(0)
"""
    job_exit = train_raw(world / "job", source + REWARD)
    assert job_exit.result is None
    assert str(job_exit.outcome).startswith("invalid: "), job_exit
    assert complaint in str(job_exit.outcome)


def test_filling_the_disk_ends_the_training_by_name(world):
    source = """
import os, time

def compute_reward(state, action, next_state):
    while True:
        with open(f"junk{len(os.listdir('.'))}", "wb") as file:
            file.write(b"x" * (1 << 22))
        time.sleep(0.02)
"""
    job_exit = train_raw(world / "job", source, disk_mib=32)
    assert str(job_exit.outcome) in {"killed: disk", "killed: file size"}
