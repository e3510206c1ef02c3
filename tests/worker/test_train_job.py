"""A training job in a folder: what it learns, leaves and reports."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.learning.policy import load_policy
from reward_agent.records.job import CHECKPOINT_FILE, JOB_FILE, PROGRAM_FILE, PROGRESS_FILE
from reward_agent.records.training_jobs import TrainJob
from reward_agent.rewards.source import find_read_fields
from reward_agent.sandbox.environment import make_child_environment
from reward_agent.sandbox.runner import run_job
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.types import RewardProgram, TrainingResult
from reward_agent.worker.train import run

ALIVE = """
def compute_reward(state, action, next_state):
    upright = np.exp(-np.square(next_state.pole_angle / 0.1))
    effort = -0.01 * np.square(action[:, 0])
    return upright + effort, {"upright": upright, "effort": effort}
"""
FAILS_LATER = """
def init_memory(state):
    return {"n": np.zeros(state.pole_angle.shape[0])}

def compute_reward(state, action, next_state, memory):
    n = memory["n"] + 1.0
    reward = np.where(n > 3.0, np.nan, 1.0)
    return reward, {"reward": reward}, {"n": n}
"""
SMALL = LearnerSettings(
    n_envs=8,
    n_steps=32,
    batch_size=64,
    n_epochs=10,
    net_arch=[32, 32],
    learning_rate=2e-3,
    log_std_init=0.0,
)


SMALLER = SMALL.merge(LearnerSettings(net_arch=[16, 16]))


def make_job(job_dir: Path, source: str, **changes: object) -> TrainJob:
    job_dir.mkdir(exist_ok=True)
    (job_dir / PROGRAM_FILE).write_text(source)
    sha256 = RewardProgram(source).sha256
    total = int(str(changes.get("total_timesteps", 2560)))
    given = {
        "seed": 0,
        "total_timesteps": total,
        "until_timesteps": total,
        "learner": SMALL,
    } | changes
    return TrainJob(card=load_env("inverted_pendulum"), program_sha256=sha256, **given)


def train(job_dir: Path, source: str = ALIVE, **changes: object) -> TrainingResult:
    return run(make_job(job_dir, source, **changes), job_dir)


def measure_length(path: Path, n_sims: int = 4, limit: int = 200) -> float:
    """Return how many steps the policy keeps the pole up, on average."""
    policy, simulation = (
        load_policy(path),
        BatchSimulation(load_env("inverted_pendulum"), n_sims, 9),
    )
    simulation.reset()
    lengths, alive = np.zeros(n_sims), np.ones(n_sims, dtype=bool)
    for _ in range(limit):
        simulation.step(policy.act(simulation.observation))
        alive &= ~simulation.find_terminated()
        lengths += alive
    return float(lengths.mean())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Path]:
    job_dir = tmp_path_factory.mktemp("trained")
    return train(job_dir, total_timesteps=12_000), job_dir


def test_training_learns_to_balance(trained: tuple[TrainingResult, Path]) -> None:
    result, job_dir = trained
    assert str(result.outcome) == "finished"
    assert measure_length(job_dir / result.snapshots[0].file) < 100
    assert measure_length(job_dir / result.snapshots[-1].file) == 200


def test_snapshots_lie_at_ten_even_points(trained: tuple[TrainingResult, Path]) -> None:
    result, job_dir = trained
    steps = [snapshot.total_timesteps for snapshot in result.snapshots]
    assert len(steps) == 10
    assert np.abs(np.array(steps) - 1200 * np.arange(1, 11)).max() < 256
    assert steps[-1] == result.total_timesteps == 12_032
    assert all((job_dir / snapshot.file).is_file() for snapshot in result.snapshots)
    assert load_policy(job_dir / result.snapshots[3].file).header.total_timesteps == steps[3]


def test_course_of_each_term_is_told_at_the_same_points(
    trained: tuple[TrainingResult, Path],
) -> None:
    result, _ = trained
    steps = [snapshot.total_timesteps for snapshot in result.snapshots]
    assert [point.total_timesteps for point in result.points] == steps
    assert [curve.name for curve in result.terms] == ["upright", "effort"]
    for curve in result.terms:
        assert [point.total_timesteps for point in curve.points] == steps
    for k, point in enumerate(result.points):
        parts = [curve.points[k] for curve in result.terms]
        pay = sum(part.pay_per_episode for part in parts)
        if point.generated_return is not None:
            assert pay == pytest.approx(point.generated_return)
        assert sum(part.share_of_return for part in parts) == pytest.approx(1.0)
        assert all(part.minimum <= part.mean <= part.maximum for part in parts)
    upright = result.terms[0].points
    assert upright[-1].pay_per_episode > 5 * upright[0].pay_per_episode


def test_progress_has_a_row_for_each_hundredth_at_most(
    trained: tuple[TrainingResult, Path],
) -> None:
    result, job_dir = trained
    with (job_dir / PROGRESS_FILE).open() as file:
        rows = list(csv.DictReader(file))
    expected = ["total_timesteps", "wall_s", "steps_per_s", "generated_return", "episode_length"]
    assert list(rows[0]) == [*expected, "reward/upright", "reward/effort"]
    assert 10 <= len(rows) <= 100
    assert int(rows[-1]["total_timesteps"]) == result.total_timesteps


def test_seconds_add_up_to_the_wall_clock(trained: tuple[TrainingResult, Path]) -> None:
    result, _ = trained
    assert all(value > 0 for value in result.timing.to_dict().values())
    assert result.timing.total_s == pytest.approx(result.wall_s, rel=0.05)


def test_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    policies = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        result = train(tmp_path / name, seed=seed, total_timesteps=768)
        policies.append(load_policy(tmp_path / name / result.snapshots[-1].file))
    first, again, other = (np.concatenate([layer.weight.ravel() for layer in policy.layers])
                           for policy in policies)  # fmt: skip
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_paused_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    paused = train(tmp_path, until_timesteps=1024)
    before = load_policy(tmp_path / paused.snapshots[-1].file)
    assert (str(paused.outcome), paused.total_timesteps) == ("paused", 1024)
    same = train(tmp_path, until_timesteps=1024)
    assert (str(same.outcome), same.snapshots) == ("paused", paused.snapshots)
    finished = train(tmp_path)
    assert (str(finished.outcome), finished.total_timesteps) == ("finished", 2560)
    assert finished.snapshots[: len(paused.snapshots)] == paused.snapshots
    assert len(finished.points) == 10
    assert finished.timing.total_s == pytest.approx(finished.wall_s, rel=0.05)
    after = load_policy(tmp_path / finished.snapshots[len(paused.snapshots)].file)
    # One more stretch moves weights and statistics a little: neither began anew.
    scale = np.abs(before.layers[1].weight).mean()
    assert np.abs(after.layers[1].weight - before.layers[1].weight).mean() < 0.5 * scale
    np.testing.assert_allclose(after.observation_scale, before.observation_scale, rtol=0.5)
    rows = (tmp_path / PROGRESS_FILE).read_text().splitlines()
    assert sum(row.startswith("total_timesteps") for row in rows) == 1


def test_action_that_is_held_is_part_of_the_policy_and_costs_its_env_steps(tmp_path: Path) -> None:
    job = make_job(tmp_path, ALIVE, learner=SMALL.merge(LearnerSettings(action_repeat=4)))
    result = run(job, tmp_path)
    job.check_result(result, tmp_path)
    assert 2560 <= result.total_timesteps < 2560 + 8 * 32 * 4
    policy = load_policy(tmp_path / result.snapshots[-1].file)
    assert (policy.repeat, policy.header.total_timesteps) == (4, result.total_timesteps)


STAGED = """
STAGES = ("wait", "pole-up")


