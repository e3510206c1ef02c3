"""How busy the slots of an executor are kept: many trainings of unequal length, from the ledger."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.candidates import PROGRAMS
from reward_agent.definitions.card import PPOSettings, load_env
from reward_agent.executors import JobRequest
from reward_agent.executors.registry import make_places
from reward_agent.executors.remote import ClusterOptions
from reward_agent.executors.slots import SlotExecutor
from reward_agent.records.jobs import PROGRAM_FILE, TrainJob
from reward_agent.records.limits import Limits
from reward_agent.records.timing import FREE_SLOT, OWN_OVERHEAD, TimeLedger, describe_shares
from reward_agent.types import RewardProgram

PROMISED = 0.9
_IDLE = (FREE_SLOT, OWN_OVERHEAD)
# A training's length is drawn from a range of 1 to 12, evenly on the scale of logarithms.
_SHORTEST, _LONGEST = 4_000, 48_000
_PPO = PPOSettings(
    n_envs=8, n_steps=64, batch_size=128, n_epochs=4, net_arch=(32, 32), learning_rate=1e-3
)


@dataclass(frozen=True)
class Utilisation:
    """What became of the slots' time.

    Args:
        executor: where the jobs ran.
        n_jobs: trainings, all of which ended well.
        n_slots: how many ran side by side.
        wall_s: from the first order to the last end.
        seconds: slot seconds by activity.
    """

    executor: str
    n_jobs: int
    n_slots: int
    wall_s: float
    seconds: Mapping[str, float]

    @property
    def busy(self) -> float:
        """Share of slot time in which a slot had a job, 0..1."""
        total = sum(self.seconds.values())
        return 1.0 - sum(self.seconds.get(name, 0.0) for name in _IDLE) / total

    @property
    def travel(self) -> float:
        """Share of slot time that a cluster took to place jobs and to bring files back, 0..1."""
        return self.seconds.get("cluster", 0.0) / sum(self.seconds.values())


def main(arguments: Sequence[str]) -> Utilisation:
    """Parse the arguments of the command and measure."""
    parser = argparse.ArgumentParser(prog="scripts/bench utilisation")
    parser.add_argument("--executor", default="local", help="local, ray, slurm, …")
    parser.add_argument("--ray-address", help="a cluster; else one is started here")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=48)
    parser.add_argument("--folder", type=Path, help="on a disk in common, for slurm")
    given = parser.parse_args(arguments)
    options = ClusterOptions(slots=given.slots, address=given.ray_address, memory_mib=2048)
    with tempfile.TemporaryDirectory(prefix="reward-agent-", dir=given.folder) as temporary:
        return measure_utilisation(given.executor, given.jobs, options, Path(temporary))


def measure_utilisation(
    executor: str, n_jobs: int, options: ClusterOptions, folder: Path
) -> Utilisation:
    """Run trainings of unequal length in an executor, in the order in which they come.

    Raises:
        UsageError: the executor cannot be used.
        RuntimeError: a training did not end well, so the figure would mean nothing.
    """
    place, home = make_places(
        executor,
        ClusterOptions(**(vars(options) | {"folder": folder})),
        "default",
        is_warm=True,
    )
    ledger = TimeLedger(place.n_slots)
    slots = SlotExecutor(place, ledger, home)
    try:
        exits = slots.map(make_requests(n_jobs, folder))
        wall_s, seconds = ledger.elapsed_s, ledger.account()
    finally:
        slots.close()
    bad = [job_exit.outcome for job_exit in exits if not job_exit.outcome.is_ok]
    if bad:
        raise RuntimeError(f"{len(bad)} of {n_jobs} trainings did not end well: {bad[0]}")
    return Utilisation(executor, n_jobs, slots.n_slots, wall_s, seconds)


def make_requests(n_jobs: int, folder: Path) -> list[JobRequest]:
    """Return trainings of the hopper of different lengths, the same each time."""
    chance = random.Random(0)
    card = load_env("hopper")
    source = PROGRAMS["speed"]
    requests = []
    for number in range(n_jobs):
        steps = int(_SHORTEST * (_LONGEST / _SHORTEST) ** chance.random())
        job_dir = folder / f"job{number}"
        job_dir.mkdir()
        (job_dir / PROGRAM_FILE).write_text(source, encoding="utf-8")
        job = TrainJob(
            card=card,
            program_sha256=RewardProgram(source).sha256,
            seed=number,
            total_timesteps=steps,
            until_timesteps=steps,
            ppo=_PPO,
        )
        requests.append(JobRequest(job, job_dir, Limits()))
    return requests


def render_utilisation(found: Utilisation) -> str:
    """Return the figure and where the time went, as text."""
    verdict = "reached" if found.busy >= PROMISED else "missed"
    return (
        f"{found.executor}: {found.n_jobs} trainings of unequal length in {found.n_slots} slots, "
        f"{found.wall_s:.0f} s\n"
        f"slots with a job: {found.busy:.1%} of their time (promised {PROMISED:.0%}: {verdict}); "
        f"of that, on the way to a node and back: {found.travel:.1%}\n"
        f"slot time: {describe_shares(found.seconds)}"
    )
