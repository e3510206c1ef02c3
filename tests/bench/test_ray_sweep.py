"""A sweep whose trainings run on a Ray cluster has the table of one on this machine."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from reward_agent.bench.sweep import SweepStore


def run_smoke(folder: Path, *words: str) -> list[dict[str, str]]:
    """Run ``smoke`` with one seed and small trainings; return its rows, less the runs' names."""
    command = [sys.executable, "-m", "reward_agent", "bench", "run", "smoke", "--budget", "2048"]
    done = subprocess.run(
        [*command, "--seeds", "1", "-o", str(folder), "--slots", "2", *words],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "run"} for row in rows]


@pytest.mark.ray
@pytest.mark.timeout(1700)
def test_smoke_on_ray_has_the_table_of_this_machine(tmp_path: Path) -> None:
    here = run_smoke(tmp_path / "local")
    there = run_smoke(tmp_path / "ray", "--executor", "ray")
    assert len(here) == 6
    assert all(row["score"] for row in here)
    assert there == here
    results = SweepStore(tmp_path / "ray").read_results().values()
    assert {result.n_attempts for result in results} == {1}
    runs = [path.read_text() for path in (tmp_path / "ray").glob("jobs/*/runs/*/run.json")]
    assert len(runs) == 6
    assert all('"executor": "ray"' in text for text in runs)