def init_memory(state):
    return {"stage": 0.0 * state.pole_angle}


def compute_reward(state, action, next_state, memory):
    up = np.cos(next_state.pole_angle)
    return up, {"up": up}, {"stage": next_stage(memory["stage"], up > 0.0, up < 0.0)}
"""


def test_paused_training_goes_on_with_the_stage_that_it_had_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reward_agent.learning.stages._N_RECENT", 4)
    paused = train(tmp_path, STAGED, until_timesteps=512, stage_steps=(20,))
    assert [stage.name for stage in paused.points[-1].stages] == ["wait", "pole_up", "done"]
    monkeypatch.setattr("reward_agent.learning.stages._N_RECENT", 10_000)
    train(tmp_path, STAGED, until_timesteps=768, stage_steps=(20,))
    with np.load(tmp_path / CHECKPOINT_FILE) as checkpoint:
        record = json.loads(str(checkpoint["record"]))
    assert record["practised"] == 1


# How SAC races, pauses and goes on is tried in tests/run/test_library_learner.py.
def test_learner_of_the_library_pauses_goes_on_and_learns_in_a_sandboxed_child(
    tmp_path: Path,
) -> None:
    total, given = 6144, {"n_envs": 8, "n_steps": 64, "learning_rate": 2e-3}
    learner = LearnerSettings(algo="sb3:PPO", policy_kwargs={"net_arch": [32, 32]}, **given)
    job = make_job(tmp_path, ALIVE, learner=learner, total_timesteps=total)
    for until, outcome in ((total // 2, "paused"), (total, "finished")):
        exit = run_job(job.model_copy(update={"until_timesteps": until}), tmp_path)
        assert isinstance(exit.result, TrainingResult), (tmp_path / "output.txt").read_text()
        assert str(exit.result.outcome) == outcome
        assert until <= exit.result.total_timesteps < until + 600
    assert len(exit.result.points) == 10
    assert exit.result.timing.update_s > 0
    last = tmp_path / exit.result.snapshots[-1].file
    assert load_policy(last).header.algo == "sb3:PPO"
    assert measure_length(last) > 150


@pytest.mark.parametrize(
    "changes", [{"source": ALIVE.replace("0.1", "0.2")}, {"seed": 7}, {"learner": SMALLER}]
)
def test_what_another_job_left_is_not_gone_on_with(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    train(tmp_path / "used", until_timesteps=1024)
    given = {"source": ALIVE, "total_timesteps": 2560, "until_timesteps": 512} | changes
    result, fresh = (train(tmp_path / name, **given) for name in ("used", "fresh"))
    assert result.total_timesteps == 512
    assert result.snapshots == fresh.snapshots
    last = result.snapshots[-1].file
    weights, expected = (load_policy(tmp_path / name / last).layers for name in ("used", "fresh"))
    np.testing.assert_array_equal(weights[0].weight, expected[0].weight)
    steps = [
        [row.partition(",")[0] for row in (tmp_path / name / PROGRESS_FILE).read_text().split()]
        for name in ("used", "fresh")
    ]
    assert steps[0] == steps[1]


def test_where_an_environment_lies_is_no_part_of_which_job_it_is(tmp_path: Path) -> None:
    job = make_job(tmp_path, ALIVE)
    card = job.card.model_copy(update={"folder": str(tmp_path)})
    assert job.model_copy(update={"card": card}).digest() == job.digest()


def test_rows_of_a_killed_attempt_are_dropped(tmp_path: Path) -> None:
    train(tmp_path, until_timesteps=1024)
    progress = tmp_path / PROGRESS_FILE
    paused = progress.read_text()
    progress.write_text(paused + paused.splitlines()[-1].replace("1024", "1280") + "\n1536,0.")
    train(tmp_path, until_timesteps=1280)
    rows = progress.read_text().splitlines()
    assert rows[:-1] == paused.splitlines()
    assert rows[-1].startswith("1280,")


def test_program_that_fails_in_training_is_an_outcome(tmp_path: Path) -> None:
    result = train(tmp_path, FAILS_LATER)
    assert str(result.outcome).startswith("failed: contract/not-finite: ")
    assert result.total_timesteps == 0


@pytest.mark.parametrize(
    ("n", "outcome"),
    [
        (
            "memory['n'] + np.sum(memory['n'] * 0.0 + (len(memory['n']) == 8))",
            "failed: contract/rows",
        ),
        ("memory['n'] + len(str([0] * int(1e8 * (memory['n'][0] > 3))))", "failed: contract/"),
    ],
)
def test_program_that_breaks_a_promise_in_training_is_an_outcome(tmp_path, n, outcome) -> None:
    source = FAILS_LATER.replace('memory["n"] + 1.0', n).replace("np.nan, 1.0", "n, 1.0")
    result = train(tmp_path, source)
    assert str(result.outcome).startswith(outcome), result.outcome


@pytest.mark.slow  # as that of a dry run, tests/worker/test_probe_job.py
def test_a_loop_in_c_that_begins_in_training_ends_it_with_a_name(tmp_path: Path) -> None:
    late = "    count = sum(range(int(1e11) * int(n[0] > 3.0)))\n    reward ="
    source = FAILS_LATER.replace("    reward =", late, 1).replace("np.nan, 1.0", "n, 1.0")
    job_exit = run_job(make_job(tmp_path, source), tmp_path)
    assert str(job_exit.outcome) == "killed: time of a call"


def test_program_that_the_rules_refuse_is_an_outcome(tmp_path: Path) -> None:
    result = train(
        tmp_path, "def compute_reward(state, action, next_state):\n    return open('x')\n"
    )
    assert str(result.outcome).startswith("failed: ")
    assert not result.snapshots


@pytest.mark.parametrize("learning_rate", [1e5, 1e30])
def test_policy_that_blows_up_is_an_outcome(tmp_path: Path, learning_rate: float) -> None:
    with np.errstate(all="ignore"):
        result = train(tmp_path, learner=SMALL.merge(LearnerSettings(learning_rate=learning_rate)))
    assert str(result.outcome).startswith("failed: the policy's weights blew up: the largest is ")
    assert all(snapshot.total_timesteps < 2560 for snapshot in result.snapshots)


def test_only_fields_that_the_program_names_are_read() -> None:
    card = load_env("inverted_pendulum")
    assert find_read_fields(ALIVE, card) == ["pole_angle"]
    assert find_read_fields("x = 1", card) == []


IN_A_CHILD = """
import sys
from pathlib import Path
from reward_agent.worker.dispatch import run_worker
code = run_worker(Path(sys.argv[1]))
heavy = {"torch", "stable_baselines3", "gymnasium"} & set(sys.modules)
status = Path("/proc/self/status").read_text()
print(code, sorted(heavy), int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_child_imports_no_torch_and_stays_small_with_many_environments(tmp_path: Path) -> None:
    card = load_env("hopper")
    source = (find_env_dir(card) / "tasks" / "hop_forward" / "reference_reward.py").read_text()
    (tmp_path / PROGRAM_FILE).write_text(source)
    job = TrainJob(
        card=card, program_sha256=RewardProgram(source).sha256, seed=0, total_timesteps=16384,
        until_timesteps=16384, learner=card.learner.merge(LearnerSettings(n_envs=64)),
    )  # fmt: skip
    (tmp_path / JOB_FILE).write_text(job.model_dump_json())
    command = [sys.executable, "-c", IN_A_CHILD, str(tmp_path)]
    environment = make_child_environment(tmp_path, renders=False)
    output = subprocess.run(command, env=environment, capture_output=True, text=True)
    code, heavy, mib = output.stdout.split()
    assert (code, heavy) == ("0", "[]"), output.stderr
    assert int(mib) <= 150
