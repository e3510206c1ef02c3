"""What EnvPool simulates is filmed by EnvPool, which plays the episode once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.toy import write_policy

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import apply_task, load_task, read_task_metric
from reward_agent.records.film_jobs import FilmJob, FilmResult, FilmStyle
from reward_agent.records.job import Limits
from reward_agent.records.scoring_jobs import EvaluateJob
from reward_agent.sandbox.runner import run_job
from reward_agent.simulation.backends import ENVPOOL, find_graphics
from reward_agent.types import Snapshot

N_STEPS = 24


@pytest.fixture
def task() -> Any:
    return load_task(load_env("metaworld"), "drawer_close")


@pytest.fixture
def card(task: Any) -> Any:
    return apply_task(load_env("metaworld"), task).model_copy(update={"max_episode_steps": N_STEPS})


class Wobbling:
    """Actions that are not round numbers, some beyond the range."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    repeat = 1

    def act(self, observation: Any) -> Any:
        return self._rng.uniform(-1.3, 1.3, (len(observation), 4))


@pytest.mark.metaworld
def test_an_episode_is_played_again_to_the_bit_from_its_seed_and_actions(card: Any) -> None:
    pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
    from reward_agent.evaluation.rollout import roll_out
    from reward_agent.simulation.envpool import PoolSimulation

    [rollout] = roll_out(card, [Wobbling()], n_episodes=3, seed=7)
    episode = rollout.trajectories.episode(2)
    again = PoolSimulation(card, 1, 7 + 2)
    again.reset()
    for step, action in enumerate(episode.action):
        again.step(action[None])
        assert np.array_equal(
            np.float32(again.observation[0]), np.float32(episode.observation[step + 1])
        )


@pytest.mark.metaworld
def test_the_sealed_child_films_it(card: Any, task: Any, tmp_path: Path) -> None:
    pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
    if find_graphics(ENVPOOL).backend is None:
        pytest.skip("no EGL on this machine")
    write_policy(tmp_path / "policy_1.safetensors", card, 0.7)
    (tmp_path / "metric.py").write_text(read_task_metric(load_env("metaworld"), task))
    job = EvaluateJob(
        card=card,
        snapshots=(Snapshot(total_timesteps=1, file="policy_1.safetensors"),),
        seed=3,
        n_episodes=2,
        n_filmed=1,
    )
    for step in (job, FilmJob(card=card, style=FilmStyle(size="270p", formats=("webp",)))):
        assert (
            str(run_job(step, tmp_path, limits=Limits(wall_s=300), mode="default").outcome) == "ok"
        )
    result = FilmResult.model_validate_json((tmp_path / "result.json").read_bytes())
    assert (result.video_note, result.renderer) == ("", "egl")
    with Image.open(tmp_path / "video.webp") as film:
        first = np.asarray(film.convert("RGB"), float)
        film.seek(film.n_frames - 1)
        last = np.asarray(film.convert("RGB"), float)
    _, columns = np.nonzero(first[..., 0] - first[..., 1] > 60)
    assert columns.mean() < first.shape[1] / 2, "the red robot stands on the left"
    assert np.abs(first[30:] - last[30:]).max() > 60, "nothing moves"


def test_without_egl_the_note_says_what_to_install() -> None:
    trial = "raise RuntimeError('failed to initialize EGL')"
    found = find_graphics(replace(ENVPOOL, trial=trial))
    assert found.backend is None
    assert "RuntimeError: failed to initialize EGL" in found.note
    assert "apt-get install libegl1 libgl1-mesa-dri" in found.note
