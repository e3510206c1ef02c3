"""What a program chooses of its training reaches the training, and nothing that scores."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import reward_agent
from reward_agent.errors import UsageError
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.learning.policy import load_policy
from reward_agent.records.disk import read_record, write_record
from reward_agent.records.job import STARTS_FILE, STATES_FILE, TRAJECTORIES_FILE
from reward_agent.records.outcomes import TRAINED
from reward_agent.records.scoring_jobs import EvaluateJob
from reward_agent.records.training_jobs import TrainJob
from reward_agent.run.active import NO_METRIC, Lab, Metric
from reward_agent.run.single import open_lab, resolve
from reward_agent.run.starts import note_starts, read_states, record_states, try_unaided
from reward_agent.run.train import make_training
from reward_agent.types import ProbeReport, RewardProgram, StartTrial

SOURCE = """
TRAINING = {"gamma": 0.9, "net_arch": [8], "episode_steps": 50, "stage_steps": [30]}
STAGES = ("tilt", "hold")
STARTS = [{"share": 0.3, "until": 1, "pole_angle": (-0.1, 0.1), "earns": 5}]


def starts(rng, n):
    return {"cart_position": rng.uniform(0.4, 0.5, n)}


def init_memory(state):
    return {"stage": 0.0 * state.pole_angle}


def compute_reward(state, action, next_state, memory):
    upright = 1.0 - np.abs(next_state.pole_angle)
    stage = next_stage(memory["stage"], upright < 0.95, upright > 2.0)
    return upright, {"upright": upright}, {"stage": stage}
"""


def test_choices_are_the_trainings_alone(tmp_path: Path) -> None:
    card = reward_agent.load_env("inverted_pendulum")
    trained = reward_agent.train(
        card.name, "balance", SOURCE, steps=2048, folder=tmp_path / "run", video=False
    )
    training = tmp_path / "run" / "training"
    job = read_record(training / "job.json", TrainJob)
    assert (job.learner.gamma, job.card.max_episode_steps) == (0.9, 50)
    assert [start.share for start in job.starts] == [0.3, 0.5]
    assert job.stage_steps == (30,)
    of_pole, drawn = trained.result.starts
    assert of_pole.n_earned > 0
    assert drawn.n_episodes > 0
    assert max(point.episode_length or 0 for point in trained.result.points) <= 50
    tilt, hold, done = trained.result.points[-1].stages
    assert (tilt.share, hold.name, done.share) == (1.0, "hold", 0.0)
    policy = load_policy(training / trained.result.snapshots[-1].file)
    assert [len(layer.bias) for layer in policy.layers] == [8, 1]
    scored = read_record(tmp_path / "run" / "evaluation" / "job.json", EvaluateJob)
    assert scored.card.max_episode_steps == card.max_episode_steps
    assert scored.card.learner == card.learner
    recorded = Trajectories.load(tmp_path / "run" / "evaluation" / TRAJECTORIES_FILE)
    first = [recorded.episode(i).cart_position[0] for i in range(recorded.n_episodes)]
    assert np.abs(first).max() <= 0.01 + 1e-6  # as the card begins them


def test_a_start_that_no_episode_can_begin_in_is_refused_before_the_training() -> None:
    source = SOURCE.replace("(-0.1, 0.1)", "(1.0, 1.5)")
    examined = reward_agent.check(source, "inverted_pendulum", probe=True)
    assert examined.probe is not None
    assert "pole_angle ends it at once" in examined.probe.errors[0].message


HIGH = """
from reward_agent.types import Score


def score(episode):
    best = float(episode.torso_height.max())
    return Score(best, best > 1.5)
