"""The process that has a device: what it leaves is what a sealed child of a CPU would leave."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.trainings import ALIVE, SMALL

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import METRIC_FILE, load_task, read_task_metric
from reward_agent.learning.policy import load_policy
from reward_agent.records.device import DeviceReply, DeviceRequest, DeviceTraining
from reward_agent.records.job import CHECKPOINT_FILE, PROGRAM_FILE, PROGRESS_FILE
from reward_agent.records.scoring_jobs import EvaluateJob
from reward_agent.records.training_jobs import TrainJob
from reward_agent.sandbox.runner import read_result
from reward_agent.types import RewardProgram, TrainingResult
from reward_agent.worker import evaluate
from reward_agent.worker.trace import trace_program
from reward_agent.worker.train import run as train_on_cpu

pytest.importorskip("mujoco_warp", reason="pip install 'reward-agent[gpu]'")

from reward_agent.worker.device import DeviceSession, train

pytestmark = pytest.mark.gpu

CARD = load_env("inverted_pendulum")
PRODUCT = SMALL.get("n_envs") * SMALL.get("n_steps")
STEPS = 30 * PRODUCT
WIDE = ALIVE % 0.3
FAILS = """
def compute_reward(state, action, next_state):
    root = np.sqrt(next_state.pole_angle - 5.0)
    return root, {"root": root}
