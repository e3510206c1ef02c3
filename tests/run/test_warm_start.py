"""Warm start: later rounds begin with the best policy so far, and say so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import reward_agent
from reward_agent.definitions.card import load_env
from reward_agent.learning.policy import load_policy
from reward_agent.records.disk import read_record
from reward_agent.records.job import INITIAL_POLICY_FILE, PROGRAM_FILE, RESULT_FILE
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import load_run
from reward_agent.records.training_jobs import TrainJob
from reward_agent.types import RewardProgram, TrainingResult
from reward_agent.worker import train as worker

SOURCE = """
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin={margin})
    return upright, {{"upright": upright}}
"""


def train(folder: Path, steps: int, initial: Path | None = None, seed: int = 0) -> TrainingResult:
    card = load_env("inverted_pendulum")
    folder.mkdir()
    source = SOURCE.format(margin=0.2)
    (folder / PROGRAM_FILE).write_text(source)
    digest = None
    if initial is not None:
        content = initial.read_bytes()
        (folder / INITIAL_POLICY_FILE).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
    job = TrainJob(
        card=card, program_sha256=RewardProgram(source).sha256, seed=seed, total_timesteps=steps,
        until_timesteps=steps, learner=card.learner, initial_policy_sha256=digest,
    )  # fmt: skip
    return worker.run(job, folder)


def test_a_training_goes_on_from_what_the_policy_can_do(tmp_path: Path) -> None:
    first = train(tmp_path / "first", 40_960)
    best = tmp_path / "first" / first.snapshots[-1].file
    cold = train(tmp_path / "cold", 4_096, seed=1)
    warm = train(tmp_path / "warm", 4_096, best, seed=1)
    cold_length, warm_length = (r.points[-1].episode_length or 1e9 for r in (cold, warm))
    assert warm_length > 2 * cold_length
    # One round of PPO moves a policy a little: it is still the one that it began with.
    given, after = load_policy(best), load_policy(tmp_path / "warm" / warm.snapshots[-1].file)
    fresh = load_policy(tmp_path / "cold" / cold.snapshots[-1].file)
    distance = [abs(p.layers[0].weight - given.layers[0].weight).mean() for p in (after, fresh)]
    assert distance[0] < 0.2 * distance[1]


def test_later_rounds_begin_with_the_best_policy_and_say_so(tmp_path: Path) -> None:
    script = tmp_path / "replies.md"
    replies = [f"```python{SOURCE.format(margin=0.1 * (k + 2))}```" for k in range(4)]
    script.write_text("".join(f"--- reply ---\n{reply}\n" for reply in replies))
    run = reward_agent.design(
        "inverted_pendulum", "balance", provider=f"scripted:{script}", runs_dir=tmp_path / "runs",
        environ={}, candidates=2, iterations=2, winner_seeds=1, steps=2048, eval_episodes=2,
        video=False, critic=False, analyzer=False, warm_start=True, racing="none", early_stop=False,
    )  # fmt: skip
    store = load_run(run.id, tmp_path / "runs")
    earlier, later = (store.read_iteration(index) for index in range(2))
    assert [item.started_from for item in earlier.candidates] == [None, None]
    assert [item.started_from for item in later.candidates] == [earlier.best, earlier.best]
    assert earlier.best is not None
    folder = store.evaluation_dir(0, earlier.best, run.config["seed"])
    policy = folder / read_record(folder / RESULT_FILE, EvaluateResult).best_file
    digest = hashlib.sha256(policy.read_bytes()).hexdigest()
    jobs = [
        json.loads(path.read_text()) for path in store.dir.glob("iterations/1/*/*/*/*/job.json")
    ]
    given = [job["initial_policy_sha256"] for job in jobs if job["kind"] == "train"]
    # A confirmation of such a candidate begins with the same policy.
    assert given
    assert set(given) == {digest}
