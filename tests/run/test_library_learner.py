"""A search whose policies are trained by a learner of the library, off-policy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import reward_agent
from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.learning.policy import load_policy
from reward_agent.records.job import CHECKPOINT_FILE
from reward_agent.records.store import RunRecord, RunStore

# Each of its trainings imports torch for seconds; what such a learner is: tests/learning.
pytestmark = pytest.mark.slow
LEARNER = """
[learner]
algo = "sb3:SAC"
learning_rate = 3e-3
batch_size = 32
policy_kwargs = { net_arch = [16, 16] }
"""
REPLIES = "\n".join(
    f"""--- reply ---
```python
def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin={margin})
    return upright, {{"upright": upright}}
```"""
    for margin in (0.2, 0.1, 0.3, 0.15)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, Path]:
    folder = tmp_path_factory.mktemp("search")
    env = shutil.copytree(find_env_dir(load_env("inverted_pendulum")), folder / "pendulum")
    card = (env / "env.toml").read_text()
    (env / "env.toml").write_text(card.replace("[learner]", "[[other_learners]]") + LEARNER)
    (folder / "replies.md").write_text(REPLIES)
    record = reward_agent.design(
        str(env), "balance", provider=f"scripted:{folder / 'replies.md'}",
        runs_dir=folder / "runs", environ={}, candidates=2, iterations=2, steps=320,
        winner_seeds=0, eval_episodes=2, racing="halving", warm_start=True, critic=False,
        analyzer=False, video=False, slots=1,
    )  # fmt: skip
    return record, folder / "runs" / record.id


def test_it_races_pauses_goes_on_warm_starts_and_wins(run: tuple[RunRecord, Path]) -> None:
    record, folder = run
    assert (record.status, record.card.learner.algo) == ("finished", "sb3:SAC")
    store = RunStore(folder)
    candidates = [c for k in store.list_iterations() for c in store.read_iteration(k).candidates]
    assert len(candidates) == 4
    assert {str(c.outcome).partition(":")[0] for c in candidates} <= {"trained", "stopped"}
    assert max(c.total_timesteps for c in candidates) == 320
    assert record.winner is not None
    header = load_policy(folder / record.winner.policy_file).header
    assert (header.algo, header.is_squashed, header.net_arch) == ("sb3:SAC", True, (16, 16))


def test_only_trainings_that_may_go_on_keep_their_old_steps(run: tuple[RunRecord, Path]) -> None:
    _, folder = run
    kept = [path.parent for path in folder.rglob(CHECKPOINT_FILE)]
    whole = {path.parent for path in folder.rglob("policy_320.safetensors")}
    assert not whole & set(kept)


def test_the_report_says_which_learner_it_was(run: tuple[RunRecord, Path]) -> None:
    _, folder = run
    assert "sb3:SAC" in (folder / "report.html").read_text()
