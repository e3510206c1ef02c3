"""What a candidate leaves on the disk is what is needed later, once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.records.job import TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import RelabelResult
from reward_agent.records.settings import RunSettings
from reward_agent.run import evaluate
from reward_agent.run.active import NO_METRIC, Lab
from reward_agent.types import FINISHED, RewardProgram, Snapshot


class CopyReader:
    """An executor whose job finds the episodes in its folder."""

    def map(self, requests: list, on_progress: object = None) -> list:
        [request] = requests
        assert (request.job_dir / TRAJECTORIES_FILE).read_bytes() == b"episodes"
        result = RelabelResult(outcome=FINISHED, generated_returns=(1.0,))
        return [SimpleNamespace(result=result)]


def test_episodes_given_to_a_job_are_not_kept_twice(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    kept = tmp_path / "evaluation" / TRAJECTORIES_FILE
    kept.write_bytes(b"episodes")
    run = Lab(load_env("hopper"), NO_METRIC, RunSettings(), CopyReader())
    program = RewardProgram("def compute_reward(state, action, next_state): ...")
    found = evaluate.relabel(run, tmp_path / "relabel", tmp_path / "evaluation", program)
    assert found.generated_returns == (1.0,)
    assert kept.exists()
    assert not (tmp_path / "relabel" / TRAJECTORIES_FILE).exists()


def test_episodes_of_a_slice_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []

    def evaluate_policies(_: object, training_dir: Path, snapshots: object, plan: object):
        folders.append(plan.job_dir)
        plan.job_dir.mkdir(parents=True)
        (plan.job_dir / TRAJECTORIES_FILE).write_bytes(b"episodes")
        return SimpleNamespace(best="score")

    monkeypatch.setattr(evaluate, "evaluate_policies", evaluate_policies)
    entrant = SimpleNamespace(candidate_dir=tmp_path, training_dir=tmp_path, seed=0)
    run = SimpleNamespace(
        settings=SimpleNamespace(seed=0, eval_episodes=16, steps=1000),
        card=SimpleNamespace(max_episode_steps=100),
    )
    snapshot = Snapshot(total_timesteps=1000, file="policy_1000.safetensors")
    assert evaluate.evaluate_rung(run, entrant, snapshot) == "score"
    assert not list(folders[0].iterdir())