"""


def test_a_start_that_already_succeeds_is_shown_as_that(tmp_path: Path) -> None:
    card = reward_agent.load_env("hopper").model_copy(update={"max_episode_steps": 20})
    qpos = np.tile([0.0, 1.25, 0.0, 0.0, 0.0, 0.0], (8, 1))
    qpos[:3, 1] = 1.6  # of the first start, of which each has four
    np.savez(tmp_path / STARTS_FILE, qpos=qpos, qvel=np.zeros((8, 6)))
    trials = [StartTrial(name=name, n_states=4) for name in ("flying", "standing")]
    probe = ProbeReport(program_sha256="0" * 64, starts=tuple(trials))
    with open_lab(card, resolve(card, {}), Metric(HIGH, "file")) as lab:
        told = try_unaided(lab, probe, tmp_path)
    flying, standing = told.starts
    assert (flying.unaided, standing.unaided) == (0.75, 0.0)
    [finding] = told.findings
    assert finding.severity == "warning"
    assert "start 1 (flying): the task succeeds from 75% of its states without" in finding.message
    write_record(tmp_path / "probe.json", told)
    assert str(note_starts(tmp_path, TRAINED)) == (
        "trained: it began where the task succeeds without a policy "
        "(flying: 75% already succeed (start pose held))"
    )


def save_states(folder: Path, height: float) -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"take-off/qpos": np.full((1, 24, 6), height), "take-off/qvel": np.zeros((1, 24, 6))}
    np.savez(folder / STATES_FILE, **arrays)
    return (folder / STATES_FILE).read_bytes()


def test_a_round_keeps_the_states_of_the_best_before_it(tmp_path: Path) -> None:
    """What is trained in it again, or after a resume, begins in the same."""
    found = save_states(tmp_path / "best-0", 1.0)
    ranked = [
        SimpleNamespace(iteration=0, id="good", task_score=0.5, rank=(1,)),
        SimpleNamespace(iteration=0, id="best", task_score=0.9, rank=(0,)),
        SimpleNamespace(iteration=1, id="later", task_score=1.0, rank=(-1,)),
    ]
    store = SimpleNamespace(
        iteration_dir=lambda index: tmp_path / f"round-{index}",
        list_finished=lambda: ranked,
        evaluation_dir=lambda iteration, name, seed: tmp_path / f"{name}-{iteration}",
    )
    run = SimpleNamespace(store=store, settings=SimpleNamespace(seed=0, reward_only=False))
    assert record_states(run, 1) == ("take-off",)
    save_states(tmp_path / "best-0", 2.0)
    assert record_states(run, 1) == ("take-off",)
    assert read_states(tmp_path / "round-1") == found
    assert record_states(run, 0) == ()  # there was none before it


def test_a_single_training_has_no_run_whose_events_it_could_begin_at(tmp_path: Path) -> None:
    body = "def compute_reward(state, action, next_state):\n    return 0.0 * action[:, 0], {}\n"
    entry = '{"share": 0.5, "until": 1, "from": "event:take-off"}'
    with pytest.raises(UsageError, match=r"begins episodes at 'take-off'.*no run") as caught:
        reward_agent.train("hopper", "jump", f"STARTS = [{entry}]\n{body}", folder=tmp_path)
    assert "design --from FILE" in caught.value.remedy


def test_a_training_is_another_by_the_states_that_it_begins_in(tmp_path: Path) -> None:
    card = reward_agent.load_env("hopper")
    lab = Lab(card, NO_METRIC, resolve(card, {}), executor=None)
    body = "def compute_reward(state, action, next_state):\n    return 0.0 * action[:, 0], {}\n"
    entry = '{"share": 0.5, "until": 1, "from": "event:take-off"}'
    program = RewardProgram(f"STARTS = [{entry}]\n{body}")

    def make(name: str, source: RewardProgram, states: bytes) -> TrainJob:
        return make_training(lab, source, tmp_path / name, 0, until=10, states=states).job

    one, two = (save_states(tmp_path / "from", height) for height in (1.0, 2.0))
    jobs = [make("a", program, one), make("b", program, one), make("c", program, two)]
    first, same, other = (job.digest() for job in jobs)
    assert first == same != other
    assert (tmp_path / "a" / STATES_FILE).read_bytes() == one
    assert make("d", RewardProgram(body), one).inputs == {}
    assert not (tmp_path / "d" / STATES_FILE).exists()