"""


def make_training(
    folder: Path, source: str, seed: int, until: int = STEPS, **changes: object
) -> DeviceTraining:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROGRAM_FILE).write_text(source)
    job = TrainJob(
        card=CARD,
        program_sha256=RewardProgram(source).sha256,
        seed=seed,
        total_timesteps=STEPS,
        until_timesteps=until,
        learner=SMALL,
    ).model_copy(update=changes)
    program = trace_program(source, CARD, job.learner.gamma)
    return DeviceTraining(job=job, job_dir=str(folder), program=program)


def run(
    *trainings: DeviceTraining, n_worlds: int = 8, is_stopped: bool = False
) -> list[DeviceReply]:
    said: list[DeviceReply] = []
    request = DeviceRequest(trainings=trainings, n_worlds=n_worlds)
    train(request, DeviceSession("cpu", said.append, lambda: is_stopped))
    return said


def read(training: DeviceTraining) -> TrainingResult:
    folder = Path(training.job_dir)
    result = read_result(training.job, folder, 2**20)
    assert isinstance(result, TrainingResult)
    return result


def score(training: DeviceTraining, number: int = -1) -> float:
    """Return the task score of a policy, the last by default, by the evaluator that scores all policies."""
    folder, task = Path(training.job_dir), load_task(CARD, "balance")
    (folder / METRIC_FILE).write_text(read_task_metric(CARD, task) or "")
    snapshots = (read(training).snapshots[number],)
    found = evaluate.run(EvaluateJob(card=CARD, snapshots=snapshots, n_episodes=8, seed=1), folder)
    value = found.best.task_score
    assert value is not None
    return value


@pytest.fixture(scope="module")
def round_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round")


@pytest.fixture(scope="module")
def trained(round_dir: Path) -> list[DeviceTraining]:
    """Two programs with two seeds each, trained side by side."""
    places = [(ALIVE % 0.1, 0), (WIDE, 0), (ALIVE % 0.1, 1), (WIDE, 1)]
    trainings = [make_training(round_dir / str(i), *place) for i, place in enumerate(places)]
    said = run(*trainings)
    assert [reply.kind for reply in said] == ["done"] * 4 + ["finished"]
    assert {reply.job_dir for reply in said[:-1]} == {item.job_dir for item in trainings}
    return trainings


def test_each_training_leaves_what_that_of_a_cpu_leaves(
    trained: list[DeviceTraining], tmp_path: Path
) -> None:
    beside = make_training(tmp_path, ALIVE % 0.1, 0)
    expected = train_on_cpu(beside.job, tmp_path)
    for training in trained:
        result, folder = read(training), Path(training.job_dir)
        assert (result.outcome, result.seed) == (expected.outcome, training.job.seed)
        assert result.total_timesteps == expected.total_timesteps == STEPS
        assert result.snapshots == expected.snapshots
        assert [p.total_timesteps for p in result.points] == [
            p.total_timesteps for p in expected.points
        ]
        assert [(c.name, len(c.points)) for c in result.terms] == [("upright", 10)]
        assert result.wall_s == pytest.approx(result.timing.total_s)
        tables = [(d / PROGRESS_FILE).read_text().splitlines() for d in (folder, tmp_path)]
        assert tables[0][0] == tables[1][0]
        assert len(tables[0]) == len(tables[1]) == 31
        policy = load_policy(folder / result.snapshots[-1].file)
        assert policy.header.program_sha256 == training.job.program_sha256
        assert policy.header.seed == training.job.seed
        assert list_arrays(folder) == list_arrays(tmp_path)


def list_arrays(folder: Path) -> set[str]:
    with np.load(folder / CHECKPOINT_FILE) as checkpoint:
        return set(checkpoint)


def test_policies_score_by_the_usual_evaluator_as_those_of_a_cpu(
    trained: list[DeviceTraining], tmp_path: Path
) -> None:
    beside = make_training(tmp_path, ALIVE % 0.1, 0)
    result = train_on_cpu(beside.job, tmp_path)
    (tmp_path / "result.json").write_text(result.model_dump_json())
    expected = score(beside)
    scores = [score(training) for training in trained]
    assert all(math.isfinite(value) for value in scores)
    assert max(scores) > 0.8 * expected
    assert score(trained[0], number=0) < scores[0]


def test_a_training_goes_on_in_another_round_where_it_was_paused(tmp_path: Path) -> None:
    half = STEPS // 2
    training = make_training(tmp_path, WIDE, 3, until=half)
    run(training)
    paused = read(training)
    assert (paused.outcome.kind, paused.total_timesteps) == ("paused", half)
    on = training.model_copy(update={"job": training.job.go_on(STEPS)})
    other = make_training(tmp_path / "other", ALIVE % 0.1, 4, until=half)
    assert [reply.kind for reply in run(on, other)] == ["done", "done", "finished"]
    finished = read(on)
    assert (finished.outcome.kind, finished.total_timesteps) == ("finished", STEPS)
    assert finished.snapshots[: len(paused.snapshots)] == paused.snapshots
    assert finished.wall_s > paused.wall_s
    assert read(other).outcome.kind == "paused"
    # What is done is only told again.
    assert [reply.kind for reply in run(on)] == ["done", "finished"]
    assert read(on).snapshots == finished.snapshots


def test_a_program_that_pays_no_number_fails_as_on_a_cpu(tmp_path: Path) -> None:
    broken = make_training(tmp_path / "broken", FAILS, 0)
    sound = make_training(tmp_path / "sound", WIDE, 0, until=4 * PRODUCT)
    run(broken, sound)
    result = read(broken)
    expected = train_on_cpu(broken.job, make_folder(tmp_path / "cpu", FAILS))
    assert result.outcome.kind == expected.outcome.kind == "failed"
    assert result.outcome.reason.partition(":")[0] == expected.outcome.reason.partition(":")[0]
    assert result.total_timesteps == 0
    assert read(sound).outcome.kind == "paused"


def make_folder(folder: Path, source: str) -> Path:
    folder.mkdir()
    (folder / PROGRAM_FILE).write_text(source)
    return folder


def test_what_cannot_run_here_is_handed_back_and_the_rest_trains(tmp_path: Path) -> None:
    held = SMALL.model_copy(update={"action_repeat": 2})
    refused = make_training(tmp_path / "held", WIDE, 0, learner=held)
    small = make_training(tmp_path / "small", WIDE, 0, until=PRODUCT)
    said = run(refused, small)
    assert [reply.kind for reply in said] == ["refused", "done", "finished"]
    assert "several steps" in said[0].message
    assert not (tmp_path / "held" / "result.json").exists()


def test_the_process_serves_requests_until_its_input_ends(tmp_path: Path) -> None:
    training = make_training(tmp_path, WIDE, 0, until=2 * PRODUCT)
    request = DeviceRequest(trainings=(training,), n_worlds=8).model_dump_json()
    command = [sys.executable, "-m", "reward_agent.worker.device", "cpu"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-3, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        kinds = []
        # The stop comes when nothing runs: it ends nothing.
        for line in ("stop", request, "{}", request):
            process.stdin.write(line + "\n")
        process.stdin.flush()
        while len(kinds) < 6:
            reply = DeviceReply.model_validate_json(process.stdout.readline())
            kinds.append(reply.kind)
        process.stdin.close()
        assert process.wait(60) == 0
    assert kinds == ["ready", "done", "finished", "failed", "done", "finished"]
    assert read(training).outcome.kind == "paused"


def test_a_request_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    training = make_training(tmp_path, WIDE, 0)
    assert [reply.kind for reply in run(training, is_stopped=True)] == ["finished"]
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / CHECKPOINT_FILE).exists()
