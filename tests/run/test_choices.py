"""What a program chooses of its training reaches the training, and nothing that scores."""

from __future__ import annotations

from pathlib import Path

import reward_agent
from reward_agent.learning.policy import load_policy
from reward_agent.records.disk import read_record
from reward_agent.records.jobs import EvaluateJob, TrainJob

SOURCE = """
TRAINING = {"gamma": 0.9, "net_arch": [8], "episode_steps": 50, "stage_steps": [30]}
STAGES = ("tilt", "hold")
STARTS = [{"share": 0.5, "until": 1, "pole_angle": (-0.1, 0.1)}]


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
    assert [start.share for start in job.starts] == [0.5]
    assert job.stage_steps == (30,)
    assert max(point.episode_length or 0 for point in trained.result.points) <= 50
    tilt, hold, done = trained.result.points[-1].stages
    assert (tilt.share, hold.name, done.share) == (1.0, "hold", 0.0)
    policy = load_policy(training / trained.result.snapshots[-1].file)
    assert [len(layer.bias) for layer in policy.layers] == [8, 1]
    scored = read_record(tmp_path / "run" / "evaluation" / "job.json", EvaluateJob)
    assert scored.card.max_episode_steps == card.max_episode_steps
    assert scored.card.learner == card.learner


def test_a_start_that_no_episode_can_begin_in_is_refused_before_the_training() -> None:
    source = SOURCE.replace("(-0.1, 0.1)", "(1.0, 1.5)")
    examined = reward_agent.check(source, "inverted_pendulum", probe=True)
    assert examined.probe is not None
    assert "pole_angle ends it at once" in examined.probe.errors[0].message
