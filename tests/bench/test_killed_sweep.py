"""A real sweep whose driver and workers are killed at random ends with the table of a calm one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.processes import list_descendants

from reward_agent.bench.page import render_csv
from reward_agent.bench.results import summarise_sweep
from reward_agent.bench.sweep import SweepStore

SUITE = """
name = "killed"
tasks = ["inverted_pendulum/balance"]
methods = ["reference", "sparse", "offline"]
seeds = 20
budget = 512
candidates = 1
iterations = 1
winner_seeds = 1
eval_episodes = 2
"""
N_JOBS, N_KILLS = 60, 5


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    words = ["bench", "run", "killed.toml", "-o", name, "--slots", "2"]
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "reward_agent", *words], cwd=folder, stdout=log, stderr=log
        )


def count_results(folder: Path) -> int:
    return len(list(folder.glob("jobs/*/result.json")))


def kill(driver: subprocess.Popen[bytes], victims: str) -> None:
    """Kill the workers, the driver, or both, with the signal that nothing can catch."""
    pids = list_descendants(driver.pid) if victims != "driver" else []
    for pid in [*pids, *([driver.pid] if victims != "workers" else [])]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def read_table(folder: Path) -> list[list[str]]:
    """Return the rows of the table, without the last column: a run is named after the time."""
    lines = render_csv(summarise_sweep(SweepStore(folder))).splitlines()
    return [line.split(",")[:-1] for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
def test_a_sweep_that_was_killed_five_times_has_the_table_of_a_calm_one(tmp_path: Path) -> None:
    (tmp_path / "killed.toml").write_text(SUITE)
    assert start(tmp_path, "calm").wait() == 0
    dice = random.Random(0)
    moments = sorted(dice.sample(range(2, N_JOBS - 2), N_KILLS))
    driver = start(tmp_path, "killed")
    for moment, victims in zip(
        moments, ("driver", "workers", "both", "driver", "workers"), strict=True
    ):
        while count_results(tmp_path / "killed") < moment:
            assert driver.poll() is None, "the driver ended by itself"
            time.sleep(0.05)
        time.sleep(dice.uniform(0.0, 1.5))
        kill(driver, victims)
        if victims != "workers":
            assert driver.wait() == -signal.SIGKILL
            driver = start(tmp_path, "killed")
    assert driver.wait() == 0
    assert count_results(tmp_path / "killed") == N_JOBS
    assert read_table(tmp_path / "killed") == read_table(tmp_path / "calm")
