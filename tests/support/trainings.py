"""Small trainings, and folders to run them in."""

from __future__ import annotations

from pathlib import Path

from reward_agent.definitions.card import load_env
from reward_agent.definitions.learner import LearnerSettings
from reward_agent.executors import JobRequest
from reward_agent.records.job import PROGRAM_FILE, Limits
from reward_agent.records.training_jobs import TrainJob
from reward_agent.types import RewardProgram

ALIVE = """
def compute_reward(state, action, next_state):
    upright = np.exp(-np.square(next_state.pole_angle / %s))
    return upright, {"upright": upright}
"""
FAILS = """
def compute_reward(state, action, next_state):
    value = 0.0 * state.pole_angle + np.log(-1.0)
    return value, {"value": value}
"""
SMALL = LearnerSettings(
    n_envs=8, n_steps=32, batch_size=64, n_epochs=4, net_arch=[16, 16], learning_rate=2e-3
)
# Minutes long on any machine; a row of progress comes with each 100th of it, each second or two.
ENDLESS = 2_000_000


def make_request(
    folder: Path,
    *,
    steps: int = 512,
    until: int | None = None,
    seed: int = 0,
    source: str = ALIVE % 0.1,
    limits: Limits | None = None,
) -> JobRequest:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROGRAM_FILE).write_text(source)
    job = TrainJob(
        card=load_env("inverted_pendulum"),
        program_sha256=RewardProgram(source).sha256,
        seed=seed,
        total_timesteps=steps,
        until_timesteps=until or steps,
        learner=SMALL,
    )
    return JobRequest(job, folder, limits or Limits(wall_s=240))
