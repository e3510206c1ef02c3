"""``scripts/bench against CHECKOUT``: this checkout beside an older one, alternating in one run.

Both are asked through what a user has of them, the library and the command, by this interpreter:
what differs is the code alone.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import TASKS, Row, compare_medians, render_rows
from benchmarks.ours import PROGRAMS
from reward_agent.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
_STEPS = {"hopper": 131_072, "half_cheetah": 131_072, "ant": 65_536}
_TRAIN = """
import sys, resource, reward_agent
env, task, steps, folder, seed = sys.argv[1:]
from pathlib import Path
trained = reward_agent.train(env, task, folder=Path(folder) / "run", steps=int(steps),
                             seed=int(seed), eval_episodes=1, video=False)
peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(trained.result.total_timesteps / trained.result.wall_s, peak_mib)
"""
_CHECK = """
import sys, time, reward_agent
from reward_agent import check
check(sys.argv[1], "hopper")
started = time.perf_counter()
found = check(sys.argv[1], "hopper", probe=True)
print(time.perf_counter() - started)
"""

Measure = Callable[[Path, int], float]


@dataclass(frozen=True)
class Question:
    """A number that both checkouts are asked for.

    Args:
        bar: what the new one's median by the old one's must be.
        measure: takes a checkout and a seed.
    """

    bar: str
    measure: Measure


def main(arguments: Sequence[str]) -> int:
    """Ask both checkouts in turn; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench against",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkout", type=Path, help="of the older version")
    parser.add_argument("--rows", help=f"by commas: {', '.join(QUESTIONS)}; all but demo")
    parser.add_argument("--repeats", type=int, default=3, help="of each side")
    given = parser.parse_args(arguments)
    for checkout in (given.checkout, ROOT):  # as an installed package is
        compileall.compile_dir(checkout / "reward_agent", quiet=1)
    names = given.rows.split(",") if given.rows else [name for name in QUESTIONS if name != "demo"]
    rows = [
        compare(name, QUESTIONS[name], given.checkout.resolve(), given.repeats) for name in names
    ]
    print(render_rows(rows))
    return 1 if any(row.is_reached is False for row in rows) else 0


def compare(name: str, question: Question, older: Path, repeats: int) -> Row:
    """Return the row of a question: our median by that of the older checkout."""
    found: dict[Path, list[float]] = {older: [], ROOT: []}
    for seed in range(repeats):
        for checkout, numbers in found.items():
            numbers.append(question.measure(checkout, seed))
            print(f"{name}: {checkout}: {numbers[-1]:.4g}", file=sys.stderr, flush=True)
    return compare_medians(name, question.bar, found[ROOT], found[older])


def _measure_rate(env: str, checkout: Path, seed: int) -> float:
    return _train(checkout, env, _STEPS[env], seed)[0]


def _measure_memory(checkout: Path, seed: int) -> float:
    """Return the most memory of a child of a training with 64 environments, in MiB."""
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        env = Path(folder) / "hopper"
        shutil.copytree(checkout / "envs" / "hopper", env)
        card = (env / "env.toml").read_text("utf-8")
        card, n_changed = re.subn(r"\bn_envs = \d+", "n_envs = 64", card)
        assert n_changed, "the card says how many environments a training has"
        (env / "env.toml").write_text(card, encoding="utf-8")
        return _train(checkout, str(env), 32_768, seed)[1]


def _train(checkout: Path, env: str, steps: int, seed: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        task = TASKS[Path(env).name]
        said = _run(checkout, "-c", _TRAIN, env, task, str(steps), folder, str(seed))
    return [float(word) for word in said.split()[-2:]]


def _measure_verdict(checkout: Path, seed: int) -> float:
    """Return the seconds from a program's text to its verdict, with a fresh child."""
    return float(_run(checkout, "-c", _CHECK, PROGRAMS["speed"]).split()[-1])


def _measure_wall(arguments: Sequence[str], checkout: Path, seed: int) -> float:
    """Return the seconds that a command takes."""
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        started = time.perf_counter()
        _run(checkout, "-m", "reward_agent", *arguments, folder=folder)
        return time.perf_counter() - started


def _run(checkout: Path, *arguments: str, folder: str | None = None) -> str:
    """Run Python with a checkout's package.

    Raises:
        DataError: it failed.
    """
    environ = {name: text for name, text in os.environ.items() if not name.endswith("_API_KEY")}
    environ |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environ,
        cwd=folder or tempfile.gettempdir(),
        capture_output=True,
        text=True,
        check=False,
    )
    # 3: a run ended below its target score.
    if done.returncode not in (0, 3):
        raise DataError(f"{checkout}: {done.stderr[-500:]}", "")
    return done.stdout


_DEMO = ("design", "--env", "hopper", "--task", "hop_forward", "--preset", "quick")
QUESTIONS = {
    **{f"steps/s {env}": Question(">= 1.0", partial(_measure_rate, env)) for env in _STEPS},
    "memory with 64 envs": Question("<= 1.0", _measure_memory),
    "cold verdict": Question("<= 1.0", _measure_verdict),
    "help": Question("<= 1.05", partial(_measure_wall, ["--help"])),
    "demo": Question("<= 0.9", partial(_measure_wall, [*_DEMO, "--provider", "offline"])),
}
